//! What a service answers to one request: status, headers, body, and what goes wrong on the way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::Semaphore;

/// One answer of a service.
///
/// In a script, a status 2xx without a body means "as the service's own rules say": such an answer can delay, break or
/// dress up what the rules answer, but never makes a request succeed that they refuse. Any other answer stands as it is.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    pub(super) delay: Duration,
    pub(super) gate: Option<Gate>,
    pub(super) fault: Option<Fault>,
}

/// What goes wrong with one answer.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The connection closes once the request's head has been read.
    CloseBeforeBody,
    /// The connection closes once the whole request has been read.
    CloseAfterBody,
    /// No answer ever comes; the connection stays open.
    Hang,
    /// The connection closes after this many bytes of the answer, its head included.
    Cut(usize),
    /// These bytes come instead of an answer, and the connection closes.
    Raw(Bytes),
    /// The body comes one byte at a time, with this pause before each.
    Drip(Duration),
    /// `Content-Length` says this, whatever the body's length.
    ContentLength(usize),
    /// The connection closes after the answer without having said so: the next request on it finds it dead.
    CloseUnannounced,
}

impl Answer {
    /// An answer with a status and no body.
    ///
    /// # Panics
    /// If the status is not from 100 to 999.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("a status of three digits"),
            headers: HeaderMap::new(),
            body: None,
            delay: Duration::ZERO,
            gate: None,
            fault: None,
        }
    }

    /// The connection closes after the request's head, its body unread.
    #[must_use]
    pub fn closed_before_body() -> Self {
        Self::status(200).fault(Fault::CloseBeforeBody)
    }

    /// The connection closes after the whole request, without an answer and without an effect.
    #[must_use]
    pub fn closed_after_body() -> Self {
        Self::status(200).fault(Fault::CloseAfterBody)
    }

    /// No answer ever comes; the connection stays open until the client gives up.
    #[must_use]
    pub fn hang() -> Self {
        Self::status(200).fault(Fault::Hang)
    }

    /// Bytes that need not be HTTP come instead of an answer, and the connection closes.
    #[must_use]
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::status(200).fault(Fault::Raw(bytes.into()))
    }

    /// An error of an AWS service that speaks JSON 1.1: `__type` and `message` in the body, the type in a header.
    #[must_use]
    pub fn aws_error(status: u16, kind: &'static str, message: &str) -> Self {
        Self::status(status)
            .header("x-amzn-errortype", kind)
            .header("content-type", "application/x-amz-json-1.1")
            .body(serde_json::json!({"__type": kind, "message": message}).to_string())
    }

    /// Adds a header.
    ///
    /// # Panics
    /// If the name or the value is none that HTTP allows.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// Adds `Retry-After`: seconds, or a date as HTTP writes it.
    #[must_use]
    pub fn retry_after(self, value: &str) -> Self {
        self.header("retry-after", value)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        self.body(body.to_string())
    }

    /// Waits before it answers, the request read.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits before it answers, the request read, until the gate opens.
    #[must_use]
    pub fn after(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// The connection closes after so many bytes of the answer, status line and headers included. The request has its
    /// effect: 0 is the answer that got lost.
    #[must_use]
    pub fn cut_after(self, bytes: usize) -> Self {
        self.fault(Fault::Cut(bytes))
    }

    /// The body comes one byte at a time, with a pause before each.
    #[must_use]
    pub fn drip(self, pause: Duration) -> Self {
        self.fault(Fault::Drip(pause))
    }

    /// `Content-Length` is wrong. Larger than the body, the connection closes at the body's end; smaller, the rest of
    /// the body is left out.
    #[must_use]
    pub fn content_length(self, bytes: usize) -> Self {
        self.fault(Fault::ContentLength(bytes))
    }

    /// The connection closes after the answer without having said so, as an idle time-out does: a client that reuses it
    /// finds it dead. HTTP/1.1 only.
    #[must_use]
    pub fn then_close(self) -> Self {
        self.fault(Fault::CloseUnannounced)
    }

    fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Whether the service's rules decide what is answered.
    pub(super) fn follows_rules(&self) -> bool {
        self.status.is_success() && self.body.is_none() && !self.replaces()
    }

    /// Whether nothing of the answer is ever sent.
    pub(super) fn replaces(&self) -> bool {
        matches!(self.fault, Some(Fault::CloseBeforeBody | Fault::CloseAfterBody | Fault::Hang | Fault::Raw(_)))
    }

    /// What the rules answer, with the planned answer's headers, delay and fault.
    pub(super) fn dressed_as(mut self, planned: Option<Answer>) -> Self {
        if let Some(planned) = planned {
            // 204 and 206 say what the body is.
            if self.status == StatusCode::OK {
                self.status = planned.status;
            }
            self.headers.extend(planned.headers);
            self.delay = planned.delay;
            self.gate = planned.gate;
            self.fault = planned.fault;
        }
        self
    }
}

/// Holds answers back until a test lets them go.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A gate that is closed.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.0.close();
    }

    /// Lets so many answers pass, those that wait first.
    pub fn let_pass(&self, answers: usize) {
        self.0.add_permits(answers);
    }

    pub(super) async fn passed(&self) {
        // A closed semaphore is the open gate.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// The answers to come: a queue, and what follows when it is empty.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<Plan>);

#[derive(Debug, Default)]
struct Plan {
    next: VecDeque<Answer>,
    otherwise: Option<Answer>,
}

impl Script {
    pub(super) fn extend(&self, answers: impl IntoIterator<Item = Answer>) {
        self.with(|plan| plan.next.extend(answers));
    }

    pub(super) fn otherwise(&self, answer: Option<Answer>) {
        self.with(|plan| plan.otherwise = answer);
    }

    pub(super) fn next(&self) -> Option<Answer> {
        self.with(|plan| plan.next.pop_front().or_else(|| plan.otherwise.clone()))
    }

    pub(super) fn unplayed(&self) -> usize {
        self.with(|plan| plan.next.len())
    }

    pub(super) fn clear(&self) {
        self.with(|plan| *plan = Plan::default());
    }

    fn with<T>(&self, act: impl FnOnce(&mut Plan) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The answers to come of a service with several operations, each for the next request of its operation, or of any.
#[derive(Debug)]
pub(super) struct Scripts<O>(Mutex<Plans<O>>);

#[derive(Debug)]
struct Plans<O> {
    next: Vec<(Option<O>, Answer)>,
    otherwise: Vec<(O, Answer)>,
}

impl<O> Default for Scripts<O> {
    fn default() -> Self {
        Self(Mutex::new(Plans { next: Vec::new(), otherwise: Vec::new() }))
    }
}

impl<O: Copy + PartialEq> Scripts<O> {
    pub(super) fn extend(&self, operation: Option<O>, answers: impl IntoIterator<Item = Answer>) {
        self.with(|plans| plans.next.extend(answers.into_iter().map(|answer| (operation, answer))));
    }

    pub(super) fn otherwise(&self, operation: O, answer: Option<Answer>) {
        self.with(|plans| {
            plans.otherwise.retain(|(planned, _)| *planned != operation);
            plans.otherwise.extend(answer.map(|answer| (operation, answer)));
        });
    }

    pub(super) fn next(&self, operation: O) -> Option<Answer> {
        self.with(|plans| {
            let at = plans.next.iter().position(|(planned, _)| planned.is_none_or(|planned| planned == operation));
            if let Some(at) = at {
                return Some(plans.next.remove(at).1);
            }
            plans.otherwise.iter().find(|(planned, _)| *planned == operation).map(|(_, answer)| answer.clone())
        })
    }

    pub(super) fn unplayed(&self) -> usize {
        self.with(|plans| plans.next.len())
    }

    pub(super) fn clear(&self) {
        self.with(|plans| {
            plans.next.clear();
            plans.otherwise.clear();
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Plans<O>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_played_in_order_and_then_goes_on_with_its_default() {
        let script = Script::default();
        script.extend([Answer::status(503), Answer::status(429)]);
        let statuses = || [(); 4].map(|()| script.next().map(|answer| answer.status.as_u16()));
        assert_eq!(statuses(), [Some(503), Some(429), None, None]);
        script.otherwise(Some(Answer::status(500)));
        assert_eq!(statuses(), [Some(500); 4]);
    }

    #[test]
    fn an_answer_for_an_operation_waits_for_it_and_one_for_any_does_not() {
        let scripts = Scripts::default();
        scripts.extend(Some('b'), [Answer::status(503)]);
        scripts.extend(None, [Answer::status(500)]);
        scripts.otherwise('a', Some(Answer::status(403)));
        let statuses = ['a', 'a', 'b', 'b'].map(|of| scripts.next(of).map(|answer| answer.status.as_u16()));
        assert_eq!(statuses, [Some(500), Some(403), Some(503), None]);
        scripts.clear();
        assert!(scripts.next('a').is_none() && scripts.unplayed() == 0);
    }

    #[test]
    fn only_a_success_without_a_body_follows_the_rules() {
        assert!(Answer::status(204).delay(Duration::from_secs(1)).follows_rules());
        assert!(!Answer::status(200).body("x").follows_rules());
        assert!(!Answer::status(302).follows_rules());
        assert!(!Answer::hang().follows_rules());
    }
}
