//! Input that nobody sends on purpose: nothing of it is lost, none of it harms its neighbours, and memory stays bounded.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::world::{World, envelope, gzip, id};

const GROUP: &str = "/aws/apigateway/pets";

/// Each of these records is either delivered in full or answered with its original bytes.
async fn is_kept(world: &World, records: &[Vec<u8>]) {
    let verdicts = world.invoke(records).await;
    assert_eq!(verdicts.len(), records.len());
    for (index, (verdict, record)) in verdicts.iter().zip(records).enumerate() {
        assert_eq!(verdict.id, index.to_string());
        match verdict.result.as_str() {
            "Dropped" => assert_eq!(verdict.data, None),
            "ProcessingFailed" => assert_eq!(verdict.data.as_ref(), Some(record)),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_hundred_thousand_tiny_events_are_all_delivered() {
    let world = World::start(&[]).await;
    let messages = vec!["x"; 100_000];
    assert_eq!(world.results(&[gzip(envelope(GROUP, 0, &messages))]).await, ["Dropped"]);
    let events = world.analytics.accepted_events();
    assert_eq!(events.len(), 100_000);
    // Bodies may arrive in another order than they were made.
    let mut ids: Vec<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), ids.first().copied(), ids.last().copied()), (100_000, Some(&*id(0)), Some(&*id(99_999))));
}

#[tokio::test]
async fn an_empty_event_is_an_event() {
    let world = World::start(&[]).await;
    assert_eq!(world.results(&[gzip(envelope(GROUP, 0, &["", "{}", "\"\"", "null"]))]).await, ["Dropped"]);
    let events = world.analytics.accepted_events();
    assert_eq!(events.len(), 4);
    assert_eq!((&events[0]["kind"], &events[0]["message"]), (&json!("text"), &json!("")));
    assert_eq!((&events[1]["kind"], &events[1]["message"]), (&json!("text"), &json!("{}")));
}

#[tokio::test]
async fn deep_nesting_is_kept_as_text() {
    let world = World::start(&[]).await;
    for open in ["[", "{\"a\":"] {
        let deep = open.repeat(200_000);
        let line = format!("{{\"deep\":{deep}");
        let records = [gzip(envelope(GROUP, 0, &[&line])), gzip(&deep), gzip(envelope(GROUP, 1, &["neighbour"]))];
        is_kept(&world, &records).await;
    }
    let messages = world.analytics.accepted_events();
    assert_eq!(messages.iter().filter(|event| event["message"] == "neighbour").count(), 2);
}

#[tokio::test]
async fn a_body_is_never_nested_deeper_than_common_parsers_read() {
    let world = World::start(&[]).await;
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let lines: Vec<String> = (100..140).map(nested).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(world.results(&[gzip(envelope(GROUP, 0, &lines))]).await, ["Dropped"]);
    // The loopback API reads bodies with serde_json, whose limit is 127.
    assert_eq!(world.analytics.accepted_events().len(), lines.len());
}

#[tokio::test]
async fn bombs_cost_no_more_memory_than_the_cap_allows() {
    let world = World::start(&[]).await;
    // A gzip of a gigabyte of zeros takes a megabyte; each record would inflate past the cap.
    let bomb = gzip(vec![b' '; 64 << 20]);
    let records = vec![bomb; 8];
    is_kept(&world, &records).await;
    assert!(world.analytics.accepted_events().is_empty());
    let peak = world.function.peak_memory_bytes().expect("it runs");
    assert!(peak < 100 << 20, "{peak}");
}

/// Invokes the function with these records, which are kept or delivered, and returns the most memory that it has held.
async fn peak_bytes(records: &[Vec<u8>]) -> u64 {
    let world = World::start(&[]).await;
    is_kept(&world, records).await;
    world.function.peak_memory_bytes().expect("it runs")
}

#[tokio::test]
async fn a_line_of_millions_of_keys_takes_no_memory_for_them() {
    let pairs = format!("{{{}}}", vec![r#""k":1"#; 1_000_000].join(","));
    let nested = format!("{{\"a\":[{}]}}", vec!["{\"k\":1}"; 700_000].join(","));
    for line in [pairs, nested] {
        let peak =
            peak_bytes(&[gzip(envelope(GROUP, 0, &[&line])), gzip(&line), gzip(envelope(GROUP, 1, &["x"]))]).await;
        assert!(peak < 128 << 20, "{peak}");
    }
}

#[tokio::test]
async fn a_record_of_millions_of_events_takes_no_memory_for_them() {
    let events = vec![r#"{"message":""}"#; 2_000_000].join(",");
    let record = format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{events}],"x":{{}}}}"#);
    // Damaged at its end, so that it is read and nothing of it is delivered.
    let peak = peak_bytes(&[gzip(record.trim_end_matches('}'))]).await;
    assert!(peak < 128 << 20, "{peak}");
}

#[tokio::test]
async fn a_record_of_half_a_million_envelopes_takes_no_memory_for_them() {
    let one = r#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":""}]}"#;
    let empty = r#"{"messageType":"DATA_MESSAGE","logEvents":[]}"#;
    // Damaged at its end, so that it is read and nothing of it is delivered; and read to its end.
    for record in [one.repeat(500_000) + "{", empty.repeat(700_000)] {
        let peak = peak_bytes(&[gzip(record)]).await;
        assert!(peak < 100 << 20, "{peak}");
    }
}

#[tokio::test]
async fn execution_lines_of_many_times_the_memory_fit() {
    let line = format!("Method request body before transformations: {}", "x".repeat(900));
    let record = |first: usize| {
        let lines: Vec<String> = (0..20_000).map(|number| format!("({}) {line}", (first + number) / 10)).collect();
        gzip(envelope(
            "API-Gateway-Execution-Logs_a1/prod",
            first,
            &lines.iter().map(String::as_str).collect::<Vec<_>>(),
        ))
    };
    let peak = peak_bytes(&(0..6).map(|number| record(number * 20_000)).collect::<Vec<_>>()).await;
    assert!(peak < 128 << 20, "{peak}");
}

#[tokio::test]
async fn two_lists_of_events_fail_their_record_alone() {
    let world = World::start(&[]).await;
    let one = envelope(GROUP, 0, &["a"]);
    let two = one
        .replace("\"logEvents\"", "\"logEvents\":[{\"id\":\"0\",\"timestamp\":1,\"message\":\"lost\"}],\"logEvents\"");
    assert_eq!(world.results(&[gzip(two), gzip(one)]).await, ["ProcessingFailed", "Dropped"]);
    assert_eq!(world.analytics.accepted_events().len(), 1);
}

#[test]
fn random_and_damaged_records_are_kept_or_delivered() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let world = runtime.block_on(World::start(&[("MAX_RECORD_BYTES", "100000")]));
    let whole = gzip(envelope(GROUP, 0, &["{\"status\":200}", "text", "(id) text"]));
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let damaged = (damage, any::<prop::sample::Index>(), any::<bool>()).prop_map(move |(damage, cut, is_cut)| {
        let mut bytes = whole.clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    });
    let plain = r#"[\{\}\[\]":,a-z0-9 \\\n]{0,80}"#.prop_map(String::into_bytes);
    let record =
        prop_oneof![damaged, plain.clone(), plain.prop_map(gzip), any::<Vec<u8>>(), any::<Vec<u8>>().prop_map(gzip)];
    let records = prop::collection::vec(record, 0..20);
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    runner
        .run(&records, |records| {
            runtime.block_on(is_kept(&world, &records));
            Ok(())
        })
        .expect("every record is kept or delivered");
}
