//! The second function: it brings back what Firehose has kept, through the code of the first.
//!
//! ```text
//! S3 failed/… ─► notification ─► SQS ─► an object's lines, a group at a time ─► forwarder ─► analytics API
//!    ▲  ▲                         │                   │
//!    │  └── what is left ◄────────┼───────────────────┤
//!    │      (a new object)        │                   ▼
//!    └── delete, last of all      └─ not now: again   parked/…, what would fail again
//! ```
//!
//! A try ends in one of three ways. Nothing of the object was done: it stays, and its message comes again after a pause that grows.
//! Some of it was: the rest is written to new objects, whose notifications bring them back, and then the object is deleted. All of
//! it was: it is deleted. Whenever the process dies, what was not delivered is in the bucket, and something in the queue tells of it.

mod backfill;
mod event;
mod keep;
mod line;
mod lines;
mod replay;

use std::time::{Duration, Instant};

use aws_config::{ConfigLoader, SdkConfig};
use serde_json::{Value, json};
use tracing::{error, info, warn};

pub use self::event::EventError;
use self::event::{Event, Message};
use self::keep::Keep;
use self::lines::{Lines, LinesError};
use crate::aws::{Aws, Bucket, LogGroups, Queue};
use crate::client::Client;
use crate::config::{RedriveSettings, Settings, SettingsError};
use crate::counts::Unit;
use crate::firehose::FirehoseEvent;
use crate::forwarder::{Forwarder, sdk_config};
use crate::ledger::Standing;
use crate::log::Brief;
use crate::process::StartError;
use crate::retry::Deadline;
use crate::summary::Summary;

/// Lines that are taken to the API together, in bytes: as much as Firehose gives a function.
const GROUP_BYTES: usize = 6 << 20;

/// Pause before the second try; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_mins(2);

/// Longest pause. With it, a message that is received 330 times stays for thirteen days of the fourteen that SQS keeps it.
const MAX_PAUSE: Duration = Duration::from_hours(1);

/// What is kept of an invocation's time to write what is left of an object, at most.
const KEEP_TIME: Duration = Duration::from_mins(1);

/// Failures of one kind that are logged one by one.
const MAX_LOGGED: usize = 5;

/// What was met, besides what the forwarder counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Books {
    /// What the forwarder counts.
    pub summary: Summary,
    /// Objects of which nothing is left.
    objects_delivered: usize,
    /// Objects of which something waits.
    objects_left: usize,
    /// Lines that were parked.
    records_parked: usize,
    /// Objects, messages and pages that met a fault of S3, SQS or CloudWatch Logs.
    faults: usize,
    /// Age of the oldest message that waits on.
    oldest: Duration,
}

impl Books {
    /// Returns the metrics beside those of the forwarder.
    pub fn metrics(&self) -> impl Iterator<Item = (&'static str, Unit, usize)> {
        let oldest = usize::try_from(self.oldest.as_secs()).unwrap_or(usize::MAX);
        [
            ("ObjectsDelivered", Unit::Count, self.objects_delivered),
            ("ObjectsLeft", Unit::Count, self.objects_left),
            ("RecordsParked", Unit::Count, self.records_parked),
            ("RedriveFaults", Unit::Count, self.faults),
            ("OldestObjectAge", Unit::Seconds, oldest),
        ]
        .into_iter()
    }

    /// Enters a fault of a service.
    fn fault(&mut self, key: &str, reason: &dyn std::fmt::Display, what: &'static str) {
        self.faults += 1;
        if self.faults <= MAX_LOGGED {
            error!(key = %Brief(key), %reason, "{what}");
        }
    }
}

/// How an object stands after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    /// It is gone, or what is left of it is in new objects.
    Settled,
    /// It stays as it is.
    Waits {
        /// Whether the API took nothing.
        is_down: bool,
    },
}

/// The function.
#[derive(Debug)]
pub struct Redrive {
    forwarder: Forwarder,
    settings: RedriveSettings,
    own_log_group: Option<String>,
    max_age: Option<Duration>,
    bucket: Bucket,
    queue: Queue,
    log_groups: LogGroups,
}

impl Redrive {
    /// Sets the clients up. Nothing goes over the network before the first event.
    ///
    /// # Errors
    /// If the settings are not valid, or no client can be made of them.
    pub async fn from_settings(
        settings: Result<(Settings, RedriveSettings), SettingsError>,
        aws: ConfigLoader,
    ) -> Result<Self, StartError> {
        let (settings, redrive) = settings?;
        let client = Client::new(settings.ca_file.as_deref())?;
        let sdk = Box::pin(sdk_config(settings.request_timeout, client.clone(), aws)).await;
        Self::new(settings, redrive, &client, &sdk).await
    }

    async fn new(
        settings: Settings,
        redrive: RedriveSettings,
        client: &Client,
        sdk: &SdkConfig,
    ) -> Result<Self, StartError> {
        let aws = Aws::new(client.clone(), sdk, settings.request_timeout);
        let bucket = Bucket::new(aws.clone(), sdk, &redrive.bucket).await.map_err(StartError::Endpoint)?;
        let queue = Queue::new(aws.clone(), sdk, &redrive.queue_url).map_err(StartError::Endpoint)?;
        let log_groups = LogGroups::new(aws, sdk).await.map_err(StartError::Endpoint)?;
        let (own_log_group, max_age) = (settings.own_log_group.clone(), settings.max_age);
        let forwarder = Forwarder::new(settings, client, sdk);
        Ok(Self { forwarder, settings: redrive, own_log_group, max_age, bucket, queue, log_groups })
    }

    /// Handles an invocation of the account with this number. The books hold what was done, whatever the answer is.
    ///
    /// `now` is the time, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// If the invocation asks for nothing that is done here.
    pub async fn handle(
        &self,
        payload: &str,
        account: &str,
        now: i64,
        deadline: Deadline,
        books: &mut Books,
    ) -> Result<Value, EventError> {
        match Event::parse(payload)? {
            Event::Messages(messages) => Ok(self.messages(&messages, now, deadline, books).await),
            Event::Replay(replay) => self.replay(&replay, deadline, books).await,
            Event::Backfill(backfill) => self.backfill(&backfill, account, now, deadline, books).await,
        }
    }

    /// Makes the line of embedded metrics of an invocation at `now`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn metrics(&self, books: &Books, now: u64) -> String {
        self.forwarder.metrics(&books.summary, now, books.metrics())
    }

    /// Takes the objects that messages tell of, one after the other, and answers which messages are to come again.
    async fn messages(&self, messages: &[Message], now: i64, deadline: Deadline, books: &mut Books) -> Value {
        let mut failures = Vec::new();
        let mut is_down = false;
        for message in messages {
            let is_over = deadline.allows(Duration::MAX, Instant::now()).is_none();
            if is_down || is_over || !self.message(message, now, deadline, books, &mut is_down).await {
                self.hide(message, now, deadline, books).await;
                failures.push(json!({"itemIdentifier": message.id}));
            }
        }
        json!({"batchItemFailures": failures})
    }

    /// Takes the objects of a message; returns whether it is done with.
    async fn message(
        &self,
        message: &Message,
        now: i64,
        deadline: Deadline,
        books: &mut Books,
        is_down: &mut bool,
    ) -> bool {
        let keys = match message.keys(&self.settings.bucket) {
            Ok(keys) => keys,
            Err(reason) => {
                books.fault(&message.id, &reason, "message left in the queue: it goes to the dead-letter queue");
                return false;
            }
        };
        let mut is_done = true;
        for key in keys {
            let result =
                if *is_down { Ok(Try::Waits { is_down: true }) } else { self.object(&key, now, deadline, books).await };
            match result {
                Ok(Try::Settled) => {}
                Ok(Try::Waits { is_down: api }) => {
                    *is_down |= api;
                    is_done = false;
                }
                Err(error) => {
                    books.fault(&key, &error, "object left where it is");
                    is_done = false;
                }
            }
        }
        is_done
    }

    /// Lets a message come again after a pause that grows with how often it has come.
    async fn hide(&self, message: &Message, now: i64, deadline: Deadline, books: &mut Books) {
        books.objects_left += 1;
        let age = message.sent().and_then(|sent| u64::try_from(now.saturating_sub(sent)).ok()).unwrap_or(0);
        books.oldest = books.oldest.max(Duration::from_millis(age));
        let pause = pause(message.receives(), fastrand::f64());
        if let Err(error) = self.queue.hide(&message.receipt_handle, pause, deadline).await {
            books.fault(&message.id, &error, "message not hidden: it comes again when the queue says");
        }
    }

    /// Takes an object to the API, as far as that works.
    async fn object(&self, key: &str, now: i64, deadline: Deadline, books: &mut Books) -> Result<Try, LinesError> {
        let RedriveSettings { failed_prefix, parked_prefix, .. } = &self.settings;
        let Some(from) = [failed_prefix, parked_prefix].into_iter().find(|prefix| key.starts_with(*prefix)) else {
            warn!(key = %Brief(key), "object left where it is: neither under FAILED_PREFIX nor under PARKED_PREFIX");
            return Ok(Try::Settled);
        };
        let Some(object) = self.bucket.get(key, deadline).await? else {
            info!(key = %Brief(key), "the object is gone: it was taken before");
            return Ok(Try::Settled);
        };
        let work = working_time(deadline);
        let mut lines = Lines::new(object);
        let mut left = Keep::left(&self.bucket, key, from, failed_prefix);
        let mut parked = Keep::parked(&self.bucket, key, from, parked_prefix);
        let (mut taken, mut done) = (0, 0);
        // Whether reading goes on although nothing more is delivered; and if so, whether the API is down.
        let mut is_down = None;
        loop {
            let group: Vec<_> = lines.group(GROUP_BYTES, deadline).await?.into_iter().map(line::unwrap).collect();
            if group.is_empty() {
                break;
            }
            if is_down.is_some() {
                for line in &group {
                    left.push(line);
                }
            } else {
                let accepted = books.summary.counts.events_accepted;
                let standings = self.group(&group, key, taken, now, work, books).await;
                let mut open = 0;
                for (line, standing) in group.into_iter().zip(standings) {
                    match standing {
                        Standing::Done => done += 1,
                        Standing::Open => {
                            open += 1;
                            left.push(&line);
                        }
                        Standing::Hopeless(reason) => parked.push(&line::park(&line, &reason)),
                    }
                    taken += 1;
                }
                let took_nothing = books.summary.counts.events_accepted == accepted;
                if open > 0 && (took_nothing || is_over(work)) {
                    is_down = Some(took_nothing);
                }
            }
            // Not written before something is done: an object that stays must not leave copies of itself.
            if done == 0 && (is_down.is_some() && !lines.is_ended() || left.is_full()) {
                return Ok(Try::Waits { is_down: is_down.unwrap_or(false) });
            }
            if left.is_full() {
                left.write(deadline).await?;
            }
            if parked.is_full() {
                parked.write(deadline).await?;
            }
        }
        if done == 0 && left.lines() > 0 && parked.lines() == 0 {
            return Ok(Try::Waits { is_down: is_down.unwrap_or(false) });
        }
        let stays_parked = from == parked_prefix && done == 0 && left.lines() == 0;
        if !stays_parked {
            left.write(deadline).await?;
            parked.write(deadline).await?;
            self.bucket.delete(key, deadline).await?;
            books.records_parked += parked.lines();
        }
        books.objects_delivered += usize::from(left.lines() == 0);
        info!(
            key = %Brief(key),
            delivered = done,
            left = left.lines(),
            parked = parked.lines(),
            "object taken"
        );
        Ok(Try::Settled)
    }

    /// Takes lines to the API, and says how each of them stands.
    async fn group(
        &self,
        lines: &[Vec<u8>],
        key: &str,
        before: usize,
        now: i64,
        deadline: Deadline,
        books: &mut Books,
    ) -> Vec<Standing> {
        let name = key.rsplit('/').next().unwrap_or(key);
        let records: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(index, line)| line::record(line, format!("{name}#{}", before + index + 1)))
            .collect();
        let mut standings: Vec<Option<Standing>> = records
            .iter()
            .map(|record| match record {
                Some(_) => None,
                None => Some(Standing::Hopeless(line::NOT_FIREHOSE.to_owned())),
            })
            .collect();
        let event = FirehoseEvent { records: records.into_iter().flatten().collect() };
        let (of_records, summary) = self.forwarder.take_again(&event, now, deadline).await;
        if let (Some(age), Some(limit)) = (summary.oldest_age, self.max_age)
            && age > limit
            && books.summary.oldest_age.is_none_or(|before| before <= limit)
        {
            warn!(
                key = %Brief(key),
                age_hours = age.as_secs() / 3600,
                "the destination may drop events of this age, or give them another time: see docs/destinations.md"
            );
        }
        books.summary += summary;
        let mut of_records = of_records.into_iter();
        standings
            .iter_mut()
            .map(|standing| standing.take().or_else(|| of_records.next()).unwrap_or(Standing::Open))
            .collect()
    }
}

/// Returns the pause before a message that has come so often comes again; by `random` (0 to 1) a little shorter, so that what
/// failed together does not come back together.
fn pause(receives: u32, random: f64) -> Duration {
    let doublings = receives.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(MAX_PAUSE).mul_f64(1.0 - 0.1 * random.clamp(0.0, 1.0))
}

/// Returns until when an object is delivered: a quarter of the time is kept to write what is left of it.
fn working_time(deadline: Deadline) -> Deadline {
    let now = Instant::now();
    let left = deadline.allows(Duration::MAX, now).unwrap_or_default();
    deadline.or_after(left.saturating_sub(KEEP_TIME.min(left / 4)), now)
}

fn is_over(deadline: Deadline) -> bool {
    deadline.allows(Duration::MAX, Instant::now()).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour_and_fill_the_time_for_which_a_queue_keeps_a_message() {
        let minutes: Vec<u64> = (1..=8).map(|receives| pause(receives, 0.0).as_secs() / 60).collect();
        assert_eq!(minutes, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(pause(1, 1.0) < pause(1, 0.0) && pause(u32::MAX, 0.0) == MAX_PAUSE);
        let days = |random| (1..330).map(|receives| pause(receives, random)).sum::<Duration>().as_secs() / 86_400;
        assert_eq!((days(1.0), days(0.0)), (12, 13));
    }
}
