//! Formats and lines as the world writes them, driven through the function: pasted from source files, broken by values, guessed
//! where nobody set them.

use serde_json::{Value, json};

use crate::formats::{GROUP, becomes, events};
use crate::loopback::parameter_store::Operation;
use crate::world::{World, envelope, gzip};

/// The JSON format that is set in most of these tests, as the template sets one.
const DEFAULT: &str = r#"{"requestId":"$context.requestId","status":"$context.status","stage":"$context.stage"}"#;

fn access(context: &Value) -> Value {
    json!({"kind": "access", "context": context})
}

fn fields(fields: &Value) -> Value {
    json!({"kind": "access", "fields": fields})
}

#[tokio::test]
async fn the_documented_formats_are_known_beside_the_setting() {
    let context = access(&json!({"identity": {"sourceIp": "192.0.2.7"}, "requestTime": "25/Sep/2026:09:20:30 +0000",
        "httpMethod": "GET", "resourcePath": "/pets", "protocol": "HTTP/1.1", "status": 200, "responseLength": 184,
        "requestId": "1c9d-22", "extendedRequestId": "EP5y="}));
    let lines = [
        r#"192.0.2.7 - - [25/Sep/2026:09:20:30 +0000]"GET /pets HTTP/1.1" 200 184 1c9d-22 EP5y="#,
        "192.0.2.7,-,-,25/Sep/2026:09:20:30 +0000,GET,/pets,HTTP/1.1,200,184,1c9d-22,EP5y=",
        r#"{ "requestId":"1c9d-22", "extendedRequestId":"EP5y=","ip": "192.0.2.7", "caller":"-", "user":"-", "requestTime":"25/Sep/2026:09:20:30 +0000", "httpMethod":"GET", "resourcePath":"/pets", "status":"200", "protocol":"HTTP/1.1", "responseLength":"184" }"#,
        r#"<request id="1c9d-22"> <extendedRequestId>EP5y=</extendedRequestId> <ip>192.0.2.7</ip> <caller>-</caller> <user>-</user> <requestTime>25/Sep/2026:09:20:30 +0000</requestTime> <httpMethod>GET</httpMethod> <resourcePath>/pets</resourcePath> <status>200</status> <protocol>HTTP/1.1</protocol> <responseLength>184</responseLength> </request>"#,
    ];
    for setting in [DEFAULT, "$context.requestId|$context.error.message", ""] {
        becomes(setting, GROUP, &lines, &[(); 4].map(|()| context.clone())).await;
    }
}

#[tokio::test]
async fn what_is_set_comes_before_what_is_documented() {
    // The columns of the documented format of WebSocket APIs, with other variables in them.
    let setting = "$context.identity.sourceIp,$context.authorizer.tenant,$context.authorizer.team,$context.requestTime,$context.eventType,$context.routeKey,$context.connectionId,$context.status,$context.extendedRequestId";
    becomes(
        setting,
        GROUP,
        &["192.0.2.7,pets,cats,25/Sep/2026:09:20:30 +0000,MESSAGE,send,L0SM=,200,KpX="],
        &[access(&json!({"identity": {"sourceIp": "192.0.2.7"}, "authorizer": {"tenant": "pets", "team": "cats"},
            "requestTime": "25/Sep/2026:09:20:30 +0000", "eventType": "MESSAGE", "routeKey": "send",
            "connectionId": "L0SM=", "status": 200, "extendedRequestId": "KpX="}))],
    )
    .await;
}

#[tokio::test]
async fn a_guess_takes_no_value_of_another_kind() {
    let number = json!({"requestId": "r1", "ip": "192.0.2.7", "requestTime": 1_795_283_940_123_u64, "httpMethod": "GET",
        "routeKey": "GET /pets", "status": "200", "protocol": "HTTP/1.1", "responseLength": "184"});
    let mut list = number.clone();
    list["requestTime"] = json!(["25/Sep/2026:09:20:30 +0000"]);
    let mut other = number.clone();
    other["requestTime"] = json!("25/Sep/2026:09:20:30 +0000");
    other["status"] = json!("fine");
    for line in [number, list, other] {
        becomes("", GROUP, &[&line.to_string()], &[fields(&line)]).await;
    }
    // The second status may be a client's.
    let line = r#"{"requestId":"r1","ip":"192.0.2.7","requestTime":"-","httpMethod":"GET","routeKey":"GET /a","status":"200","protocol":"HTTP/1.1","responseLength":"1","ua":"x","status":"500"}"#;
    let found = events("", GROUP, &[line]).await;
    assert_eq!((&found[0]["context"], &found[0]["fields"]["status"]), (&Value::Null, &json!("500")));
    for line in [
        "203.0.113.7,-,-,25/Sep/2026:09:20:30 +0000,DELETE,/pets,HTTP/1.1,200,48822,6de06759-dc0a,-,-",
        r#"203.0.113.7 - - [25/Sep/2026:09:20:30 +0000] "GET /pets HTTP/1.1" fine 184 1c9d-22"#,
        r#"203.0.113.7 - - [25/Sep/2026:09:20:30 +0000] "GET /pets HTTP/1.1" 200 184 1c9d-22 "curl/8" jane"#,
        r#"203.0.113.7 - - [25/Sep/2026:09:20:30 +0000] "GET /pets HTTP/1.1" 200 184 1c9d-22 12 ms"#,
        "192.0.2.7,AROAX:a,b,AIDA,25/Sep/2026:09:20:30 +0000,GET,/pets,HTTP/1.1,200,184,1c9d-22,EP5y=",
    ] {
        let found = events("", GROUP, &[line]).await;
        assert_eq!((&found[0]["kind"], &found[0]["message"]), (&json!("text"), &json!(line)));
    }
}

#[tokio::test]
async fn common_log_format_with_an_error_message_is_a_documented_format() {
    let line = |end: &str| {
        format!(r#"192.0.2.7 - - [25/Sep/2026:09:20:30 +0000] "GET GET /pets HTTP/1.1" 500 35 IWeTC= {end}"#)
    };
    let context = |more: &Value| {
        let mut context = json!({"identity": {"sourceIp": "192.0.2.7"}, "requestTime": "25/Sep/2026:09:20:30 +0000",
            "httpMethod": "GET", "routeKey": "GET /pets", "protocol": "HTTP/1.1", "status": 500, "responseLength": 35,
            "requestId": "IWeTC="});
        context.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        access(&context)
    };
    let sentence = "The IAM role configured on the integration or API Gateway doesn't have permissions to call it.";
    for (end, more) in [
        (sentence, json!({"integrationErrorMessage": sentence})),
        ("Timeout", json!({"integrationErrorMessage": "Timeout"})),
        ("-", json!({})),
        ("IWeTC=", json!({"extendedRequestId": "IWeTC="})),
    ] {
        for setting in ["", DEFAULT] {
            becomes(setting, GROUP, &[&line(end)], &[context(&more)]).await;
        }
    }
}

#[tokio::test]
async fn broken_json_is_read_for_what_api_gateway_meant() {
    for setting in ["", DEFAULT] {
        becomes(
            setting,
            GROUP,
            &[
                r#"{"requestId":"r1","code":200,"latency":-}"#,
                r#"{"requestId":"r1","e":""Unauthorized""}"#,
                r#"{"requestId":"r1","ua":"say "hi", you","groups":"["a","b"]"}"#,
                r#"{"requestId":"r1","o":{"latency":-,"code":$200}}"#,
            ],
            &[
                fields(&json!({"requestId": "r1", "code": 200})),
                fields(&json!({"requestId": "r1", "e": "Unauthorized"})),
                fields(&json!({"requestId": "r1", "ua": "say \"hi\", you", "groups": "[\"a\",\"b\"]"})),
                fields(&json!({"requestId": "r1", "o": {"code": "$200"}})),
            ],
        )
        .await;
    }
    // One of a format that somebody else wrote anew.
    becomes(
        DEFAULT,
        GROUP,
        &[r#"{ "status": -, "requestId": "r1", "stage": "prod", "x": 1 }"#],
        &[json!({"kind": "access", "stage": "prod", "context": {"requestId": "r1", "stage": "prod"},
            "fields": {"x": 1}})],
    )
    .await;
}

#[tokio::test]
async fn a_text_of_several_variables_loses_only_what_is_secret() {
    let setting =
        r#"{"id":"$context.requestId","d":"m=$context.httpMethod key=$context.identity.apiKey s=$context.status"}"#;
    let event = |shown: &str| json!({"kind": "access", "context": {"requestId": "r1"}, "fields": {"d": shown}});
    becomes(
        setting,
        GROUP,
        &[
            r#"{"id":"r1","d":"m=GET key=- s=200"}"#,
            r#"{"id":"r1","d":"m=GET key=hush s=200"}"#,
            r#"{"id":"r1","d":"m=GET key=hush"x s=200"}"#,
            r#"{"id":"r1","d":"something hush"}"#,
        ],
        &[
            event("m=GET key=- s=200"),
            event("m=GET key=[REDACTED] s=200"),
            event("m=GET key=[REDACTED] s=200"),
            event("[REDACTED]"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_missing_value_between_free_texts_is_a_dash() {
    becomes(
        "$context.status $context.error.message $context.authorizer.error $context.integration.error",
        GROUP,
        &["403 Missing Authentication Token - -", "500 - - Internal server error", "401 - not allowed -", "200 - - -"],
        &[
            access(&json!({"status": 403, "error": {"message": "Missing Authentication Token"}})),
            access(&json!({"status": 500, "integration": {"error": "Internal server error"}})),
            access(&json!({"status": 401, "authorizer": {"error": "not allowed"}})),
            access(&json!({"status": 200})),
        ],
    )
    .await;
    becomes(
        "$context.requestId $context.error.message $context.error.messageString",
        GROUP,
        &[r#"r1 Missing Authentication Token "Missing Authentication Token""#, r#"r1 no "x" y "no \"x\" y""#, "r1 - -"],
        &[
            access(&json!({"requestId": "r1", "error": {"message": "Missing Authentication Token",
                "messageString": "Missing Authentication Token"}})),
            access(&json!({"requestId": "r1", "error": {"message": "no \"x\" y", "messageString": "no \"x\" y"}})),
            access(&json!({"requestId": "r1"})),
        ],
    )
    .await;
}

#[tokio::test]
async fn of_two_formats_that_fit_alike_the_one_with_more_text_counts() {
    let formats = [
        "$context.requestId $context.integrationErrorMessage",
        "$context.requestId | $context.integrationErrorMessage",
    ];
    for setting in [formats.join("\n"), [formats[1], formats[0]].join("\n")] {
        becomes(
            &setting,
            GROUP,
            &["r1 | -", "r1 | timed out", "r1 timed out"],
            &[
                access(&json!({"requestId": "r1"})),
                access(&json!({"requestId": "r1", "integrationErrorMessage": "timed out"})),
                access(&json!({"requestId": "r1", "integrationErrorMessage": "timed out"})),
            ],
        )
        .await;
    }
    // The same keys: what they hold tells.
    let setting = concat!(
        r#"{"id":"$context.requestId","t":"$context.requestTime","by":"$context.identity.user"}"#,
        "\n",
        r#"{"id":"$context.requestId","t":"$context.requestTimeEpoch","by":"gateway"}"#
    );
    becomes(
        setting,
        GROUP,
        &[
            r#"{"id":"r1","t":"1795287540123","by":"gateway"}"#,
            r#"{"id":"r1","t":"25/Sep/2026:09:20:30 +0000","by":"me"}"#,
        ],
        &[
            json!({"kind": "access", "context": {"requestId": "r1", "requestTimeEpoch": 1_795_287_540_123_u64},
                "fields": {"by": "gateway"}}),
            access(
                &json!({"requestId": "r1", "requestTime": "25/Sep/2026:09:20:30 +0000", "identity": {"user": "me"}}),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_key_may_stand_twice_in_a_format() {
    let setting =
        r#"{"id":"$context.requestId","m":"$context.httpMethod","s":"$context.status","id":"$context.requestId"}"#;
    let context = |method: &str| access(&json!({"requestId": "r1", "httpMethod": method, "status": 200}));
    becomes(
        setting,
        GROUP,
        &[
            r#"{"id":"r1","m":"get","s":"200","id":"r1"}"#,
            r#"{"id":"r1","m":"a\"b","s":"200","id":"r1"}"#,
            r#"{"m":"GET","s":200,"id":"r1"}"#,
        ],
        &[context("get"), context("a\"b"), context("GET")],
    )
    .await;
}

#[tokio::test]
async fn a_format_of_several_lines_is_one() {
    let setting = "{\n  \"id\": \"$context.requestId\",\n  \"in\": {\n    \"s\": $context.status\n  }\n}\n{\n  \"$context.requestId\"\n  \"$context.path\"\n}";
    let context = access(&json!({"requestId": "r1", "status": 200}));
    let missing = access(&json!({"requestId": "r1"}));
    let path = access(&json!({"requestId": "r1", "path": "/a"}));
    becomes(
        setting,
        GROUP,
        &[
            "{\n  \"id\": \"r1\",\n  \"in\": {\n    \"s\": 200\n  }\n}",
            r#"{"id":"r1","in":{"s":200}}"#,
            "{\n  \"id\": \"r1\",\n  \"in\": {\n    \"s\": -\n  }\n}",
            r#"{  "id": "r1",  "in": {    "s": -  }}"#,
            "{\n  \"r1\"\n  \"/a\"\n}",
            r#"{  "r1"  "/a"}"#,
            r#"{ "r1" "/a" }"#,
        ],
        &[context.clone(), context, missing.clone(), missing, path.clone(), path.clone(), path],
    )
    .await;
}

#[tokio::test]
async fn a_dollar_sign_before_a_variable_is_taken_off_its_value() {
    let setting = "{\"id\":\"$$context.requestId\",\"s\":\"$$context.status\",\"t\":$$context.requestTimeEpoch}\n$$context.identity.sourceIp [$$context.requestTime] $$context.path";
    becomes(
        setting,
        GROUP,
        &[
            r#"{"id":"$r1","s":"$200","t":$1795287540123}"#,
            r#"{"id":"$r1","s":"$-","t":$-}"#,
            r#"{"id":"r1","s":"200","t":1795287540123}"#,
            "$192.0.2.7 [$25/Sep/2026:09:20:30 +0000] $/a",
        ],
        &[
            access(&json!({"requestId": "r1", "status": 200, "requestTimeEpoch": 1_795_287_540_123_u64})),
            access(&json!({"requestId": "r1"})),
            access(&json!({"requestId": "r1", "status": 200, "requestTimeEpoch": 1_795_287_540_123_u64})),
            access(&json!({"identity": {"sourceIp": "192.0.2.7"}, "requestTime": "25/Sep/2026:09:20:30 +0000", "path": "/a"})),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_name_may_hold_dashes_and_stand_in_braces() {
    becomes(
        "$context.requestId $context.authorizer.tenant-id $context.status",
        GROUP,
        &["r1 t-17 200", "r1 t-17-id 200"],
        &[
            access(&json!({"requestId": "r1", "authorizer": {"tenant-id": "t-17"}, "status": 200})),
            access(&json!({"requestId": "r1", "authorizer": {"tenant": "t-17"}, "status": 200})),
        ],
    )
    .await;
    becomes(
        "{\"t\":\"$context.authorizer.tenant-id\",\"s\":$context.status}\n${context.requestId} $context.path",
        GROUP,
        &[r#"{"t":"t-17","s":200}"#, r#"{"t":"t-17-id","s":200}"#, "r1 /a", "${context.requestId} /a"],
        &[
            access(&json!({"authorizer": {"tenant-id": "t-17"}, "status": 200})),
            json!({"kind": "access", "context": {"status": 200}, "fields": {"t": "t-17-id"}}),
            access(&json!({"requestId": "r1", "path": "/a"})),
            access(&json!({"path": "/a"})),
        ],
    )
    .await;
}

#[tokio::test]
async fn names_that_people_choose_may_hold_anything() {
    becomes(
        "$context.routeKey $context.protocol $context.authorizer.principalId",
        GROUP,
        &["GET /pets HTTP/1.1 jane doe", "$default HTTP/1.1 auth0|17, \"x\""],
        &[
            access(&json!({"routeKey": "GET /pets", "protocol": "HTTP/1.1", "authorizer": {"principalId": "jane doe"}})),
            access(&json!({"routeKey": "$default", "protocol": "HTTP/1.1", "authorizer": {"principalId": "auth0|17, \"x\""}})),
        ],
    )
    .await;
    // With the setting and without.
    let rest_csv = "$context.identity.sourceIp,$context.identity.caller,$context.identity.user,$context.requestTime,$context.httpMethod,$context.resourcePath,$context.protocol,$context.status,$context.responseLength,$context.requestId,$context.extendedRequestId";
    for setting in ["", rest_csv] {
        let line = |caller: &str, user: &str| {
            format!("192.0.2.7,{caller},{user},25/Sep/2026:09:20:30 +0000,GET,/a,HTTP/1.1,200,184,r1,EP5y=")
        };
        let found = events(setting, GROUP, &[&line("AROAX:a,b", "AROAX:a,b"), &line("AROAX:a,b", "-")]).await;
        let identity = json!({"sourceIp": "192.0.2.7", "caller": "AROAX:a,b", "user": "AROAX:a,b"});
        assert_eq!(found[0]["context"]["identity"], identity);
        assert_eq!(found[1]["context"]["identity"], json!({"sourceIp": "192.0.2.7", "caller": "AROAX:a,b"}));
    }
}

#[tokio::test]
async fn what_an_authorizer_gave_keeps_its_type() {
    let setting = r#"{"n":$context.authorizer.numKey,"b":$context.authorizer.boolKey,"s":"$context.authorizer.text","m":$context.error.message}"#;
    becomes(
        setting,
        GROUP,
        &[
            r#"{"n":1,"b":true,"s":"1","m":404}"#,
            r#"{"n":-,"b":false,"s":"true","m":-}"#,
            r#"{"n":"1","b":1e999,"s":"-","m":null}"#,
        ],
        &[
            access(&json!({"authorizer": {"numKey": 1, "boolKey": true, "text": "1"}, "error": {"message": "404"}})),
            access(&json!({"authorizer": {"boolKey": false, "text": "true"}})),
            access(&json!({"authorizer": {"numKey": "1", "boolKey": "1e999"}})),
        ],
    )
    .await;
}

/// Events of lines, each with what was extracted from it, as the text that was sent.
async fn sent(setting: &str, lines: &[&str], extracted: &str) -> String {
    let world = World::start(&[("ACCESS_LOG_FORMAT", setting)]).await;
    let envelope =
        envelope(GROUP, 0, lines).replace("\"message\":", &format!("\"extractedFields\":{extracted},\"message\":"));
    assert_eq!(world.results(&[gzip(envelope)]).await, ["Dropped"]);
    world.analytics.requests().iter().map(|request| String::from_utf8_lossy(&request.decoded).into_owned()).collect()
}

#[tokio::test]
async fn every_receiver_can_read_what_leaves() {
    let digits = "9".repeat(5000);
    let doubled =
        r#"{"requestId":"r","requestTime":"-","requestTime":"21/Nov/2026:18:59:00 +0000","o":{"a":1,"b":2,"a":3}}"#;
    let surrogate = r#"{"ua":"a \ud83d b","o":["\udc00 \ud83d\ude00"]}"#;
    let number = format!(r#"{{"n":{digits},"o":{{"n":[1e999,1]}}}}"#);
    let extracted = format!(r#"{{"a":1,"n":{digits},"s":"\ud83d","a":2}}"#);
    for setting in ["", DEFAULT] {
        let body = sent(setting, &[doubled, doubled, surrogate, &number, &number], &extracted).await;
        let fields = format!(r#""extractedFields":{{"n":"{digits}","s":"{}","a":2}}"#, '\u{fffd}');
        assert_eq!(body.matches(&fields).count(), 5, "{body}");
        let doubled = r#""fields":{"requestId":"r","requestTime":"21/Nov/2026:18:59:00 +0000","o":{"b":2,"a":3}}"#;
        assert_eq!(body.matches(doubled).count(), 2, "{body}");
        assert!(body.contains("\"fields\":{\"ua\":\"a \u{fffd} b\",\"o\":[\"\u{fffd} \u{1f600}\"]}"), "{body}");
        assert_eq!(
            body.matches(&format!(r#""fields":{{"n":"{digits}","o":{{"n":["1e999",1]}}}}"#)).count(),
            2,
            "{body}"
        );
    }
    let setting = r#"{"id":"$context.requestId","ua":"$context.identity.userAgent","n":$context.status}"#;
    let line = format!(r#"{{"id":"r","ua":"a \ud83d b","n":{digits},"id":"s"}}"#);
    let body = sent(setting, &[&line], "{}").await;
    let context = format!(
        "\"context\":{{\"requestId\":\"s\",\"identity\":{{\"userAgent\":\"a \u{fffd} b\"}},\"status\":\"{digits}\"}}"
    );
    assert!(body.contains(&context), "{body}");
}

#[tokio::test]
async fn json_without_a_format_tells_its_api_and_stage() {
    let line = |api: &str, stage: &str| json!({"apiId": api, "stage": stage, "x": 1}).to_string();
    let lines = [line("a1", "prod"), line("b2", "$default"), line("/?token=x", "pr od"), line("-", "")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let found = events("", GROUP, &lines).await;
    let told: Vec<_> = found.iter().map(|event| (event["apiId"].as_str(), event["stage"].as_str())).collect();
    assert_eq!(told, [(Some("a1"), Some("prod")), (Some("b2"), Some("$default")), (None, None), (None, None)]);
    // Where the keys of a format are there too.
    let line = r#"{"requestId":"r1","ip":"192.0.2.7","requestTime":"-","httpMethod":"GET","routeKey":"GET /a","status":"200","protocol":"HTTP/1.1","responseLength":"1","apiId":"a1","o":{"stage":"x"}}"#;
    let found = events("", GROUP, &[line]).await;
    assert_eq!((&found[0]["apiId"], &found[0]["stage"]), (&json!("a1"), &Value::Null));
    assert_eq!(found[0]["context"]["requestId"], "r1");
}

#[tokio::test]
async fn a_line_without_an_envelope_has_the_time_of_its_request() {
    let setting =
        "{\"id\":\"$context.requestId\",\"t\":$context.requestTimeEpoch}\n[$context.requestTime] $context.requestId";
    let lines = [
        r#"{"id":"r1","t":1795283940123}"#,
        "[21/Nov/2026:18:59:00 +0100] r1",
        r#"{"requestTimeEpoch":"1795283940123","x":1}"#,
        r#"{"requestTime":"21/Nov/2026:17:59:00 +0000","x":1}"#,
    ];
    let world = World::start(&[("ACCESS_LOG_FORMAT", setting)]).await;
    assert_eq!(world.results(&[lines.join("\n").into_bytes()]).await, ["Dropped"]);
    let times: Vec<_> = world.analytics.accepted_events().into_iter().map(|event| event["timestamp"].clone()).collect();
    let (exact, second) = ("2026-11-21T17:59:00.123Z", "2026-11-21T17:59:00.000Z");
    assert_eq!(times, [exact, second, exact, second]);
    // With one, the log event's.
    let world = World::start(&[("ACCESS_LOG_FORMAT", setting)]).await;
    assert_eq!(world.results(&[gzip(envelope(GROUP, 0, &lines))]).await, ["Dropped"]);
    assert!(world.analytics.accepted_events().iter().all(|event| event["timestamp"] != exact));
}

#[tokio::test]
async fn further_formats_are_read_with_the_token_in_one_request() {
    let name = "/forwarder/formats";
    let format = r#"{"k":"$context.identity.apiKey","who":"$context.identity.sourceIp","s":"$context.status"}"#;
    let world =
        World::start(&[("FORMATS_PARAMETER", name), ("ACCESS_LOG_FORMAT", "$context.requestId $context.status")]).await;
    world.store.put(name, &format!("$context.status|$context.path\n\n{format}\n"));
    let lines =
        ["r-1 200", "404|/a b", r#"{"k":"s3cr3t","who":"192.0.2.7","s":"503"}"#, r#"{"who":1,"k":"s3cr3t","x":"#];
    assert_eq!(world.results(&[gzip(envelope("g", 0, &lines))]).await, ["Dropped"]);
    let events = world.analytics.accepted_events();
    assert_eq!(events[0]["context"], json!({"requestId": "r-1", "status": 200}));
    assert_eq!(events[1]["context"], json!({"status": 404, "path": "/a b"}));
    let hidden = json!({"identity": {"apiKey": "[REDACTED]", "sourceIp": "192.0.2.7"}, "status": 503});
    assert_eq!(events[2]["context"], hidden);
    assert!(!events[3].to_string().contains("s3cr3t"), "{}", events[3]);
    assert_eq!(world.store.count(Operation::GetSeveral), 1);
    // They are read once.
    assert_eq!(world.results(&[gzip(envelope("g", 9, &["404|/"]))]).await, ["Dropped"]);
    assert_eq!(world.store.count(Operation::GetSeveral), 1);
}

#[tokio::test]
async fn records_are_kept_while_further_formats_are_missing_or_malformed() {
    let name = "/forwarder/formats";
    let world = World::start(&[("FORMATS_PARAMETER", name)]).await;
    let records = [gzip(envelope("g", 0, &["404|/"]))];
    assert_eq!(world.results(&records).await, ["ProcessingFailed"]);
    world.store.put(name, "no variable");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(world.results(&records).await, ["ProcessingFailed"]);
    let log = world.function.lines().join("\n");
    assert!(log.contains("the parameter of FORMATS_PARAMETER is missing"), "{log}");
    assert!(log.contains("FORMATS_PARAMETER: line 1, column 1"), "{log}");
    assert_eq!(world.analytics.count(), 0);
}
