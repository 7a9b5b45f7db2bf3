//! What becomes of lines, driven through the function: access logs in every format, and credentials in every kind of line.

use std::io::Read as _;

use flate2::bufread::MultiGzDecoder;
use serde_json::{Map, Value, json};

use crate::events::access::{REST_CSV, REST_JSON, WIDE_JSON, render};
use crate::events::call::{Api, Inventor};
use crate::schema::{DOCUMENTED, variables};
use crate::world::{World, envelope, gzip};

pub(crate) const GROUP: &str = "/aws/apigateway/pets";

/// The events that become of messages of one log group, each without what the envelope tells.
pub(crate) async fn events(setting: &str, group: &str, messages: &[&str]) -> Vec<Value> {
    let world = World::start(&[("ACCESS_LOG_FORMAT", setting)]).await;
    assert_eq!(world.results(&[gzip(envelope(group, 0, messages))]).await, ["Dropped"]);
    world.analytics.accepted_events().into_iter().map(own).collect()
}

/// An event without what the envelope tells, and without what is derived: docs/formats.md shows that.
fn own(mut event: Value) -> Value {
    event.as_object_mut().expect("an object").remove("derived");
    for key in ["id", "timestamp", "owner", "logGroup", "logStream"] {
        assert!(event.as_object_mut().expect("an object").remove(key).is_some(), "{key} in {event}");
    }
    event
}

pub(crate) async fn becomes(setting: &str, group: &str, messages: &[&str], expected: &[Value]) {
    let found = events(setting, group, messages).await;
    assert_eq!(found, expected, "{messages:#?}");
}

/// The `context` of a line of a format, given each variable's text.
fn context(format: &str, text: impl Fn(&str) -> String) -> Value {
    let mut context = json!({});
    for name in variables(format) {
        let text = text(&name);
        if text == "-" {
            continue;
        }
        let is_number = ["status", "responseLength"].contains(&name.as_str());
        let value =
            if is_number { text.parse::<u64>().map_or(json!(text), |number| json!(number)) } else { json!(text) };
        *name.split('.').fold(&mut context, |level, part| &mut level[part]) = value;
    }
    context
}

fn access(context: Value) -> Value {
    let mut event = json!({"kind": "access"});
    if context != json!({}) {
        event["context"] = context;
    }
    event
}

#[tokio::test]
async fn every_documented_format_is_read_with_and_without_the_setting() {
    let mut inventor = Inventor::new(5);
    let mut lines = Vec::new();
    let mut expected = Vec::new();
    for (api, format) in DOCUMENTED {
        for _ in 0..10 {
            let call = inventor.call(api);
            lines.push(render(format, &call));
            expected.push(access(context(format, |name| call.context(name))));
        }
    }
    let messages: Vec<&str> = lines.iter().map(String::as_str).collect();
    becomes("", GROUP, &messages, &expected).await;
    // All formats in one setting, in another order.
    let all: Vec<&str> = DOCUMENTED.iter().rev().map(|(_, format)| *format).collect();
    becomes(&all.join("\n"), GROUP, &messages, &expected).await;
    for ((_, format), (messages, expected)) in DOCUMENTED.iter().zip(messages.chunks(10).zip(expected.chunks(10))) {
        becomes(format, GROUP, messages, expected).await;
    }
}

#[tokio::test]
async fn refused_requests_have_dashes_everywhere_and_keep_what_is_known() {
    let known = |name: &str| match name {
        "status" => "403".to_owned(),
        "requestId" => "1c9d-22".to_owned(),
        _ => "-".to_owned(),
    };
    let fill = |format: &str| {
        let mut line = format.to_owned();
        let mut names = variables(format);
        // A name may be the start of another.
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        for name in names {
            line = line.replace(&format!("$context.{name}"), &known(&name));
        }
        line
    };
    let lines: Vec<String> = DOCUMENTED.iter().map(|(_, format)| fill(format)).collect();
    let messages: Vec<&str> = lines.iter().map(String::as_str).collect();
    let expected = vec![access(json!({"status": 403, "requestId": "1c9d-22"})); messages.len()];
    becomes("", GROUP, &messages, &expected).await;
    let wide = fill(WIDE_JSON);
    becomes(WIDE_JSON, GROUP, &[&wide], &[access(json!({"status": 403, "requestId": "1c9d-22"}))]).await;
}

#[tokio::test]
async fn several_formats_stand_in_one_setting() {
    let setting = "$context.requestId $context.status\n\n{\"id\":\"$context.requestId\",\"path\":\"$context.path\"}\\n\n\
                   $context.status;$context.identity.userAgent;$context.requestId";
    becomes(
        setting,
        GROUP,
        &[
            "1c9d-22 200",
            r#"{"path":"/größe/%20","id":"1c9d-22"}"#,
            "200;Mozilla/5.0 (X11; Linux); \"x\";1c9d-22",
            "neither",
        ],
        &[
            access(json!({"requestId": "1c9d-22", "status": 200})),
            access(json!({"requestId": "1c9d-22", "path": "/größe/%20"})),
            access(json!({"status": 200, "identity": {"userAgent": "Mozilla/5.0 (X11; Linux); \"x\""}, "requestId": "1c9d-22"})),
            json!({"kind": "text", "message": "neither",
                "parseError": "format 1 comes furthest, to byte 0: the format's next literal text is not there"}),
        ],
    )
    .await;
}

const CUSTOM: &str = r#"{"id":"$context.requestId","status":$context.status,"ua":"$context.identity.userAgent","msg":$context.error.messageString,"key":"$context.identity.apiKey","req":"$context.httpMethod $context.path","env":"prod"}"#;

#[tokio::test]
async fn json_is_typed_in_any_order_and_with_any_white_space() {
    becomes(
        CUSTOM,
        GROUP,
        &[
            r#"{"id":"1c9d-22","status":200,"ua":"say \"hi\"","msg":"Forbidden \"x\"","key":"-","req":"GET /a","env":"prod"}"#,
            r#" { "env" : "prod", "req":"GET /a" ,"more":[ 1 ], "key":"", "msg":null, "ua":"-", "status":"200", "id":"1c9d-22" } "#,
            r#"{"id":"1c9d-22","status":"2e2","ua":"","msg":"-","key":null,"req":"- -","env":"prod"}"#,
        ],
        &[
            json!({"kind": "access",
                "context": {"requestId": "1c9d-22", "status": 200, "identity": {"userAgent": "say \"hi\""},
                    "error": {"messageString": "Forbidden \"x\""}},
                "fields": {"req": "GET /a", "env": "prod"}}),
            json!({"kind": "access", "context": {"requestId": "1c9d-22", "status": 200},
                "fields": {"req": "GET /a", "env": "prod", "more": [1]}}),
            json!({"kind": "access", "context": {"requestId": "1c9d-22", "status": "2e2"},
                "fields": {"req": "- -", "env": "prod"}}),
        ],
    )
    .await;
}

#[tokio::test]
async fn json_lines_that_are_no_json_are_read_by_the_formats_text() {
    let unquoted = |ua: &str| json!({"requestId": "1c9d-22", "identity": {"userAgent": ua}});
    let fields = json!({"req": "GET /a", "env": "prod"});
    becomes(
        CUSTOM,
        GROUP,
        &[
            r#"{"id":"1c9d-22","status":-,"ua":"curl","msg":-,"key":"-","req":"GET /a","env":"prod"}"#,
            r#"{"id":"1c9d-22","status":-,"ua":"say "hi", {x}","msg":-,"key":"-","req":"GET /a","env":"prod"}"#,
            r#"{"id":"1c9d-22","status":-,"ua":"ends in \","msg":-,"key":"-","req":"GET /a","env":"prod"}"#,
            r#"{"id":"1c9d-22","status":403,"ua":"\x22","msg":"no \"x\"","key":"-","req":"GET /a","env":"prod"}"#,
            r#"{"id":"1c9d-22","status":-"#,
        ],
        &[
            json!({"kind": "access", "context": unquoted("curl"), "fields": fields}),
            json!({"kind": "access", "context": unquoted("say \"hi\", {x}"), "fields": fields}),
            json!({"kind": "access", "context": unquoted("ends in \\"), "fields": fields}),
            json!({"kind": "access", "fields": fields, "context": {"requestId": "1c9d-22", "status": 403,
                "identity": {"userAgent": "\\x22"}, "error": {"messageString": "no \"x\""}}}),
            json!({"kind": "text", "message": r#"{"id":"1c9d-22","status":-"#,
                "parseError": "JSON comes furthest, to byte 26: unexpected end of the JSON text"}),
        ],
    )
    .await;
}

#[tokio::test]
async fn values_may_hold_what_separates_them() {
    becomes(
        "$context.error.message,$context.identity.sourceIp,$context.identity.userAgent,$context.requestTime,$context.routeKey,$context.status,$context.requestId",
        GROUP,
        &[
            "no, sorry,192.0.2.7,Mozilla/5.0 (KHTML, like Gecko),25/Sep/2026:09:20:30 +0000,GET /a,b,403,1c9d-22",
            "-,2001:db8::7,\"a,b\",25/Sep/2026:09:20:30 +0000,$default,200,1c9d-22",
        ],
        &[
            access(json!({"error": {"message": "no, sorry"}, "identity": {"sourceIp": "192.0.2.7",
                "userAgent": "Mozilla/5.0 (KHTML, like Gecko)"}, "requestTime": "25/Sep/2026:09:20:30 +0000",
                "routeKey": "GET /a,b", "status": 403, "requestId": "1c9d-22"})),
            access(json!({"identity": {"sourceIp": "2001:db8::7", "userAgent": "\"a,b\""},
                "requestTime": "25/Sep/2026:09:20:30 +0000", "routeKey": "$default", "status": 200, "requestId": "1c9d-22"})),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_stage_whose_format_names_the_api_gives_it_to_the_event() {
    let call = Inventor::new(3).call(Api::Rest);
    let found = events(WIDE_JSON, GROUP, &[&render(WIDE_JSON, &call)]).await;
    assert_eq!((&found[0]["apiId"], &found[0]["stage"]), (&json!("a1b2c3d4e5"), &json!("prod")));
    assert_eq!(found[0]["context"]["requestTimeEpoch"], json!(call.at_ms));
    assert_eq!(found[0]["context"]["accountId"], "111122223333");
}

/// What every planted credential starts with.
const HUSH: &str = "hush-";

/// Names whose values are credentials, one of which the operator adds.
const HIDDEN_NAMES: [&str; 30] = [
    "Authorization",
    "proxy-authorization",
    "COOKIE",
    "Set-Cookie",
    "X-Api-Key",
    "X-Amz-Security-Token",
    "authorizationToken",
    "token",
    "access_token",
    "id_token",
    "refresh_token",
    "client_secret",
    "api_key",
    "apikey",
    "password",
    "secret",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "session_token",
    "auth.token",
    "x-auth-token",
    "accessToken",
    "X-Amzn-Oidc-Data",
    "client_assertion",
    "private_key",
    "SecretAccessKey",
    "newPassword",
    "pwd",
    "identityApiKey",
    "x-tenant-pin",
];

/// Messages with a credential in each place where one can stand, by log group; `^` is a credential, `~` stays.
fn planted() -> Vec<(&'static str, Vec<String>)> {
    let names = HIDDEN_NAMES;
    let in_queries = ["key", "code", "sig", "signature"];
    let pairs = |separator: &str, names: &[&str]| {
        names.iter().map(|name| format!("{name}=^")).collect::<Vec<_>>().join(separator)
    };
    let query: Vec<&str> = names.iter().chain(&in_queries).copied().collect();
    let members = |value: &Value| {
        let members = names.iter().map(|name| ((*name).to_owned(), value.clone()));
        Value::Object(members.chain(in_queries.map(|name| (name.to_owned(), json!("~")))).collect::<Map<_, _>>())
    };
    let nested = json!({"a": [members(&json!("^")), members(&json!({"b": ["^"]}))]});
    let query_map: Map<String, Value> = query.iter().map(|name| ((*name).to_owned(), json!("^"))).collect();
    let event = json!({"headers": members(&json!("^")), "multiValueHeaders": members(&json!(["^"])),
        "queryStringParameters": query_map, "body": nested.to_string(), "rawQueryString": pairs("&", &query)});
    let sigv4 = "AWS4-HMAC-SHA256 Credential=^/20261121/eu-west-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature=^";
    let list = |value: &str| {
        let pair = |name: &&str| json!({"value": value, "name": name});
        Value::Array(names.iter().map(pair).chain([json!({"name": "Host", "value": "~"})]).collect())
    };
    let execution = [
        format!("Method request query string: {{{}, page=~}}", pairs(", ", &query)),
        "Method request path: {key=~, code=~, token=^}".to_owned(),
        format!("Method request headers: {{Accept=~, {}, key=~, Host=~}}", pairs(", ", &names)),
        format!("Method request body before transformations: {nested}"),
        format!("Endpoint request URI: https://example.com/?{}&page=~", pairs("&", &query)),
        format!("Endpoint request headers: {{Accept=~, Authorization={sigv4}, Cookie=a=^; b=^, X-Last=~}}"),
        format!("Endpoint request body after transformations: {event}"),
        format!("Sending request to https://example.com/?{}&page=~", pairs("&", &query)),
        "Endpoint response headers: {Set-Cookie=a=^; Path=/, b=^; Secure, Location=https://example.com/#id_token=^&x=~}".to_owned(),
        format!("Endpoint response body before transformations: {}&page=~", pairs("&", &query)),
        format!("Method response body after transformations: {}", json!(event.to_string())),
        "Incoming identity: ^".to_owned(),
        // Of what comes twice, the second is one of the other lines.
        "Incoming identity: ^".to_owned(),
        "Endpoint request headers: {Accept=~, Authorization=Signature keyId=\"^\", created=1618884473, signature=\"^\", Host=~}"
            .to_owned(),
        "Endpoint request headers: {Authorization=Hawk id=\"^\", ts=1, mac=\"^\", Via=~}".to_owned(),
        "Endpoint response headers: {Set-Cookie=a=^; Path=/, sid=^; HttpOnly, Content-Type=~}".to_owned(),
        "Endpoint response headers: {Set-Cookie=a=^, b=^ [TRUNCATED]".to_owned(),
        format!("Endpoint response body before transformations: {}", list("^")),
        "Method response body after transformations: code=^".to_owned(),
        "Usage Plan check succeeded for API Key ^ [TRUNCATED]".to_owned(),
        "Authorizer result body before parsing: {\"principalId\":\"~\",\"usageIdentifierKey\":\"^\"}".to_owned(),
        "Verifying Usage Plan for request: r-1. API Key: ^ API Stage: a1b2c3/prod".to_owned(),
        "Execution failed due to configuration error: {\"secret\":\"^\"} ~".to_owned(),
        "Something new: Authorization: Bearer ^ and ~".to_owned(),
        "Gateway response headers: {X-Kept=~, X-Amz-Security-Token=^ [TRUNCATED]".to_owned(),
    ];
    let access = [
        format!("{{\"id\":\"1c9d-22\",\"key\":\"^\",\"claim\":\"^\",\"ua\":\"curl token=^ ~\",\"fields\":{nested}}}"),
        format!(
            "{{\"id\":\"1c9d-22\",\"key\":\"^\",\"claim\":-,\"ua\":\"https://example.com/?{}&page=~\"}}",
            pairs("&", &query)
        ),
        format!("1c9d-22 ^ {} ~", "https://example.com/?access%5Ftoken=^&a=b"),
        format!("{event}"),
        list("^").to_string(),
        json!({"headers": list("^"), "raw": ["Host", "~", "Authorization", "^"], "cookies": ["sid=^"], "kept": "~"})
            .to_string(),
        json!({"value": "^", "name": "Authorization", "kept": "~"}).to_string(),
        json!({"queryStringParameters": event["queryStringParameters"], "password": {"a": "^"}, "kept": "~"})
            .to_string(),
    ];
    let line = |text: String| format!("(r-1) {text}");
    let vended =
        json!({"api_id": "a1", "stage": "p", "payload": format!("(r-9) Method request headers: {{Cookie=^, A=~}}")});
    vec![
        ("API-Gateway-Execution-Logs_a1b2c3/prod", execution.into_iter().map(line).collect()),
        (GROUP, access.into()),
        ("/aws/lambda/pets", planted_texts()),
        ("/aws/vendedlogs/execution", vec![vended.to_string()]),
    ]
}

/// The messages of [`planted`] that are no access logs.
fn planted_texts() -> Vec<String> {
    vec![
        "sent X-Api-Key: ^ to https://example.com/?code=^&page=~".to_owned(),
        "password=^ user=~".to_owned(),
        "--password=^".to_owned(),
        "[token=^]".to_owned(),
        "Cookie=sid=^; Authorization: Bearer ^\nHost: ~".to_owned(),
        "fetched https://user:^@example.com/~".to_owned(),
        "<a><b>~</b><wsse:Password Type=\"~\">^</wsse:Password></a>".to_owned(),
        "said\n{\"key\":\"^\",\"other\":\"~\"}\nwhich no format takes".to_owned(),
        "answer {\"access_token\":\"^\",\"user\":\"~\"} done".to_owned(),
        "x-tenant-pin: ^\nHost: ~".to_owned(),
        "Cookie: a=^; b=^\nHost: ~".to_owned(),
    ]
}

const PLANTED_FORMATS: &str = "{\"id\":\"$context.requestId\",\"key\":\"$context.identity.apiKey\",\"claim\":$context.authorizer.claims.x-tenant-pin,\"ua\":\"$context.identity.userAgent\"}\n$context.requestId $context.identity.apiKey $context.path $context.stage";

#[tokio::test]
async fn no_credential_leaves_from_any_place_and_its_neighbours_stay() {
    let settings =
        [("ARCHIVE", "structured"), ("REDACT_NAMES", "X-Tenant-Pin, claim"), ("ACCESS_LOG_FORMAT", PLANTED_FORMATS)];
    let world = World::start(&settings).await;
    let mut counts = (0, 0);
    let mut fill = |text: &str| {
        let mut filled = String::new();
        for character in text.chars() {
            let (count, prefix, suffix) = match character {
                '^' => (&mut counts.0, HUSH, ""),
                '~' => (&mut counts.1, "stays-", "."),
                other => {
                    filled.push(other);
                    continue;
                }
            };
            *count += 1;
            filled.extend([prefix, &count.to_string(), suffix]);
        }
        filled
    };
    let mut records = Vec::new();
    for (group, messages) in planted() {
        let messages: Vec<String> = messages.iter().map(|message| fill(message)).collect();
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        let mut envelope: Value = serde_json::from_str(&envelope(group, records.len() * 100, &messages)).expect("JSON");
        envelope["logEvents"][0]["extractedFields"] =
            json!({"authorization": fill("^"), "url": fill("/?sig=^&p=~"), "X-Tenant-Pin": fill("^")});
        records.push(gzip(envelope.to_string()));
    }
    assert!(counts.0 > 300, "{counts:?}");
    let verdicts = world.invoke(&records).await;
    let mut archived = String::new();
    for verdict in &verdicts {
        assert_eq!(verdict.result, "Ok");
        MultiGzDecoder::new(verdict.data.as_deref().expect("an archive")).read_to_string(&mut archived).expect("text");
    }
    let sent: String = world
        .analytics
        .requests()
        .iter()
        .map(|request| String::from_utf8_lossy(&request.decoded).into_owned())
        .collect();
    let log = world.function.lines().join("\n");
    for (what, written) in [("archive", &archived), ("body", &sent), ("log", &log)] {
        let leak = written.find(HUSH).map(|at| &written[written.floor_char_boundary(at.saturating_sub(120))..at + 12]);
        assert_eq!(leak, None, "{what}");
    }
    for kept in 1..=counts.1 {
        assert!(sent.contains(&format!("stays-{kept}.")), "{kept}");
        assert!(archived.contains(&format!("stays-{kept}.")), "{kept}");
    }
}

#[tokio::test]
async fn redaction_can_be_off() {
    let world = World::start(&[("REDACT", "off")]).await;
    let lines = [r#"{"token":"t0p"}"#, "password=t0p"];
    assert_eq!(world.results(&[gzip(envelope(GROUP, 0, &lines))]).await, ["Dropped"]);
    let events: Vec<Value> = world.analytics.accepted_events();
    assert_eq!((&events[0]["fields"]["token"], &events[1]["message"]), (&json!("t0p"), &json!("password=t0p")));
}

#[tokio::test]
async fn two_formats_of_one_shape_are_told_apart_by_their_types() {
    let setting = format!(
        "{REST_CSV}\n{REST_JSON}\n$context.requestId,$context.identity.sourceIp,$context.status\n$context.requestId,$context.httpMethod,$context.identity.sourceIp"
    );
    becomes(
        &setting,
        GROUP,
        &["1c9d-22,192.0.2.7,200", "1c9d-22,GET,192.0.2.7"],
        &[
            access(json!({"requestId": "1c9d-22", "identity": {"sourceIp": "192.0.2.7"}, "status": 200})),
            access(json!({"requestId": "1c9d-22", "httpMethod": "GET", "identity": {"sourceIp": "192.0.2.7"}})),
        ],
    )
    .await;
}

#[tokio::test]
async fn values_are_hidden_by_their_kind_where_that_is_asked_for() {
    let format = "$context.identity.sourceIp $context.identity.caller [$context.requestTime] $context.status";
    let world = World::start(&[("REDACT_VALUES", "email, ip,card,iban"), ("ACCESS_LOG_FORMAT", format)]).await;
    let line =
        json!({"to": "joe@example.com", "card": 4_111_111_111_111_111_i64, "n": 12, "from": "192.0.2.7"}).to_string();
    let clf = "192.0.2.7 joe@example.com [25/Sep/2026:09:20:30 +0000] 200";
    world.results(&[gzip(envelope(GROUP, 0, &[&line, &line, clf, "paid to DE89 3704 0044 0532 0130 00"]))]).await;
    let events = world.analytics.accepted_events();
    let hidden = json!({"to": "[REDACTED]", "card": "[REDACTED]", "n": 12, "from": "[REDACTED]"});
    assert_eq!((&events[0]["fields"], &events[1]["fields"]), (&hidden, &hidden));
    assert_eq!(events[2]["context"]["identity"], json!({"sourceIp": "[REDACTED]", "caller": "[REDACTED]"}));
    assert_eq!(events[2]["context"]["requestTime"], "25/Sep/2026:09:20:30 +0000");
    assert_eq!(events[3]["message"], "paid to [REDACTED]");
}
