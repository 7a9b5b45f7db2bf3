//! One batch to the analytics API: sent, its answer classified, tried again, divided, or given up in time.
//!
//! The API's status decides, by one total function. Everything that a batch may meet ends in a list of the events that the API
//! has accepted; the ledger takes all others for undelivered.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::ops::Range;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::{Either, select};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use thiserror::Error;
use tracing::{debug, error, warn};

use crate::batch::Batch;
use crate::config::{DeliverySettings, PayloadEncoding};
use crate::retry::{self, Deadline};
use crate::token::{Bearer, TokenError, Tokens};

/// The header that lets the API recognise a batch that comes again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Events that are refused one by one until the rest of their batch fails: the API refuses more than a poison event.
const MAX_POISON_EVENTS: usize = 16;

/// Bodies in a row that have used up their attempts, after which those behind them have a single one.
const DOUBTFUL_AFTER: usize = 2;

/// Bodies with a single attempt that have failed, after which the API counts as down for the rest of the invocation.
const DOWN_AFTER: usize = 2;

/// How much longer than a delivery a write of its token to the store may take.
const KEEP_GRACE: Duration = Duration::from_secs(1);

/// Failures of one invocation that are logged one by one; all are counted.
const MAX_LOGGED: usize = 10;

/// Most of an answer's body that is read, in bytes: only so that the connection can be used again.
const MAX_ANSWER: usize = 64 * 1024;

/// Longest wait for an answer's body once its status is known.
const MAX_DRAIN: Duration = Duration::from_millis(250);

/// What an answer's status asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The events are delivered.
    Accept,
    /// The token is not taken: renew it.
    RenewToken,
    /// Try the same body again later.
    Retry,
    /// The body is too large: halve it.
    Halve,
    /// The API will not take some event: find it.
    Bisect,
    /// It is refused, and will be again.
    Refuse,
}

/// Tells what a status asks for.
#[must_use]
pub fn classify(status: StatusCode) -> Action {
    match status.as_u16() {
        200..=299 => Action::Accept,
        401 => Action::RenewToken,
        501 => Action::Refuse,
        408 | 425 | 429 | 500..=599 => Action::Retry,
        413 => Action::Halve,
        400 | 422 => Action::Bisect,
        _ => Action::Refuse,
    }
}

/// Why events were not delivered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeliveryError {
    /// The API refuses them.
    #[error("the API answers {0}")]
    Refused(u16),
    /// The API has refused too many events of the batch one by one.
    #[error("the API has refused {MAX_POISON_EVENTS} events of the batch one by one")]
    TooMuchPoison,
    /// Every attempt has met an overloaded or broken API.
    #[error("the API answers {0}, also at the last attempt")]
    Unavailable(u16),
    /// Every attempt has met a connection that failed.
    #[error("the API cannot be reached: {0}, also at the last attempt")]
    Unreachable(&'static str),
    /// Another attempt does not fit into the invocation.
    #[error("no time left for another attempt, after {0}")]
    Deadline(String),
    /// Other batches of the invocation have found the API down.
    #[error("the API is down for this invocation")]
    Down,
    /// The API refuses a token that was just renewed.
    #[error("the API answers 401 to a token that was just renewed")]
    TokenRefused,
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What the deliveries of one invocation have met, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Bodies that were accepted.
    pub bodies_accepted: usize,
    /// Events that were accepted.
    pub events_accepted: usize,
    /// Events that were not.
    pub events_failed: usize,
    /// Requests that were sent.
    pub attempts: usize,
    /// Bytes of the bodies of those requests, as sent.
    pub bytes_sent: usize,
    /// Answers 2xx.
    pub answers_2xx: usize,
    /// Answers 401.
    pub answers_401: usize,
    /// Answers 403.
    pub answers_403: usize,
    /// Answers 413.
    pub answers_413: usize,
    /// Answers 429.
    pub answers_429: usize,
    /// Answers 4xx that are none of these.
    pub answers_4xx: usize,
    /// Answers 5xx.
    pub answers_5xx: usize,
    /// Answers of another class.
    pub answers_other: usize,
    /// Requests that met a failing connection or no answer in time.
    pub connection_failures: usize,
}

impl DeliveryCounts {
    fn answer(&mut self, status: StatusCode) {
        *match status.as_u16() {
            200..=299 => &mut self.answers_2xx,
            401 => &mut self.answers_401,
            403 => &mut self.answers_403,
            413 => &mut self.answers_413,
            429 => &mut self.answers_429,
            400..=499 => &mut self.answers_4xx,
            500..=599 => &mut self.answers_5xx,
            _ => &mut self.answers_other,
        } += 1;
    }
}

/// How the API fares in one invocation.
///
/// Any final answer, whatever it says, starts it anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Health {
    /// Bodies in a row that have used up their attempts.
    exhausted: usize,
    /// Bodies behind those that have used up the single attempt that they had.
    probes: usize,
}

impl Health {
    /// Returns whether the next body has a single attempt.
    fn is_doubtful(self) -> bool {
        self.exhausted >= DOUBTFUL_AFTER
    }

    /// Returns whether the API counts as down: the bodies behind fail without a request.
    fn is_down(self) -> bool {
        self.probes >= DOWN_AFTER
    }
}

/// What the batches of one invocation know of each other.
#[derive(Debug)]
pub struct Invocation {
    deadline: Deadline,
    health: Cell<Health>,
    /// Why no batch can have a token any more.
    no_token: RefCell<Option<DeliveryError>>,
    counts: Cell<DeliveryCounts>,
    logged: Cell<usize>,
}

impl Invocation {
    /// Starts an invocation.
    #[must_use]
    pub fn new(deadline: Deadline) -> Self {
        Self {
            deadline,
            health: Cell::default(),
            no_token: RefCell::default(),
            counts: Cell::default(),
            logged: Cell::new(0),
        }
    }

    /// Returns when the invocation must be ready to answer.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Returns whether there is no time left to deliver anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.deadline.allows(Duration::MAX, Instant::now()).is_none()
    }

    /// Returns what was met so far.
    #[must_use]
    pub fn counts(&self) -> DeliveryCounts {
        self.counts.get()
    }

    fn count(&self, change: impl FnOnce(&mut DeliveryCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// Returns why no further request is to be made, if so.
    fn is_open(&self) -> Result<(), DeliveryError> {
        match self.no_token.borrow().clone() {
            Some(error) => Err(error),
            None if self.health.get().is_down() => Err(DeliveryError::Down),
            None => Ok(()),
        }
    }

    /// Enters a body that has used up its attempts.
    fn exhausted(&self, is_probe: bool) {
        let Health { exhausted, probes } = self.health.get();
        self.health.set(Health { exhausted: exhausted + 1, probes: probes + usize::from(is_probe) });
    }

    /// Finds another token after a 401.
    async fn renewed(&self, refused: &Bearer, renewals: &mut usize, tokens: &Tokens) -> Result<Bearer, DeliveryError> {
        // First what the store has, then what the endpoint gives; one refused that was made just now is no matter of the token.
        if *renewals > 0 && refused.is_made_here() || *renewals == 2 {
            return Err(self.without_token(DeliveryError::TokenRefused));
        }
        *renewals += 1;
        self.token(tokens.instead_of(refused, self.deadline).await)
    }

    fn token(&self, token: Result<Bearer, TokenError>) -> Result<Bearer, DeliveryError> {
        token.map_err(|error| self.without_token(DeliveryError::Token(error)))
    }

    /// Lets the batches behind this one fail for the same reason.
    fn without_token(&self, error: DeliveryError) -> DeliveryError {
        self.no_token.borrow_mut().get_or_insert(error).clone()
    }
}

/// The way to the analytics API.
#[derive(Debug)]
pub struct Delivery {
    client: reqwest::Client,
    settings: DeliverySettings,
    request_timeout: Duration,
}

/// What one body met, when it met an answer that is final.
enum Sent {
    Accepted,
    Halve(StatusCode),
    Bisect(StatusCode),
}

impl Delivery {
    /// Takes what the settings say of the API.
    #[must_use]
    pub fn new(client: reqwest::Client, settings: DeliverySettings, request_timeout: Duration) -> Self {
        Self { client, settings, request_timeout }
    }

    /// Delivers a batch, in parts if need be, and returns which of its events the API has accepted.
    pub async fn deliver(&self, batch: &Batch, tokens: &Tokens, invocation: &Invocation) -> Vec<Range<usize>> {
        let mut accepted = Vec::new();
        let mut poison = 0;
        // Parts that are still to be sent, the first one on top.
        let whole = 0..batch.len();
        let mut parts = Vec::from([whole]);
        while let Some(part) = parts.pop() {
            let outcome = if poison < MAX_POISON_EVENTS {
                self.send(batch, &part, tokens, invocation).await
            } else {
                Err(DeliveryError::TooMuchPoison)
            };
            match outcome {
                Ok(Sent::Accepted) => {
                    invocation.count(|counts| {
                        counts.bodies_accepted += 1;
                        counts.events_accepted += part.len();
                    });
                    accepted.push(part);
                }
                Ok(Sent::Halve(_) | Sent::Bisect(_)) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
                Ok(Sent::Halve(status)) => undelivered(&part, &DeliveryError::Refused(status.as_u16()), invocation),
                Ok(Sent::Bisect(status)) => {
                    poison += 1;
                    undelivered(&part, &DeliveryError::Refused(status.as_u16()), invocation);
                }
                Err(error) => undelivered(&part, &error, invocation),
            }
        }
        accepted
    }

    /// Sends one body until it is accepted, is to be divided, or fails.
    async fn send(
        &self,
        batch: &Batch,
        part: &Range<usize>,
        tokens: &Tokens,
        invocation: &Invocation,
    ) -> Result<Sent, DeliveryError> {
        let deadline = invocation.deadline;
        let key = batch.idempotency_key(part);
        let body = self.encode(batch.body(part));
        let is_probe = invocation.health.get().is_doubtful();
        let mut attempt = 1;
        let mut renewals = 0;
        let mut bearer = None;
        loop {
            invocation.is_open()?;
            let token = match bearer.take() {
                Some(token) => token,
                None => invocation.token(tokens.bearer(deadline).await)?,
            };
            // A new token is written for the other environments meanwhile.
            let post = pin!(self.post(body.clone(), &key, &token, invocation));
            let answer = match select(post, Box::pin(tokens.keep(deadline))).await {
                Either::Left((answer, keep)) => {
                    tokio::time::timeout(KEEP_GRACE, keep).await.ok();
                    answer
                }
                Either::Right(((), post)) => post.await,
            };
            let (error, wait) = match answer {
                Ok((status, retry_after)) => match classify(status) {
                    Action::Retry => (DeliveryError::Unavailable(status.as_u16()), retry_after),
                    action => {
                        invocation.health.set(Health::default());
                        match action {
                            Action::Accept => return Ok(Sent::Accepted),
                            Action::Halve => return Ok(Sent::Halve(status)),
                            Action::Bisect => return Ok(Sent::Bisect(status)),
                            Action::Refuse | Action::Retry => return Err(DeliveryError::Refused(status.as_u16())),
                            Action::RenewToken => {
                                bearer = Some(invocation.renewed(&token, &mut renewals, tokens).await?);
                                continue;
                            }
                        }
                    }
                },
                Err(error @ DeliveryError::Deadline(_)) => return Err(error),
                Err(error) => (error, None),
            };
            if is_probe || attempt >= self.settings.max_attempts {
                invocation.exhausted(is_probe);
                return Err(error);
            }
            let pause = wait.unwrap_or_else(|| retry::pause(attempt, fastrand::f64()));
            let Some(then) = deadline.after(pause, Instant::now()) else {
                return Err(DeliveryError::Deadline(error.to_string()));
            };
            warn!(attempt, reason = %error, pause_ms = pause.as_millis(), "delivery is tried again");
            tokio::time::sleep_until(then.into()).await;
            attempt += 1;
        }
    }

    /// Makes one request; returns the answer's status and what its `Retry-After` asks for.
    async fn post(
        &self,
        body: Bytes,
        key: &str,
        bearer: &Bearer,
        invocation: &Invocation,
    ) -> Result<(StatusCode, Option<Duration>), DeliveryError> {
        let Some(timeout) = invocation.deadline.allows(self.request_timeout, Instant::now()) else {
            return Err(DeliveryError::Deadline("the last one".to_owned()));
        };
        invocation.count(|counts| {
            counts.attempts += 1;
            counts.bytes_sent += body.len();
        });
        let mut request = self
            .client
            .post(self.settings.url.clone())
            .header(AUTHORIZATION, bearer.header())
            .header(CONTENT_TYPE, HeaderValue::from_static(self.settings.format.content_type()))
            .header(IDEMPOTENCY_KEY, key);
        if self.settings.encoding == PayloadEncoding::Gzip {
            request = request.header(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let start = Instant::now();
        let failure = match tokio::time::timeout(timeout, request.body(body).send()).await {
            Ok(Ok(response)) => {
                let status = response.status();
                invocation.count(|counts| counts.answer(status));
                debug!(status = status.as_u16(), took_ms = start.elapsed().as_millis(), "the API has answered");
                let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let retry_after = retry_after.and_then(|value| retry::retry_after(value, now()));
                drain(response).await;
                return Ok((status, retry_after));
            }
            Ok(Err(error)) if error.is_connect() => "no connection",
            Ok(Err(_)) => "the connection broke",
            Err(_) => "no answer in time",
        };
        invocation.count(|counts| counts.connection_failures += 1);
        Err(DeliveryError::Unreachable(failure))
    }

    fn encode(&self, body: Bytes) -> Bytes {
        match self.settings.encoding {
            PayloadEncoding::Identity => body,
            PayloadEncoding::Gzip => gzip(&body).into(),
        }
    }
}

/// Reads a short body to its end, so that the connection can be used again. What it says is not looked at.
async fn drain(mut response: reqwest::Response) {
    let read = async {
        let mut size = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            size += chunk.len();
            if size > MAX_ANSWER {
                break;
            }
        }
    };
    tokio::time::timeout(MAX_DRAIN, read).await.ok();
}

/// Compresses into one gzip member. The fastest level: the size is paid for in CPU time.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a date in `Retry-After` is compared with the clock")]
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

fn undelivered(part: &Range<usize>, reason: &DeliveryError, invocation: &Invocation) {
    invocation.count(|counts| counts.events_failed += part.len());
    let logged = invocation.logged.get();
    invocation.logged.set(logged + 1);
    if logged >= MAX_LOGGED {
        return;
    }
    error!(events = part.len(), reason = %reason, "events not delivered: their records are kept");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn asks(statuses: &[u16], action: Action) {
        for status in statuses {
            assert_eq!(classify(StatusCode::from_u16(*status).expect("a status")), action, "{status}");
        }
    }

    #[test]
    fn every_status_asks_for_one_thing() {
        asks(&[200, 201, 202, 204, 299], Action::Accept);
        asks(&[401], Action::RenewToken);
        asks(&[408, 425, 429, 500, 502, 503, 504, 507, 599], Action::Retry);
        asks(&[413], Action::Halve);
        asks(&[400, 422], Action::Bisect);
        asks(&[100, 301, 302, 307, 308, 402, 403, 404, 405, 409, 410, 415, 431, 451, 501, 600, 999], Action::Refuse);
    }
}
