//! Analytics APIs that are known by name: what they are sent, and which events their answers say were taken.

use std::io::Read as _;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use prost::Message as _;
use serde_json::{Value, json};

use crate::loopback::{Answer, Posted};

use crate::loopback::parameter_store::Operation;
use crate::world::{CREDENTIALS_PARAMETER, World, envelope, gzip, id};

/// The access log that stands for all, in CLF.
const FORMAT: (&str, &str) =
    ("ACCESS_LOG_FORMAT", "$context.requestId $context.httpMethod $context.path $context.status");
const ACCESS: &str = "r-1 GET /orders 200";
const TEXT: &str = "{ \"quoted\" text";

fn access(number: usize) -> String {
    format!("r-{number} GET /orders/{number} 200")
}

/// A record with so many events, whose ids count from `first`.
fn record(first: usize, count: usize) -> Vec<u8> {
    let messages: Vec<String> = (first..first + count).map(access).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    gzip(envelope("g", first, &messages))
}

/// Starts a function with a key for this destination, whose API answers so to whatever comes.
async fn world(destination: &str, settings: &[(&str, &str)], answer: Answer) -> World {
    let key = [("DESTINATION", destination), ("AUTH", "key"), ("DELIVERY_CONCURRENCY", "1"), FORMAT];
    let settings: Vec<_> = key.into_iter().chain(settings.iter().copied()).collect();
    let world = World::start(&settings).await;
    world.store.put(CREDENTIALS_PARAMETER, "k3y");
    world.analytics.otherwise(Some(answer));
    world
}

/// Sends an access event and a text event to a destination, and returns the request.
async fn sent(destination: &str, settings: &[(&str, &str)], answer: Answer) -> Posted {
    let world = world(destination, settings, answer).await;
    assert_eq!(world.results(&[gzip(envelope("g", 1, &[ACCESS, TEXT]))]).await, ["Dropped"], "{destination}");
    let requests = world.analytics.requests();
    assert_eq!((requests.len(), world.endpoint.count()), (1, 0));
    requests[0].clone()
}

fn body(posted: &Posted) -> String {
    String::from_utf8(posted.decoded.clone()).expect("text")
}

/// The two events as `json` has them, with other names of id and timestamp.
fn events(id_name: &str, time_name: &str) -> [String; 2] {
    let head = |number, kind| {
        format!(
            r#"{{"{id_name}":"{}","{time_name}":"2026-11-21T18:59:00.123Z","kind":"{kind}","owner":"111122223333","logGroup":"g","logStream":"stream","#,
            id(number)
        )
    };
    [
        head(1, "access") + r#""context":{"requestId":"r-1","httpMethod":"GET","path":"/orders","status":200}}"#,
        head(2, "text") + r#""message":"{ \"quoted\" text","parseError":"#,
    ]
}

#[tokio::test]
async fn azure_monitor_gets_an_array_with_its_own_names() {
    let posted = sent("azure-monitor", &[], Answer::status(204).body("")).await;
    let [access, text] = events("EventId", "TimeGenerated");
    assert!(body(&posted).starts_with(&format!("[{access},{text}")), "{}", body(&posted));
    assert_eq!(posted.received.header("content-encoding"), Some("gzip"));
    assert_eq!(posted.received.header("authorization"), Some("Bearer k3y"));
}

#[tokio::test]
async fn datadog_gets_its_reserved_attributes_and_the_events_fields() {
    let posted = sent("datadog", &[], Answer::status(202).body("{}")).await;
    let events: Value = serde_json::from_str(&body(&posted)).expect("JSON");
    assert_eq!(
        events[0],
        json!({
            "message": "GET /orders 200", "ddsource": "apigateway", "service": "g", "timestamp": 1_795_287_540_123_i64,
            "id": id(1), "kind": "access", "owner": "111122223333", "logGroup": "g", "logStream": "stream",
            "context": {"requestId": "r-1", "httpMethod": "GET", "path": "/orders", "status": 200},
        })
    );
    assert_eq!(events[1]["message"], TEXT);
    assert_eq!(posted.received.header("dd-api-key"), Some("k3y"));
    assert_eq!(posted.received.header("authorization"), None);
}

#[tokio::test]
async fn new_relic_gets_logs_with_attributes() {
    let posted = sent("new-relic", &[], Answer::status(202).body("{}")).await;
    let [access, _] = events("id", "timestamp");
    let start = format!(
        r#"[{{"logs":[{{"timestamp":1795287540123,"message":"GET /orders 200","attributes":{access}}},{{"timestamp":"#
    );
    assert!(body(&posted).starts_with(&start), "{}", body(&posted));
    assert!(body(&posted).ends_with("}}]}]"));
    assert_eq!(posted.received.header("api-key"), Some("k3y"));
}

#[tokio::test]
async fn splunk_gets_events_one_behind_the_other() {
    let posted = sent("splunk-hec", &[], Answer::status(200).body(r#"{"text":"Success","code":0}"#)).await;
    let [access, text] = events("id", "timestamp");
    let start = format!(r#"{{"time":1795287540.123,"event":{access}}}{{"time":1795287540.123,"event":{text}"#);
    assert!(body(&posted).starts_with(&start), "{}", body(&posted));
    assert_eq!(posted.received.header("authorization"), Some("Splunk k3y"));
}

fn items(statuses: &[u16]) -> Answer {
    let items: Vec<Value> = statuses.iter().map(|status| json!({"create": {"status": status}})).collect();
    Answer::status(200).json(&json!({"errors": statuses.iter().any(|status| *status > 299), "items": items}))
}

#[tokio::test]
async fn elastic_gets_an_action_and_a_document_for_each_event() {
    let posted = sent("elastic", &[], items(&[201, 201])).await;
    let [access, text] = events("id", "@timestamp");
    let start =
        format!("{{\"create\":{{\"_id\":\"{}\"}}}}\n{access}\n{{\"create\":{{\"_id\":\"{}\"}}}}\n{text}", id(1), id(2));
    assert!(body(&posted).starts_with(&start), "{}", body(&posted));
    assert!(body(&posted).ends_with("}\n"));
    assert_eq!(posted.received.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(posted.received.header("authorization"), Some("ApiKey k3y"));
}

#[tokio::test]
async fn dynatrace_gets_content_and_the_events_fields() {
    let posted = sent("dynatrace", &[], Answer::status(204).body("")).await;
    let start = r#"[{"timestamp":"2026-11-21T18:59:00.123Z","content":"GET /orders 200","id":"#;
    assert!(body(&posted).starts_with(start), "{}", body(&posted));
    assert_eq!(posted.received.header("authorization"), Some("Api-Token k3y"));
}

#[tokio::test]
async fn templates_names_and_static_fields_are_as_they_are_set() {
    let settings = [
        ("EVENT_TEMPLATE", r#"{"t":{epochMillis},"i":"{id}","e":{event}}"#),
        ("BODY_TEMPLATE", r#"{"records":{events},"v":1}"#),
        ("FIELD_NAMES", "id=eventId,timestamp=at"),
        ("STATIC_FIELDS", r#"{"env": "prod", "n": [1, 2]}"#),
        ("AUTH_HEADER", "X-Key: <{token}>"),
        ("REQUEST_HEADERS", "X-Tenant: orders\nX-Tenant: more\n"),
    ];
    let posted = sent("json", &settings, Answer::status(200).body("{}")).await;
    let [access, text] = events("eventId", "at");
    let access = access.strip_suffix('}').expect("an object");
    let event = |number, rest: &str| format!(r#"{{"t":1795287540123,"i":"{}","e":{rest}"#, id(number));
    let start = format!(r#"{{"records":[{}{},{}"#, event(1, access), r#","env":"prod","n":[1,2]}}"#, event(2, &text));
    assert!(body(&posted).starts_with(&start), "{}", body(&posted));
    assert!(body(&posted).ends_with(r#","env":"prod","n":[1,2]}}],"v":1}"#), "{}", body(&posted));
    assert_eq!(posted.received.header("x-key"), Some("<k3y>"));
    assert_eq!(posted.received.header("x-tenant"), Some("orders"));
    assert_eq!(posted.received.header("authorization"), None);
}

#[tokio::test]
async fn elastic_answers_are_followed_to_the_records() {
    let world = world("elastic", &[], Answer::status(500)).await;
    // Six events in three records: taken, there already, to be sent again twice, refused, taken.
    let answers = [items(&[201, 409, 429, 503, 400, 201]), items(&[201, 429]), items(&[201])];
    world.analytics.script(answers);
    let records = [record(0, 2), record(2, 2), record(4, 2)];
    assert_eq!(world.results(&records).await, ["Dropped", "Dropped", "ProcessingFailed"]);
    let sent: Vec<Vec<String>> = world
        .analytics
        .requests()
        .iter()
        .map(|posted| {
            let lines = posted.events.iter().filter_map(|line| line["create"]["_id"].as_str());
            lines.map(str::to_owned).collect()
        })
        .collect();
    let ids = |numbers: &[usize]| numbers.iter().map(|number| id(*number)).collect::<Vec<_>>();
    assert_eq!(sent, [ids(&[0, 1, 2, 3, 4, 5]), ids(&[2, 3]), ids(&[3])]);
}

#[tokio::test]
async fn an_item_that_is_not_named_is_not_accepted() {
    for answer in [items(&[201]), Answer::status(200).body("{}"), Answer::status(200).body("no JSON")] {
        let world = world("elastic", &[], answer).await;
        assert_eq!(world.results(&[record(0, 2)]).await, ["ProcessingFailed"]);
        assert_eq!(world.analytics.count(), 1);
    }
}

#[tokio::test]
async fn splunk_takes_what_stands_before_the_event_that_it_refuses() {
    let world = world("splunk-hec", &[], Answer::status(200).body(r#"{"text":"Success","code":0}"#)).await;
    let refusal = r#"{"text":"Event field cannot be blank","code":13,"invalid-event-number":2}"#;
    world.analytics.script([Answer::status(400).body(refusal)]);
    let records = [record(0, 2), record(2, 2), record(4, 2)];
    assert_eq!(world.results(&records).await, ["Dropped", "ProcessingFailed", "Dropped"]);
    let sent: Vec<usize> =
        world.analytics.requests().iter().map(|posted| body(posted).matches("\"event\":").count()).collect();
    assert_eq!(sent, [6, 3]);
}

#[tokio::test]
async fn splunk_is_busy_whatever_its_status_and_dynatraces_200_is_not_all() {
    let world_of = world("splunk-hec", &[], Answer::status(200).body(r#"{"text":"Success","code":0}"#)).await;
    world_of.analytics.script([Answer::status(503).body(r#"{"text":"Server is busy","code":9}"#)]);
    assert_eq!(world_of.results(&[record(0, 2)]).await, ["Dropped"]);
    assert_eq!(world_of.analytics.count(), 2);

    let world_of = world("dynatrace", &[], Answer::status(200).body(r#"{"details":{"message":"1 not"}}"#)).await;
    assert_eq!(world_of.results(&[record(0, 2)]).await, ["ProcessingFailed"]);
    assert_eq!(world_of.analytics.count(), 1);
}

/// A metric of the last invocation, whose line may come a moment after the answer.
async fn metric(world: &World, name: &str) -> u64 {
    loop {
        let lines = world.function.lines();
        let mut metrics = lines.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(value) = metrics.find_map(|line| line[name].as_u64()) {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_azure_will_cut_and_what_elastic_diverts_is_counted() {
    let azure = world("azure-monitor", &[], Answer::status(204).body("")).await;
    let message = |length| format!("text {}", "x".repeat(length));
    let (fits, cut) = (message(65_500), message(65_536));
    assert_eq!(azure.results(&[gzip(envelope("g", 1, &[&fits, &cut, &cut]))]).await, ["Dropped"]);
    assert_eq!(metric(&azure, "EventsCut").await, 2);
    let diverted = json!({"items": [{"create": {"status": 201, "failure_store": "used"}}]});
    let elastic = world("elastic", &[], Answer::status(200).json(&diverted)).await;
    assert_eq!(elastic.results(&[record(0, 1)]).await, ["Dropped"]);
    assert_eq!(metric(&elastic, "EventsDiverted").await, 1);
}

#[tokio::test]
async fn a_key_that_the_api_repeats_is_not_logged() {
    let world = world("datadog", &[], Answer::status(404).body("no such key k3y here")).await;
    assert_eq!(world.results(&[record(0, 1)]).await, ["ProcessingFailed"]);
    let log = world.function.lines().join("\n");
    assert!(log.contains("no such key [REDACTED] here") && !log.contains("k3y"), "{log}");
}

#[tokio::test]
async fn what_is_hidden_in_the_context_is_hidden_in_the_summary() {
    let hidden = [("REDACT_NAMES", "path,xrayTraceId")];
    let world = world("datadog", &hidden, Answer::status(202).body("{}")).await;
    assert_eq!(world.results(&[gzip(envelope("g", 1, &[ACCESS]))]).await, ["Dropped"]);
    let event = world.analytics.requests()[0].events[0].clone();
    assert_eq!((&event["message"], &event["context"]["path"]), (&json!("GET 200"), &json!("[REDACTED]")));
}

#[tokio::test]
async fn bodies_are_encoded_as_asked() {
    for coding in ["gzip", "zstd"] {
        let posted = sent("json", &[("PAYLOAD_ENCODING", coding)], Answer::status(200).body("{}")).await;
        assert_eq!(posted.received.header("content-encoding"), Some(coding));
        assert_eq!(posted.events.len(), 2);
        assert!(posted.received.body.len() < posted.decoded.len());
    }
}

#[tokio::test]
async fn datadogs_caps_hold() {
    let world = world("datadog", &[], Answer::status(202).body("{}")).await;
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1_000_000));
    let records = [record(0, 2100), gzip(envelope("g", 3000, &[long.as_str()]))];
    assert_eq!(world.results(&records).await, ["Dropped", "ProcessingFailed"]);
    let sent: Vec<usize> = world.analytics.requests().iter().map(|posted| posted.events.len()).collect();
    assert_eq!(sent, [1000, 1000, 100]);
}

#[tokio::test]
async fn a_key_is_read_again_when_it_is_refused_at_most_once_a_minute() {
    let world = world("datadog", &[], Answer::status(403).body("{}")).await;
    assert_eq!(world.results(&[record(0, 1), record(1, 1)]).await, ["ProcessingFailed"; 2]);
    assert_eq!((world.analytics.count(), world.store.count(Operation::GetSeveral)), (1, 2));
    // Within the minute the parameter is not read, whatever it holds now.
    world.store.put(CREDENTIALS_PARAMETER, r#"{"key": "n3w"}"#);
    assert_eq!(world.results(&[record(0, 1)]).await, ["ProcessingFailed"]);
    assert_eq!(world.store.count(Operation::GetSeveral), 2);
}

#[tokio::test]
async fn a_key_that_was_replaced_is_used_at_once() {
    let world = world("new-relic", &[], Answer::status(202).body("{}")).await;
    assert_eq!(world.results(&[record(0, 1)]).await, ["Dropped"]);
    world.store.put(CREDENTIALS_PARAMETER, r#"{"key":"n3w"}"#);
    world.analytics.script([Answer::status(403).body("{}")]);
    assert_eq!(world.results(&[record(1, 1)]).await, ["Dropped"]);
    let keys: Vec<_> = world
        .analytics
        .requests()
        .iter()
        .map(|posted| posted.received.header("api-key").expect("a key").to_owned())
        .collect();
    assert_eq!(keys, ["k3y", "k3y", "n3w"]);
    assert_eq!(world.store.count(Operation::GetSeveral), 2);
}

#[tokio::test]
async fn without_authentication_nothing_is_read_and_no_header_sent() {
    let world =
        World::start(&[("AUTH", "none"), ("TOKEN_URL", ""), ("TOKEN_PARAMETER", ""), ("CREDENTIALS_PARAMETER", "")])
            .await;
    world.analytics.otherwise(Some(Answer::status(200).body("{}")));
    assert_eq!(world.results(&[record(0, 1)]).await, ["Dropped"]);
    assert_eq!(world.analytics.requests()[0].received.header("authorization"), None);
    world.analytics.otherwise(Some(Answer::status(401)));
    assert_eq!(world.results(&[record(0, 1)]).await, ["ProcessingFailed"]);
    assert_eq!((world.store.requests().len(), world.analytics.count()), (0, 2));
}

#[tokio::test]
async fn further_parameters_of_a_token_request_are_sent_as_they_are() {
    let parameters = ("TOKEN_REQUEST_PARAMETERS", "resource=https%3A%2F%2Fa%2F&resource=b+c&x=");
    for (style, expected) in [
        ("post", "&resource=https%3A%2F%2Fa%2F&resource=b+c&x="),
        ("json", r#""resource":["https://a/","b c"],"x":"""#),
    ] {
        let world = World::start(&[parameters, ("TOKEN_AUTH_STYLE", style)]).await;
        assert_eq!(world.results(&[record(0, 1)]).await, ["Dropped"]);
        let request = String::from_utf8(world.endpoint.requests()[0].body.to_vec()).expect("text");
        assert!(request.contains(expected), "{request}");
    }
}

fn records(posted: &Posted) -> Vec<(ResourceLogs, Vec<LogRecord>)> {
    let request = ExportLogsServiceRequest::decode(posted.decoded.as_slice()).expect("a request");
    let records = |logs: &ResourceLogs| logs.scope_logs.iter().flat_map(|scope| scope.log_records.clone()).collect();
    request.resource_logs.into_iter().map(|logs| (logs.clone(), records(&logs))).collect()
}

/// An attribute's value as JSON.
fn json_of(value: &AnyValue) -> Value {
    match value.value.as_ref() {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::IntValue(number)) => json!(number),
        Some(any_value::Value::DoubleValue(number)) => json!(number),
        Some(any_value::Value::BoolValue(value)) => json!(value),
        Some(any_value::Value::ArrayValue(list)) => list.values.iter().map(json_of).collect(),
        Some(any_value::Value::KvlistValue(list)) => attributes(&list.values),
        other => panic!("{other:?}"),
    }
}

fn attributes(attributes: &[KeyValue]) -> Value {
    let pairs = attributes.iter().map(|pair| (pair.key.clone(), json_of(pair.value.as_ref().expect("a value"))));
    let count = attributes.len();
    let object: serde_json::Map<String, Value> = pairs.collect();
    assert_eq!(object.len(), count, "no name comes twice");
    object.into()
}

#[tokio::test]
async fn otlp_gets_log_records_with_the_names_of_the_conventions() {
    let format = r#"{"r":"$context.requestId","m":"$context.httpMethod","p":"$context.path","rp":"$context.resourcePath","s":$context.status,"ip":"$context.identity.sourceIp","proto":"$context.protocol","l":$context.responseLatency,"il":$context.integrationLatency,"x":"$context.xrayTraceId","t":"$context.error.responseType","tenant":"$context.authorizer.tenantId","own":{"n":1.5,"list":[1,"a"]}}"#;
    let line = r#"{"r":"r-1","m":"PURGE","p":"/prod/orders/7","rp":"/orders/{id}","s":504,"ip":"192.0.2.7","proto":"HTTP/2.0","l":29001,"il":29000,"x":"1-5759e988-bd862e3fe1be46a994272793","t":"INTEGRATION_TIMEOUT","tenant":"t1","own":{"n":1.5,"list":[1,"a"]}}"#;
    let settings = [("ACCESS_LOG_FORMAT", format), ("AWS_REGION", "eu-west-1"), ("STATIC_FIELDS", r#"{"env":"prod"}"#)];
    let world = world("otlp", &settings, Answer::status(200).body("")).await;
    assert_eq!(world.results(&[gzip(envelope("g", 1, &[line, TEXT]))]).await, ["Dropped"]);
    let posted = world.analytics.requests().remove(0);
    assert_eq!(posted.received.header("content-type"), Some("application/x-protobuf"));
    let groups = records(&posted);
    let [(resource, found)] = groups.as_slice() else { panic!("one group") };
    assert_eq!(
        attributes(&resource.resource.as_ref().expect("a resource").attributes),
        json!({
            "service.name": "g", "cloud.provider": "aws", "cloud.account.id": "111122223333", "cloud.region": "eu-west-1",
            "aws.log.group.names": ["g"],
        })
    );
    assert_eq!(resource.scope_logs[0].scope.as_ref().expect("a scope").name, env!("CARGO_PKG_NAME"));
    let [access, text] = found.as_slice() else { panic!("two records") };
    assert_eq!(
        attributes(&access.attributes),
        json!({
            "log.record.uid": id(1), "aws.log.stream.names": ["stream"], "aws.request_id": "r-1",
            "http.request.method": "_OTHER", "http.request.method_original": "PURGE", "url.path": "/prod/orders/7",
            "url.scheme": "https", "http.route": "/orders/{id}", "http.response.status_code": 504,
            "client.address": "192.0.2.7", "network.peer.address": "192.0.2.7", "network.protocol.name": "http",
            "network.protocol.version": "2", "apigw.response_latency_ms": 29001, "apigw.integration.latency_ms": 29000,
            "apigw.gateway_latency_ms": 1, "apigw.error_source": "integration", "error.type": "INTEGRATION_TIMEOUT",
            "apigw.error.response_type": "INTEGRATION_TIMEOUT", "apigw.authorizer.tenant_id": "t1",
            "apigw.fields.own": {"n": 1.5, "list": [1, "a"]}, "env": "prod",
        })
    );
    let time = 1_795_287_540_123_000_000;
    assert_eq!((access.time_unix_nano, access.observed_time_unix_nano, access.severity_number), (time, time, 17));
    assert_eq!(access.event_name, "apigw.access");
    assert_eq!(json_of(access.body.as_ref().expect("a body")), "PURGE /orders/{id} 504");
    assert_eq!(access.trace_id, 0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793_u128.to_be_bytes());
    assert_eq!((text.severity_number, text.event_name.as_str()), (0, ""));
    assert_eq!(json_of(text.body.as_ref().expect("a body")), TEXT);
}

#[tokio::test]
async fn otlp_bodies_keep_to_the_cap_and_group_records_by_their_origin() {
    let world = world("otlp", &[("MAX_BATCH_BYTES", "2000")], Answer::status(200).body("")).await;
    let envelopes: Vec<Vec<u8>> = (0..20)
        .map(|number| {
            let group = ["a", "b", "c"][number % 3];
            gzip(envelope(group, number * 10, &[&access(number), &access(number + 100)]))
        })
        .collect();
    assert!(world.results(&envelopes).await.iter().all(|result| result == "Dropped"));
    let requests = world.analytics.requests();
    let sizes: Vec<usize> = requests.iter().map(|posted| posted.decoded.len()).collect();
    assert!(sizes.iter().all(|size| *size <= 2000) && sizes.len() < 20, "{sizes:?}");
    let groups = requests.iter().flat_map(records);
    let counts: Vec<usize> = groups.map(|(_, records)| records.len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 40);
}

#[tokio::test]
async fn otlp_answers_are_final_but_for_four_and_a_partial_success_is_none() {
    let rejected = [0x0a, 6, 0x08, 2, 0x12, 2, b'n', b'o'];
    for (answer, requests, result) in [
        (Answer::status(200).body(rejected.to_vec()), 1, "ProcessingFailed"),
        (Answer::status(200).body("no protobuf"), 1, "Dropped"),
        (Answer::status(400).body(""), 1, "ProcessingFailed"),
        (Answer::status(500).body(""), 1, "ProcessingFailed"),
        (Answer::status(408).body(""), 1, "ProcessingFailed"),
        (Answer::status(503).body(""), 2, "ProcessingFailed"),
        (Answer::status(429).retry_after("0").body(""), 2, "ProcessingFailed"),
        (Answer::status(413).body(""), 3, "ProcessingFailed"),
    ] {
        let world = world("otlp", &[("MAX_ATTEMPTS", "2")], answer.clone()).await;
        assert_eq!(world.results(&[record(0, 2)]).await, [result], "{answer:?}");
        assert_eq!(world.analytics.count(), requests, "{answer:?}");
    }
}

#[tokio::test]
async fn a_receiver_of_otlp_that_rejects_some_is_not_taken_for_one_that_takes_nothing() {
    let rejected = [0x0a, 2, 0x08, 1];
    let world = world("otlp", &[("MAX_BATCH_EVENTS", "2")], Answer::status(200).body(rejected.to_vec())).await;
    for invocation in 1..=2 {
        let results = world.results(&[record(0, 2), record(2, 2), record(4, 2)]).await;
        assert_eq!(results, ["ProcessingFailed"; 3]);
        assert_eq!(world.analytics.count(), 3 * invocation);
    }
}

#[tokio::test]
async fn the_archive_of_any_destination_holds_the_structured_events() {
    for (destination, answer) in [("otlp", Answer::status(200).body("")), ("datadog", Answer::status(202).body("{}"))] {
        let world = world(destination, &[("ARCHIVE", "structured")], answer).await;
        let verdict = world.invoke(&[gzip(envelope("g", 1, &[ACCESS]))]).await.remove(0);
        let mut archived = String::new();
        let data = verdict.data.expect("an archive");
        MultiGzDecoder::new(data.as_slice()).read_to_string(&mut archived).expect("gzip");
        assert_eq!(archived.trim_end(), events("id", "timestamp")[0], "{destination}");
    }
}
