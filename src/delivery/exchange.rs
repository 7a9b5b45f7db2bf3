//! One request and its answer: what is sent, and what the answer asks for.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode};
use tracing::{debug, warn};

use super::answers::{Fate, Fates};
use super::health::Health;
use super::verdict::{self, Action, MAX_CHECKED_ANSWER, NotAccepted, classify};
use super::{Delivery, DeliveryError, IDEMPOTENCY_KEY, Invocation};
use crate::client::{Answer, BodyError, Reuse, SETTLING, SendError};
use crate::redact::REDACTED;
use crate::retry;
use crate::token::{self, Bearer};

/// Most of an answer's body that is read where the status has said all, in bytes: the connection can be used again then.
const MAX_ANSWER: usize = 64 * 1024;

/// Longest wait for an answer's body where the status has said all.
const MAX_DRAIN: Duration = Duration::from_millis(250);

/// Most characters of what an answer says that are logged.
const MAX_SAID: usize = 200;

/// What became of one body that is not to be sent again as it is.
pub(super) enum Sent {
    Accepted,
    /// Its events have fared differently: by which attempt, and when to make the next one, if the answer says so.
    Partly {
        status: u16,
        fates: Fates,
        attempt: usize,
        retry_after: Option<Duration>,
    },
    /// It is too large.
    Halve(DeliveryError),
    /// The API will not take some event of it.
    Bisect(DeliveryError),
}

/// What one request has met.
pub(super) enum Met {
    Final(Result<Sent, DeliveryError>),
    /// The token is not taken.
    TokenRefused(DeliveryError),
    /// Refused, perhaps because the token has died.
    Forbidden(DeliveryError),
    /// Retrying later may succeed; when, if the answer says so.
    Again(DeliveryError, Option<Duration>),
}

/// Shortest value of a header of the settings that is looked for in what an API says.
const MIN_SECRET: usize = 6;

impl Delivery {
    pub(super) fn request(&self, body: Bytes, key: &str, bearer: &Bearer) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.settings.url.clone();
        let headers = request.headers_mut();
        if let Some(auth) = &self.settings.auth_header {
            headers.insert(auth.name.clone(), auth.value(bearer.expose()));
        }
        for (name, value) in &self.settings.headers {
            headers.append(name, value.clone());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.settings.content_type));
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(key).expect("hex digits are header text"));
        if let Some(coding) = self.settings.encoding.content_coding() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        request
    }

    /// Makes one request, and says what came of it.
    pub(super) async fn post(
        &self,
        request: Request<Bytes>,
        bearer: &Bearer,
        events: usize,
        timeout: Duration,
        reuse: Reuse,
        invocation: &Invocation,
    ) -> Met {
        let start = Instant::now();
        invocation.count(|counts| {
            counts.attempts += 1;
            counts.bytes_sent += request.body().len();
        });
        invocation.note(Health::asked);
        let met = match Box::pin(self.client.send(request, timeout, reuse)).await {
            Ok(answer) => {
                invocation.count(|counts| *counts.answers(answer.status) += 1);
                invocation.last_status.set(Some(answer.status.as_u16()));
                debug!(status = answer.status.as_u16(), took_ms = start.elapsed().as_millis(), "the API has answered");
                self.judge(answer, bearer, events, timeout.saturating_sub(start.elapsed()), invocation).await
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

    /// Says what an answer to a body of so many events asks for; what it says is waited for as long as `timeout` where it matters.
    async fn judge(
        &self,
        mut answer: Answer,
        bearer: &Bearer,
        events: usize,
        timeout: Duration,
        invocation: &Invocation,
    ) -> Result<Met, SendError> {
        let end = Instant::now() + timeout;
        let status = answer.status;
        let answers = self.settings.answers;
        let retried = &self.settings.retry_statuses;
        let own = answers.action(status).filter(|_| !retried.contains(&status.as_u16()));
        let action = own.unwrap_or_else(|| classify(status, retried));
        let pointer = self.settings.answer_check.as_deref().filter(|_| action == Action::Accept);
        let is_read = pointer.is_some() || answers.are_in_body(status);
        let retry_after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| retry::retry_after(value, token::now()));
        let is_page = answer.headers.get(CONTENT_TYPE).is_some_and(verdict::is_html);
        let is_awaited = is_read || action == Action::Accept && is_page;
        let (longest, most) = (
            if is_awaited { timeout } else { timeout.min(MAX_DRAIN) },
            if is_read { MAX_CHECKED_ANSWER } else { MAX_ANSWER },
        );
        let mut body = BytesMut::new();
        let read = tokio::time::timeout(longest, answer.read_into(&mut body, most)).await;
        let judged = if action == Action::Accept {
            let judged = match (read, pointer) {
                (Err(_), _) if is_read => return Err(SendError::NoAnswer),
                (Ok(Err(BodyError::Broken)), _) if is_read => {
                    return Err(SendError::Broken("the answer broke off"));
                }
                _ if !answers.is_all(status) => Err(NotAccepted::Partial),
                (Ok(Err(BodyError::TooLarge { .. })), Some(_)) => Err(NotAccepted::TooLarge),
                (_, Some(pointer)) => verdict::check(pointer, &body),
                // Whatever has come by then is enough.
                (_, None) => verdict::judge(status, &body, is_read),
            };
            settle(answer, judged.is_ok(), end).await?;
            judged
        } else {
            settle(answer, false, end).await?;
            Ok(())
        };
        let refused = || DeliveryError::Refused { status: status.as_u16(), said: self.said(&body, bearer) };
        if let Err(reason) = judged {
            let said = self.said(&body, bearer);
            return Ok(Met::Final(Err(DeliveryError::NotAccepted { status: status.as_u16(), reason, said })));
        }
        let told = verdict::start(&body, MAX_CHECKED_ANSWER);
        if answers.is_unreadable(status, &told) && !self.warned_of_answer.replace(true) {
            warn!("the receiver's answers cannot be read: their status counts");
        }
        if let Some(fates) = answers.fates(status, &told, events) {
            let fates = Fates { said: self.said(fates.said.as_bytes(), bearer), ..fates };
            return Ok(met_of(status, fates, retry_after, invocation));
        }
        Ok(match action {
            Action::Accept => Met::Final(Ok(Sent::Accepted)),
            Action::Halve => Met::Final(Ok(Sent::Halve(refused()))),
            Action::Bisect => Met::Final(Ok(Sent::Bisect(refused()))),
            Action::Refuse => Met::Final(Err(refused())),
            Action::Forbidden => Met::Forbidden(refused()),
            Action::RenewToken => Met::TokenRefused(refused()),
            Action::Retry => {
                let error = DeliveryError::Unavailable { status: status.as_u16(), said: self.said(&body, bearer) };
                Met::Again(error, retry_after)
            }
        })
    }

    /// The start of what an answer says, credentials hidden, for the log.
    fn said(&self, body: &[u8], bearer: &Bearer) -> String {
        // A credential that is cut by the end of what is searched is a credential still.
        let start = verdict::start(body, MAX_ANSWER);
        let start = String::from_utf8_lossy(&start);
        let secret = bearer.expose();
        // It may repeat what it was sent.
        let mut start = start.into_owned();
        let own = self.settings.headers.iter().filter_map(|(_, value)| value.to_str().ok());
        // A short value says nothing, and would be found everywhere.
        let own = own.filter(|sent| sent.len() >= MIN_SECRET);
        for sent in own.chain(Some(secret).filter(|secret| !secret.is_empty())) {
            start = start.replace(sent, REDACTED);
        }
        self.redactor.text(start.trim()).chars().take(MAX_SAID).collect()
    }
}

/// Says what is to be done where an answer tells single events.
fn met_of(status: StatusCode, fates: Fates, retry_after: Option<Duration>, invocation: &Invocation) -> Met {
    if fates.diverted > 0 {
        invocation.count(|counts| counts.events_diverted += fates.diverted);
        warn!(events = fates.diverted, "accepted, and put into the failure store: they do not fit into the index");
    }
    if fates.some_taken {
        invocation.note(|health| health.accepted(0));
    }
    let said = || fates.said.clone();
    let status = status.as_u16();
    match fates.each.first() {
        Some(first) if fates.each.iter().all(|fate| fate == first) => match first {
            Fate::Accepted => Met::Final(Ok(Sent::Accepted)),
            Fate::Again => Met::Again(DeliveryError::Unavailable { status, said: said() }, retry_after),
            Fate::Failed | Fate::Unseen => Met::Final(Err(DeliveryError::Refused { status, said: said() })),
            Fate::Refused => Met::Final(Ok(Sent::Partly { status, fates, attempt: 1, retry_after })),
        },
        _ => Met::Final(Ok(Sent::Partly { status, fates, attempt: 1, retry_after })),
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
