//! The function against real receivers, which `tests/receivers/run` starts.
//!
//! The rest of these tests has the receivers' rules from documents; here others have read the same documents.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::loopback::{FunctionProcess, ParameterStore, RuntimeApi, tls};
use crate::world::{CREDENTIALS_PARAMETER, TIMEOUT, binary, envelope, event, gzip, id};

#[expect(clippy::disallowed_methods, reason = "tests/receivers/run tells where it has started the services")]
fn told(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: use tests/receivers/run"))
}

/// The results of records that are sent to a destination.
async fn results(destination: &str, url: &str, records: &[Vec<u8>]) -> Vec<String> {
    let (store, runtime) = (ParameterStore::start().await, RuntimeApi::start().await);
    store.put(CREDENTIALS_PARAMETER, "k3y");
    let settings = [
        ("DESTINATION", destination),
        ("AUTH", "key"),
        ("ANALYTICS_URL", url),
        ("CREDENTIALS_PARAMETER", CREDENTIALS_PARAMETER),
        ("AWS_ENDPOINT_URL_SSM", &store.url()),
        ("ACCESS_LOG_FORMAT", "$context.requestId $context.httpMethod $context.path $context.status"),
    ];
    let environment = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let _function = FunctionProcess::spawn(binary(), &environment, &runtime);
    let data = records.iter().map(|bytes| base64_simd::STANDARD.encode_to_string(bytes));
    let answer = runtime.invoke(event(data).to_string(), TIMEOUT).await.json();
    let records = answer["records"].as_array().expect("records");
    records.iter().map(|record| record["result"].as_str().expect("a result").to_owned()).collect()
}

#[tokio::test]
#[ignore = "needs a receiver: tests/receivers/run"]
async fn an_otlp_receiver_reads_the_records() {
    let record = gzip(envelope("g", 1, &["r-1 GET /orders 503", "some text"]));
    assert_eq!(results("otlp", &told("OTLP_URL"), &[record]).await, ["Dropped"]);
    // It answers before it says what it has received.
    let start = Instant::now();
    loop {
        let received = std::fs::read_to_string(told("OTLP_RECEIVED")).expect("what was received");
        let expected = ["GET /orders 503", "some text", "http.response.status_code", "apigw.access", &id(1)];
        let missing = expected.iter().find(|expected| !received.contains(**expected));
        let Some(missing) = missing else { break };
        assert!(start.elapsed() < TIMEOUT, "{missing} in {received}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
#[ignore = "needs a receiver: tests/receivers/run"]
async fn bulk_takes_each_event_once_and_names_the_one_that_it_refuses() {
    let http = tls::client(None);
    let elastic = told("ELASTIC_URL");
    let mapping = json!({"mappings": {"properties": {"fields": {"properties": {"n": {"type": "integer"}}}}}});
    let index = format!("{elastic}/orders");
    let made = http.put(&index).header("content-type", "application/json").body(mapping.to_string()).send().await;
    assert!(made.expect("an answer").status().is_success());
    let url = format!("{index}/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.failure_store");
    let records = [
        gzip(envelope("g", 0, &["r-0 GET /a 200", "r-1 GET /b 200"])),
        gzip(envelope("g", 2, &[r#"{"n":7}"#, r#"{"n":"no number"}"#])),
        gzip(envelope("g", 4, &["r-4 GET /c 200"])),
    ];
    let expected = ["Dropped", "ProcessingFailed", "Dropped"];
    for _ in 0..2 {
        // What is there already is accepted again, and not there twice.
        assert_eq!(results("elastic", &url, &records).await, expected);
        let refreshed = http.post(format!("{index}/_refresh")).send().await.expect("an answer");
        assert!(refreshed.status().is_success());
        let count = http.get(format!("{index}/_count")).send().await.expect("an answer").bytes().await.expect("a body");
        let count: Value = serde_json::from_slice(&count).expect("JSON");
        assert_eq!(count["count"], 4);
    }
}
