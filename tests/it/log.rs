//! What the function writes: one summary and one line of metrics an invocation, the rest by exception, and never content.

use serde_json::Value;

use crate::loopback::{Answer, CLIENT_SECRET};
use crate::world::{World, envelope, gzip};

fn json_lines(world: &World) -> Vec<Value> {
    world.function.lines().iter().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

#[tokio::test]
async fn an_invocation_writes_a_summary_and_metrics_that_balance() {
    let world = World::start(&[("METRICS_NAMESPACE", "Test"), ("MAX_BATCH_EVENTS", "2")]).await;
    world.analytics.refuse(422, |event| event["message"] == "poison");
    let records = [
        gzip(envelope("g", 0, &["a", "b", "{\"k\":1}"])),
        gzip(envelope("g", 3, &["poison", "c"])),
        b"\x1f\x8bdamaged".to_vec(),
        gzip(b""),
    ];
    world.invoke(&records).await;
    let lines = json_lines(&world);
    let of = |key: &str| lines.iter().find(|line| line.get(key).is_some()).expect("a line");
    let metrics = of("_aws");
    assert_eq!(metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Test");
    let number = |name: &str| metrics[name].as_u64().unwrap_or_else(|| panic!("{name}"));
    assert_eq!(number("RecordsReceived"), 4);
    assert_eq!(number("RecordsReceived"), number("RecordsOk") + number("RecordsDropped") + number("RecordsFailed"));
    assert_eq!((number("RecordsFailed"), number("RecordsDropped")), (2, 2));
    assert_eq!((number("LinesReceived"), number("LinesDelivered"), number("LinesFailed")), (5, 3, 2));
    assert_eq!((number("EventsDelivered"), number("EventsFailed"), number("LinesUnparsed")), (4, 1, 4));
    assert_eq!((number("ColdStart"), number("TokenRequests"), number("TokenStoreReads")), (1, 1, 1));
    assert_eq!(number("Attempts"), world.analytics.count() as u64);
    let summary = lines.iter().find(|line| line["message"] == "invocation settled").expect("a summary");
    assert_eq!((&summary["level"], summary["lines"].as_u64()), (&Value::from("INFO"), Some(5)));

    let before = world.function.lines().len();
    world.invoke(&[gzip(envelope("g", 9, &["x"]))]).await;
    assert_eq!(world.function.lines().len(), before + 2);
}

#[tokio::test]
async fn nothing_of_content_headers_or_secrets_is_written_at_any_level() {
    let world = World::start(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE")]).await;
    world.analytics.script([Answer::status(503), Answer::status(400).body("marker-answer"), Answer::status(500)]);
    let line = r#"{"user":"marker-user","path":"/marker-path?q=marker-query","authorization":"marker-secret"}"#;
    let records = [
        gzip(envelope("marker-group", 0, &[line, "marker-text"])),
        b"{\"messageType\":\"marker-type\",\"logEvents\":[]}".to_vec(),
        b"marker-plain".to_vec(),
    ];
    world.invoke(&records).await;
    world.endpoint.revoke(&world.endpoint.tokens()[0]);
    world.endpoint.script([Answer::status(400).body(r#"{"error":"marker error"}"#)]);
    world.invoke(&records).await;
    world.runtime.invoke(r#"{"marker-event":"marker-value"}"#, crate::world::TIMEOUT).await;
    let written = world.function.lines().join("\n");
    assert!(!written.contains("marker"), "{written}");
    assert!(!written.contains(CLIENT_SECRET));
    assert!(world.endpoint.tokens().iter().all(|token| !written.contains(token.as_str())));
}
