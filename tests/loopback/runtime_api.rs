//! The Lambda Runtime API, version 2018-06-01: hands invocations to a function and takes its answers.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use super::answer::Answer;
use super::server::{Received, Server, Service, unknown};

/// Most bytes of a function's answer: Lambda's documented 6 MB and the allowance that its error message names.
pub const MAX_RESPONSE_BYTES: usize = 6_291_556;
/// The function that the service plays.
pub const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:111122223333:function:forwarder";

/// How long a function may take to ask for its first invocation: Lambda's own limit.
const INIT_LIMIT: Duration = Duration::from_secs(10);
const PREFIX: &str = "/2018-06-01/runtime/";

/// A Runtime API on 127.0.0.1.
#[derive(Debug)]
pub struct RuntimeApi {
    server: Server,
    rules: Arc<Rules>,
}

/// What became of one invocation.
#[derive(Debug)]
pub struct Invocation {
    /// The function's answer, or what came instead.
    pub outcome: Outcome,
    /// From the hand-over of the payload to the outcome.
    pub took: Duration,
}

/// The function's answer, or what came instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The bytes of the answer.
    Response(Bytes),
    /// An invocation error: `{"errorType":"…","errorMessage":"…"}`.
    Error(Value),
    /// No answer by the invocation's deadline.
    TimedOut,
    /// No function asked for the invocation.
    NeverTaken,
}

impl Invocation {
    /// Returns the answer as JSON.
    ///
    /// # Panics
    /// If the function gave no answer, or one that is no JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        match &self.outcome {
            Outcome::Response(bytes) => serde_json::from_slice(bytes).expect("the function answers with JSON"),
            other => panic!("the function gave no answer: {other:?}"),
        }
    }
}

impl RuntimeApi {
    /// Starts a Runtime API that no function is connected to.
    pub async fn start() -> Self {
        let rules = Arc::new(Rules::default());
        Self { server: Server::start(Arc::clone(&rules), None).await, rules }
    }

    /// Returns the address, as `AWS_LAMBDA_RUNTIME_API` takes it: without a scheme.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.address().to_string()
    }

    /// Hands a payload to the next function that asks, and waits for what becomes of it. `timeout` is the function's:
    /// its deadline is that long after the hand-over.
    pub async fn invoke(&self, payload: impl Into<Bytes>, timeout: Duration) -> Invocation {
        let (taken, is_taken) = oneshot::channel();
        let (finish, outcome) = oneshot::channel();
        self.rules.with(|state| {
            state.waiting.push_back(Waiting { payload: payload.into(), timeout, taken, finish });
        });
        self.rules.queued.notify_one();
        let Ok(Ok((id, start))) = tokio::time::timeout(INIT_LIMIT, is_taken).await else {
            return Invocation { outcome: Outcome::NeverTaken, took: Duration::ZERO };
        };
        let outcome = tokio::time::timeout(timeout, outcome).await;
        let outcome = outcome.map_or(Outcome::TimedOut, |sent| sent.unwrap_or(Outcome::TimedOut));
        // Past its deadline an invocation takes no answer any more.
        self.rules.with(|state| state.running.remove(&id));
        Invocation { outcome, took: start.elapsed() }
    }

    /// Returns what a function reported in place of its first request for an invocation.
    #[must_use]
    pub fn init_error(&self) -> Option<Value> {
        self.rules.with(|state| state.init_error.clone())
    }

    /// Returns how many invocations were handed over.
    #[must_use]
    pub fn invocations(&self) -> u64 {
        self.rules.with(|state| state.handed_over)
    }

    /// Waits until so many requests have come whole; the first is a function that has started.
    pub async fn received(&self, requests: usize) {
        self.server.received(requests).await;
    }
}

#[derive(Debug, Default)]
struct Rules {
    state: Mutex<State>,
    queued: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    running: BTreeMap<String, oneshot::Sender<Outcome>>,
    handed_over: u64,
    init_error: Option<Value>,
}

#[derive(Debug)]
struct Waiting {
    payload: Bytes,
    timeout: Duration,
    /// Dropped with its receiver where nobody waits any more: then the payload is not handed over.
    taken: oneshot::Sender<(String, Instant)>,
    finish: oneshot::Sender<Outcome>,
}

impl Rules {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn next(&self) -> Answer {
        loop {
            if let Some(answer) = self.with(State::hand_over) {
                return answer;
            }
            self.queued.notified().await;
        }
    }

    fn finish(&self, id: &str, outcome: Outcome) -> Answer {
        let Some(finish) = self.with(|state| state.running.remove(id)) else {
            return refused(400, "InvalidRequestID", "no such invocation is running");
        };
        match outcome {
            Outcome::Response(bytes) if bytes.len() > MAX_RESPONSE_BYTES => {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
                );
                let error = json!({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message});
                drop(finish.send(Outcome::Error(error)));
                refused(413, "RequestEntityTooLarge", &message)
            }
            outcome => {
                drop(finish.send(outcome));
                accepted()
            }
        }
    }
}

impl State {
    fn hand_over(&mut self) -> Option<Answer> {
        loop {
            let Waiting { payload, timeout, taken, finish } = self.waiting.pop_front()?;
            let id = format!("00000000-0000-4000-8000-{:012}", self.handed_over + 1);
            if taken.send((id.clone(), Instant::now())).is_err() {
                continue;
            }
            self.handed_over += 1;
            self.running.insert(id.clone(), finish);
            let now = u128::from(Timestamp::now().as_millisecond().unsigned_abs());
            let deadline = now + timeout.as_millis();
            return Some(
                Answer::status(200)
                    .header("content-type", "application/json")
                    .header("lambda-runtime-aws-request-id", &id)
                    .header("lambda-runtime-deadline-ms", &deadline.to_string())
                    .header("lambda-runtime-invoked-function-arn", FUNCTION_ARN)
                    .header("lambda-runtime-trace-id", "Root=1-6920d6a0-000000000000000000000001;Sampled=0")
                    .body(payload),
            );
        }
    }
}

impl Service for Rules {
    fn planned(&self, _: &Method, _: &str, _: &HeaderMap) -> Option<Answer> {
        None
    }

    async fn answer(&self, request: &Received) -> Answer {
        let Some(path) = request.path.strip_prefix(PREFIX) else { return unknown() };
        if request.method == Method::GET && path == "invocation/next" {
            return self.next().await;
        }
        if request.method != Method::POST {
            return unknown();
        }
        if path == "init/error" {
            self.with(|state| state.init_error = Some(request.json()));
            return accepted();
        }
        match path.strip_prefix("invocation/").and_then(|rest| rest.split_once('/')) {
            Some((id, "response")) => self.finish(id, Outcome::Response(request.body.clone())),
            Some((id, "error")) => self.finish(id, Outcome::Error(request.json())),
            _ => unknown(),
        }
    }
}

fn accepted() -> Answer {
    Answer::status(202).json(&json!({"status": "OK"}))
}

fn refused(status: u16, kind: &str, message: &str) -> Answer {
    Answer::status(status).json(&json!({"errorType": kind, "errorMessage": message}))
}

#[cfg(test)]
mod tests {
    use super::super::tls::client;
    use super::*;

    /// Plays a function for one invocation.
    async fn serve_one(api: &RuntimeApi, path: &str, body: Vec<u8>) -> (HeaderMap, u16) {
        let (client, base) = (client(None), format!("http://{}{PREFIX}", api.url()));
        let next = client.get(format!("{base}invocation/next")).send().await.unwrap();
        let headers = next.headers().clone();
        let id = headers["lambda-runtime-aws-request-id"].to_str().unwrap();
        assert_eq!(next.bytes().await.unwrap(), "in");
        let answer = client.post(format!("{base}invocation/{id}/{path}")).body(body).send().await.unwrap();
        (headers.clone(), answer.status().as_u16())
    }

    async fn invoked(path: &str, body: Vec<u8>) -> (Invocation, HeaderMap, u16) {
        let api = RuntimeApi::start().await;
        let (invocation, (headers, status)) =
            tokio::join!(api.invoke("in", Duration::from_mins(1)), serve_one(&api, path, body));
        (invocation, headers, status)
    }

    #[tokio::test]
    async fn an_invocation_ends_with_the_functions_answer() {
        let (invocation, headers, status) = invoked("response", b"{\"a\":1}".to_vec()).await;
        assert_eq!((invocation.json(), status), (json!({"a": 1}), 202));
        let deadline: i64 = headers["lambda-runtime-deadline-ms"].to_str().unwrap().parse().unwrap();
        let left = deadline - Timestamp::now().as_millisecond();
        assert!((50_000..=60_000).contains(&left), "{left}");
        assert_eq!(headers["lambda-runtime-invoked-function-arn"], FUNCTION_ARN);
    }

    #[tokio::test]
    async fn an_invocation_ends_with_the_functions_error() {
        let (invocation, _, status) = invoked("error", b"{\"errorType\":\"x\"}".to_vec()).await;
        assert_eq!((invocation.outcome, status), (Outcome::Error(json!({"errorType": "x"})), 202));
    }

    #[tokio::test]
    async fn an_answer_over_the_cap_is_an_error() {
        let (invocation, _, status) = invoked("response", vec![b' '; MAX_RESPONSE_BYTES]).await;
        assert!(matches!(invocation.outcome, Outcome::Response(_)) && status == 202);
        let (invocation, _, status) = invoked("response", vec![b' '; MAX_RESPONSE_BYTES + 1]).await;
        assert!(matches!(invocation.outcome, Outcome::Error(_)) && status == 413);
    }

    #[tokio::test]
    async fn a_function_that_is_late_has_timed_out() {
        let api = RuntimeApi::start().await;
        let url = format!("http://{}{PREFIX}invocation/next", api.url());
        let (invocation, _) = tokio::join!(api.invoke("in", Duration::from_millis(20)), client(None).get(url).send());
        assert_eq!(invocation.outcome, Outcome::TimedOut);
        assert_eq!(api.invocations(), 1);
    }

    #[tokio::test]
    async fn an_error_at_the_start_is_kept() {
        let api = RuntimeApi::start().await;
        let url = format!("http://{}{PREFIX}init/error", api.url());
        let sent = client(None).post(url).body("{\"errorType\":\"Settings\"}").send().await.unwrap();
        assert_eq!(sent.status(), 202);
        assert_eq!(api.init_error(), Some(json!({"errorType": "Settings"})));
    }
}
