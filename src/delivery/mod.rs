//! One batch to the analytics API: sent, its answer judged, tried again, divided, or given up in time.
//!
//! `verdict` says what an answer means, `health` what may still be asked. Everything that a batch may meet ends in a list
//! of the events that the API has accepted; the ledger takes all others for undelivered.

mod health;
mod invocation;
mod verdict;

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::future::FutureExt;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use thiserror::Error;
use tracing::{debug, error, warn};

pub use self::invocation::Invocation;
pub use self::verdict::{Action, NotAccepted, classify};

use self::health::{Health, MAX_FRUITLESS, Memory};
use self::verdict::MAX_CHECKED_ANSWER;
use crate::batch::{Batch, PayloadFormat};
use crate::client::{Answer, BodyError, Client, Reuse, SETTLING, SendError};
use crate::counts::Counts;
use crate::gzip::gzip;
use crate::log::Brief;
use crate::redact::Redactor;
use crate::retry::{self, Deadline};
use crate::token::{self, Bearer, TokenError, Tokens};

/// The header that lets the API recognise a batch that comes again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Events that are refused one by one until the rest of their batch fails: the API refuses more than a poison event.
const MAX_POISON_EVENTS: usize = 16;

/// Failures of one invocation that are logged one by one; all are counted.
const MAX_FAILURES_LOGGED: usize = 6;

/// Attempts after the first that are logged one by one in an invocation; all are counted.
const MAX_RETRIES_LOGGED: usize = 4;

/// Most of an answer's body that is read where the status has said all, in bytes: the connection can be used again then.
const MAX_ANSWER: usize = 64 * 1024;

/// Longest wait for an answer's body where the status has said all.
const MAX_DRAIN: Duration = Duration::from_millis(250);

/// Most characters of what an answer says that are logged.
const MAX_SAID: usize = 200;

/// How a body is encoded on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadEncoding {
    /// As it is.
    Identity,
    /// `Content-Encoding: gzip`.
    Gzip,
}

/// How bodies are made and sent.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// `ANALYTICS_URL`.
    pub url: Uri,
    /// `PAYLOAD_FORMAT`.
    pub format: PayloadFormat,
    /// `PAYLOAD_ENCODING`.
    pub encoding: PayloadEncoding,
    /// `MAX_BATCH_BYTES`: the cap of a body before encoding, framing counted.
    pub max_batch_bytes: usize,
    /// `MAX_BATCH_EVENTS`.
    pub max_batch_events: Option<NonZeroUsize>,
    /// `DELIVERY_CONCURRENCY`: POSTs under way at once.
    pub concurrency: usize,
    /// `MAX_ATTEMPTS` for one batch.
    pub max_attempts: usize,
    /// `RETRY_STATUSES`: further statuses that are tried again.
    pub retry_statuses: Vec<u16>,
    /// `ANSWER_CHECK`: a JSON pointer to what a success must not hold.
    pub answer_check: Option<String>,
}

/// Why events were not delivered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeliveryError {
    /// The API refuses them.
    #[error("the API answers {status}{}", quoted(.said))]
    Refused {
        /// The status.
        status: u16,
        /// The start of what it says, credentials hidden.
        said: String,
    },
    /// The API answers with a success that is none.
    #[error("the API answers {status} {reason}{}", quoted(.said))]
    NotAccepted {
        /// The status.
        status: u16,
        /// Why the answer is no success.
        reason: NotAccepted,
        /// The start of what it says, credentials hidden.
        said: String,
    },
    /// The API has refused too many events of the batch one by one.
    #[error("the API has refused {MAX_POISON_EVENTS} events of the batch one by one")]
    TooMuchPoison,
    /// Every attempt has met an overloaded or broken API.
    #[error("the API answers {status}{}", quoted(.said))]
    Unavailable {
        /// The status.
        status: u16,
        /// The start of what it says, credentials hidden.
        said: String,
    },
    /// Every attempt has met a connection that failed.
    #[error("the API cannot be reached: {0}")]
    Unreachable(SendError),
    /// Another attempt does not fit into the invocation.
    #[error("no time left for another attempt: {0}")]
    Deadline(String),
    /// Other batches of the invocation have found that the API takes nothing.
    #[error("not tried: the API takes nothing, by the bodies before it or {MAX_FRUITLESS} requests")]
    Down,
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said:?}") }
}

/// The way to the analytics API.
#[derive(Debug)]
pub struct Delivery {
    client: Client,
    settings: DeliverySettings,
    request_timeout: Duration,
    /// Hides credentials in what the API says before it is logged.
    redactor: Redactor,
    memory: Cell<Memory>,
}

/// What became of one body that is not to be sent again as it is.
enum Sent {
    Accepted,
    /// It is too large.
    Halve(DeliveryError),
    /// The API will not take some event of it.
    Bisect(DeliveryError),
}

/// What one request has met.
enum Met {
    Final(Result<Sent, DeliveryError>),
    /// The token is not taken.
    TokenRefused(DeliveryError),
    /// Refused, perhaps because the token has died.
    Forbidden(DeliveryError),
    /// The same may fare better later; when, if the answer says so.
    Again(DeliveryError, Option<Duration>),
}

impl Delivery {
    /// Takes what the settings say of the API. `redactor` hides credentials in what is logged of its answers.
    #[must_use]
    pub fn new(client: Client, settings: DeliverySettings, request_timeout: Duration, redactor: Redactor) -> Self {
        Self { client, settings, request_timeout, redactor, memory: Cell::default() }
    }

    /// Starts an invocation with what is remembered of the last one.
    #[must_use]
    pub fn start(&self, deadline: Deadline) -> Invocation {
        Invocation::start(deadline, self.memory.get())
    }

    /// Ends an invocation: how the API fared is remembered. Returns what was met.
    pub fn end(&self, invocation: &Invocation) -> Counts {
        self.memory.set(invocation.health.get().end(invocation.before, Instant::now()));
        invocation.counts()
    }

    /// Delivers a batch, in parts if need be, and returns which of its events the API has accepted.
    ///
    /// A panic on the way costs the events that were not accepted by then.
    pub async fn deliver(&self, batch: &Batch, tokens: &Tokens, invocation: &Invocation) -> Vec<Range<usize>> {
        let mut accepted = Vec::new();
        let parts = self.deliver_parts(batch, tokens, invocation, &mut accepted);
        if AssertUnwindSafe(parts).catch_unwind().await.is_err() {
            // Where, the log says already.
            invocation.count(|counts| counts.panics += 1);
        }
        let failed = batch.len() - accepted.iter().map(Range::len).sum::<usize>();
        invocation.count(|counts| counts.events_failed += failed);
        accepted
    }

    async fn deliver_parts(
        &self,
        batch: &Batch,
        tokens: &Tokens,
        invocation: &Invocation,
        accepted: &mut Vec<Range<usize>>,
    ) {
        let mut poison = 0;
        // Parts that are still to be sent, the first one on top.
        let whole = 0..batch.len();
        let mut parts = Vec::from([whole]);
        while let Some(part) = parts.pop() {
            let body = batch.body(&part);
            let (size, is_several) = (body.len(), part.len() > 1);
            let outcome = if poison >= MAX_POISON_EVENTS {
                Err(DeliveryError::TooMuchPoison)
            } else if is_several && invocation.health.get().is_too_large(size) {
                halve(part, &mut parts);
                continue;
            } else {
                self.send(body, &batch.idempotency_key(&part), tokens, invocation).await
            };
            match outcome {
                Ok(Sent::Accepted) => {
                    invocation.count(|counts| {
                        counts.bodies_accepted += 1;
                        counts.events_accepted += part.len();
                    });
                    invocation.note(|health| health.accepted(size));
                    accepted.push(part);
                }
                Ok(Sent::Halve(_)) if is_several => {
                    invocation.note(|health| health.too_large(size));
                    halve(part, &mut parts);
                }
                Ok(Sent::Bisect(_)) if is_several => halve(part, &mut parts),
                Ok(Sent::Halve(error) | Sent::Bisect(error)) => {
                    poison += 1;
                    undelivered(batch, &part, &error, invocation);
                }
                Err(error) => undelivered(batch, &part, &error, invocation),
            }
        }
        invocation.note(|health| health.ended(poison >= MAX_POISON_EVENTS));
    }

    /// Sends one body until it is accepted, is to be divided, or fails.
    async fn send(
        &self,
        body: Bytes,
        key: &str,
        tokens: &Tokens,
        invocation: &Invocation,
    ) -> Result<Sent, DeliveryError> {
        let deadline = invocation.deadline();
        let body = self.encode(body);
        let is_probe = invocation.health.get().is_doubtful();
        let mut attempt = 1;
        let mut reuse = Reuse::Any;
        let mut bearer = None;
        // Whether another token than a good one was asked for: it is the body that the API refuses if that does not help.
        let mut is_renewed = false;
        loop {
            invocation.is_open()?;
            let token = match bearer.take() {
                Some(token) => token,
                None => invocation.token(tokens.bearer(deadline).await)?,
            };
            // Others may have found meanwhile that the API takes nothing.
            invocation.is_open()?;
            let Some(timeout) = deadline.allows(self.request_timeout, Instant::now()) else {
                return Err(DeliveryError::Deadline("it is over".to_owned()));
            };
            let was_suspected = token.is_suspected();
            let post = self.post(self.request(body.clone(), key, &token), timeout, reuse, invocation);
            let met = tokens.kept_beside(post, deadline).await;
            let (error, wait) = match met {
                Met::Final(outcome) => {
                    if matches!(outcome, Ok(Sent::Accepted)) {
                        tokens.accepted(&token);
                    }
                    return outcome;
                }
                Met::TokenRefused(_) if !(is_renewed && token.is_proven()) => {
                    is_renewed |= token.is_proven();
                    bearer = Some(invocation.token(tokens.instead_of(&token, deadline).await)?);
                    continue;
                }
                Met::Forbidden(_) if !is_renewed && !was_suspected && tokens.may_have_died(&token) => {
                    is_renewed = true;
                    bearer = Some(invocation.token(tokens.instead_of(&token, deadline).await)?);
                    continue;
                }
                Met::TokenRefused(error) | Met::Forbidden(error) => return Err(error),
                Met::Again(error, wait) => (error, wait),
            };
            if is_probe || attempt >= self.settings.max_attempts {
                invocation.note(|health| health.exhausted(is_probe));
                return Err(error);
            }
            if matches!(error, DeliveryError::Unreachable(_)) {
                reuse = Reuse::None;
            }
            let pause = wait.unwrap_or_else(|| retry::pause(attempt, fastrand::f64()));
            let Some(then) = deadline.after(pause, Instant::now()) else {
                // An API that is not to be asked again in this invocation is as good as down.
                invocation.note(|health| health.exhausted(is_probe));
                return Err(DeliveryError::Deadline(error.to_string()));
            };
            if invocation.retries_logged.replace(invocation.retries_logged.get() + 1) < MAX_RETRIES_LOGGED {
                warn!(attempt, reason = %error, pause_ms = pause.as_millis(), "delivery is tried again");
            }
            tokio::time::sleep_until(then.into()).await;
            attempt += 1;
        }
    }

    fn request(&self, body: Bytes, key: &str, bearer: &Bearer) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.settings.url.clone();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, bearer.header());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.settings.format.content_type()));
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(key).expect("hex digits are header text"));
        if self.settings.encoding == PayloadEncoding::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        request
    }

    /// Makes one request, and says what came of it.
    async fn post(&self, request: Request<Bytes>, timeout: Duration, reuse: Reuse, invocation: &Invocation) -> Met {
        let start = Instant::now();
        invocation.count(|counts| {
            counts.attempts += 1;
            counts.bytes_sent += request.body().len();
        });
        invocation.note(Health::asked);
        let met = match Box::pin(self.client.send(request, timeout, reuse)).await {
            Ok(answer) => {
                invocation.count(|counts| *counts.answers(answer.status) += 1);
                debug!(status = answer.status.as_u16(), took_ms = start.elapsed().as_millis(), "the API has answered");
                self.judge(answer, timeout.saturating_sub(start.elapsed())).await
            }
            Err(error) => Err(error),
        };
        let met = met.unwrap_or_else(|error| {
            invocation.count(|counts| counts.connection_failures += 1);
            Met::Again(DeliveryError::Unreachable(error), None)
        });
        if !matches!(met, Met::Again(..)) {
            invocation.note(Health::answered);
        }
        met
    }

    /// Says what an answer asks for; its body is waited for as long as `timeout` where it matters.
    async fn judge(&self, mut answer: Answer, timeout: Duration) -> Result<Met, SendError> {
        let end = Instant::now() + timeout;
        let status = answer.status;
        let action = classify(status, &self.settings.retry_statuses);
        if let (Action::Accept, Some(pointer)) = (action, &self.settings.answer_check) {
            let mut body = BytesMut::new();
            let read = tokio::time::timeout(timeout, answer.read_into(&mut body, MAX_CHECKED_ANSWER)).await;
            let judged = match read.map_err(|_| SendError::NoAnswer)? {
                Ok(()) => verdict::check(pointer, &body),
                Err(BodyError::TooLarge { .. }) => Err(NotAccepted::TooLarge),
                Err(BodyError::Broken) => return Err(SendError::Broken("the answer broke off")),
            };
            settle(answer, judged.is_ok(), end).await?;
            return Ok(Met::Final(
                judged.map(|()| Sent::Accepted).map_err(|reason| self.not_accepted(status, reason, &body)),
            ));
        }
        let retry_after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| retry::retry_after(value, token::now()));
        let is_page = answer.headers.get(CONTENT_TYPE).is_some_and(verdict::is_html);
        let longest = if action == Action::Accept && is_page { timeout } else { timeout.min(MAX_DRAIN) };
        let mut body = BytesMut::new();
        // Whatever has come by then is enough.
        tokio::time::timeout(longest, answer.read_into(&mut body, MAX_ANSWER)).await.map(drop).ok();
        settle(answer, action == Action::Accept, end).await?;
        let refused = || DeliveryError::Refused { status: status.as_u16(), said: self.said(&body) };
        Ok(match action {
            Action::Accept => {
                let judged = verdict::judge(status, &body).map(|()| Sent::Accepted);
                Met::Final(judged.map_err(|reason| self.not_accepted(status, reason, &body)))
            }
            Action::Halve => Met::Final(Ok(Sent::Halve(refused()))),
            Action::Bisect => Met::Final(Ok(Sent::Bisect(refused()))),
            Action::Refuse => Met::Final(Err(refused())),
            Action::Forbidden => Met::Forbidden(refused()),
            Action::RenewToken => Met::TokenRefused(refused()),
            Action::Retry => {
                let error = DeliveryError::Unavailable { status: status.as_u16(), said: self.said(&body) };
                Met::Again(error, retry_after)
            }
        })
    }

    fn not_accepted(&self, status: StatusCode, reason: NotAccepted, body: &[u8]) -> DeliveryError {
        DeliveryError::NotAccepted { status: status.as_u16(), reason, said: self.said(body) }
    }

    /// The start of what an answer says, credentials hidden, for the log.
    fn said(&self, body: &[u8]) -> String {
        // A credential that is cut by the end of what is searched is a credential still.
        let start = verdict::start(body, MAX_ANSWER);
        let start = String::from_utf8_lossy(&start);
        self.redactor.text(start.trim()).chars().take(MAX_SAID).collect()
    }

    fn encode(&self, body: Bytes) -> Bytes {
        match self.settings.encoding {
            PayloadEncoding::Identity => body,
            PayloadEncoding::Gzip => gzip(&body).into(),
        }
    }
}

/// Ends an exchange. A success may come early: it counts once the request has left, for which there is time
/// until `end`.
async fn settle(answer: Answer, is_success: bool, end: Instant) -> Result<(), SendError> {
    let left = end.saturating_duration_since(Instant::now());
    let is_sent = answer.end(if is_success { left } else { left.min(SETTLING) }).await;
    if is_success && !is_sent {
        return Err(SendError::Broken("it has answered, and does not read the request to its end"));
    }
    Ok(())
}

/// Puts both halves of a part of several events on top.
fn halve(part: Range<usize>, parts: &mut Vec<Range<usize>>) {
    let middle = part.start + part.len() / 2;
    parts.push(middle..part.end);
    parts.push(part.start..middle);
}

/// Logs that events were not accepted, and names the first of them.
fn undelivered(batch: &Batch, part: &Range<usize>, reason: &DeliveryError, invocation: &Invocation) {
    if invocation.failures_logged.replace(invocation.failures_logged.get() + 1) >= MAX_FAILURES_LOGGED {
        return;
    }
    let first = part.start;
    error!(
        events = part.len(),
        id = %Brief(batch.id(first)),
        log_group = %Brief(batch.log_group(first)),
        record = batch.shares(first..first + 1).next().map(|share| share.record),
        reason = %reason,
        "events not delivered: their records are kept"
    );
}
