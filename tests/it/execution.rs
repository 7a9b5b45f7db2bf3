//! What becomes of execution logs, driven through the function: the lines of a request in every order, and vended records.

use serde_json::json;

use crate::events::access::WIDE_JSON;
use crate::events::call::{Api, Inventor};
use crate::events::envelope::execution_group;
use crate::events::execution;
use crate::formats::{becomes, events};
use crate::world::{World, envelope, gzip};

#[tokio::test]
async fn interleaved_requests_over_records_are_one_event_each() {
    let mut inventor = Inventor::new(8);
    let calls = [(); 4].map(|()| inventor.call(Api::Rest));
    let traces: Vec<Vec<String>> = calls.iter().map(execution::trace).collect();
    let longest = traces.iter().map(Vec::len).max().expect("four");
    let lines: Vec<&str> =
        (0..longest).flat_map(|at| traces.iter().filter_map(move |trace| trace.get(at))).map(String::as_str).collect();
    let group = execution_group(Api::Rest);
    let records: Vec<Vec<u8>> =
        lines.chunks(7).enumerate().map(|(index, lines)| gzip(envelope(&group, index * 7, lines))).collect();
    let world = World::start(&[("ARCHIVE", "structured")]).await;
    let verdicts = world.invoke(&records).await;
    assert!(verdicts.iter().all(|verdict| verdict.result == "Ok" || verdict.result == "Dropped"), "{verdicts:?}");
    let events = world.analytics.accepted_events();
    assert_eq!(events.len(), 4);
    for (event, call) in events.iter().zip(&calls) {
        let execution = &event["execution"];
        let is_own = |line: &&str| line.starts_with(&format!("({})", call.request_id));
        let own: Vec<usize> = (0..lines.len()).filter(|at| is_own(&lines[*at])).collect();
        assert_eq!(event["id"], crate::world::id_of_lines(&own));
        assert_eq!((&event["apiId"], &event["stage"]), (&json!("a1b2c3d4e5"), &json!("prod")));
        assert_eq!(execution["requestId"], json!(call.request_id));
        assert_eq!(execution["extendedRequestId"], json!(call.extended_id));
        assert_eq!(execution["complete"], true);
        assert_eq!((&execution["method"], &execution["resourcePath"]), (&json!(call.method), &json!(call.path())));
        assert_eq!(
            (&execution["status"], &execution["integrationLatency"]),
            (&json!(call.status), &json!(call.integration_ms))
        );
        assert_eq!(execution["request"]["headers"]["X-Forwarded-For"], format!("{}, 203.0.113.9", call.source_ip));
        assert_eq!(execution["request"]["headers"]["Host"], "api.example.com");
        assert_eq!(execution["request"]["query"], json!({"limit": "20"}));
        assert_eq!(execution["endpoint"]["requestHeaders"]["Authorization"], "[REDACTED]");
        assert_eq!(execution["endpoint"]["requestId"], json!(call.integration_id));
        assert_eq!(execution["response"]["body"], format!(r#"{{"id":{},"type":"dog"}}"#, call.item));
    }
}

#[tokio::test]
async fn lines_cut_at_1024_bytes_keep_what_is_left_of_them() {
    let long = "x".repeat(2000);
    let lines = [
        execution::line("r-1", "Starting execution for request: r-1"),
        execution::line("r-1", &format!("Method request headers: {{Accept=*/*, X-Long={long}")),
        execution::line("r-1", &format!("Endpoint request body after transformations: {{\"a\":1,\"b\":\"{long}")),
        execution::line("r-1", "Execution failed due to a timeout error"),
        execution::line("r-1", "Method completed with status: 504"),
        execution::line("r-2", &format!("News of {long}")),
    ];
    let messages: Vec<&str> = lines.iter().map(String::as_str).collect();
    let cut = |index: usize, phrase: &str| {
        let kept = messages[index].strip_suffix(" [TRUNCATED]").expect("it was cut");
        kept[kept.find(phrase).expect("the phrase")..].to_owned()
    };
    let header = cut(1, "xxx");
    let body = cut(2, "{\"a\"");
    becomes(
        "",
        "API-Gateway-Execution-Logs_a1b2c3/prod",
        &messages,
        &[
            json!({"kind": "execution", "apiId": "a1b2c3", "stage": "prod", "truncated": true,
                "execution": {"requestId": "r-1", "complete": true, "status": 504,
                    "request": {"headers": {"Accept": "*/*", "X-Long": header}},
                    "endpoint": {"requestBody": body},
                    "errors": ["Execution failed due to a timeout error"]}}),
            json!({"kind": "execution", "apiId": "a1b2c3", "stage": "prod", "truncated": true,
                "execution": {"requestId": "r-2", "complete": false,
                    "other": [format!("{} [TRUNCATED]", cut(5, "News"))]}}),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_throttled_request_and_one_that_timed_out_are_told() {
    becomes(
        "",
        "API-Gateway-Execution-Logs_a1b2c3/prod",
        &[
            "(r-1) Extended Request Id: EXa=",
            "(r-1) Key throttle limit exceeded for RestApi a1b2c3, Stage prod, Resource r1, HttpMethod POST. Limit: 1.00 Burst: 1",
            "(r-1) Method completed with status: 429",
            "(r-2) Sending request to https://example.com/o",
            "(r-2) Received response. Integration latency: 40 ms",
            "(r-2) Endpoint response body before transformations: {\n  \"a\": 1\n}\n",
            "(r-2) Lambda execution failed with status 200 due to customer function error: no. Lambda request id: 1-2",
            "(r-2) Method completed with status: 502",
            "Starting execution",
        ],
        &[
            json!({"kind": "text", "apiId": "a1b2c3", "stage": "prod", "message": "Starting execution",
                "parseError": "no request id in parentheses at byte 0"}),
            json!({"kind": "execution", "apiId": "a1b2c3", "stage": "prod",
                "execution": {"requestId": "r-1", "extendedRequestId": "EXa=", "complete": true, "status": 429,
                    "errors": ["Key throttle limit exceeded for RestApi a1b2c3, Stage prod, Resource r1, HttpMethod POST. Limit: 1.00 Burst: 1"]}}),
            json!({"kind": "execution", "apiId": "a1b2c3", "stage": "prod",
                "execution": {"requestId": "r-2", "complete": false, "status": 502, "integrationLatency": 40,
                    "endpoint": {"uri": "https://example.com/o", "responseBody": "{\n  \"a\": 1\n}\n"},
                    "errors": ["Lambda execution failed with status 200 due to customer function error: no. Lambda request id: 1-2"]}}),
        ],
    )
    .await;
}

#[tokio::test]
async fn vended_records_are_the_same_event_as_the_lines_in_them() {
    let call = Inventor::new(9).call(Api::Rest);
    let lines = execution::trace(&call);
    let messages: Vec<&str> = lines.iter().map(String::as_str).collect();
    let expected = events("", &execution_group(Api::Rest), &messages).await;
    let vended = |payload: &str| {
        json!({
            "resource_arn": "arn:aws:apigateway:us-east-1::/restapis/a1b2c3d4e5/stages/prod",
            "event_timestamp": call.at_ms, "api_id": "a1b2c3d4e5", "stage": "prod", "resource_path": call.resource,
            "http_method": call.method, "payload": payload,
        })
        .to_string()
    };
    let records: Vec<String> = lines.iter().map(|line| vended(line)).collect();
    let messages: Vec<&str> = records.iter().map(String::as_str).collect();
    becomes("", "/aws/vendedlogs/execution", &messages, &expected).await;
    becomes(WIDE_JSON, "/aws/vendedlogs/execution", &messages, &expected).await;
    becomes("", "/aws/vendedlogs/execution", &[&vended(&lines.join("\n"))], &expected).await;

    // Bare, as a stream of their own has them.
    let world = World::start(&[]).await;
    assert_eq!(world.results(&[records.join("\n").into_bytes()]).await, ["Dropped"]);
    let events = world.analytics.accepted_events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["execution"], expected[0]["execution"]);
    let time = jiff::Timestamp::from_millisecond(call.at_ms).expect("a time");
    assert_eq!(events[0]["timestamp"], format!("{time:.3}"));
}
