//! Cold start: what the function says when it cannot start, and what it does before the first event.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::loopback::{FunctionProcess, RuntimeApi};
use crate::world::{World, binary};

async fn refusal(settings: &[(&str, &str)]) -> (String, Vec<String>) {
    let runtime = RuntimeApi::start().await;
    let settings: BTreeMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut function = FunctionProcess::spawn(binary(), &settings, &runtime);
    let status = function.exit_status(Duration::from_secs(10)).await.expect("it ends");
    assert!(!status.success());
    let error = runtime.init_error().expect("an error for Lambda");
    (error["errorMessage"].as_str().expect("a message").to_owned(), function.lines())
}

#[tokio::test]
async fn every_problem_is_named_once_and_no_value_is_repeated() {
    let (message, lines) = refusal(&[
        ("ANALYTICS_URL", "http://hush.example.com"),
        ("MAX_BATCH_BYTES", "hush"),
        ("ACCESS_LOG_FORMAT", "hush"),
        ("TOKEN_URL", ""),
        ("REDACT", "hush"),
    ])
    .await;
    for variable in [
        "ANALYTICS_URL",
        "TOKEN_URL",
        "TOKEN_PARAMETER",
        "CREDENTIALS_PARAMETER",
        "ACCESS_LOG_FORMAT",
        "MAX_BATCH_BYTES",
        "REDACT",
    ] {
        assert_eq!(message.matches(&format!("{variable}: ")).count(), 1, "{variable}: {message}");
    }
    assert!(!message.contains("hush"), "{message}");
    let [line] = lines.as_slice() else { panic!("one line: {lines:?}") };
    assert!(line.contains("TOKEN_PARAMETER") && line.contains("\"ERROR\"") && !line.contains("hush"), "{line}");
}

#[tokio::test]
async fn a_file_of_roots_that_cannot_be_read_is_named() {
    let (message, _) = refusal(&[
        ("ANALYTICS_URL", "https://analytics.example.com"),
        ("TOKEN_URL", "https://id.example.com/token"),
        ("TOKEN_PARAMETER", "/t"),
        ("CREDENTIALS_PARAMETER", "/c"),
        ("SSL_CERT_FILE", "/nonexistent.pem"),
    ])
    .await;
    assert!(message.contains("SSL_CERT_FILE"), "{message}");
}

#[tokio::test]
async fn nothing_goes_out_before_the_first_event() {
    let world = World::start(&[]).await;
    world.runtime.received(1).await;
    assert_eq!((world.analytics.count(), world.endpoint.count(), world.store.requests().len()), (0, 0, 0));
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_told_anything() {
    let proxy = crate::loopback::AnalyticsApi::start().await;
    let world = World::start(&[("HTTP_PROXY", &proxy.url()), ("http_proxy", &proxy.url())]).await;
    assert_eq!(world.results(&[crate::world::gzip(crate::world::envelope("g", 0, &["x"]))]).await, ["Dropped"]);
    assert_eq!(proxy.count(), 0);
}
