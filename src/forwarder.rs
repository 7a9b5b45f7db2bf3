//! The whole flow on one page: a Firehose event in, events at the analytics API, one verdict for every record.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_config::ConfigLoader;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use futures_util::future::{LocalBoxFuture, poll_immediate};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::warn;

use crate::archive::Archives;
use crate::batch::{Batch, Limits, Packer, Share};
use crate::client::{self, ClientError, SdkTransport};
use crate::config::{Archive, DeliverySettings, Settings};
use crate::delivery::{Delivery, Invocation};
use crate::event::{self, Head, Ids, Origin};
use crate::execution_log::{NotExecutionLine, Stitcher, vended};
use crate::firehose::{FirehoseEvent, FirehoseResponse};
use crate::json::Str;
use crate::ledger::{Ledger, Totals};
use crate::metrics;
use crate::retry::Deadline;
use crate::subscription::{self, Buffers, Content, Envelope};
use crate::summary::Summary;
use crate::token::{Endpoint, Store, Tokens};

/// How long an answer waits for an early renewal of the token that is still under way: given up, it would have to be made again.
const RENEWAL_GRACE: Duration = Duration::from_secs(1);

/// Longest pause of the AWS SDK before its second attempt at a request to the store.
const STORE_BACKOFF: Duration = Duration::from_millis(200);

/// The function: what it was told, and its ways to the outside.
#[derive(Debug)]
pub struct Forwarder {
    settings: Settings,
    delivery: Delivery,
    tokens: Tokens,
    /// Whether it was said that the function's own log group is subscribed.
    warned_of_own_group: AtomicBool,
    /// Whether an event has been handled before.
    warm: AtomicBool,
}

impl Forwarder {
    /// Sets the clients up and puts the parts together. Nothing goes over the network before the first event.
    ///
    /// `aws` says where the AWS SDK finds its region and credentials; how it sends and how long it waits is set here.
    ///
    /// # Errors
    /// If the file of further roots cannot be read.
    pub async fn from_settings(settings: Settings, aws: ConfigLoader) -> Result<Self, ClientError> {
        let client = client::build(settings.ca_file.as_deref())?;
        let timeout = settings.request_timeout;
        let sdk = aws
            .http_client(SdkTransport::new(client.clone()))
            .timeout_config(TimeoutConfig::builder().operation_timeout(timeout).build())
            .retry_config(RetryConfig::standard().with_max_attempts(2).with_initial_backoff(STORE_BACKOFF))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .load()
            .await;
        let token = &settings.token;
        let store =
            Store::new(aws_sdk_ssm::Client::new(&sdk), token.parameter.clone(), token.credentials_parameter.clone());
        let endpoint = Endpoint::new(client.clone(), token, timeout, settings.delivery.max_attempts);
        let tokens = Tokens::new(store, endpoint, timeout, fastrand::f64());
        let delivery = Delivery::new(client, settings.delivery.clone(), timeout);
        Ok(Self { settings, delivery, tokens, warned_of_own_group: false.into(), warm: false.into() })
    }

    /// Takes every line of every record to the API, and answers for each record.
    ///
    /// `now` is the time of the invocation, in milliseconds since the Unix epoch, for lines that come without any time.
    pub async fn handle(&self, event: &FirehoseEvent<'_>, now: i64, deadline: Deadline) -> (FirehoseResponse, Summary) {
        let start = Instant::now();
        let invocation = Invocation::new(deadline);
        let mut run = Run {
            forwarder: self,
            ledger: Ledger::open(event.records.len()),
            packer: Packer::new(self.limits()),
            stitcher: Stitcher::new(),
            stitched: 0,
            archives: (self.settings.archive == Archive::Structured).then(|| Archives::new(event.records.len())),
            deliveries: Deliveries::new(self, &invocation),
            is_over: false,
        };

        let mut buffers = Buffers::default();
        for (index, record) in event.records.iter().enumerate() {
            if invocation.is_over() {
                run.ledger.unread(index);
                continue;
            }
            let arrival = record.arrival.and_then(event::valid_timestamp).unwrap_or(now);
            let decoded = subscription::decode(record, self.settings.max_record_bytes, &mut buffers);
            let content = decoded.and_then(|decoded| Ok((decoded, subscription::read(decoded.text)?)));
            match content {
                Ok((decoded, content)) => {
                    run.ledger.decoded(decoded.bytes.len(), decoded.text.len());
                    run.take(index, arrival, Ids::new(decoded.bytes), content).await;
                }
                Err(error) => run.ledger.unreadable(index, &record.id, &error),
            }
        }
        let (response, totals, waited) = run.finish(event).await;
        let cold_start = !self.warm.swap(true, Ordering::Relaxed);
        let oldest_age = totals.oldest.and_then(|oldest| u64::try_from(now.saturating_sub(oldest)).ok());
        let summary = Summary {
            totals,
            delivery: invocation.counts(),
            token: self.tokens.take_counts(),
            oldest_age: oldest_age.map(Duration::from_millis),
            waited,
            took: start.elapsed(),
            cold_start,
        };
        (response, summary)
    }

    /// Makes the line of embedded metrics of an invocation at `now`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn metrics(&self, summary: &Summary, now: u64) -> String {
        metrics::line(&self.settings.metrics_namespace, &self.settings.function_name, now, summary)
    }

    fn limits(&self) -> Limits {
        let DeliverySettings { format, max_batch_bytes, max_batch_events, .. } = self.settings.delivery;
        Limits { format, max_bytes: max_batch_bytes, max_events: max_batch_events }
    }

    /// Tells an envelope of the function's own log group: a log that feeds itself never ends.
    fn is_own(&self, envelope: &Envelope<'_>) -> bool {
        let own = self.settings.own_log_group.as_deref() == Some(&envelope.log_group);
        if own && !self.warned_of_own_group.swap(true, Ordering::Relaxed) {
            warn!(
                "the function's own log group is subscribed to its stream: its events are dropped; remove the filter"
            );
        }
        own
    }
}

/// One invocation under way.
struct Run<'a> {
    forwarder: &'a Forwarder,
    ledger: Ledger,
    packer: Packer,
    stitcher: Stitcher<Head<'static>>,
    /// Lines that the stitcher has taken.
    stitched: usize,
    archives: Option<Archives>,
    deliveries: Deliveries<'a>,
    /// Whether the invocation's time is over: what is not read yet is left.
    is_over: bool,
}

impl Run<'_> {
    /// Takes the content of a record that could be read.
    async fn take(&mut self, record: usize, arrival: i64, mut ids: Ids<'_>, content: Content<'_>) {
        let stitched = self.stitched;
        match content {
            Content::Lines(text) => {
                let origin = Arc::new(Origin::default());
                for (position, line) in subscription::lines(text) {
                    if self.is_over {
                        break;
                    }
                    let id = Cow::Owned(ids.id(position));
                    let head = Head { id, timestamp: arrival, origin: Arc::clone(&origin), extracted_fields: None };
                    self.line(record, &head, line).await;
                }
            }
            Content::Envelopes(envelopes) => {
                let mut position = 0;
                for envelope in &envelopes {
                    if self.forwarder.is_own(envelope) {
                        self.ledger.own_envelope(record);
                    } else {
                        self.envelope(record, arrival, &mut ids, position, envelope).await;
                    }
                    position += envelope.events.len();
                }
            }
        }
        if self.is_over {
            self.ledger.unread(record);
        }
        // Requests that are still open may yet give the record an event.
        if let Some(archives) = &mut self.archives
            && stitched == self.stitched
        {
            archives.close(record);
        }
    }

    async fn envelope(
        &mut self,
        record: usize,
        arrival: i64,
        ids: &mut Ids<'_>,
        first: usize,
        envelope: &Envelope<'_>,
    ) {
        let origin = Arc::new(Origin::new(&envelope.owner, &envelope.log_group, &envelope.log_stream));
        let mut message = String::new();
        for (position, event) in (first..).zip(&envelope.events) {
            if self.is_over {
                break;
            }
            let head = Head {
                id: event.id.map_or_else(|| Cow::Owned(ids.id(position)), Str::decode),
                timestamp: event.timestamp.and_then(event::valid_timestamp).unwrap_or(arrival),
                origin: Arc::clone(&origin),
                extracted_fields: event.extracted_fields.map(Cow::Borrowed),
            };
            message.clear();
            event.message.decode_into(&mut message);
            self.line(record, &head, &message).await;
        }
    }

    /// Takes one log line: it becomes an event, or part of one.
    async fn line(&mut self, record: usize, head: &Head<'_>, line: &str) {
        self.ledger.line(record, head.timestamp);
        let Settings { formats, redactor, .. } = &self.forwarder.settings;
        if head.origin.holds_execution_logs() {
            return match self.stitch(record, head, line) {
                Ok(()) => {}
                Err(error) => self.text(record, head, line, &error).await,
            };
        }
        match formats.parse(line) {
            // Whatever a format takes is an access log; other JSON may be a vended execution record.
            Ok(log) if log.format().is_none() && self.stitch(record, head, line).is_ok() => {}
            Ok(log) if log.format().is_none() => {
                // One without a request id belongs to no request, and still tells its API.
                let head = vended::parse(line).map_or_else(|| head.clone(), |vended| head.of_vended(&vended));
                self.pack(record, &head, |out| head.write_access(&log, redactor, out)).await;
            }
            Ok(log) => self.pack(record, head, |out| head.write_access(&log, redactor, out)).await,
            Err(error) => self.text(record, head, line, &error).await,
        }
    }

    fn stitch(&mut self, record: usize, head: &Head<'_>, line: &str) -> Result<(), NotExecutionLine> {
        let taken = head.stitch(line, record, &mut self.stitcher);
        self.stitched += usize::from(taken.is_ok());
        taken
    }

    async fn text(&mut self, record: usize, head: &Head<'_>, line: &str, error: &dyn Display) {
        self.ledger.unparsed();
        let redactor = &self.forwarder.settings.redactor;
        self.pack(record, head, |out| head.write_text(line, error, redactor, out)).await;
    }

    async fn pack(&mut self, record: usize, head: &Head<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        self.pack_shares(&head.id, &[Share { record, lines: 1 }], write).await;
    }

    /// Puts an event into the open body, and sends the body before it if that is full.
    async fn pack_shares(&mut self, id: &str, shares: &[Share], write: impl FnOnce(&mut Vec<u8>)) {
        match self.packer.push(id, shares, write) {
            Ok(full) => {
                if let (Some(archives), [first, ..]) = (&mut self.archives, shares) {
                    archives.add(first.record, self.packer.last_event());
                }
                if let Some(batch) = full {
                    self.deliveries.start(batch, &mut self.ledger).await;
                    self.is_over = self.deliveries.invocation.is_over();
                }
            }
            Err(error) => self.ledger.oversized(shares, &error),
        }
    }

    /// Writes the events of stitched requests, waits for all deliveries, and closes the books.
    async fn finish(mut self, event: &FirehoseEvent<'_>) -> (FirehoseResponse, Totals, Duration) {
        let redactor = &self.forwarder.settings.redactor;
        for request in std::mem::take(&mut self.stitcher).finish() {
            let write = |out: &mut Vec<u8>| Head::write_execution(&request, redactor, out);
            self.pack_shares(&request.head.id, &request.shares, write).await;
        }
        if let Some(batch) = std::mem::replace(&mut self.packer, Packer::new(self.forwarder.limits())).finish() {
            self.deliveries.start(batch, &mut self.ledger).await;
        }
        self.deliveries.finish(&mut self.ledger).await;
        let mut archives = self.archives;
        let (response, totals) =
            self.ledger.settle(event, |record| archives.as_mut().and_then(|archives| archives.take(record)));
        (response, totals, self.deliveries.waited)
    }
}

/// What is under way beside the reading of records.
enum Done {
    /// A batch, and which of its events were accepted.
    Batch(Batch, Vec<Range<usize>>),
    /// The early renewal of the token.
    Renewal,
}

/// The deliveries of an invocation: so many at once, while later records are read.
struct Deliveries<'a> {
    forwarder: &'a Forwarder,
    invocation: &'a Invocation,
    under_way: FuturesUnordered<LocalBoxFuture<'a, Done>>,
    batches: usize,
    /// Time in which nothing was left to do but wait.
    waited: Duration,
    /// Whether the early renewal of the token was started in this invocation.
    renewing: bool,
    /// Whether anything was delivered, and so needed the token.
    is_begun: bool,
}

impl<'a> Deliveries<'a> {
    fn new(forwarder: &'a Forwarder, invocation: &'a Invocation) -> Self {
        Self {
            forwarder,
            invocation,
            under_way: FuturesUnordered::new(),
            batches: 0,
            waited: Duration::ZERO,
            renewing: false,
            is_begun: false,
        }
    }

    /// Starts a delivery; waits before it while as many as allowed are under way.
    async fn start(&mut self, batch: Batch, ledger: &mut Ledger) {
        let (forwarder, invocation) = (self.forwarder, self.invocation);
        self.is_begun = true;
        self.renew_if_due();
        while self.batches >= forwarder.settings.delivery.concurrency {
            self.next(ledger).await;
        }
        self.batches += 1;
        self.under_way.push(Box::pin(async move {
            let accepted = forwarder.delivery.deliver(&batch, &forwarder.tokens, invocation).await;
            Done::Batch(batch, accepted)
        }));
        // Lets requests go out, and answers come in, before the next record is read.
        while let Some(Some(done)) = poll_immediate(self.under_way.next()).await {
            self.enter(done, ledger);
        }
        tokio::task::yield_now().await;
    }

    /// Starts the early renewal of the token, once, when it is due.
    fn renew_if_due(&mut self) {
        let (forwarder, invocation) = (self.forwarder, self.invocation);
        if !self.renewing && forwarder.tokens.is_due() {
            self.renewing = true;
            self.under_way.push(Box::pin(async move {
                forwarder.tokens.renew_early(invocation.deadline()).await;
                Done::Renewal
            }));
        }
    }

    async fn next(&mut self, ledger: &mut Ledger) {
        let start = Instant::now();
        let done = self.under_way.next().await;
        self.waited += start.elapsed();
        if let Some(done) = done {
            self.enter(done, ledger);
        }
    }

    fn enter(&mut self, done: Done, ledger: &mut Ledger) {
        if let Done::Batch(batch, accepted) = done {
            self.batches -= 1;
            for range in accepted {
                ledger.accepted(batch.shares(range));
            }
        }
    }

    /// Waits for all deliveries, and a little for a renewal that is still under way.
    async fn finish(&mut self, ledger: &mut Ledger) {
        while self.batches > 0 {
            self.next(ledger).await;
        }
        // A token that this invocation has found in the store may be near its end.
        if self.is_begun {
            self.renew_if_due();
        }
        if !self.under_way.is_empty() {
            tokio::time::timeout(RENEWAL_GRACE, self.next(ledger)).await.ok();
        }
    }
}
