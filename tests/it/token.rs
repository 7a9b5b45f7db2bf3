//! The bearer token: one request for each expiry, whatever becomes of the store, the endpoint and the other environments.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::loopback::parameter_store::{Operation, access_denied, internal_error, throttled, too_many_updates};
use crate::loopback::{Answer, AuthStyle, CLIENT_ID, CLIENT_SECRET, ExpiresIn, Grant};
use crate::token_crowd::Fleet;
use crate::world::{CREDENTIALS_PARAMETER, TIMEOUT, TOKEN_PARAMETER, World, credentials, envelope, gzip};

const ALL: [Operation; 4] = [Operation::Get, Operation::GetSeveral, Operation::Put, Operation::Delete];

/// A little more than the pause after a first failure.
pub(crate) const COOL_DOWN: Duration = Duration::from_millis(6100);

pub(crate) fn record(number: usize) -> Vec<u8> {
    gzip(envelope("g", number, &["x"]))
}

pub(crate) async fn delivers(world: &World) {
    assert_eq!(world.results(&[record(0)]).await, ["Dropped"], "{:#?}", world.function.lines());
}

pub(crate) async fn fails(world: &World) {
    assert_eq!(world.results(&[record(0)]).await, ["ProcessingFailed"]);
}

pub(crate) fn seconds() -> i64 {
    Timestamp::now().as_second()
}

/// A parameter's value with a token that was issued an hour before its end.
pub(crate) fn stored(token: &str, expires_at: i64) -> String {
    let issued_at = expires_at - 3600;
    json!({"access_token": token, "token_type": "Bearer", "issued_at": issued_at, "expires_at": expires_at}).to_string()
}

/// The token in the store.
fn kept(world: &World) -> Value {
    serde_json::from_str(&world.store.value(TOKEN_PARAMETER).expect("a token")).expect("JSON")
}

pub(crate) fn lock(version: u64) -> String {
    format!("{TOKEN_PARAMETER}.lock.{version}")
}

/// The bearer tokens of the requests to the API, in their order.
pub(crate) fn bearers(world: &World) -> Vec<String> {
    let bearer = |value: &str| value.strip_prefix("Bearer ").expect("a bearer token").to_owned();
    let requests = world.analytics.requests();
    requests.iter().map(|request| bearer(request.received.header("authorization").expect("a header"))).collect()
}

/// The lines that say this.
pub(crate) fn lines_with(world: &World, text: &str) -> Vec<String> {
    world.function.lines().into_iter().filter(|line| line.contains(text)).collect()
}

/// A world whose function has delivered once, with a token that expires at once.
pub(crate) async fn warm_with_an_expired_token(settings: &[(&str, &str)]) -> World {
    let world = World::start(settings).await;
    world.endpoint.set_lifetime(Duration::from_secs(1));
    delivers(&world).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.endpoint.set_lifetime(Duration::from_hours(1));
    world
}

#[tokio::test]
async fn a_token_that_lives_in_the_store_is_used_after_one_read() {
    let world = World::start(&[]).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() + 3600));
    world.analytics.tokens().allow("old");
    delivers(&world).await;
    delivers(&world).await;
    assert_eq!((world.store.count(Operation::GetSeveral), world.store.requests().len()), (1, 1));
    assert_eq!((world.endpoint.count(), bearers(&world)), (0, vec!["old".to_owned(); 2]));
}

#[tokio::test]
async fn a_new_token_is_written_for_the_others_under_a_lock() {
    let world = World::start(&[]).await;
    delivers(&world).await;
    let token = kept(&world);
    let times = [&token["issued_at"], &token["expires_at"]].map(|time| time.as_i64().expect("a number"));
    assert!((seconds() - times[0]).abs() <= 5);
    assert_eq!(times[1] - times[0], 3600);
    assert_eq!(
        (&token["access_token"], &token["token_type"]),
        (&world.endpoint.tokens()[0].as_str().into(), &"Bearer".into())
    );
    let dead_at: i64 = world.store.value(&lock(0)).expect("a lock").parse().expect("epoch seconds");
    assert!((0..=10).contains(&(dead_at - seconds())), "{dead_at}");
}

#[tokio::test]
async fn warm_invocations_read_the_store_no_more() {
    let world = World::start(&[]).await;
    delivers(&world).await;
    let before = world.store.requests().len();
    for _ in 0..200 {
        delivers(&world).await;
    }
    assert_eq!((world.store.requests().len(), world.endpoint.count()), (before, 1));
}

#[tokio::test]
async fn locks_do_not_pile_up() {
    let world = World::start(&[]).await;
    for _ in 0..4 {
        delivers(&world).await;
        world.endpoint.valid().revoke_all();
    }
    assert_eq!(world.store.version(TOKEN_PARAMETER), Some(4));
    assert_eq!(world.store.names(), [CREDENTIALS_PARAMETER, TOKEN_PARAMETER, &lock(3)]);
}

#[tokio::test]
async fn locks_of_a_token_that_was_deleted_hold_nobody_up() {
    let world = World::start(&[]).await;
    for (version, value) in [(0, "1795283940"), (1, "not a time")] {
        world.store.put(&lock(version), value);
    }
    let start = Instant::now();
    delivers(&world).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    world.endpoint.valid().revoke_all();
    delivers(&world).await;
    assert_eq!((world.endpoint.count(), world.store.version(TOKEN_PARAMETER)), (2, Some(2)));
}

#[tokio::test]
async fn of_environments_that_are_due_one_renews_early_and_nobody_waits() {
    let world = World::start(&[]).await;
    world.analytics.tokens().allow("old");
    let fleet = Fleet::start(&world, 10).await;
    world.store.put(TOKEN_PARAMETER, &stored("old", seconds() + 10));
    world.endpoint.otherwise(Some(Answer::status(200).delay(Duration::from_millis(100))));
    // Also in an environment's first invocation, which has just found the token in the store.
    let took = fleet.deliver().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(world.endpoint.count(), 1);
    assert!(bearers(&world).contains(&"old".to_owned()));
    assert_eq!(kept(&world)["access_token"], world.endpoint.tokens()[0]);
    // The others take it when they need it.
    world.endpoint.revoke("old");
    fleet.deliver().await;
    assert_eq!(world.endpoint.count(), 1);
}

#[tokio::test]
async fn a_token_that_lives_is_used_on_when_its_renewal_fails() {
    for answer in [Answer::hang(), Answer::status(503), Answer::status(400).body(r#"{"error":"invalid_scope"}"#)] {
        let world = World::start(&[]).await;
        world.analytics.tokens().allow("old");
        world.endpoint.otherwise(Some(answer));
        let fleet = Fleet::start(&world, 10).await;
        world.store.put(TOKEN_PARAMETER, &stored("old", seconds() + 12));
        fleet.deliver().await;
        for _ in 0..3 {
            let took = fleet.deliver().await;
            assert!(took < Duration::from_secs(3), "{took:?}");
        }
        // Another follows where the rounds outlast the lock.
        assert!((1..=2).contains(&world.endpoint.count()), "{}", world.endpoint.count());
    }
}

#[tokio::test]
async fn each_style_of_authentication_sends_scope_and_audience() {
    for (word, style) in [("basic", AuthStyle::Basic), ("post", AuthStyle::Post), ("json", AuthStyle::Json)] {
        let settings =
            [("TOKEN_AUTH_STYLE", word), ("TOKEN_SCOPE", "a b/c"), ("TOKEN_AUDIENCE", "https://api.example.com/?x=1")];
        let world = World::start(&settings).await;
        delivers(&world).await;
        let grant = Grant::read(&world.endpoint.requests()[0]).expect("a grant");
        assert_eq!((grant.style, grant.client_id.as_str()), (style, CLIENT_ID));
        assert_eq!(grant.client_secret, CLIENT_SECRET);
        let sent = ["grant_type", "scope", "audience"].map(|name| grant.parameter(name).expect(name));
        assert_eq!(sent, ["client_credentials", "a b/c", "https://api.example.com/?x=1"]);
        assert_eq!(grant.parameters.len(), 3);
    }
}

#[tokio::test]
async fn the_lifetime_is_told_by_the_answer_the_token_or_the_setting() {
    let lifetime = async |answer: Option<Answer>, form: ExpiresIn| {
        let world = World::start(&[("TOKEN_DEFAULT_TTL_SECONDS", "77")]).await;
        world.endpoint.set_expires_in(form);
        world.endpoint.otherwise(answer);
        world.results(&[record(0)]).await;
        let token = kept(&world);
        token["expires_at"].as_i64().expect("a number") - token["issued_at"].as_i64().expect("a number")
    };
    assert_eq!(lifetime(None, ExpiresIn::Number).await, 3600);
    assert_eq!(lifetime(None, ExpiresIn::String).await, 3600);
    assert_eq!(lifetime(None, ExpiresIn::Omitted).await, 77);
    let claims = base64_simd::URL_SAFE_NO_PAD.encode_to_string(json!({"exp": seconds() + 1000}).to_string());
    let jwt = json!({"access_token": format!("e30.{claims}.c2ln"), "token_type": "Bearer"});
    let told = lifetime(Some(Answer::status(200).json(&jwt)), ExpiresIn::Number).await;
    assert!((990..=1000).contains(&told), "{told}");
}

#[tokio::test]
async fn an_endpoint_that_is_overloaded_is_asked_again() {
    let world = World::start(&[]).await;
    world.endpoint.script([
        Answer::status(503),
        Answer::status(429).retry_after("1"),
        Answer::status(500),
        Answer::closed_after_body(),
    ]);
    let start = Instant::now();
    delivers(&world).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(world.endpoint.count(), 5);
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_says_what_is_wrong() {
    let refused = [
        (Answer::status(401).body(r#"{"error":"invalid_client"}"#), "CREDENTIALS_PARAMETER"),
        (Answer::status(400).body(r#"{"error":"invalid_scope"}"#), "answers 400 invalid_scope"),
        (Answer::status(403), "answers 403"),
        (Answer::status(200).body("<html>"), "no JSON object"),
    ];
    join_all(refused.map(async |(answer, said)| {
        let world = World::start(&[("MAX_BATCH_EVENTS", "1")]).await;
        world.endpoint.otherwise(Some(answer));
        assert_eq!(world.results(&[record(0), record(1), record(2)]).await, ["ProcessingFailed"; 3]);
        assert_eq!((world.endpoint.count(), world.analytics.count()), (1, 0));
        assert!(!lines_with(&world, said).is_empty(), "{:#?}", world.function.lines());
        // What was wrong is put right.
        world.endpoint.otherwise(None);
        tokio::time::sleep(COOL_DOWN).await;
        delivers(&world).await;
    }))
    .await;
}

#[tokio::test]
async fn the_answer_comes_before_the_deadline_when_the_endpoint_hangs() {
    let world = World::start(&[("REQUEST_TIMEOUT_MS", "60000")]).await;
    world.endpoint.otherwise(Some(Answer::hang()));
    let timeout = Duration::from_secs(3);
    let start = Instant::now();
    let verdicts = world.invoke_within(&[record(0), record(1)], timeout).await;
    assert!(verdicts.iter().all(|verdict| verdict.result == "ProcessingFailed" && verdict.data.is_some()));
    assert!(start.elapsed() + Duration::from_millis(100) < timeout);
    assert_eq!(world.analytics.count(), 0);
}

#[tokio::test]
async fn credentials_that_were_rotated_are_picked_up() {
    // At the next expiry, and by an environment that has to learn of it from a refusal.
    let world = warm_with_an_expired_token(&[]).await;
    world.endpoint.set_client("rotated", "also-not-real");
    world.store.put(CREDENTIALS_PARAMETER, &credentials("rotated", "also-not-real"));
    delivers(&world).await;
    assert_eq!(world.endpoint.count(), 2);

    let world = World::start(&[("MAX_BATCH_EVENTS", "1")]).await;
    world.endpoint.set_client("rotated", "also-not-real");
    let answer = Answer::status(401).body(r#"{"error":"invalid_client"}"#).delay(Duration::from_millis(300));
    world.endpoint.script([answer]);
    let records = [record(0), record(1), record(2)];
    let rotation = async {
        world.endpoint.received(1).await;
        world.store.put(CREDENTIALS_PARAMETER, &credentials("rotated", "also-not-real"));
    };
    let (results, ()) = tokio::join!(world.results(&records), rotation);
    assert_eq!(results, ["Dropped"; 3]);
    assert_eq!((world.endpoint.count(), world.store.count(Operation::GetSeveral)), (2, 2));
}

#[tokio::test]
async fn a_refused_token_is_looked_for_in_the_store_before_the_endpoint() {
    let world = World::start(&[]).await;
    delivers(&world).await;
    world.endpoint.valid().revoke_all();
    world.analytics.tokens().allow("anothers");
    world.store.put(TOKEN_PARAMETER, &stored("anothers", seconds() + 3600));
    delivers(&world).await;
    assert_eq!((world.analytics.statuses(), world.endpoint.count()), (vec![200, 401, 200], 1));

    // The store's is refused, too.
    world.endpoint.valid().revoke_all();
    world.store.put(TOKEN_PARAMETER, &stored("refused", seconds() + 600));
    delivers(&world).await;
    assert_eq!((world.analytics.statuses()[3..].to_vec(), world.endpoint.count()), (vec![401, 401, 200], 2));

    // So is the one that was made for it, which is given the time in which it is young.
    world.analytics.otherwise(Some(Answer::status(401)));
    fails(&world).await;
    let statuses = world.analytics.statuses()[6..].to_vec();
    assert!((5..=8).contains(&statuses.len()) && statuses.iter().all(|status| *status == 401), "{statuses:?}");
    assert_eq!(world.endpoint.count(), 3);
}

#[tokio::test]
async fn a_403_is_no_matter_of_the_token() {
    let world = World::start(&[]).await;
    world.analytics.script([Answer::status(403)]);
    fails(&world).await;
    assert_eq!((world.analytics.count(), world.endpoint.count()), (1, 1));
    assert_eq!(world.store.count(Operation::GetSeveral), 1);
}

#[tokio::test]
async fn a_store_that_refuses_writes_costs_one_warning_that_says_what_is_wrong() {
    let error = |kind| Answer::aws_error(400, kind, "");
    let cases = [
        (Operation::Put, throttled(), "too busy (ThrottlingException)"),
        (Operation::Put, too_many_updates(), "too busy (TooManyUpdates)"),
        (Operation::Put, internal_error(), "too busy (InternalServerError)"),
        (Operation::Put, access_denied(), "allow ssm:PutParameter on TOKEN_PARAMETER and its locks"),
        (Operation::Put, error("InvalidKeyId"), "kms:Encrypt"),
        (Operation::Put, error("ParameterMaxVersionLimitExceeded"), "carries a label"),
        (Operation::Put, error("ParameterLimitExceeded"), "quota"),
        (Operation::Put, error("HierarchyTypeMismatchException"), "is not a SecureString"),
        (Operation::Put, Answer::closed_after_body(), "not reached for ssm:PutParameter"),
        (Operation::Delete, access_denied(), "allow ssm:DeleteParameter on the locks"),
    ];
    join_all(cases.map(async |(operation, answer, said)| {
        let world = World::start(&[]).await;
        world.store.put(TOKEN_PARAMETER, &stored("old", seconds() - 1));
        world.store.otherwise(operation, Some(answer));
        delivers(&world).await;
        delivers(&world).await;
        let warnings = lines_with(&world, "Parameter Store");
        assert!(warnings.len() == 1 && warnings[0].contains(said), "{said}: {warnings:#?}");
        assert!(warnings[0].contains("WARN"));
        assert_eq!(world.endpoint.count(), 1);
    }))
    .await;
}

#[tokio::test]
async fn a_store_that_cannot_be_read_costs_one_warning_where_credentials_are_in_memory() {
    let cases = [
        (Some(throttled()), "too busy (ThrottlingException)"),
        (Some(access_denied()), "allow ssm:GetParameters on CREDENTIALS_PARAMETER, TOKEN_PARAMETER and its locks"),
        (Some(Answer::aws_error(400, "InvalidKeyId", "")), "kms:Decrypt"),
        (None, "not reached for ssm:GetParameters"),
    ];
    join_all(cases.map(async |(answer, said)| {
        let world = warm_with_an_expired_token(&[]).await;
        world.store.set_down(answer.is_none());
        world.store.otherwise(Operation::GetSeveral, answer);
        delivers(&world).await;
        delivers(&world).await;
        let warnings = lines_with(&world, "Parameter Store");
        assert!(warnings.len() == 1 && warnings[0].contains(said), "{said}: {warnings:#?}");
        assert_eq!(world.endpoint.count(), 2);
    }))
    .await;
}

#[tokio::test]
async fn a_store_that_hangs_costs_one_time_out() {
    for hanging in [ALL.as_slice(), &[Operation::GetSeveral], &[Operation::Put]] {
        let world = warm_with_an_expired_token(&[("REQUEST_TIMEOUT_MS", "2000")]).await;
        for operation in hanging {
            world.store.otherwise(*operation, Some(Answer::hang()));
        }
        let start = Instant::now();
        delivers(&world).await;
        assert!(start.elapsed() < Duration::from_millis(3500), "{hanging:?}: {:?}", start.elapsed());
        assert_eq!(lines_with(&world, "Parameter Store").len(), 1, "{hanging:?}");
    }
}

#[tokio::test]
async fn a_store_that_hangs_leaves_time_to_deliver() {
    let world = warm_with_an_expired_token(&[("REQUEST_TIMEOUT_MS", "60000")]).await;
    for operation in ALL {
        world.store.otherwise(operation, Some(Answer::hang()));
    }
    let verdicts = world.invoke_within(&[record(0)], Duration::from_secs(4)).await;
    assert_eq!(verdicts[0].result, "Dropped");
}

#[tokio::test]
async fn a_slow_write_of_the_token_holds_no_delivery_up() {
    let world = World::start(&[("MAX_BATCH_EVENTS", "1")]).await;
    // The lock is written, the token is not yet.
    world.store.script(Operation::Put, [Answer::status(200), Answer::status(200).delay(Duration::from_secs(2))]);
    let start = Instant::now();
    let records: Vec<Vec<u8>> = (0..4).map(record).collect();
    let delivered = async {
        world.analytics.received(4).await;
        start.elapsed()
    };
    let (results, delivered) = tokio::join!(world.results(&records), delivered);
    assert_eq!(results, ["Dropped"; 4]);
    assert!(delivered < Duration::from_millis(1900), "{delivered:?}");
    assert_eq!(world.store.version(TOKEN_PARAMETER), Some(1));
}

#[tokio::test]
async fn a_cold_start_waits_for_a_store_that_is_busy() {
    let world = World::start(&[]).await;
    world.store.script(Operation::GetSeveral, (0..5).map(|_| throttled()));
    delivers(&world).await;
    assert_eq!(world.endpoint.count(), 1);
}

#[tokio::test]
async fn without_credentials_the_records_are_kept_and_the_error_names_the_setting() {
    for value in [None, Some("garbage"), Some("{\"client_id\":\"x\"}")] {
        let world = World::start(&[]).await;
        world.store.delete(CREDENTIALS_PARAMETER);
        if let Some(value) = value {
            world.store.put(CREDENTIALS_PARAMETER, value);
        }
        fails(&world).await;
        assert_eq!(lines_with(&world, "CREDENTIALS_PARAMETER").len(), 1, "{:#?}", world.function.lines());
        assert_eq!((world.store.requests().len(), world.endpoint.count()), (1, 0));
        // The operator makes it good, without a new environment.
        world.store.put(CREDENTIALS_PARAMETER, &credentials(CLIENT_ID, CLIENT_SECRET));
        delivers(&world).await;
    }
}

#[tokio::test]
async fn credentials_in_memory_outlive_their_parameter() {
    let world = warm_with_an_expired_token(&[]).await;
    world.store.put(CREDENTIALS_PARAMETER, "garbage");
    delivers(&world).await;
    assert_eq!(lines_with(&world, "those in memory stay in use").len(), 1);
}

#[tokio::test]
async fn anything_else_in_the_tokens_parameter_is_replaced() {
    for value in ["initial", "{}", "{\"access_token\":\"\"}", "null"] {
        let world = World::start(&[]).await;
        world.store.put(TOKEN_PARAMETER, value);
        delivers(&world).await;
        assert_eq!(lines_with(&world, "the value of TOKEN_PARAMETER is not a token").len(), 1);
        assert_eq!(world.store.version(TOKEN_PARAMETER), Some(2));
    }
}

#[tokio::test]
async fn a_token_of_more_than_4_kb_is_kept_and_one_too_large_to_keep_is_used() {
    for (size, is_kept) in [(5000, true), (9000, false)] {
        let world = World::start(&[]).await;
        let token = "t".repeat(size);
        world.analytics.tokens().allow(&token);
        world.endpoint.otherwise(Some(Answer::status(200).json(&json!({"access_token": token, "expires_in": 600}))));
        delivers(&world).await;
        delivers(&world).await;
        assert_eq!(world.store.is_advanced(TOKEN_PARAMETER), is_kept);
        assert_eq!(lines_with(&world, "a token over 8 KB").len(), usize::from(!is_kept));
        assert_eq!(world.endpoint.count(), 1);
    }
}

#[tokio::test]
async fn no_line_at_any_level_holds_a_token_or_a_credential() {
    let world = World::start(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("TOKEN_AUTH_STYLE", "post")]).await;
    world.analytics.tokens().allow("hush-token");
    world.store.put(TOKEN_PARAMETER, &stored("hush-token", seconds() + 3600));
    delivers(&world).await;
    world.endpoint.revoke("hush-token");
    world.endpoint.script([Answer::status(401).body(r#"{"error":"invalid_client","error_description":"hush-id"}"#)]);
    fails(&world).await;
    tokio::time::sleep(COOL_DOWN).await;
    world.store.put(CREDENTIALS_PARAMETER, "hush-garbage");
    world.store.put(TOKEN_PARAMETER, "hush-placeholder");
    world.store.otherwise(Operation::Put, Some(Answer::aws_error(400, "ValidationException", "hush-message")));
    world.endpoint.script([Answer::status(200).body(r#"{"access_token":"hush token"}"#)]);
    fails(&world).await;
    tokio::time::sleep(COOL_DOWN * 2).await;
    delivers(&world).await;
    let written = world.function.lines().join("\n");
    for secret in ["hush", CLIENT_SECRET, "not+a+real", "not-a-real"]
        .into_iter()
        .map(str::to_owned)
        .chain(world.endpoint.tokens())
    {
        assert!(!written.contains(&secret), "{secret}: {written}");
    }
}

#[tokio::test]
async fn a_store_that_is_throttled_holds_a_delivery_up_for_less_than_half_of_its_time() {
    let world = World::start(&[]).await;
    delivers(&world).await;
    for operation in [Operation::GetSeveral, Operation::Put] {
        world.store.otherwise(operation, Some(throttled()));
    }
    world.endpoint.valid().revoke_all();
    let start = Instant::now();
    delivers(&world).await;
    assert!(start.elapsed() < TIMEOUT / 2, "{:?}", start.elapsed());
}
