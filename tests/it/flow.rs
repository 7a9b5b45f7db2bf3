//! What becomes of records: shapes, events, bodies, verdicts, archives.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::loopback::LOG_GROUP;
use crate::world::{TIMEOUT, World, envelope, event, gzip, id, id_of_lines, ids};

fn hex(bytes: &[u8]) -> String {
    apigw_log_forwarder::ids::hex(bytes, bytes.len())
}

#[tokio::test]
async fn a_line_of_json_leaves_as_an_authorised_event() {
    let world = World::start(&[]).await;
    let line = r#"{ "requestId":"r-1","ip": "192.0.2.1","status":"200","extra":{"a":[1,true]} }"#;
    let verdicts = world.invoke(&[gzip(envelope("/aws/apigateway/pets", 7, &[line]))]).await;
    assert_eq!(verdicts[0].result, "Dropped");
    assert_eq!(verdicts[0].data, None);

    let requests = world.analytics.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0].received;
    let token = &world.endpoint.tokens()[0];
    assert_eq!(request.header("authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("content-encoding"), None);
    assert_eq!(request.header("user-agent"), Some(concat!("apigw-log-forwarder/", env!("CARGO_PKG_VERSION"))));
    let key = hex(&Sha256::digest(format!("{}\n", id(7))));
    assert_eq!(request.header("idempotency-key"), Some(key.as_str()));
    let expected = format!(
        r#"[{{"id":"{}","timestamp":"2026-11-21T18:59:00.123Z","kind":"access","owner":"111122223333","logGroup":"/aws/apigateway/pets","logStream":"stream","fields":{{"requestId":"r-1","ip":"192.0.2.1","status":"200","extra":{{"a":[1,true]}}}}}}]"#,
        id(7)
    );
    assert_eq!(String::from_utf8_lossy(&requests[0].decoded), expected);
}

#[tokio::test]
async fn the_token_is_kept_in_the_store_and_used_again() {
    let world = World::start(&[]).await;
    for round in 0..3 {
        world.invoke(&[gzip(envelope("g", round, &["x"]))]).await;
    }
    assert_eq!(world.endpoint.count(), 1);
    let kept: Value = serde_json::from_str(&world.store.value("/forwarder/token").expect("a parameter")).expect("JSON");
    assert_eq!(kept["access_token"].as_str(), Some(world.endpoint.tokens()[0].as_str()));
    assert_eq!(kept["token_type"], "Bearer");

    // Another environment finds it there.
    let (runtime, _function) = world.another(&[]).await;
    let payload = event([base64_simd::STANDARD.encode_to_string(gzip(envelope("g", 9, &["x"])))]).to_string();
    assert_eq!(runtime.invoke(payload, TIMEOUT).await.json()["records"][0]["result"], "Dropped");
    assert_eq!(world.endpoint.count(), 1);
}

#[tokio::test]
async fn every_shape_of_a_record_is_read() {
    let world = World::start(&[]).await;
    let one = envelope("g", 1, &["one"]);
    let two = envelope("g", 2, &["two", "three"]);
    let records = [
        gzip(&one),
        [gzip(&two[..20]), gzip(&two[20..])].concat(),
        envelope("g", 4, &["four"]).into_bytes(),
        format!("{}{}", envelope("g", 5, &["five"]), envelope("h", 6, &["six"])).into_bytes(),
        format!("{}\n{}\n", envelope("g", 7, &["seven"]), envelope("h", 8, &["eight"])).into_bytes(),
        gzip(format!("{}{}", envelope("g", 9, &["nine"]), envelope("h", 10, &["ten"]))),
    ];
    let results = world.results(&records).await;
    assert_eq!(results, ["Dropped"; 6]);
    let events = world.analytics.accepted_events();
    let expected: Vec<String> = (1..=10).map(id).collect();
    assert_eq!(ids(&events), expected);
    let messages: Vec<&str> = events.iter().map(|event| event["message"].as_str().expect("a text")).collect();
    assert_eq!(messages, ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]);
}

#[tokio::test]
async fn bare_lines_have_ids_of_their_own_and_the_time_of_their_arrival() {
    let world = World::start(&[]).await;
    let record = b"first line\n\n{\"a\":1}\n".to_vec();
    assert_eq!(world.results(std::slice::from_ref(&record)).await, ["Dropped"]);
    let events = world.analytics.accepted_events();
    let expected = |position: usize| {
        let digest = Sha256::digest([record.as_slice(), format!("\n{position}").as_bytes()].concat());
        format!("sha256:{}", &hex(&digest)[..32])
    };
    assert_eq!(ids(&events), [expected(0), expected(2)]);
    assert_eq!(events[0]["timestamp"], "2026-11-21T18:59:00.000Z");
    assert_eq!(events[0]["kind"], "text");
    assert_eq!(events[0]["message"], "first line");
    assert!(events[0]["parseError"].is_string());
    assert_eq!(events[0].get("logGroup"), None);
    assert_eq!(events[1]["fields"], json!({"a": 1}));
}

#[tokio::test]
async fn control_messages_and_empty_records_are_dropped_without_a_request() {
    let world = World::start(&[]).await;
    let control = envelope("", 0, &["CWL CONTROL MESSAGE: Checking health"]).replace("DATA_MESSAGE", "CONTROL_MESSAGE");
    let records = [gzip(&control), Vec::new(), gzip(b""), gzip(envelope("g", 0, &[])), b" \n".to_vec()];
    assert_eq!(world.results(&records).await, ["Dropped"; 5]);
    assert_eq!((world.analytics.count(), world.endpoint.count(), world.store.requests().len()), (0, 0, 0));
}

#[tokio::test]
async fn an_event_without_records_is_answered_with_none() {
    let world = World::start(&[]).await;
    assert_eq!(world.results(&[]).await, [""; 0]);
}

#[tokio::test]
async fn bad_records_fail_alone_with_their_original_bytes() {
    let world = World::start(&[("MAX_RECORD_BYTES", "5000")]).await;
    let good = |number| gzip(envelope("g", number, &["good"]));
    let whole = gzip(envelope("g", 9, &["cut"]));
    let bad = [
        whole[..whole.len() - 5].to_vec(),
        gzip(vec![b'x'; 5001]),
        b"ab\xff".to_vec(),
        envelope("g", 9, &["x"]).replace("DATA_MESSAGE", "NEW_MESSAGE").into_bytes(),
        envelope("g", 9, &["x"]).as_bytes()[..60].to_vec(),
    ];
    let mut records = vec![good(0)];
    for (number, bad) in bad.iter().enumerate() {
        records.extend([bad.clone(), good(number + 1)]);
    }
    let verdicts = world.invoke(&records).await;
    assert_eq!(verdicts.len(), records.len());
    for (index, (verdict, record)) in verdicts.iter().zip(&records).enumerate() {
        assert_eq!(verdict.id, index.to_string());
        if index % 2 == 0 {
            assert_eq!((verdict.result.as_str(), &verdict.data), ("Dropped", &None));
        } else {
            assert_eq!((verdict.result.as_str(), verdict.data.as_ref()), ("ProcessingFailed", Some(record)), "{index}");
        }
    }
    assert_eq!(world.analytics.accepted_events().len(), bad.len() + 1);
}

#[tokio::test]
async fn data_that_is_no_base64_is_answered_as_it_came() {
    let world = World::start(&[]).await;
    let event = json!({"records": [
        {"recordId": "a", "data": "%%%"},
        {"recordId": "b", "data": null, "kinesisRecordMetadata": 7},
        {"recordId": "c", "data": base64_simd::STANDARD.encode_to_string(gzip(envelope("g", 1, &["x"])))},
    ]});
    let answer = world.runtime.invoke(event.to_string(), TIMEOUT).await.json();
    let expected = json!({"records": [
        {"recordId": "a", "result": "ProcessingFailed", "data": "%%%"},
        {"recordId": "b", "result": "ProcessingFailed"},
        {"recordId": "c", "result": "Dropped"},
    ]});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn an_event_of_another_service_is_a_clear_error() {
    let world = World::start(&[]).await;
    let answer = world.runtime.invoke(r#"{"awslogs":{"data":"H4sI"}}"#, TIMEOUT).await;
    let crate::loopback::Outcome::Error(error) = answer.outcome else { panic!("{answer:?}") };
    assert_eq!(error["errorType"], "NotAFirehoseEvent");
    assert!(error["errorMessage"].as_str().is_some_and(|text| text.contains("records")));
    assert_eq!(world.results(&[gzip(envelope("g", 1, &["still there"]))]).await, ["Dropped"]);
}

#[tokio::test]
async fn the_functions_own_log_group_is_dropped_and_warned_of_once() {
    let world = World::start(&[]).await;
    for round in 0..2 {
        let records = [gzip(envelope(LOG_GROUP, round, &["own"])), gzip(envelope("g", 10 + round, &["other"]))];
        assert_eq!(world.results(&records).await, ["Dropped", "Dropped"]);
    }
    assert_eq!(world.analytics.accepted_events().len(), 2);
    let warnings = world.function.lines().iter().filter(|line| line.contains("own log group")).count();
    assert_eq!(warnings, 1);
}

#[tokio::test]
async fn bodies_are_filled_to_the_cap_across_records() {
    // An event of the group `g` has so many bytes beside its message.
    let frame = {
        let world = World::start(&[]).await;
        world.invoke(&[gzip(envelope("g", 0, &[""]))]).await;
        world.analytics.requests()[0].decoded.len()
    };
    let message = "x".repeat(100);
    let record = |number| gzip(envelope("g", number, &[&message]));
    for (cap, expected) in [(2 * (frame + 100) - 1, vec![2, 1]), (2 * (frame + 100) - 2, vec![1, 1, 1])] {
        // [a,b] is two events of one body each, less the brackets of one, and a comma.
        let world = World::start(&[("MAX_BATCH_BYTES", &cap.to_string()), ("DELIVERY_CONCURRENCY", "1")]).await;
        assert_eq!(world.results(&[record(0), record(1), record(2)]).await, ["Dropped"; 3]);
        let sizes: Vec<usize> = world.analytics.requests().iter().map(|request| request.events.len()).collect();
        assert_eq!(sizes, expected, "{cap}");
        assert!(world.analytics.requests().iter().all(|request| request.decoded.len() <= cap));
    }
    for (cap, expected) in [(frame + 100, "Dropped"), (frame + 99, "ProcessingFailed")] {
        let world = World::start(&[("MAX_BATCH_BYTES", &cap.to_string())]).await;
        assert_eq!(world.results(&[record(0)]).await, [expected], "{cap}");
    }
}

#[tokio::test]
async fn ndjson_and_gzip_bodies_hold_the_same_events() {
    let records = [gzip(envelope("g", 0, &["a", "b"])), gzip(envelope("g", 2, &["c"]))];
    let plain = World::start(&[]).await;
    plain.invoke(&records).await;
    let encoded = World::start(&[("PAYLOAD_FORMAT", "ndjson"), ("PAYLOAD_ENCODING", "gzip")]).await;
    encoded.invoke(&records).await;

    let request = &encoded.analytics.requests()[0];
    assert_eq!(request.received.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(request.received.header("content-encoding"), Some("gzip"));
    assert!(request.decoded.ends_with(b"}\n"));
    assert_eq!(encoded.analytics.accepted_events(), plain.analytics.accepted_events());
}

#[tokio::test]
async fn a_body_has_at_most_so_many_events() {
    let world = World::start(&[("MAX_BATCH_EVENTS", "2"), ("DELIVERY_CONCURRENCY", "1")]).await;
    world.invoke(&[gzip(envelope("g", 0, &["a", "b", "c", "d", "e"]))]).await;
    let sizes: Vec<usize> = world.analytics.requests().iter().map(|request| request.events.len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
}

#[tokio::test]
async fn an_archive_is_the_records_events_as_one_gzip_member() {
    let world = World::start(&[("ARCHIVE", "structured")]).await;
    let group = "API-Gateway-Execution-Logs_abc123/prod";
    let records = [
        gzip(envelope("g", 0, &["a", "b"])),
        gzip(envelope(group, 2, &["(r-1) Starting execution for request: r-1"])),
        gzip(envelope(group, 3, &["(r-1) Method completed with status: 200"])),
        gzip(b"\xff"),
        gzip(envelope("g", 4, &["c"])),
    ];
    let verdicts = world.invoke(&records).await;
    let results: Vec<&str> = verdicts.iter().map(|verdict| verdict.result.as_str()).collect();
    assert_eq!(results, ["Ok", "Ok", "Ok", "ProcessingFailed", "Ok"]);

    let mut archived: Vec<Value> = [0, 1, 2, 4]
        .into_iter()
        .flat_map(|index| {
            let mut text = String::new();
            let member = verdicts[index].data.as_deref().expect("an archive");
            MultiGzDecoder::new(member).read_to_string(&mut text).expect("gzip of text");
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<Value>>()
        })
        .collect();
    let mut delivered = world.analytics.accepted_events();
    for events in [&mut archived, &mut delivered] {
        events.sort_by_key(|event| event["id"].as_str().map(str::to_owned));
    }
    assert_eq!(archived, delivered);
    assert_eq!(delivered.len(), 4);
}

#[tokio::test]
async fn a_stitched_event_has_the_id_of_its_lines_and_no_other() {
    let world = World::start(&[]).await;
    let group = "API-Gateway-Execution-Logs_abc123/prod";
    let start = gzip(envelope(group, 0, &["(r-1) Starting execution for request: r-1", "(r-1) News"]));
    let end = gzip(envelope(group, 2, &["(r-1) Method completed with status: 200"]));
    let both = envelope(group, 0, &["(r-1) Starting execution for request: r-1", "(r-1) News"])
        + &envelope(group, 2, &["(r-1) Method completed with status: 200"]);
    // Part of the request, then all of it: in two records, in the other order, in one record, with a line twice.
    let replays: [&[&Vec<u8>]; 5] =
        [&[&start], &[&start, &end], &[&end, &start], &[&gzip(both)], &[&start, &end, &end]];
    for records in replays {
        let records: Vec<Vec<u8>> = records.iter().map(|record| (*record).clone()).collect();
        assert!(world.results(&records).await.iter().all(|result| result == "Dropped"));
    }
    let all = id_of_lines(&[0, 1, 2]);
    assert_eq!(
        ids(&world.analytics.accepted_events()),
        [id_of_lines(&[0, 1]), all.clone(), all.clone(), all.clone(), all]
    );
    let keys: Vec<String> = world
        .analytics
        .requests()
        .iter()
        .map(|request| request.received.header("idempotency-key").expect("a key").to_owned())
        .collect();
    assert_ne!(keys[0], keys[1]);
    assert!(keys[1..].iter().all(|key| *key == keys[1]));
}

#[tokio::test]
async fn a_request_that_spreads_over_records_is_one_event_of_both() {
    let world = World::start(&[]).await;
    let group = "API-Gateway-Execution-Logs_abc123/prod";
    let records = [
        gzip(envelope(
            group,
            0,
            &["(r-1) Starting execution for request: r-1", "(r-2) Starting execution for request: r-2"],
        )),
        gzip(envelope(group, 2, &["(r-1) Method completed with status: 200"])),
    ];
    assert_eq!(world.results(&records).await, ["Dropped"; 2]);
    let events = world.analytics.accepted_events();
    assert_eq!(ids(&events), [id_of_lines(&[0, 2]), id_of_lines(&[1])]);
    assert_eq!(events[0]["kind"], "execution");
    assert_eq!((&events[0]["apiId"], &events[0]["stage"]), (&json!("abc123"), &json!("prod")));
    assert_eq!(events[0]["execution"], json!({"requestId": "r-1", "complete": true, "status": 200}));
    assert_eq!(events[1]["execution"]["complete"], false);

    // Not accepted, it fails every record that gave it a line.
    world.analytics.refuse(422, |event| event["execution"]["complete"] == true);
    assert_eq!(world.results(&records).await, ["ProcessingFailed"; 2]);
}

#[tokio::test]
async fn a_vended_record_is_stitched_in_any_group() {
    let world = World::start(&[]).await;
    let vended = |text: &str| {
        json!({
            "resource_arn": "arn:aws:apigateway:eu-west-1::/restapis/abc123/stages/prod",
            "event_timestamp": 1_795_287_541_000_i64,
            "api_id": "abc123",
            "stage": "prod",
            "resource_path": "/pets",
            "http_method": "GET",
            "payload": format!("(r-1) {text}"),
        })
        .to_string()
    };
    let (start, end) = (vended("Starting execution for request: r-1"), vended("Method completed with status: 200"));
    let records = [
        gzip(envelope("API-Gateway-Execution-Logs_abc123/prod", 0, &[&start])),
        gzip(envelope("/aws/vendedlogs/executions", 1, &[&end])),
        vended("Method completed with status: 201").replace("r-1", "r-2").into_bytes(),
    ];
    assert_eq!(world.results(&records).await, ["Dropped"; 3]);
    let events = world.analytics.accepted_events();
    assert_eq!(events.len(), 2);
    let expected =
        json!({"requestId": "r-1", "complete": true, "method": "GET", "resourcePath": "/pets", "status": 200});
    assert_eq!(events[0]["execution"], expected);
    assert_eq!((&events[1]["apiId"], &events[1]["stage"]), (&json!("abc123"), &json!("prod")));
    assert_eq!(events[1]["timestamp"], "2026-11-21T18:59:01.000Z");
}

#[tokio::test]
async fn a_vended_record_without_a_request_id_still_tells_its_api() {
    let world = World::start(&[]).await;
    let record =
        json!({"api_id": "abc123", "stage": "prod", "event_timestamp": 1_795_287_541_000_i64, "payload": "no id"});
    assert_eq!(world.results(&[record.to_string().into_bytes()]).await, ["Dropped"]);
    let events = world.analytics.accepted_events();
    assert_eq!((&events[0]["kind"], &events[0]["fields"]), (&json!("access"), &record));
    assert_eq!((&events[0]["apiId"], &events[0]["stage"]), (&json!("abc123"), &json!("prod")));
}
