//! One object: a group of lines after the other goes to the API, and then it is decided what stays.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::keep::Keep;
use super::line;
use super::lines::{Lines, LinesError};
use super::{Books, Redrive};
use crate::config::RedriveSettings;
use crate::firehose::FirehoseEvent;
use crate::ledger::Standing;
use crate::log::Brief;
use crate::retry::Deadline;

/// Lines that are taken to the API together, in bytes: as much as Firehose gives a function.
const GROUP_BYTES: usize = 6 << 20;

/// Bytes of what is left that are surely copied in a second.
const COPIED_A_SECOND: u64 = 8 << 20;

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tried {
    /// Whether the object's message is done with: the object is gone, or there is nothing to do about it.
    pub(super) is_settled: bool,
    /// Whether the API was asked and took nothing.
    pub(super) is_down: bool,
}

/// An object under way.
struct Taking<'a> {
    left: Keep<'a>,
    parked: Keep<'a>,
    /// Lines that were taken to the API, or looked at for it.
    taken: usize,
    /// Lines that were delivered.
    done: usize,
    /// Whether the API took nothing of the last group.
    is_down: bool,
    /// Whether no more of the object is taken to the API.
    is_stopped: bool,
}

impl Redrive {
    /// Takes an object to the API, as far as that works.
    pub(super) async fn object(
        &self,
        key: &str,
        now: i64,
        deadline: Deadline,
        books: &mut Books,
    ) -> Result<Tried, LinesError> {
        let nothing_to_do = Tried { is_settled: true, is_down: false };
        let RedriveSettings { failed_prefix, parked_prefix, .. } = &self.settings;
        let Some(from) = [failed_prefix, parked_prefix].into_iter().find(|prefix| key.starts_with(*prefix)) else {
            warn!(key = %Brief(key), "object left where it is: neither under FAILED_PREFIX nor under PARKED_PREFIX");
            return Ok(nothing_to_do);
        };
        let Some(object) = self.bucket.get(key, deadline).await? else {
            info!(key = %Brief(key), "the object is gone: it was taken before");
            return Ok(nothing_to_do);
        };
        let etag = object.etag();
        let work = working_time(deadline, object.bytes());
        let mut lines = Lines::new(object);
        if lines.is_gzip(deadline).await? {
            // If it is damaged somewhere, nothing of it is delivered, lest that be done again with every try.
            let Some(object) = self.bucket.get(key, deadline).await? else { return Ok(nothing_to_do) };
            let mut first = Lines::new(object);
            while !first.group(GROUP_BYTES, deadline).await?.is_empty() {}
        }
        let mut taking = Taking {
            left: Keep::left(&self.bucket, key, from, failed_prefix),
            parked: Keep::parked(&self.bucket, key, from, parked_prefix),
            taken: 0,
            done: 0,
            is_down: false,
            is_stopped: false,
        };
        let is_parked = from == parked_prefix;
        loop {
            let group: Vec<_> = lines.group(GROUP_BYTES, deadline).await?.into_iter().map(line::as_it_came).collect();
            if group.is_empty() {
                break;
            }
            self.take(group, key, now, work, &mut taking, books).await;
            let Taking { left, parked, done, is_down, is_stopped, .. } = &mut taking;
            // Nothing is written before something is delivered: an object that stays must not leave copies of itself.
            if *done == 0 && (*is_stopped && !lines.is_ended() || left.is_full()) {
                return Ok(Tried { is_settled: false, is_down: *is_down });
            }
            if left.is_full() {
                left.write(deadline).await?;
            }
            if parked.is_full() && (*done > 0 || !is_parked) {
                parked.write(deadline).await?;
            }
        }
        let Taking { mut left, mut parked, done, is_down, .. } = taking;
        if done == 0 && left.lines() > 0 && parked.lines() == 0 {
            return Ok(Tried { is_settled: false, is_down });
        }
        // Parked once more for the same reasons, it stays as it is.
        if done > 0 || left.lines() > 0 || !is_parked {
            left.write(deadline).await?;
            parked.write(deadline).await?;
            if !self.bucket.delete(key, etag.as_ref(), deadline).await? {
                warn!(key = %Brief(key), "the object was written anew meanwhile: it is taken again");
                return Ok(Tried { is_settled: false, is_down });
            }
            books.records_parked += parked.lines();
        }
        books.objects_delivered += usize::from(left.lines() == 0);
        books.objects_left += usize::from(left.lines() > 0);
        info!(key = %Brief(key), delivered = done, left = left.lines(), parked = parked.lines(), "object taken");
        Ok(Tried { is_settled: true, is_down })
    }

    /// Takes a group of lines to the API, if that still makes sense, and notes what is left of it.
    async fn take(
        &self,
        group: Vec<Vec<u8>>,
        key: &str,
        now: i64,
        work: Deadline,
        taking: &mut Taking<'_>,
        books: &mut Books,
    ) {
        if taking.is_stopped {
            for line in &group {
                taking.left.push(line);
            }
            return;
        }
        let before = books.summary.counts;
        let standings = self.standings(&group, key, taking.taken, now, work, books).await;
        let left = taking.left.lines();
        for (line, standing) in group.into_iter().zip(standings) {
            match standing {
                Standing::Done => taking.done += 1,
                Standing::Open => taking.left.push(&line),
                Standing::Hopeless(reason) => {
                    for parked in line::park(&line, &reason) {
                        taking.parked.push(&parked);
                    }
                }
            }
            taking.taken += 1;
        }
        let is_open = taking.left.lines() > left;
        let after = books.summary.counts;
        let took_nothing = after.events_accepted == before.events_accepted;
        // Without a token it is not even asked.
        taking.is_down = is_open && took_nothing && !is_over(work);
        taking.is_stopped = is_open && (took_nothing || is_over(work));
    }

    /// Takes lines to the API, and says how each of them stands.
    async fn standings(
        &self,
        lines: &[Vec<u8>],
        key: &str,
        before: usize,
        now: i64,
        deadline: Deadline,
        books: &mut Books,
    ) -> Vec<Standing> {
        let name = key.rsplit('/').next().unwrap_or(key);
        let number = |index: usize| format!("{name}#{}", before + index + 1);
        let read: Vec<_> = lines.iter().enumerate().map(|(index, line)| line::record(line, number(index))).collect();
        let are_records: Vec<bool> = read.iter().map(Option::is_some).collect();
        let event = FirehoseEvent { records: read.into_iter().flatten().collect() };
        let (settled, summary) = self.forwarder.take_again(&event, now, deadline).await;
        if let (Some(age), Some(limit)) = (summary.oldest_age, self.max_age)
            && age > limit
            && books.summary.oldest_age.is_none_or(|before| before <= limit)
        {
            warn!(
                key = %Brief(key),
                age_hours = age.as_secs() / 3600,
                "the destination may drop events of this age, or give them another time: see docs/redrive.md"
            );
        }
        books.summary += summary;
        let mut of_records = settled.records.into_iter();
        let mut of_record = || of_records.next().unwrap_or(Standing::Open);
        let foreign = || Standing::Hopeless(line::NOT_FIREHOSE.to_owned());
        let standing = |is_record| if is_record { of_record() } else { foreign() };
        are_records.into_iter().map(standing).collect()
    }
}

/// Returns until when an object of so many bytes is delivered: the rest of the time, half of it at most, is kept to copy what is
/// left of it.
fn working_time(deadline: Deadline, bytes: u64) -> Deadline {
    let now = Instant::now();
    let time = deadline.allows(Duration::MAX, now).unwrap_or_default();
    let copying = Duration::from_secs(1 + bytes / COPIED_A_SECOND);
    deadline.or_after(time.saturating_sub(copying.min(time / 2)), now)
}

fn is_over(deadline: Deadline) -> bool {
    deadline.allows(Duration::MAX, Instant::now()).is_none()
}
