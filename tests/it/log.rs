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
    world.analytics.script([
        Answer::status(503),
        Answer::status(400).body(r#"{"error":"bad","token":"marker-answer"}"#),
        Answer::status(500),
    ]);
    let line = r#"{"user":"marker-user","path":"/marker-path?q=marker-query","authorization":"marker-secret"}"#;
    let records = [
        gzip(envelope("group", 0, &[line, "marker-text"])),
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

#[tokio::test]
async fn an_invocation_writes_few_lines_whatever_comes_in() {
    let world = World::start(&[("MAX_BATCH_BYTES", "400"), ("MAX_ATTEMPTS", "1")]).await;
    world.invoke(&[gzip(envelope("g", 0, &["first"]))]).await;
    let long = "x".repeat(400);
    let oversized = gzip(envelope("a\nlog group", 7, &vec![long.as_str(); 5_000]));
    world.analytics.refuse(422, |_| true);
    let mut records = vec![b"\x1f\x8bdamaged".to_vec(); 10_000];
    records.push(oversized);
    records.push(gzip(envelope("g", 1, &["refused"; 30])));
    let before = world.function.lines().len();
    assert!(world.results(&records).await.iter().all(|result| result == "ProcessingFailed"));
    let lines = json_lines(&world).split_off(before);
    assert!(lines.len() <= 22, "{}", lines.len());
    let with = |text: &str| {
        lines.iter().filter(|line| line["message"].as_str().is_some_and(|said| said.contains(text))).count()
    };
    assert_eq!((with("it cannot be read"), with("they cannot be read")), (3, 1));
    assert_eq!((with("is too large"), with("are too large")), (3, 1));
    assert!(with("not delivered") > 0, "{lines:?}");
    let further = lines.iter().find(|line| line["message"] == "further records kept: they cannot be read");
    assert_eq!(further.map(|line| &line["others"]), Some(&Value::from(9_997)));
    let large = lines.iter().find(|line| line["id"].is_string()).expect("a line on an event");
    assert_eq!((&large["log_group"], &large["record"]), (&Value::from("a\nlog group"), &Value::from(10_000)));
    assert_eq!((&large["id"], &large["record_id"]), (&Value::from(crate::world::id(7)), &Value::from("10000")));
    assert!(lines.iter().all(|line| line.get("_aws").is_some() || line.to_string().len() < 1_500));
}

#[tokio::test]
async fn the_level_is_the_one_that_is_set_and_metrics_have_none() {
    for (settings, lines) in [
        ([("LOG_LEVEL", ""), ("AWS_LAMBDA_LOG_LEVEL", "ERROR")], 1),
        ([("LOG_LEVEL", "error"), ("AWS_LAMBDA_LOG_LEVEL", "DEBUG")], 1),
        ([("LOG_LEVEL", "info"), ("AWS_LAMBDA_LOG_LEVEL", "ERROR")], 2),
    ] {
        let world = World::start(&settings).await;
        world.invoke(&[gzip(envelope("g", 0, &["x"]))]).await;
        let lines_written = json_lines(&world);
        assert_eq!(lines_written.len(), lines, "{settings:?}");
        assert!(lines_written.iter().any(|line| line.get("_aws").is_some()));
    }
}
