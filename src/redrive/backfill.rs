//! A backfill: what a subscription has missed, from the log group itself.
//!
//! Each page becomes records as a subscription would have made them, an envelope for each log stream, and takes the same way. The
//! events' ids are those of the subscription, so that a receiver tells what it has from what it lacks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64_simd::STANDARD as BASE64;
use serde_json::{Value, json};
use tracing::info;

use super::event::{Backfill, EventError};
use super::{Books, Redrive};
use crate::aws::{AwsError, LogEvent, Range};
use crate::firehose::{FirehoseEvent, Record};
use crate::ledger::Standing;
use crate::log::Brief;
use crate::retry::Deadline;

/// Time that a page takes at least: people share the account's few requests a second.
const PAGE_TIME: Duration = Duration::from_millis(500);

impl Redrive {
    /// Delivers the events of a log group from one time to another. The answer says how many were delivered and how many were
    /// not, and from which time to go on if it ended before.
    pub(super) async fn backfill(
        &self,
        backfill: &Backfill,
        account: &str,
        now: i64,
        deadline: Deadline,
        books: &mut Books,
    ) -> Result<Value, EventError> {
        let time = |text: &str| text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
        let (Ok(mut from), Ok(to)) = (time(&backfill.from), time(&backfill.to)) else { return Err(EventError::Times) };
        if from > to {
            return Err(EventError::Times);
        }
        if self.own_log_group.as_deref() == Some(&backfill.log_group) {
            return Err(EventError::OwnLogGroup);
        }
        let (mut delivered, mut failed) = (0, 0);
        let answer = |delivered: usize, failed: usize, next: Option<i64>, problem: Option<String>| {
            let next = next.and_then(|next| jiff::Timestamp::from_millisecond(next).ok());
            let next = next.map(|next| format!("{next:.3}"));
            info!(log_group = %Brief(&backfill.log_group), delivered, failed, "backfill");
            match problem {
                Some(problem) => json!({"delivered": delivered, "failed": failed, "next": next, "problem": problem}),
                None => json!({"delivered": delivered, "failed": failed, "next": next}),
            }
        };
        let refused =
            |failed: usize| (failed > 0).then(|| "some events were not accepted: the log names them".to_owned());
        let (start, mut token) = (from, None);
        loop {
            let began = Instant::now();
            let range = Range {
                log_group_name: &backfill.log_group,
                start_time: start,
                end_time: to,
                filter_pattern: backfill.filter_pattern.as_deref(),
                next_token: token.as_deref(),
            };
            let page = match self.log_groups.page(&range, deadline).await {
                Ok(page) => page,
                Err(AwsError::Deadline { .. }) => return Ok(answer(delivered, failed, Some(from), refused(failed))),
                Err(error) => {
                    books.fault(&backfill.log_group, &error, "backfill ended early");
                    return Ok(answer(delivered, failed, Some(from), Some(error.to_string())));
                }
            };
            let times = || page.events.iter().map(|event| event.timestamp);
            let (first, last) = (times().min(), times().max());
            let records = records(&page.events, account, &backfill.log_group);
            let (standings, summary) = self.forwarder.take_again(&FirehoseEvent { records }, now, deadline).await;
            books.summary += summary;
            let counts = summary.counts;
            delivered += standings.lines_delivered;
            failed += counts.lines - standings.lines_delivered - counts.lines_excluded - counts.lines_sampled_out;
            if standings.records.contains(&Standing::Open) {
                return Ok(answer(delivered, failed, first.or(Some(from)), refused(failed)));
            }
            // An event of the same millisecond may be on the next page.
            from = last.unwrap_or(from);
            token = page.next;
            if token.is_none() {
                return Ok(answer(delivered, failed, None, refused(failed)));
            }
            let Some(next) = deadline.after(PAGE_TIME.saturating_sub(began.elapsed()), Instant::now()) else {
                return Ok(answer(delivered, failed, Some(from), refused(failed)));
            };
            tokio::time::sleep_until(next.into()).await;
        }
    }
}

/// Makes records of events, as a subscription does.
fn records(events: &[LogEvent], account: &str, log_group: &str) -> Vec<Record<'static>> {
    let mut streams: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for event in events {
        let LogEvent { event_id, log_stream_name, timestamp, message } = event;
        let line = json!({"id": event_id, "timestamp": timestamp, "message": message});
        streams.entry(log_stream_name).or_default().push(line);
    }
    let record = |(stream, lines): (&str, Vec<Value>)| {
        let envelope = json!({
            "messageType": "DATA_MESSAGE",
            "owner": account,
            "logGroup": log_group,
            "logStream": stream,
            "subscriptionFilters": [],
            "logEvents": lines,
        });
        let data = BASE64.encode_to_string(envelope.to_string());
        Record { id: stream.to_owned().into(), arrival: None, data: Some(data.into()) }
    };
    streams.into_iter().map(record).collect()
}
