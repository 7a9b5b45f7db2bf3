//! `{"check":…}`: what the function says of itself, and that nothing secret is in it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::loopback::{Answer, CLIENT_SECRET};
use crate::world::{CREDENTIALS_PARAMETER, TOKEN_PARAMETER, World, record};

const TIMEOUT: Duration = Duration::from_secs(10);

async fn check(world: &World, asked: &Value) -> Value {
    world.runtime.invoke(json!({"check": asked}).to_string(), TIMEOUT).await.json()
}

/// The values of a metric, in the order of the invocations.
fn metric(world: &World, name: &str) -> Vec<u64> {
    let lines = world.function.lines();
    let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line.get("_aws").is_some()).filter_map(|line| line[name].as_u64()).collect()
}

#[tokio::test]
async fn a_well_function_says_so_and_delivers_one_marker() {
    let secret_settings = [
        ("ACCESS_LOG_FORMAT", r#"{"id":"$context.requestId","s":"$context.status"}"#),
        ("REQUEST_HEADERS", "X-Tenant: a-secret-value"),
        ("STATIC_FIELDS", r#"{"env":"a-secret-value"}"#),
    ];
    let world = World::start(&secret_settings).await;
    let report = check(&world, &json!({})).await;
    assert_eq!((&report["ok"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    assert_eq!(report["formats"], json!([{"format": secret_settings[0].1, "variables": 2}]));
    let names = [(TOKEN_PARAMETER, false), (CREDENTIALS_PARAMETER, true)];
    let parameters: Vec<_> = names.iter().map(|(name, found)| json!({"name": name, "found": found})).collect();
    assert_eq!(report["parameters"], json!(parameters));
    assert_eq!(report["token"]["from"], "endpoint");
    assert!(report["token"]["expiresInSeconds"].as_i64().is_some_and(|seconds| seconds > 0));
    assert_eq!((&report["delivery"]["status"], &report["delivery"]["accepted"]), (&json!(200), &json!(true)));
    assert!(report["delivery"]["ms"].is_u64() && report["token"]["ms"].is_u64());
    assert_eq!(report["settings"]["REQUEST_HEADERS"], json!(["X-Tenant"]));
    let text = report.to_string();
    assert!(!text.contains("a-secret-value") && !text.contains(CLIENT_SECRET), "{text}");

    let markers = world.analytics.accepted_events();
    let [marker] = markers.as_slice() else { panic!("one marker: {markers:?}") };
    assert_eq!((&marker["kind"], &marker["message"]), (&json!("text"), &json!("apigw-log-forwarder check")));

    let again = check(&world, &json!({})).await;
    assert_eq!(again["token"]["from"], "memory");
    let (runtime, _another) = world.another(&[]).await;
    let other = runtime.invoke(json!({"check": {}}).to_string(), TIMEOUT).await.json();
    assert_eq!(other["token"]["from"], "store");
    assert_eq!(other["parameters"][0]["found"], true);
    assert_eq!(metric(&world, "CheckFailed"), [0, 0]);
    assert_eq!(world.endpoint.count(), 1);
    // It is Firehose's function as before.
    assert_eq!(world.results(&[record(0)]).await, ["Dropped"]);
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_a_problem() {
    let world = World::start(&[("MAX_ATTEMPTS", "1"), ("FORMATS_PARAMETER", "/forwarder/formats")]).await;
    world.analytics.script([Answer::status(503).body("down for maintenance")]);
    let report = check(&world, &json!({})).await;
    assert_eq!(report["ok"], false);
    let problems: Vec<&str> = report["problems"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    for expected in ["FORMATS_PARAMETER is missing", "/forwarder/formats does not exist", "503"] {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
    assert_eq!((&report["delivery"]["status"], &report["delivery"]["accepted"]), (&json!(503), &json!(false)));
    assert_eq!(metric(&world, "CheckFailed"), [1]);

    world.store.delete(CREDENTIALS_PARAMETER);
    let (runtime, _another) = world.another(&[]).await;
    world.store.delete(TOKEN_PARAMETER);
    let report = runtime.invoke(json!({"check": {}}).to_string(), TIMEOUT).await.json();
    assert_eq!(
        (&report["ok"], report.get("token"), report["delivery"]["status"].is_null()),
        (&json!(false), None, true)
    );
    assert!(report["problems"].to_string().contains("CREDENTIALS_PARAMETER"), "{report}");
}

#[tokio::test]
async fn lines_are_explained_and_not_delivered() {
    let world = World::start(&[]).await;
    let line = r#"{"requestId":"r-1","status":"200","ip":"192.0.2.1"}"#;
    let report = check(&world, &json!({"lines": [line, "Authorization: Bearer abc"], "logGroup": "orders"})).await;
    assert_eq!(report["ok"], true);
    assert_eq!(report["lines"][0]["event"]["kind"], "access");
    assert_eq!(report["lines"][0]["event"]["logGroup"], "orders");
    assert_eq!(report["lines"][0]["event"]["fields"]["status"], "200");
    assert_eq!(report["lines"][1]["event"]["message"], "Authorization: [REDACTED]");
    assert_eq!((report.get("delivery"), report.get("token")), (None, None));
    assert_eq!((world.analytics.count(), world.endpoint.count()), (0, 0));
}

#[tokio::test]
async fn an_event_with_records_is_firehoses() {
    let world = World::start(&[]).await;
    let answer = world.runtime.invoke(json!({"check": {}, "records": []}).to_string(), TIMEOUT).await.json();
    assert_eq!(answer, json!({"records": []}));
}
