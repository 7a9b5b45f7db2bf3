//! The function against a real OAuth 2.0 issuer and a real stand-in for Parameter Store, which `tests/issuer/run` starts.
//!
//! The rest of these tests has its services' rules from documents; here two others have read the same documents.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::loopback::{FunctionProcess, RuntimeApi, tls};
use crate::world::{TIMEOUT, binary, credentials, envelope, event, gzip};

const CLIENT_ID: &str = "forwarder:client";
const TOKEN_PARAMETER: &str = "/issuer-test/token";
const CREDENTIALS_PARAMETER: &str = "/issuer-test/credentials";

/// Lifetime of the issuer's tokens.
const LIFETIME: Duration = Duration::from_secs(4);

#[expect(clippy::disallowed_methods, reason = "tests/issuer/run tells where it has started the services")]
fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: use tests/issuer/run"))
}

struct Services {
    http: reqwest::Client,
    issuer: String,
    store: String,
}

impl Services {
    async fn counts(&self) -> Value {
        let answer = self.http.get(format!("{}/counts", self.issuer)).send().await.expect("the issuer answers");
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
    }

    async fn tell(&self, path: &str, body: &str) {
        let answer = self.http.post(format!("{}{path}", self.issuer)).body(body.to_owned()).send().await;
        assert!(answer.expect("the issuer answers").status().is_success());
    }

    async fn ask_store(&self, operation: &str, input: Value) -> Value {
        let request = self.http.post(&self.store).header("x-amz-target", format!("AmazonSSM.{operation}"));
        let request = request.header("content-type", "application/x-amz-json-1.1").header("x-amz-date", "20261121T120000Z").header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/ssm/aws4_request, SignedHeaders=host, Signature=00",
        );
        let answer = request.body(input.to_string()).send().await.expect("the store answers");
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
    }

    async fn put_credentials(&self, secret: &str) {
        let input = json!({
            "Name": CREDENTIALS_PARAMETER,
            "Value": credentials(CLIENT_ID, secret),
            "Type": "SecureString",
            "Overwrite": true,
        });
        assert!(self.ask_store("PutParameter", input).await["Version"].is_u64());
    }

    /// The version of the token, and whether its lock is there.
    async fn token(&self) -> (i64, bool) {
        let ask =
            async |name: &str| self.ask_store("GetParameter", json!({"Name": name, "WithDecryption": true})).await;
        let token = ask(TOKEN_PARAMETER).await["Parameter"].take();
        let value: Value = serde_json::from_str(token["Value"].as_str().expect("a value")).expect("JSON");
        let [issued_at, expires_at] = ["issued_at", "expires_at"].map(|time| value[time].as_u64().expect("seconds"));
        assert_eq!(expires_at - issued_at, LIFETIME.as_secs());
        assert_eq!(token["Type"], "SecureString");
        let version = token["Version"].as_i64().expect("a version");
        let lock = ask(&format!("{TOKEN_PARAMETER}.lock.{}", version - 1)).await;
        let before = ask(&format!("{TOKEN_PARAMETER}.lock.{}", version - 2)).await;
        assert!(before["Parameter"].is_null(), "{before}");
        (version, lock["Parameter"]["Value"].is_string())
    }
}

/// Invokes all at once, and checks that every one delivers.
async fn deliver(fleet: &[(RuntimeApi, FunctionProcess)]) {
    let data = base64_simd::STANDARD.encode_to_string(gzip(envelope("g", 0, &["x"])));
    let payload = event([data]).to_string();
    let invocations = join_all(fleet.iter().map(|(runtime, _)| runtime.invoke(payload.clone(), TIMEOUT))).await;
    for (invocation, (_, function)) in invocations.iter().zip(fleet) {
        assert_eq!(invocation.json()["records"][0]["result"], "Dropped", "{:#?}", function.lines());
    }
}

#[tokio::test]
#[ignore = "needs a real issuer and a real store: tests/issuer/run starts them"]
async fn one_token_lasts_until_it_expires_is_revoked_or_its_client_is_rotated() {
    let services =
        Services { http: tls::client(None), issuer: url("ISSUER_URL"), store: format!("{}/", url("STORE_URL")) };
    services.put_credentials("a secret: with /+%&= signs").await;
    let settings = [
        ("ANALYTICS_URL", format!("{}/v1/events", services.issuer)),
        ("TOKEN_URL", format!("{}/token", services.issuer)),
        ("TOKEN_SCOPE", "events:write".to_owned()),
        ("TOKEN_PARAMETER", TOKEN_PARAMETER.to_owned()),
        ("CREDENTIALS_PARAMETER", CREDENTIALS_PARAMETER.to_owned()),
        ("AWS_ENDPOINT_URL_SSM", services.store.clone()),
    ];
    let settings: BTreeMap<String, String> =
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let start = async || {
        let runtime = RuntimeApi::start().await;
        let function = FunctionProcess::spawn(binary(), &settings, &runtime);
        runtime.received(1).await;
        (runtime, function)
    };
    let fleet = join_all((0..8).map(|_| start())).await;
    let expect = async |issued: u64, refusals: u64, unauthorized: u64, events: u64| {
        let expected = json!({"issued": issued, "refusals": refusals, "events": events, "unauthorized": unauthorized});
        assert_eq!(services.counts().await, expected);
    };

    // A cold start of all.
    deliver(&fleet).await;
    expect(1, 0, 0, 8).await;
    assert_eq!(services.token().await, (1, true));
    deliver(&fleet).await;
    expect(1, 0, 0, 16).await;

    // An expiry.
    tokio::time::sleep(LIFETIME).await;
    deliver(&fleet).await;
    expect(2, 0, 0, 24).await;
    assert_eq!(services.token().await, (2, true));

    // A revocation: each environment is refused once.
    services.tell("/revoke", "").await;
    deliver(&fleet).await;
    expect(3, 0, 8, 32).await;
    assert_eq!(services.token().await, (3, true));

    // A rotation, of which the operator tells the store.
    services.tell("/rotate", "another secret").await;
    services.put_credentials("another secret").await;
    tokio::time::sleep(LIFETIME).await;
    deliver(&fleet).await;
    expect(4, 0, 8, 40).await;
    assert_eq!(services.token().await, (4, true));
}
