//! One batch to the analytics API: sent, its answer judged, tried again, divided, or given up in time.
//!
//! `verdict` says what an answer means, `health` what may still be asked. Everything that a batch may meet ends in a list
//! of the events that the API has accepted; the ledger takes all others for undelivered.

mod answers;
mod exchange;
mod health;
mod invocation;
mod part;
mod verdict;

use std::cell::Cell;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::FutureExt;
use http::{HeaderName, HeaderValue, Uri};
use thiserror::Error;
use tracing::{error, warn};
use zeroize::Zeroizing;

pub use self::answers::Answers;
pub use self::invocation::Invocation;
pub use self::verdict::{Action, NotAccepted, classify};

use self::answers::Fate;
use self::exchange::{Met, Sent};
use self::health::{MAX_FRUITLESS, Memory};
use self::part::Part;
use self::verdict::is_for_good;
use crate::batch::Batch;
use crate::client::{Client, Reuse, SendError};
use crate::compress::{gzip, zstd};
use crate::counts::Counts;
use crate::ledger::MAX_POISON_EVENTS;
use crate::log::Brief;
use crate::redact::Redactor;
use crate::retry::{self, Deadline};
use crate::token::{TokenError, Tokens};

/// The header that lets the API recognise a batch that comes again.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Failures of one invocation that are logged one by one; all are counted.
const MAX_FAILURES_LOGGED: usize = 6;

/// Attempts after the first that are logged one by one in an invocation; all are counted.
const MAX_RETRIES_LOGGED: usize = 4;

/// How a body is encoded on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadEncoding {
    /// As it is.
    Identity,
    /// `Content-Encoding: gzip`.
    Gzip,
    /// `Content-Encoding: zstd`, RFC 8878.
    Zstd,
}

impl PayloadEncoding {
    /// Returns the value of `Content-Encoding`, if there is one.
    fn content_coding(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// The header that carries a token or a key: `Authorization: Bearer {token}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthHeader {
    /// Its name.
    pub name: HeaderName,
    /// What stands before and behind the secret.
    pub around: [String; 2],
}

impl AuthHeader {
    /// Returns the header's value with this secret, marked so that it is not shown.
    fn value(&self, secret: &str) -> HeaderValue {
        let [before, behind] = &self.around;
        let text = Zeroizing::new([before, secret, behind].concat());
        let mut value = HeaderValue::from_str(&text).expect("the setting and the secret are header text");
        value.set_sensitive(true);
        value
    }
}

/// How bodies are made and sent.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// `ANALYTICS_URL`.
    pub url: Uri,
    /// The header that carries the token or the key; `None` if there is none.
    pub auth_header: Option<AuthHeader>,
    /// `REQUEST_HEADERS`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The media type of bodies.
    pub content_type: &'static str,
    /// `PAYLOAD_ENCODING`.
    pub encoding: PayloadEncoding,
    /// `DELIVERY_CONCURRENCY`: POSTs under way at once.
    pub concurrency: usize,
    /// `MAX_ATTEMPTS` for one batch.
    pub max_attempts: usize,
    /// `RETRY_STATUSES`: further statuses that are tried again.
    pub retry_statuses: Vec<u16>,
    /// How answers are read.
    pub answers: Answers,
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
    /// The API answers with a success that does not count.
    #[error("the API answers {status} {reason}{}", quoted(.said))]
    NotAccepted {
        /// The status.
        status: u16,
        /// Why the answer is not a success.
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
    #[error("not tried: the API takes nothing, as the bodies before it or {MAX_FRUITLESS} requests have shown")]
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
    /// Whether it was said that successes cannot be read.
    warned_of_answer: Cell<bool>,
}

impl Delivery {
    /// Takes what the settings say of the API. `redactor` hides credentials in what is logged of its answers.
    #[must_use]
    pub fn new(client: Client, settings: DeliverySettings, request_timeout: Duration, redactor: Redactor) -> Self {
        Self { client, settings, request_timeout, redactor, memory: Cell::default(), warned_of_answer: Cell::default() }
    }

    /// Starts an invocation with what is remembered of the last one.
    #[must_use]
    pub fn start(&self, deadline: Deadline) -> Invocation {
        Invocation::start(deadline, self.memory.get())
    }

    /// Ends an invocation: how the API fared is remembered. Returns what was met.
    pub fn end(&self, invocation: &Invocation) -> Counts {
        self.memory.set(invocation.health.get().end(invocation.before, Instant::now()));
        if let others @ 1.. = invocation.failures_logged.get().saturating_sub(MAX_FAILURES_LOGGED) {
            error!(others, "further bodies not delivered: their records are kept");
        }
        invocation.counts()
    }

    /// Delivers a batch, in parts if need be, and returns which of its events the API has accepted.
    ///
    /// A panic on the way costs the events that were not accepted by then.
    pub async fn deliver(&self, batch: &Batch, tokens: &Tokens, invocation: &Invocation) -> Outcome {
        let mut outcome = Outcome::default();
        let parts = self.deliver_parts(batch, tokens, invocation, &mut outcome);
        if AssertUnwindSafe(parts).catch_unwind().await.is_err() {
            // The log already says where.
            invocation.count(|counts| counts.panics += 1);
        }
        let failed = batch.len() - outcome.accepted.iter().map(Range::len).sum::<usize>();
        invocation.count(|counts| counts.events_failed += failed);
        outcome
    }

    async fn deliver_parts(&self, batch: &Batch, tokens: &Tokens, invocation: &Invocation, into: &mut Outcome) {
        let mut poison = 0;
        // Parts that are still to be sent, the first one on top.
        let mut parts = vec![Part::whole(batch.len())];
        while let Some(part) = parts.pop() {
            let body = batch.body(&part.ranges);
            let (size, is_several) = (body.len(), part.len() > 1);
            let outcome = if poison >= MAX_POISON_EVENTS {
                Err(DeliveryError::TooMuchPoison)
            } else if is_several && invocation.health.get().is_too_large(size) {
                part.halve(&mut parts);
                continue;
            } else {
                self.send(body, batch, &part, tokens, invocation).await
            };
            match outcome {
                Ok(Sent::Accepted) => {
                    invocation.note(|health| health.accepted(size));
                    accept(&part, &mut into.accepted, invocation);
                }
                Ok(Sent::Partly { status, fates, attempt, retry_after }) => {
                    let of = |fate, attempt| part.of(attempt, |at| fates.each.get(at) == Some(&fate));
                    let taken = of(Fate::Accepted, 1);
                    if taken.len() > 0 {
                        invocation.note(|health| health.accepted(size));
                        accept(&taken, &mut into.accepted, invocation);
                    }
                    let said = fates.said.clone();
                    for fate in [Fate::Refused, Fate::Failed] {
                        let refused = of(fate, 1);
                        if refused.len() > 0 {
                            let error = DeliveryError::Refused { status, said: said.clone() };
                            undelivered(batch, &refused, &error, invocation);
                            if fate == Fate::Refused {
                                into.refuse(&refused, &error);
                            }
                        }
                    }
                    let unseen = of(Fate::Unseen, part.attempt);
                    if unseen.len() > 0 {
                        poison += 1;
                        parts.push(unseen);
                    }
                    let again = of(Fate::Again, attempt + 1);
                    if again.len() > 0 {
                        let error = DeliveryError::Unavailable { status, said };
                        match self.pause(attempt, retry_after, &error, invocation).await {
                            Ok(()) => parts.push(again),
                            Err(error) => {
                                invocation.note(|health| health.exhausted(false));
                                undelivered(batch, &again, &error, invocation);
                            }
                        }
                    }
                }
                Ok(Sent::Halve(_)) if is_several => {
                    invocation.note(|health| health.too_large(size));
                    part.halve(&mut parts);
                }
                Ok(Sent::Bisect(_)) if is_several => part.halve(&mut parts),
                Ok(Sent::Halve(error) | Sent::Bisect(error)) => {
                    poison += 1;
                    undelivered(batch, &part, &error, invocation);
                    into.refuse(&part, &error);
                }
                Err(error @ DeliveryError::Refused { status, .. }) if !is_several && is_for_good(status.into()) => {
                    undelivered(batch, &part, &error, invocation);
                    into.refuse(&part, &error);
                }
                Err(error) => undelivered(batch, &part, &error, invocation),
            }
        }
        invocation.note(|health| health.ended(poison >= MAX_POISON_EVENTS));
    }

    /// Waits before the attempt after this one.
    ///
    /// # Errors
    /// If there is none: too many were made, or it does not fit into the invocation.
    async fn pause(
        &self,
        attempt: usize,
        wait: Option<Duration>,
        error: &DeliveryError,
        invocation: &Invocation,
    ) -> Result<(), DeliveryError> {
        if attempt >= self.settings.max_attempts {
            return Err(error.clone());
        }
        let pause = wait.unwrap_or_else(|| retry::pause(attempt, fastrand::f64()));
        let Some(then) = invocation.deadline().after(pause, Instant::now()) else {
            return Err(DeliveryError::Deadline(error.to_string()));
        };
        if invocation.retries_logged.replace(invocation.retries_logged.get() + 1) < MAX_RETRIES_LOGGED {
            warn!(attempt, reason = %error, pause_ms = pause.as_millis(), "delivery is tried again");
        }
        tokio::time::sleep_until(then.into()).await;
        Ok(())
    }

    /// Sends one body until it is accepted, is to be divided, or fails.
    async fn send(
        &self,
        body: Bytes,
        batch: &Batch,
        part: &Part,
        tokens: &Tokens,
        invocation: &Invocation,
    ) -> Result<Sent, DeliveryError> {
        let deadline = invocation.deadline();
        let (body, key) = (self.encode(body), batch.idempotency_key(&part.ranges));
        let is_probe = invocation.health.get().is_doubtful();
        let mut attempt = part.attempt;
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
            let request = self.request(body.clone(), &key, &token);
            let post = self.post(request, &token, part.len(), timeout, reuse, invocation);
            let met = tokens.kept_beside(post, deadline).await;
            let (error, wait) = match met {
                Met::Final(mut outcome) => {
                    if let Ok(Sent::Partly { attempt: made, .. }) = &mut outcome {
                        *made = attempt;
                    }
                    let is_taken = match &outcome {
                        Ok(Sent::Accepted) => true,
                        Ok(Sent::Partly { fates, .. }) => fates.each.contains(&Fate::Accepted),
                        _ => false,
                    };
                    if is_taken {
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
            if is_probe {
                invocation.note(|health| health.exhausted(true));
                return Err(error);
            }
            if matches!(error, DeliveryError::Unreachable(_)) {
                reuse = Reuse::None;
            }
            if let Err(error) = self.pause(attempt, wait, &error, invocation).await {
                // An API that is not to be asked again in this invocation is as good as down.
                invocation.note(|health| health.exhausted(false));
                return Err(error);
            }
            attempt += 1;
        }
    }

    fn encode(&self, body: Bytes) -> Bytes {
        match self.settings.encoding {
            PayloadEncoding::Identity => body,
            PayloadEncoding::Gzip => gzip(&body).into(),
            PayloadEncoding::Zstd => zstd(&body).into(),
        }
    }
}

/// What became of a batch. Events that are in neither list were not accepted, and may be if they are sent again.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Events that the API has accepted.
    pub accepted: Vec<Range<usize>>,
    /// Events that it will never take, and what it said: refused one by one, or in a body of which it does not say which it refuses.
    pub refused: Vec<(Range<usize>, String)>,
}

impl Outcome {
    fn refuse(&mut self, part: &Part, error: &DeliveryError) {
        self.refused.extend(part.ranges.iter().map(|range| (range.clone(), error.to_string())));
    }
}

/// Enters that events were accepted.
fn accept(part: &Part, accepted: &mut Vec<Range<usize>>, invocation: &Invocation) {
    invocation.count(|counts| {
        counts.bodies_accepted += 1;
        counts.events_accepted += part.len();
    });
    accepted.extend(part.ranges.iter().cloned());
}

/// Logs that events were not accepted, and names the first of them.
fn undelivered(batch: &Batch, part: &Part, reason: &DeliveryError, invocation: &Invocation) {
    invocation.first_failure.borrow_mut().get_or_insert_with(|| reason.to_string());
    if invocation.failures_logged.replace(invocation.failures_logged.get() + 1) >= MAX_FAILURES_LOGGED {
        return;
    }
    let first = part.events().next().expect("a part has an event");
    error!(
        events = part.len(),
        id = %Brief(batch.id(first)),
        log_group = %Brief(batch.log_group(first)),
        record = batch.shares(first..first + 1).next().map(|share| share.record),
        reason = %reason,
        "events not delivered: their records are kept"
    );
}
