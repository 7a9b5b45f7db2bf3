//! The analytics API: takes batches of events, refuses what it is told to refuse, and remembers everything.

use std::collections::HashSet;
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::MultiGzDecoder;
use hyper::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, Script};
use super::dialect;
use super::server::{Received, Server, Service, unknown};
use super::tokens::Tokens;

/// An analytics API on 127.0.0.1.
///
/// `POST` to any path, in this order: the scripted answer, where it is not a plain success; 401 without a valid bearer
/// token; 415 for another `Content-Type` than `application/json` and `application/x-ndjson`, or another
/// `Content-Encoding` than `gzip` and `identity`; 413 past a cap; 400 for a body that is no array and no lines of JSON;
/// the refusal that [`refuse`](Self::refuse) asks for; 200.
#[derive(Debug)]
pub struct AnalyticsApi {
    server: Server,
    rules: Arc<Rules>,
}

/// One request to the analytics API, with the events that it carries.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The request as it came and how it was answered.
    pub received: Received,
    /// The body, its content coding undone. Empty where that is damaged.
    pub decoded: Vec<u8>,
    /// The events of the body, in order: where it is not what its `Content-Type` says, the JSON values that stand in it.
    pub events: Vec<Value>,
}

impl Posted {
    /// Returns whether the API took the events: whether it answered 2xx, even if that answer never arrived.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.received.status.is_some_and(|status| (200..300).contains(&status))
    }

    fn new(received: Received) -> Self {
        let decoded = decode(&received).unwrap_or_default();
        let events = events(&received, &decoded).unwrap_or_else(|_| dialect::values(&decoded));
        Self { received, decoded, events }
    }
}

impl AnalyticsApi {
    /// Starts an API that knows no token yet: see [`tokens`](Self::tokens).
    pub async fn start() -> Self {
        Self::start_trusting(&Tokens::new()).await
    }

    /// Starts an API that takes the tokens of this set, for example those of a token endpoint.
    pub async fn start_trusting(tokens: &Tokens) -> Self {
        Self::start_on(0, tokens, None).await
    }

    /// The same at this port, unless that is taken.
    pub async fn start_trusting_at(port: u16, tokens: &Tokens) -> Self {
        Self::start_on(port, tokens, None).await
    }

    /// Starts an API that speaks TLS.
    pub async fn start_tls(tokens: &Tokens, tls: TlsAcceptor) -> Self {
        Self::start_on(0, tokens, Some(tls)).await
    }

    async fn start_on(port: u16, tokens: &Tokens, tls: Option<TlsAcceptor>) -> Self {
        let rules = Arc::new(Rules {
            tokens: tokens.clone(),
            script: Script::default(),
            limits: Mutex::new(Limits::default()),
            dialect: Mutex::default(),
        });
        Self { server: Server::start_at(port, Arc::clone(&rules), tls).await, rules }
    }

    /// Returns where batches go.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/v1/events", self.server.origin())
    }

    /// Returns the tokens that the API takes.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.rules.tokens
    }

    /// Plans the answers to the next requests, after those that are planned.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.rules.script.extend(answers);
    }

    /// Sets the answer to every request that the script does not cover, or goes back to the rules.
    pub fn otherwise(&self, answer: Option<Answer>) {
        self.rules.script.otherwise(answer);
    }

    /// Returns how many planned answers are left.
    #[must_use]
    pub fn unplayed(&self) -> usize {
        self.rules.script.unplayed()
    }

    /// Answers this status to a body with an event that is so.
    pub fn refuse(&self, status: u16, is_refused: impl Fn(&Value) -> bool + Send + Sync + 'static) {
        self.rules.limit(|limits| limits.refusal = Some(Refusal { status, is_refused: Arc::new(is_refused) }));
    }

    /// Answers 413 to a body of more events.
    pub fn set_max_events(&self, events: usize) {
        self.rules.limit(|limits| limits.events = Some(events));
    }

    /// Answers 413 to a body of more bytes, its content coding undone.
    pub fn set_max_bytes(&self, bytes: usize) {
        self.rules.limit(|limits| limits.bytes = Some(bytes));
    }

    /// Answers as a destination that is known by this name, whatever the token.
    pub fn speak(&self, destination: &str) {
        *self.rules.dialect.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((destination.to_owned(), HashSet::new()));
    }

    /// Forgets all that is planned: from now on the rules hold.
    pub fn heal(&self) {
        self.rules.script.clear();
        self.server.set_down(false);
    }

    /// Breaks every connection and refuses new ones, or ends that.
    pub fn set_down(&self, down: bool) {
        self.server.set_down(down);
    }

    /// Returns every request in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Posted> {
        self.server.requests().into_iter().map(Posted::new).collect()
    }

    /// Returns the events of the requests that were answered 2xx, in the order in which those came.
    #[must_use]
    pub fn accepted_events(&self) -> Vec<Value> {
        self.requests().into_iter().filter(Posted::accepted).flat_map(|posted| posted.events).collect()
    }

    /// Returns the status of every request, in the order in which they came. 0 stands for none.
    #[must_use]
    pub fn statuses(&self) -> Vec<u16> {
        self.server.requests().iter().map(|request| request.status.unwrap_or_default()).collect()
    }

    /// Drops the bodies of the requests that have been answered: kept, they would fill the memory of a program that runs
    /// for long.
    pub fn forget_bodies(&self) {
        self.server.forget_bodies();
    }

    /// Returns how many requests have come.
    #[must_use]
    pub fn count(&self) -> usize {
        self.server.count()
    }

    /// Returns how many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Returns how many requests were under way at once, at most.
    #[must_use]
    pub fn peak_in_flight(&self) -> usize {
        self.server.peak_in_flight()
    }

    /// Waits until so many requests have come whole.
    pub async fn received(&self, requests: usize) {
        self.server.received(requests).await;
    }
}

#[derive(Debug)]
struct Rules {
    tokens: Tokens,
    script: Script,
    limits: Mutex<Limits>,
    /// The destination that the API answers as, and the ids that it has.
    dialect: Mutex<Option<(String, HashSet<String>)>>,
}

#[derive(Debug, Clone, Default)]
struct Limits {
    events: Option<usize>,
    bytes: Option<usize>,
    refusal: Option<Refusal>,
}

#[derive(Clone)]
struct Refusal {
    status: u16,
    is_refused: Arc<dyn Fn(&Value) -> bool + Send + Sync>,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Rules {
    fn limit(&self, change: impl FnOnce(&mut Limits)) {
        change(&mut self.limits.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn judge(&self, request: &Received) -> Answer {
        if request.method != Method::POST {
            return unknown();
        }
        if let Some((destination, seen)) = &mut *self.dialect.lock().unwrap_or_else(PoisonError::into_inner) {
            return match decode(request) {
                Ok(body) => dialect::answer(destination, &body, seen),
                Err((status, error)) => Answer::status(status).json(&json!({"error": error})),
            };
        }
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !token.is_some_and(|token| self.tokens.allows(token)) {
            return Answer::status(401)
                .header("www-authenticate", r#"Bearer error="invalid_token""#)
                .json(&json!({"error": "invalid_token"}));
        }
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match limits.judge(request) {
            Ok(accepted) => Answer::status(200).json(&json!({"accepted": accepted})),
            Err((status, error)) => Answer::status(status).json(&json!({"error": error})),
        }
    }
}

/// A status and what the answer's body says about it.
type Refused = (u16, &'static str);

impl Limits {
    /// Counts the events of a body that is within the limits.
    fn judge(&self, request: &Received) -> Result<usize, Refused> {
        let body = decode(request)?;
        if self.bytes.is_some_and(|cap| body.len() > cap) {
            return Err((413, "too many bytes"));
        }
        let events = events(request, &body)?;
        if self.events.is_some_and(|cap| events.len() > cap) {
            return Err((413, "too many events"));
        }
        match &self.refusal {
            Some(refusal) if events.iter().any(|event| (refusal.is_refused)(event)) => {
                Err((refusal.status, "an event is refused"))
            }
            _ => Ok(events.len()),
        }
    }
}

impl Service for Rules {
    fn planned(&self, _: &Method, _: &str, _: &HeaderMap) -> Option<Answer> {
        self.script.next()
    }

    async fn answer(&self, request: &Received) -> Answer {
        self.judge(request)
    }
}

/// Undoes the content coding.
fn decode(request: &Received) -> Result<Vec<u8>, Refused> {
    match request.header("content-encoding") {
        None | Some("identity") => Ok(request.body.to_vec()),
        Some("gzip") => {
            let mut decoded = Vec::new();
            let read = MultiGzDecoder::new(request.body.as_ref()).read_to_end(&mut decoded);
            read.map(|_| decoded).map_err(|_| (400, "not gzip"))
        }
        Some("zstd") => zstd::stream::decode_all(request.body.as_ref()).map_err(|_| (400, "not zstd")),
        Some(_) => Err((415, "unknown content coding")),
    }
}

fn events(request: &Received, body: &[u8]) -> Result<Vec<Value>, Refused> {
    let parsed = match request.header("content-type") {
        Some("application/json") => serde_json::from_slice(body),
        Some("application/x-ndjson") => {
            body.split_inclusive(|byte| *byte == b'\n').map(serde_json::from_slice).collect()
        }
        _ => return Err((415, "unknown content type")),
    };
    parsed.map_err(|_| (400, "not JSON"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use super::super::answer::Gate;
    use super::super::tls::client;
    use super::*;

    async fn api() -> AnalyticsApi {
        let api = AnalyticsApi::start().await;
        api.tokens().allow("good");
        api
    }

    async fn post(client: &reqwest::Client, api: &AnalyticsApi, body: &str) -> Result<u16, reqwest::Error> {
        post_as(client, api, "good", "application/json", body.as_bytes().to_vec()).await
    }

    async fn post_as(
        client: &reqwest::Client,
        api: &AnalyticsApi,
        token: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<u16, reqwest::Error> {
        let request = client.post(api.url()).bearer_auth(token).header("content-type", content_type).body(body);
        let response = request.send().await?;
        let status = response.status().as_u16();
        response.bytes().await.map(|_| status)
    }

    #[tokio::test]
    async fn it_keeps_what_it_accepts_in_the_order_of_arrival() {
        let (api, client) = (api().await, client(None));
        assert_eq!(post(&client, &api, r#"[{"id":"1"},{"id":"2"}]"#).await.unwrap(), 200);
        let lines = b"{\"id\":\"3\"}\n".to_vec();
        assert_eq!(post_as(&client, &api, "good", "application/x-ndjson", lines).await.unwrap(), 200);
        assert_eq!(post_as(&client, &api, "bad", "application/json", b"[]".to_vec()).await.unwrap(), 401);
        assert_eq!(api.accepted_events(), [json!({"id": "1"}), json!({"id": "2"}), json!({"id": "3"})]);
        assert_eq!(api.statuses(), [200, 200, 401]);
        assert_eq!((api.connections(), api.peak_in_flight()), (1, 1));
    }

    #[tokio::test]
    async fn it_reads_gzip() {
        let (api, client) = (api().await, client(None));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"[7]").unwrap();
        let request = client.post(api.url()).bearer_auth("good").header("content-type", "application/json");
        let sent = request.header("content-encoding", "gzip").body(gzip.finish().unwrap()).send().await.unwrap();
        assert_eq!(sent.status(), 200);
        assert_eq!(api.requests()[0].decoded, b"[7]");
        assert_eq!(api.accepted_events(), [json!(7)]);
    }

    #[tokio::test]
    async fn caps_and_refusals_hold_at_their_limits() {
        let (api, client) = (api().await, client(None));
        api.set_max_events(2);
        api.set_max_bytes(7);
        api.refuse(422, |event| *event == json!(9));
        for (body, status) in [("[1,2]", 200), ("[1,2,3]", 413), ("[12345]", 200), ("[123456]", 413), ("[9]", 422)] {
            assert_eq!(post(&client, &api, body).await.unwrap(), status, "{body}");
        }
        assert_eq!(post(&client, &api, "[1").await.unwrap(), 400);
    }

    #[tokio::test]
    async fn a_script_can_fail_a_request_but_not_make_a_refused_one_succeed() {
        let (api, client) = (api().await, client(None));
        api.script([Answer::status(503).retry_after("1"), Answer::status(202), Answer::status(202)]);
        assert_eq!(post(&client, &api, "[1]").await.unwrap(), 503);
        assert_eq!(post(&client, &api, "[1]").await.unwrap(), 202);
        assert_eq!(post_as(&client, &api, "bad", "application/json", b"[1]".to_vec()).await.unwrap(), 401);
        assert_eq!(api.unplayed(), 0);
        assert_eq!(api.accepted_events().len(), 1);
    }

    #[tokio::test]
    async fn every_way_to_break_an_answer_reaches_the_client_as_an_error() {
        let api = api().await;
        for fault in [
            Answer::closed_before_body(),
            Answer::closed_after_body(),
            Answer::raw("no HTTP at all\r\n\r\n"),
            Answer::status(200).cut_after(0),
            Answer::status(200).cut_after(30),
            Answer::status(200).content_length(1000),
        ] {
            let client = client(None);
            api.script([fault.clone()]);
            assert!(post(&client, &api, "[1]").await.is_err(), "{fault:?}");
            assert_eq!(post(&client, &api, "[2]").await.unwrap(), 200, "the API lives on after {fault:?}");
        }
        // The three answers that were cut had their effect.
        let lost = api.requests().iter().filter(|posted| posted.accepted() && posted.events == [json!(1)]).count();
        assert_eq!(lost, 3);
        assert_eq!(api.statuses(), [0, 200, 0, 200, 0, 200, 200, 200, 200, 200, 200, 200]);
    }

    #[tokio::test]
    async fn an_answer_can_be_too_short_slow_or_missing() {
        let (api, client) = (api().await, client(None));
        api.script([
            Answer::status(200).content_length(3),
            Answer::status(400).body("slowly").drip(Duration::from_millis(1)),
            Answer::hang(),
        ]);
        assert_eq!(post(&client, &api, "[1]").await.unwrap(), 200);
        assert_eq!(post(&client, &api, "[1]").await.unwrap(), 400);
        let patience = tokio::time::timeout(Duration::from_millis(50), post(&client, &api, "[1]"));
        assert!(patience.await.is_err());
    }

    #[tokio::test]
    async fn a_connection_can_close_unannounced_after_its_answer() {
        let (api, client) = (api().await, client(None));
        api.script([Answer::status(200).then_close()]);
        assert_eq!(post(&client, &api, "[1]").await.unwrap(), 200);
        assert_eq!(post(&client, &api, "[2]").await.unwrap(), 200);
        assert_eq!(api.connections(), 2);
    }

    #[tokio::test]
    async fn a_gate_holds_answers_until_it_opens() {
        let (api, client) = (api().await, client(None));
        let gate = Gate::closed();
        api.otherwise(Some(Answer::status(200).after(&gate)));
        let posts = async { tokio::join!(post(&client, &api, "[1]"), post(&client, &api, "[2]")) };
        let opening = async {
            api.received(2).await;
            assert_eq!(api.statuses(), [0, 0]);
            gate.open();
        };
        let ((first, second), ()) = tokio::join!(posts, opening);
        assert_eq!((first.unwrap(), second.unwrap()), (200, 200));
        assert_eq!((api.peak_in_flight(), api.connections()), (2, 2));
    }

    #[tokio::test]
    async fn a_service_that_is_down_refuses_and_comes_back() {
        let (api, client) = (api().await, client(None));
        assert_eq!(post(&client, &api, "[1]").await.unwrap(), 200);
        api.set_down(true);
        assert!(post(&client, &api, "[2]").await.is_err());
        api.set_down(false);
        assert_eq!(post(&client, &api, "[3]").await.unwrap(), 200);
        assert_eq!(api.accepted_events(), [json!(1), json!(3)]);
    }
}
