//! Every event is what docs/event.schema.json says, and the schema knows the variables that the code knows.

use apigw_log_forwarder::access_log::{Kind, documented_variables};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::events::access::{
    HTTP_CLF, HTTP_CSV, HTTP_JSON, HTTP_XML, REST_CLF, REST_CSV, REST_JSON, REST_XML, WEBSOCKET_CLF, WEBSOCKET_CSV,
    WEBSOCKET_JSON, WEBSOCKET_XML, WIDE_JSON, render,
};
use crate::events::call::{Api, Inventor};
use crate::events::samples::SAMPLES;
use crate::world::{TIMEOUT, World, envelope, gzip};

pub(crate) const DOCUMENTED: [(Api, &str); 12] = [
    (Api::Rest, REST_CLF),
    (Api::Rest, REST_JSON),
    (Api::Rest, REST_XML),
    (Api::Rest, REST_CSV),
    (Api::Http, HTTP_CLF),
    (Api::Http, HTTP_JSON),
    (Api::Http, HTTP_XML),
    (Api::Http, HTTP_CSV),
    (Api::WebSocket, WEBSOCKET_CLF),
    (Api::WebSocket, WEBSOCKET_JSON),
    (Api::WebSocket, WEBSOCKET_XML),
    (Api::WebSocket, WEBSOCKET_CSV),
];

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/event.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the schema")).expect("JSON")
}

fn validator() -> Validator {
    jsonschema::draft202012::meta::validate(&schema()).expect("a valid schema");
    jsonschema::draft202012::new(&schema()).expect("a valid schema")
}

#[track_caller]
fn conform(validator: &Validator, events: &[Value]) {
    for event in events {
        let errors: Vec<String> =
            validator.iter_errors(event).map(|error| format!("{} at {}", error, error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?} in {event:#}");
    }
}

#[tokio::test]
async fn every_event_of_the_samples_conforms() {
    let validator = validator();
    let world = World::start(&[("AWS_LAMBDA_LOG_GROUP_NAME", "none")]).await;
    for sample in SAMPLES {
        let event = serde_json::from_str(&sample.event().json()).expect("JSON");
        world.invoke_event(&event, TIMEOUT).await;
    }
    let events = world.analytics.accepted_events();
    conform(&validator, &events);
    for kind in ["access", "execution", "text"] {
        assert!(events.iter().any(|event| event["kind"] == kind), "{kind}");
    }
}

#[tokio::test]
async fn every_event_of_a_documented_format_conforms_with_and_without_the_setting() {
    let validator = validator();
    let mut inventor = Inventor::new(11);
    let mut lines = Vec::new();
    for (api, format) in DOCUMENTED.into_iter().chain([(Api::Rest, WIDE_JSON)]) {
        lines.extend((0..20).map(|_| render(format, &inventor.call(api))));
        // A request that was refused before anything was known of it.
        lines.push(blank(format));
    }
    lines.extend(["{}", "[1]", "", "{\"a\":[null]}", "no format at all [TRUNCATED]"].map(str::to_owned));
    let messages: Vec<&str> = lines.iter().map(String::as_str).collect();
    let all = DOCUMENTED.map(|(_, format)| format).join("\n");
    for setting in ["", WIDE_JSON, &all] {
        let world = World::start(&[("ACCESS_LOG_FORMAT", setting)]).await;
        assert_eq!(world.results(&[gzip(envelope("g", 0, &messages))]).await, ["Dropped"]);
        let events = world.analytics.accepted_events();
        assert_eq!(events.len(), messages.len());
        conform(&validator, &events);
    }
}

/// The line of a format without any value.
fn blank(format: &str) -> String {
    let mut names = variables(format);
    // A name may be the start of another.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.iter().fold(format.to_owned(), |line, name| line.replace(&format!("$context.{name}"), "-"))
}

/// The names of a format's variables, in their order.
pub(crate) fn variables(format: &str) -> Vec<String> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '.';
    let names = format.split("$context.").skip(1).map(|rest| rest.split(|c| !is_name(c)).next().unwrap_or_default());
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_documented_variable_conforms_whatever_its_value() {
    let validator = validator();
    let names: Vec<&str> = documented_variables().map(|(name, _)| name).collect();
    let further = ["authorizer.claims.sub", "authorizer.tenant", "requestOverride.header.X-A", "new.a.b", "identity"];
    let names: Vec<&str> = names.into_iter().chain(further).collect();
    let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":\"$context.{name}\"")).collect();
    let format = format!("{{{}}}", members.join(","));
    let world = World::start(&[("ACCESS_LOG_FORMAT", &format)]).await;
    let lines = ["7", "true", "x y", "-", ""].map(|value| {
        json!(names.iter().map(|name| ((*name).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>())
            .to_string()
    });
    let messages: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(world.results(&[gzip(envelope("g", 0, &messages))]).await, ["Dropped"]);
    let events = world.analytics.accepted_events();
    conform(&validator, &events);
    for (name, kind) in documented_variables().filter(|(name, _)| *name != "identity.apiKey") {
        let values = events
            .iter()
            .map(|event| &event["context"])
            .filter_map(|context| name.split('.').try_fold(context, |value, part| value.get(part)));
        let expected = match kind {
            Kind::Number => [json!(7), json!("true"), json!("x y")],
            Kind::Bool => [json!("7"), json!(true), json!("x y")],
            _ => [json!("7"), json!("true"), json!("x y")],
        };
        assert_eq!(values.cloned().collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn the_schema_has_the_variables_of_the_table_with_their_types() {
    let mut context = group("object");
    for (name, kind) in documented_variables() {
        let definition = match kind {
            Kind::Number => "#/$defs/number",
            Kind::Bool => "#/$defs/boolean",
            _ => "#/$defs/text",
        };
        let mut parts: Vec<&str> = name.split('.').collect();
        let own = parts.pop().expect("a name");
        let level = parts.iter().fold(&mut context, |level, part| {
            let below = &mut level["properties"][part];
            if below.is_null() {
                *below = group(["object", "string"]);
            }
            below
        });
        level["properties"][own] = json!({ "$ref": definition });
    }
    let mut found = schema()["$defs"]["context"].clone();
    found.as_object_mut().expect("an object").remove("description");
    assert_eq!(found, context, "docs/event.schema.json should have as `context`: {context:#}");
}

/// A level of `context`, still without a variable.
fn group(kind: impl Into<Value>) -> Value {
    json!({
        "type": kind.into(),
        "minProperties": 1,
        "properties": {},
        "additionalProperties": { "$ref": "#/$defs/unknown" },
    })
}

#[test]
fn the_schema_refuses_what_is_no_event() {
    let validator = validator();
    let access = json!({"id": "7", "timestamp": "2026-11-21T18:59:00.123Z", "kind": "access"});
    let with = |changes: Value| {
        let mut event = access.clone();
        event.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        event
    };
    conform(&validator, std::slice::from_ref(&access));
    conform(&validator, &[with(json!({"context": {"status": 200, "identity": {"sourceIp": "192.0.2.7"}}}))]);
    conform(&validator, &[with(json!({"kind": "text", "message": "", "parseError": "no"}))]);
    conform(&validator, &[with(json!({"kind": "execution", "execution": {"requestId": "r", "complete": true}}))]);
    for changes in [
        json!({"kind": "other"}),
        json!({"new": 1}),
        json!({"timestamp": "2026-11-21T18:59:00Z"}),
        json!({"message": "x"}),
        json!({"truncated": true}),
        json!({"context": {}}),
        json!({"context": {"status": true}}),
        json!({"context": {"status": "-"}}),
        json!({"context": {"requestId": 7}}),
        json!({"context": {"authorizer": {"a": 7}}}),
        json!({"kind": "text", "message": "x"}),
        json!({"kind": "text", "message": "x", "parseError": "no", "context": {"status": 200}}),
        json!({"kind": "execution"}),
        json!({"kind": "execution", "execution": {"requestId": "r"}}),
        json!({"kind": "execution", "execution": {"requestId": "r", "complete": true, "new": 1}}),
        json!({"kind": "execution", "execution": {"requestId": "r", "complete": true, "request": {"headers": {"a": 1}}}}),
    ] {
        assert!(!validator.is_valid(&with(changes.clone())), "{changes}");
    }
}
