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
mod object;
mod replay;

use std::time::{Duration, Instant};

use aws_config::{ConfigLoader, SdkConfig};
use serde_json::{Value, json};
use tracing::error;

pub use self::event::EventError;
use self::event::{Event, Message};
use self::object::Tried;
use crate::archive::Archive;
use crate::aws::{Aws, Bucket, LogGroups, Queue};
use crate::client::Client;
use crate::config::{RedriveSettings, Settings, SettingsError};
use crate::counts::Unit;
use crate::forwarder::{Forwarder, sdk_config};
use crate::log::Brief;
use crate::process::StartError;
use crate::retry::Deadline;
use crate::summary::Summary;

/// Pause before the second try; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_mins(2);

/// Longest pause. With it, a message that is received 330 times stays for thirteen days of the fourteen that SQS keeps it.
const MAX_PAUSE: Duration = Duration::from_hours(1);

/// What is kept of an invocation's time to let messages come again.
const HIDE_TIME: Duration = Duration::from_secs(2);

/// Failures of one kind that are logged one by one.
const MAX_LOGGED: usize = 5;

/// What was met, besides what the forwarder counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Books {
    /// What the forwarder counts.
    pub summary: Summary,
    /// Objects of which nothing is left.
    objects_delivered: usize,
    /// Objects of which something waits: they stay, or the rest of them is a new object.
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
        let queue = Queue::new(aws.clone(), sdk, &redrive.queue_url).await.map_err(StartError::Endpoint)?;
        let log_groups = LogGroups::new(aws, sdk).await.map_err(StartError::Endpoint)?;
        let (own_log_group, max_age) = (settings.own_log_group.clone(), settings.max_age);
        // There is nobody to hand an archive to.
        let settings = Settings { archive: Archive::None, ..settings };
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

    /// Takes the objects that messages tell of, one after the other, and answers which messages are to come again. While the API is
    /// down only the first asks; nor is an object begun when most of the time is over.
    async fn messages(&self, messages: &[Message], now: i64, deadline: Deadline, books: &mut Books) -> Value {
        let whole = deadline.allows(Duration::MAX, Instant::now()).unwrap_or_default();
        let objects = deadline.or_after(whole.saturating_sub(HIDE_TIME.min(whole / 8)), Instant::now());
        let mut failures = Vec::new();
        let mut is_down = false;
        for message in messages {
            let is_put_off = is_down || objects.after(whole / 4, Instant::now()).is_none();
            books.objects_left += usize::from(is_put_off);
            if is_put_off || !self.message(message, now, objects, books, &mut is_down).await {
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
                books.fault(
                    &message.id,
                    &reason,
                    "message left in the queue: in the end it goes to the dead-letter queue",
                );
                return false;
            }
        };
        let mut is_done = true;
        for key in keys {
            let tried = if *is_down {
                Tried { is_settled: false, is_down: true }
            } else {
                self.object(&key, now, deadline, books).await.unwrap_or_else(|error| {
                    books.fault(&key, &error, "object left where it is");
                    Tried { is_settled: false, is_down: false }
                })
            };
            books.objects_left += usize::from(!tried.is_settled);
            *is_down |= tried.is_down;
            is_done &= tried.is_settled;
        }
        is_done
    }

    /// Lets a message come again after a pause that grows with how often it has come.
    async fn hide(&self, message: &Message, now: i64, deadline: Deadline, books: &mut Books) {
        let age = message.sent().and_then(|sent| u64::try_from(now.saturating_sub(sent)).ok()).unwrap_or(0);
        books.oldest = books.oldest.max(Duration::from_millis(age));
        let pause = pause(message.receives(), fastrand::f64());
        if let Err(error) = self.queue.hide(&message.receipt_handle, pause, deadline).await {
            books.fault(&message.id, &error, "message not hidden: it comes again when the queue says");
        }
    }
}

/// Returns the pause before a message that has come so often comes again; by `random` (0 to 1) a little shorter, so that what
/// failed together does not come back together.
fn pause(receives: u32, random: f64) -> Duration {
    let doublings = receives.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(MAX_PAUSE).mul_f64(1.0 - 0.1 * random.clamp(0.0, 1.0))
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
