//! How the client proves who it is: by assertions that it signs, and by its certificate.

use std::time::Duration;

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::loopback::parameter_store::Operation;
use crate::loopback::tls::Authority;
use crate::loopback::{AnalyticsApi, Answer, Received, TokenEndpoint};
use crate::tls::Roots;
use crate::token::{COOL_DOWN, delivers, fails, lines_with, seconds};
use crate::world::{CREDENTIALS_PARAMETER, World};

/// A P-256 key as PEM, and its public half.
fn key() -> (String, Vec<u8>) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).expect("a key");
    let base64 = STANDARD.encode_to_string(&pkcs8);
    (format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n"), pair.public_key().as_ref().to_vec())
}

/// A function whose client has this key, and whose endpoint gives a token to whoever asks.
async fn world(private_key: &str, settings: &[(&str, &str)]) -> World {
    let world = World::start(&[&[("TOKEN_AUTH_STYLE", "private_key_jwt")], settings].concat()).await;
    let credentials = json!({"client_id": "forwarder", "private_key": private_key, "key_id": "k-1"});
    world.store.put(CREDENTIALS_PARAMETER, &credentials.to_string());
    world.analytics.tokens().allow("given");
    world.endpoint.otherwise(Some(Answer::status(200).json(&json!({"access_token": "given", "expires_in": 600}))));
    world
}

/// Checks the form of a token request and the assertion in it; returns its claims.
#[track_caller]
fn claims(world: &World, request: &Received, public: &[u8]) -> Value {
    let mut form: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
    let at = form.iter().position(|(name, _)| name == "client_assertion").expect("an assertion");
    let (_, assertion) = form.remove(at);
    let others: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("grant_type", "client_credentials"),
        ("scope", "events"),
        ("client_id", "forwarder"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("resource", "r"),
    ];
    assert_eq!(others, expected);
    assert_eq!(request.header("authorization"), None);

    let (signed, signature) = assertion.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let decode = |part: &str| URL_SAFE_NO_PAD.decode_to_vec(part).expect("base64");
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
    assert_eq!(key.verify(signed.as_bytes(), &decode(signature)), Ok(()));
    let [header, claims]: [Value; 2] =
        [header, claims].map(|part| serde_json::from_slice(&decode(part)).expect("JSON"));
    assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": "k-1"}));
    assert_eq!(
        [&claims["iss"], &claims["sub"], &claims["aud"]],
        [&json!("forwarder"), &json!("forwarder"), &json!(world.endpoint.url())]
    );
    let [issued, expires] = ["iat", "exp"].map(|name| claims[name].as_i64().expect("seconds"));
    assert!((seconds() - issued).abs() <= 5 && expires == issued + 300, "{claims}");
    claims
}

const FORM: [(&str, &str); 2] = [("TOKEN_SCOPE", "events"), ("TOKEN_REQUEST_PARAMETERS", "resource=r")];

#[tokio::test]
async fn each_attempt_for_a_token_has_an_assertion_of_its_own() {
    let (private, public) = key();
    let world = world(&private, &FORM).await;
    world.endpoint.script([Answer::status(503)]);
    delivers(&world).await;
    let requests = world.endpoint.requests();
    let [first, second] = requests.as_slice() else { panic!("two attempts: {requests:?}") };
    assert_ne!(claims(&world, first, &public)["jti"], claims(&world, second, &public)["jti"]);
    assert!(!world.function.lines().join("\n").contains("PRIVATE"));
}

#[tokio::test]
async fn a_key_that_was_replaced_is_used_at_once_and_the_same_one_not_again() {
    let refusal = || Answer::status(401).body(r#"{"error":"invalid_client"}"#);
    let (old, new) = (key(), key());
    let replaced = world(&old.0, &FORM).await;
    replaced.endpoint.script([refusal().delay(Duration::from_millis(300))]);
    let replacement = async {
        replaced.endpoint.received(1).await;
        let credentials = json!({"client_id": "forwarder", "private_key": new.0, "key_id": "k-1"});
        replaced.store.put(CREDENTIALS_PARAMETER, &credentials.to_string());
    };
    tokio::join!(delivers(&replaced), replacement);
    let requests = replaced.endpoint.requests();
    claims(&replaced, &requests[0], &old.1);
    claims(&replaced, &requests[1], &new.1);

    let same = world(&old.0, &FORM).await;
    same.endpoint.script([refusal()]);
    fails(&same).await;
    assert_eq!(same.endpoint.count(), 1);
}

#[tokio::test]
async fn a_key_that_cannot_be_used_keeps_the_records_and_is_not_shown() {
    let world = world("-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n", &[]).await;
    fails(&world).await;
    assert_eq!(lines_with(&world, "the token request cannot be made: the private_key").len(), 1);
    assert!(!world.function.lines().join("\n").contains("hush"));
    assert_eq!(world.endpoint.count(), 0);
    tokio::time::sleep(COOL_DOWN.saturating_sub(Duration::from_secs(5))).await;
    let credentials = json!({"client_id": "forwarder", "private_key": key().0});
    world.store.put(CREDENTIALS_PARAMETER, &credentials.to_string());
    delivers(&world).await;
}

#[tokio::test]
async fn credentials_of_another_style_are_none() {
    for (style, value, wanted) in [
        ("private_key_jwt", r#"{"client_id":"c","client_secret":"s"}"#, "private_key"),
        ("post", r#"{"client_id":"c","private_key":"k"}"#, "client_secret"),
    ] {
        let world = World::start(&[("TOKEN_AUTH_STYLE", style)]).await;
        world.store.put(CREDENTIALS_PARAMETER, value);
        fails(&world).await;
        let expected = format!(r#"\"{wanted}\":\"…\"}}, as TOKEN_AUTH_STYLE wants it"#);
        assert_eq!(lines_with(&world, &expected).len(), 1, "{:#?}", world.function.lines());
        assert_eq!(world.endpoint.count(), 0);
    }
}

const CERTIFICATE_PARAMETER: &str = "/forwarder/certificate";

/// A function whose services speak with clients only that have a certificate of this authority.
struct Mutual {
    authority: Authority,
    endpoint: TokenEndpoint,
    api: AnalyticsApi,
    world: World,
}

impl Mutual {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let authority = Authority::new();
        let roots = Roots::of(&authority);
        let endpoint = TokenEndpoint::start_tls(authority.acceptor_of_known_clients()).await;
        let api = AnalyticsApi::start_tls(endpoint.valid(), authority.acceptor_of_known_clients()).await;
        let (api_url, endpoint_url) = (api.url(), endpoint.url());
        let all = [
            ("ANALYTICS_URL", api_url.as_str()),
            ("TOKEN_URL", &endpoint_url),
            ("SSL_CERT_FILE", roots.path()),
            ("CLIENT_CERTIFICATE_PARAMETER", CERTIFICATE_PARAMETER),
            ("MAX_ATTEMPTS", "1"),
        ];
        let world = World::start(&[&all, settings].concat()).await;
        world.runtime.received(1).await;
        Self { authority, endpoint, api, world }
    }

    /// How many have come to the token endpoint and to the API.
    fn connections(&self) -> (usize, usize) {
        (self.endpoint.count(), self.api.connections())
    }
}

#[tokio::test]
async fn the_certificate_is_read_with_the_token_and_presented_to_both_services() {
    let mutual = Mutual::start(&[]).await;
    mutual.world.store.put(CERTIFICATE_PARAMETER, &mutual.authority.client_pem());
    delivers(&mutual.world).await;
    // It is kept.
    mutual.world.store.delete(CERTIFICATE_PARAMETER);
    delivers(&mutual.world).await;
    assert_eq!(mutual.connections(), (1, 1));
    assert_eq!(mutual.world.store.count(Operation::GetSeveral), 1);

    let unknown = Mutual::start(&[("CLIENT_CERTIFICATE_PARAMETER", "")]).await;
    fails(&unknown.world).await;
    assert_eq!(unknown.endpoint.count(), 0);
}

#[tokio::test]
async fn without_a_token_the_certificate_is_read_by_itself_and_with_the_formats() {
    for formats in ["", "/forwarder/formats"] {
        let mutual = Mutual::start(&[("AUTH", "none"), ("FORMATS_PARAMETER", formats)]).await;
        mutual.api.otherwise(Some(Answer::status(200).body("{}")));
        mutual.world.store.put("/forwarder/formats", "$context.status $context.path");
        mutual.world.store.put(CERTIFICATE_PARAMETER, &mutual.authority.client_pem());
        delivers(&mutual.world).await;
        delivers(&mutual.world).await;
        assert_eq!((mutual.api.count(), mutual.world.store.count(Operation::GetSeveral)), (2, 1));
    }
}

#[tokio::test]
async fn records_are_kept_while_the_certificate_is_missing_or_malformed() {
    let mutual = Mutual::start(&[]).await;
    let world = &mutual.world;
    fails(world).await;
    world.store.put(CERTIFICATE_PARAMETER, &format!("hush\n{}", mutual.authority.certificate_pem()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    fails(world).await;
    assert_eq!(lines_with(world, "CLIENT_CERTIFICATE_PARAMETER is missing").len(), 1);
    assert_eq!(lines_with(world, "CLIENT_CERTIFICATE_PARAMETER holds no private key").len(), 1);
    assert!(!world.function.lines().join("\n").contains("hush"));
    // A token in the store is of no use without it.
    world.store.put(crate::world::TOKEN_PARAMETER, &crate::token::stored("kept", seconds() + 3600));
    mutual.endpoint.valid().allow("kept");
    tokio::time::sleep(Duration::from_secs(2)).await;
    fails(world).await;
    assert_eq!(mutual.connections(), (0, 0));
    assert!(world.store.names().iter().all(|name| !name.contains(".lock.")));

    world.store.put(CERTIFICATE_PARAMETER, &mutual.authority.client_pem());
    tokio::time::sleep(Duration::from_secs(2)).await;
    delivers(world).await;
    assert_eq!(mutual.connections(), (0, 1));
}
