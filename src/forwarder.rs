//! The whole flow on one page: a Firehose event in, events at the analytics API, one verdict for every record.

use std::cell::{Cell, OnceCell};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{ConfigLoader, SdkConfig};
use futures_util::future::{FutureExt, LocalBoxFuture, poll_immediate};
use futures_util::stream::{FuturesUnordered, StreamExt};
use thiserror::Error;
use tracing::{error, warn};

use crate::batch::Batch;
use crate::client::{Client, ClientError, SdkTransport};
use crate::config::Settings;
use crate::counts::{Counts, Unit};
use crate::delivery::{Delivery, Invocation, Outcome};
use crate::firehose::{FirehoseEvent, FirehoseResponse};
use crate::intake::Intake;
use crate::ledger::{Ledger, Standings};
use crate::retry::Deadline;
use crate::subscription::Buffers;
use crate::summary::Summary;
use crate::token::{Endpoint, Parameters, Store, TokenError, Tokens};

/// How long an answer waits for an early renewal of the token that is still under way: given up, it would have to be made again.
const RENEWAL_GRACE: Duration = Duration::from_secs(1);

/// The function: what it was told, and its ways to the outside.
#[derive(Debug)]
pub struct Forwarder {
    pub(crate) settings: Settings,
    /// The settings with the formats of `FORMATS_PARAMETER`, once what is kept beside the token is read.
    complete: OnceCell<Settings>,
    pub(crate) delivery: Delivery,
    pub(crate) tokens: Tokens,
    /// Whether it was said that the function's own log group is subscribed.
    warned_of_own_group: Cell<bool>,
    /// Whether an event has been handled before.
    warm: Cell<bool>,
}

impl Forwarder {
    /// Sets the clients up and puts the parts together. Nothing goes over the network before the first event.
    ///
    /// `aws` says where the AWS SDK finds its region and credentials; how it sends and how long it waits is set here.
    ///
    /// # Errors
    /// If the file of further roots cannot be read.
    pub async fn from_settings(settings: Settings, aws: ConfigLoader) -> Result<Self, ClientError> {
        let direct = Client::new(settings.ca_file.as_deref())?;
        let sdk = Box::pin(sdk_config(settings.request_timeout, direct.clone(), aws)).await;
        Ok(Self::new(settings, &direct, &sdk))
    }

    /// Puts the parts together, with a client for all services and what the AWS SDK is told.
    #[must_use]
    pub fn new(settings: Settings, direct: &Client, sdk: &SdkConfig) -> Self {
        let identity = settings.certificate_parameter.as_ref().map(|_| Arc::default());
        let client = direct.through(settings.proxy.clone()).presenting(identity.clone());
        let timeout = settings.request_timeout;
        let oauth = settings.oauth.as_ref();
        let parameters = Parameters {
            token: oauth.map(|oauth| oauth.parameter.clone()),
            credentials: settings.credentials_parameter.clone(),
            certificate: settings.certificate_parameter.clone(),
            formats: settings.formats_parameter.clone(),
        };
        let store = Store::new(&aws_sdk_ssm::Client::new(sdk), parameters);
        let attempts = settings.delivery.max_attempts;
        let endpoint = oauth.map(|oauth| Endpoint::new(client.clone(), oauth, timeout, attempts));
        let tokens = Tokens::new(store, endpoint, identity, timeout, fastrand::f64());
        let delivery = Delivery::new(client, settings.delivery.clone(), timeout, settings.redactor.clone());
        Self {
            settings,
            complete: OnceCell::new(),
            delivery,
            tokens,
            warned_of_own_group: false.into(),
            warm: false.into(),
        }
    }

    /// Takes every line of every record to the API, and answers for each record.
    ///
    /// `now` is the time of the invocation, in milliseconds since the Unix epoch, for lines that come without any time.
    pub async fn handle(&self, event: &FirehoseEvent<'_>, now: i64, deadline: Deadline) -> (FirehoseResponse, Summary) {
        self.take(event, now, deadline, |intake| intake.settle(event)).await
    }

    /// Takes every line of records that have come before to the API, and says how each record stands.
    pub async fn take_again(&self, event: &FirehoseEvent<'_>, now: i64, deadline: Deadline) -> (Standings, Summary) {
        self.take(event, now, deadline, Intake::standings).await
    }

    async fn take<'e, T>(
        &'e self,
        event: &'e FirehoseEvent<'e>,
        now: i64,
        deadline: Deadline,
        settle: impl FnOnce(Intake<'e>) -> (T, Counts),
    ) -> (T, Summary) {
        let start = Instant::now();
        let invocation = self.delivery.start(deadline);
        let settings = self.settings(deadline).await;
        if let Err(error) = &settings {
            error!(reason = %error, "all records kept: a parameter that is needed first is not known");
        }
        let is_ready = settings.is_ok();
        let mut intake = Intake::new(settings.unwrap_or(&self.settings), event);
        let mut deliveries = Deliveries::new(self, &invocation);
        let mut buffers = Buffers::default();
        for (index, record) in event.records.iter().enumerate() {
            if !is_ready {
                intake.ledger().not_ready(index);
                continue;
            }
            if invocation.is_over() {
                intake.ledger().unread(index);
                continue;
            }
            let Some(mut reading) = intake.open(index, record, now, &mut buffers) else { continue };
            while let Some(batch) = intake.fill(&mut reading) {
                deliveries.start(batch, intake.ledger()).await;
                if invocation.is_over() {
                    intake.leave(&reading);
                    break;
                }
            }
        }
        while let Some(batch) = intake.flush() {
            deliveries.start(batch, intake.ledger()).await;
        }
        deliveries.finish(intake.ledger()).await;
        let waited = deliveries.waited;
        let oldest = intake.ledger().oldest();
        let (settled, mut counts) = settle(intake);
        if counts.records_own > 0 && !self.warned_of_own_group.replace(true) {
            warn!(
                "the function's own log group is subscribed to its stream: its events are dropped; remove the filter"
            );
        }
        counts += self.delivery.end(&invocation);
        counts += self.tokens.take_counts();
        counts.cold_start = usize::from(!self.warm.replace(true));
        let oldest_age = oldest.and_then(|oldest| u64::try_from(now.saturating_sub(oldest)).ok());
        let summary =
            Summary { counts, oldest_age: oldest_age.map(Duration::from_millis), waited, took: start.elapsed() };
        (settled, summary)
    }

    /// The settings with all formats. Those of `FORMATS_PARAMETER` are read with the first token, and so is the client's certificate.
    pub(crate) async fn settings(&self, deadline: Deadline) -> Result<&Settings, NotReadyError> {
        let settings = &self.settings;
        if settings.formats_parameter.is_none() && settings.certificate_parameter.is_none() {
            return Ok(settings);
        }
        if let Some(settings) = self.complete.get() {
            return Ok(settings);
        }
        let formats = self.tokens.beside(deadline).await?;
        let complete = if settings.formats_parameter.is_some() {
            settings.with_formats(&formats.ok_or(NotReadyError::Missing)?).map_err(|problems| {
                // It may be corrected: the next invocation looks again.
                self.tokens.forget_formats();
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                NotReadyError::Malformed(problems.join("; "))
            })?
        } else {
            settings.clone()
        };
        Ok(self.complete.get_or_init(|| complete))
    }

    /// Makes the line of embedded metrics of an invocation at `now`, in milliseconds since the Unix epoch, with more than is counted here.
    #[must_use]
    pub fn metrics(
        &self,
        summary: &Summary,
        now: u64,
        more: impl IntoIterator<Item = (&'static str, Unit, usize)>,
    ) -> String {
        summary.metrics(&self.settings.metrics_namespace, &self.settings.function_name, now, more)
    }
}

/// Why nothing is read or delivered. Without the formats of `FORMATS_PARAMETER` a line might leave with a credential that its
/// format would have told; without the certificate of `CLIENT_CERTIFICATE_PARAMETER` the client would be nobody that is known.
#[derive(Debug, Error)]
pub(crate) enum NotReadyError {
    #[error(
        "the parameter of FORMATS_PARAMETER is missing: put the formats there, one a line, or unset FORMATS_PARAMETER"
    )]
    Missing,
    #[error("the parameter of FORMATS_PARAMETER: {0}")]
    Malformed(String),
    #[error(transparent)]
    Unread(#[from] TokenError),
}

/// Makes what the AWS SDK is told: where its services are, that it sends through this client, and how long it waits for an answer.
pub async fn sdk_config(timeout: Duration, client: Client, aws: ConfigLoader) -> SdkConfig {
    aws.http_client(SdkTransport::new(client))
        .timeout_config(TimeoutConfig::builder().operation_timeout(timeout).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await
}

/// What is under way beside the reading of records.
enum Done {
    /// A batch, and what became of it.
    Batch(Batch, Outcome),
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
    async fn start(&mut self, batch: Batch, ledger: &mut Ledger<'_>) {
        let (forwarder, invocation) = (self.forwarder, self.invocation);
        self.is_begun = true;
        self.renew_if_due();
        while self.batches >= invocation.concurrency(forwarder.settings.delivery.concurrency) {
            self.next(ledger).await;
        }
        self.batches += 1;
        self.under_way.push(Box::pin(async move {
            let outcome = forwarder.delivery.deliver(&batch, &forwarder.tokens, invocation).await;
            Done::Batch(batch, outcome)
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
                // A panic in it, which is logged, costs the renewal only.
                AssertUnwindSafe(forwarder.tokens.renew_early(invocation.deadline())).catch_unwind().await.ok();
                Done::Renewal
            }));
        }
    }

    async fn next(&mut self, ledger: &mut Ledger<'_>) {
        let start = Instant::now();
        let done = self.under_way.next().await;
        self.waited += start.elapsed();
        if let Some(done) = done {
            self.enter(done, ledger);
        }
    }

    fn enter(&mut self, done: Done, ledger: &mut Ledger<'_>) {
        if let Done::Batch(batch, outcome) = done {
            self.batches -= 1;
            for range in outcome.accepted {
                ledger.accepted(batch.shares(range));
            }
            for (range, reason) in outcome.refused {
                ledger.refused(batch.shares(range), &reason);
            }
        }
    }

    /// Waits for all deliveries, and a little for a renewal that is still under way.
    async fn finish(&mut self, ledger: &mut Ledger<'_>) {
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
        self.forwarder.tokens.hand_over(self.invocation.deadline()).await;
    }
}
