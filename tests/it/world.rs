//! A function in its world: the built binary, the Runtime API that invokes it, and the three services it talks to.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::loopback::{
    AnalyticsApi, CLIENT_ID, CLIENT_SECRET, FunctionProcess, ParameterStore, RuntimeApi, TokenEndpoint,
};

pub(crate) const TOKEN_PARAMETER: &str = "/forwarder/token";
pub(crate) const CREDENTIALS_PARAMETER: &str = "/forwarder/credentials";

/// Time that an invocation has unless a test says otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) analytics: AnalyticsApi,
    pub(crate) endpoint: TokenEndpoint,
    pub(crate) store: ParameterStore,
    pub(crate) runtime: RuntimeApi,
    pub(crate) function: FunctionProcess,
}

impl World {
    /// Starts everything, with these settings beside the required ones.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let endpoint = TokenEndpoint::start().await;
        let analytics = AnalyticsApi::start_trusting(endpoint.valid()).await;
        let store = ParameterStore::start().await;
        store.put(CREDENTIALS_PARAMETER, &credentials(CLIENT_ID, CLIENT_SECRET));
        let runtime = RuntimeApi::start().await;
        let environment = environment(&analytics, &endpoint, &store, settings);
        let function = FunctionProcess::spawn(binary(), &environment, &runtime);
        Self { analytics, endpoint, store, runtime, function }
    }

    /// Starts a further environment of the same function.
    pub(crate) async fn another(&self, settings: &[(&str, &str)]) -> (RuntimeApi, FunctionProcess) {
        let runtime = RuntimeApi::start().await;
        let environment = environment(&self.analytics, &self.endpoint, &self.store, settings);
        let function = FunctionProcess::spawn(binary(), &environment, &runtime);
        (runtime, function)
    }

    /// Invokes the function with these records' bytes and returns its answers.
    pub(crate) async fn invoke(&self, records: &[Vec<u8>]) -> Vec<Verdict> {
        self.invoke_within(records, TIMEOUT).await
    }

    pub(crate) async fn invoke_within(&self, records: &[Vec<u8>], timeout: Duration) -> Vec<Verdict> {
        let data = records.iter().map(|bytes| base64_simd::STANDARD.encode_to_string(bytes));
        self.invoke_event(&event(data), timeout).await
    }

    pub(crate) async fn invoke_event(&self, event: &Value, timeout: Duration) -> Vec<Verdict> {
        let invocation = self.runtime.invoke(event.to_string(), timeout).await;
        let answer = invocation.json();
        let verdicts = answer["records"].as_array().expect("a list of records");
        verdicts.iter().map(Verdict::read).collect()
    }

    /// The results alone.
    pub(crate) async fn results(&self, records: &[Vec<u8>]) -> Vec<String> {
        self.invoke(records).await.into_iter().map(|verdict| verdict.result).collect()
    }
}

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_apigw-log-forwarder"))
}

pub(crate) fn credentials(id: &str, secret: &str) -> String {
    json!({"client_id": id, "client_secret": secret}).to_string()
}

pub(crate) fn environment(
    analytics: &AnalyticsApi,
    endpoint: &TokenEndpoint,
    store: &ParameterStore,
    settings: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let (analytics, endpoint, store) = (analytics.url(), endpoint.url(), store.url());
    let required = [
        ("ANALYTICS_URL", analytics.as_str()),
        ("TOKEN_URL", endpoint.as_str()),
        ("TOKEN_PARAMETER", TOKEN_PARAMETER),
        ("CREDENTIALS_PARAMETER", CREDENTIALS_PARAMETER),
        ("AWS_ENDPOINT_URL_SSM", store.as_str()),
    ];
    let all = required.iter().chain(settings);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The answer for one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) id: String,
    pub(crate) result: String,
    /// Base64 undone, where it is that.
    pub(crate) data: Option<Vec<u8>>,
}

impl Verdict {
    fn read(answer: &Value) -> Self {
        let text = |key: &str| answer[key].as_str().expect("a text").to_owned();
        let data = answer.get("data").map(|data| {
            let text = data.as_str().expect("a text");
            // An original that was no base64 comes back as it was.
            base64_simd::STANDARD.decode_to_vec(text).unwrap_or_else(|_| text.as_bytes().to_vec())
        });
        Self { id: text("recordId"), result: text("result"), data }
    }
}

/// The id of an event that these lines make, by their numbers.
pub(crate) fn id_of_lines(numbers: &[usize]) -> String {
    let mut ids: Vec<String> = numbers.iter().map(|number| id(*number) + "\n").collect();
    ids.sort();
    let digest = Sha256::digest(ids.concat());
    format!("sha256:{}", apigw_log_forwarder::ids::hex(&digest, 16))
}

/// A Firehose event with records of this data.
pub(crate) fn event(data: impl IntoIterator<Item = String>) -> Value {
    let record = |(index, data): (usize, String)| json!({"recordId": index.to_string(), "approximateArrivalTimestamp": 1_795_287_540_000_i64, "data": data});
    json!({
        "invocationId": "11111111-2222-4333-8444-555555555555",
        "deliveryStreamArn": "arn:aws:firehose:eu-west-1:111122223333:deliverystream/logs",
        "region": "eu-west-1",
        "records": data.into_iter().enumerate().map(record).collect::<Vec<_>>(),
    })
}

/// An envelope of a log group with these messages; ids count from `first`.
pub(crate) fn envelope(group: &str, first: usize, messages: &[&str]) -> String {
    let event = |(index, message): (usize, &&str)| json!({"id": id(first + index), "timestamp": 1_795_287_540_123_i64, "message": message});
    json!({
        "messageType": "DATA_MESSAGE",
        "owner": "111122223333",
        "logGroup": group,
        "logStream": "stream",
        "subscriptionFilters": ["all"],
        "logEvents": messages.iter().enumerate().map(event).collect::<Vec<_>>(),
    })
    .to_string()
}

/// An id as CloudWatch Logs makes them: 56 digits.
pub(crate) fn id(number: usize) -> String {
    format!("{number:056}")
}

pub(crate) fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes.as_ref()).expect("memory");
    encoder.finish().expect("memory")
}

/// A record with one event, `{"n":number}`.
pub(crate) fn record(number: usize) -> Vec<u8> {
    gzip(envelope("g", number, &[&format!("{{\"n\":{number}}}")]))
}

/// So many such records.
pub(crate) fn records(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(record).collect()
}

/// One record with so many events.
pub(crate) fn many(count: usize) -> Vec<u8> {
    let messages: Vec<String> = (0..count).map(|number| format!("{{\"n\":{number}}}")).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    gzip(envelope("g", 0, &messages))
}

/// The ids of events, in their order.
pub(crate) fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["id"].as_str().expect("an id")).collect()
}
