//! How the destinations that are known by name answer a body that they take, and what of it is an event.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::answer::Answer;

/// Answers a body, its content coding undone, as a destination does. `seen` are the ids that it has.
pub(super) fn answer(destination: &str, body: &[u8], seen: &mut HashSet<String>) -> Answer {
    match destination {
        "elastic" => {
            let actions = values(body).into_iter().step_by(2);
            let statuses: Vec<u16> = actions
                .map(|action| {
                    let id = action.pointer("/create/_id").and_then(Value::as_str).unwrap_or_default();
                    if seen.insert(id.to_owned()) { 201 } else { 409 }
                })
                .collect();
            let items: Vec<Value> = statuses.iter().map(|status| json!({"create": {"status": status}})).collect();
            Answer::status(200).json(&json!({"errors": statuses.contains(&409), "items": items}))
        }
        "splunk-hec" => Answer::status(200).json(&json!({"text": "Success", "code": 0})),
        "datadog" | "new-relic" => Answer::status(202).json(&json!({})),
        "otlp" => Answer::status(200).body(""),
        _ => Answer::status(204).body(""),
    }
}

/// Returns the JSON values of a body: those of an array, those that stand one behind the other, or those of a line each.
pub(super) fn values(body: &[u8]) -> Vec<Value> {
    let values: Vec<Value> = serde_json::Deserializer::from_slice(body).into_iter().map_while(Result::ok).collect();
    match values.as_slice() {
        [Value::Array(values)] => values.clone(),
        _ => values,
    }
}
