//! Any text: a second search changes nothing, JSON stays JSON, and a secret under a name of the list is gone.

#![no_main]

use apigw_log_forwarder::redact::Redactor;
use apigw_log_forwarder_fuzz::assert_strict_json;
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "zQ7yX2vK9w";

fuzz_target!(|data: (&str, &str, u8)| {
    let (before, after, choice) = data;
    let redactor = Redactor::new(["pin", "user[password]"]);
    let once = redactor.text(before);
    assert_eq!(redactor.text(&once), once);
    if serde_json::from_str::<serde_json::Value>(before).is_ok() {
        assert!(serde_json::from_str::<serde_json::Value>(&once).is_ok(), "{before} -> {once}");
        let mut written = Vec::new();
        redactor.write_json(before, &mut written);
        assert!(serde_json::from_slice::<serde_json::Value>(&written).is_ok());
    }
    // Planted where nothing around it can take its name away.
    let planted = match choice % 4 {
        0 => serde_json::json!({"a": before, "password": SECRET, "b": after}).to_string(),
        1 => serde_json::json!({"a": before, "headers": [{"name": "Authorization", "value": SECRET}]}).to_string(),
        2 => serde_json::json!({"body": serde_json::json!({"client_secret": SECRET, "b": after}).to_string()})
            .to_string(),
        _ => serde_json::json!({"queryStringParameters": {"sig": SECRET, "a": after}}).to_string(),
    };
    let shown = redactor.text(&planted);
    if !before.contains(SECRET) && !after.contains(SECRET) {
        assert!(!shown.contains(SECRET), "{planted} -> {shown}");
    }
    assert_strict_json(shown.as_bytes());
});
