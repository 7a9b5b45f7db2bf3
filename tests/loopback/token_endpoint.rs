//! The token endpoint: an OAuth 2.0 client credentials grant (RFC 6749 §4.4).

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, Script};
use super::server::{Received, Server, Service, unknown};
use super::tokens::Tokens;

/// The client that the endpoint knows from its start. Both need form-encoding within HTTP Basic (RFC 6749 §2.3.1).
pub const CLIENT_ID: &str = "forwarder:client";
/// That client's secret: no real one.
pub const CLIENT_SECRET: &str = "not a real secret+1%";

/// A token endpoint on 127.0.0.1.
///
/// It takes the client's id and secret by HTTP Basic, as form fields and in a JSON body, and answers with a new token
/// each time. Wrong credentials: 401 `invalid_client`. Another grant: 400 `unsupported_grant_type`.
#[derive(Debug)]
pub struct TokenEndpoint {
    server: Server,
    rules: Arc<Rules>,
}

/// How an answer tells the token's lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiresIn {
    /// `"expires_in":3600`
    Number,
    /// `"expires_in":"3600"`
    String,
    /// Not at all.
    Omitted,
}

/// How a client authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthStyle {
    /// HTTP Basic.
    Basic,
    /// Fields of the form.
    Post,
    /// Members of a JSON body.
    Json,
}

impl TokenEndpoint {
    /// Starts an endpoint that knows [`CLIENT_ID`] and issues tokens for an hour.
    pub async fn start() -> Self {
        Self::start_at(0).await
    }

    /// Starts an endpoint at this port, unless that is taken.
    pub async fn start_at(port: u16) -> Self {
        Self::start_on(port, None).await
    }

    /// Starts an endpoint that speaks TLS.
    pub async fn start_tls(tls: TlsAcceptor) -> Self {
        Self::start_on(0, Some(tls)).await
    }

    async fn start_on(port: u16, tls: Option<TlsAcceptor>) -> Self {
        let rules = Arc::new(Rules {
            script: Script::default(),
            valid: Tokens::new(),
            state: Mutex::new(State {
                client_id: CLIENT_ID.to_owned(),
                client_secret: CLIENT_SECRET.to_owned(),
                lifetime: Duration::from_hours(1),
                delay: Duration::ZERO,
                expires_in: ExpiresIn::Number,
                issued: Vec::new(),
            }),
        });
        Self { server: Server::start_at(port, Arc::clone(&rules), tls).await, rules }
    }

    /// Returns where tokens are asked for.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/oauth2/token", self.server.origin())
    }

    /// Returns the tokens that are valid now: those issued, less the expired and the revoked.
    #[must_use]
    pub fn valid(&self) -> &Tokens {
        &self.rules.valid
    }

    /// Returns every token issued, in order.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.rules.with(|state| state.issued.clone())
    }

    /// Makes a token invalid.
    pub fn revoke(&self, token: &str) {
        self.rules.valid.revoke(token);
    }

    /// Sets the lifetime of the tokens to come.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.rules.with(|state| state.lifetime = lifetime);
    }

    /// Lets the tokens to come be valid only some time after their issue.
    pub fn set_delay(&self, delay: Duration) {
        self.rules.with(|state| state.delay = delay);
    }

    /// Sets how the answers to come tell the lifetime.
    pub fn set_expires_in(&self, form: ExpiresIn) {
        self.rules.with(|state| state.expires_in = form);
    }

    /// Replaces the client that the endpoint knows, as a rotation does.
    pub fn set_client(&self, id: &str, secret: &str) {
        self.rules.with(|state| {
            id.clone_into(&mut state.client_id);
            secret.clone_into(&mut state.client_secret);
        });
    }

    /// Plans the answers to the next requests, after those that are planned.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.rules.script.extend(answers);
    }

    /// Sets the answer to every request that the script does not cover, or goes back to the rules.
    pub fn otherwise(&self, answer: Option<Answer>) {
        self.rules.script.otherwise(answer);
    }

    /// Returns how many planned answers are left.
    #[must_use]
    pub fn unplayed(&self) -> usize {
        self.rules.script.unplayed()
    }

    /// Forgets all that is planned: from now on the rules hold.
    pub fn heal(&self) {
        self.rules.script.clear();
        self.server.set_down(false);
    }

    /// Breaks every connection and refuses new ones, or ends that.
    pub fn set_down(&self, down: bool) {
        self.server.set_down(down);
    }

    /// Returns every request in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.server.requests()
    }

    /// Returns how many requests have come.
    #[must_use]
    pub fn count(&self) -> usize {
        self.server.count()
    }

    /// Returns how many requests were under way at once, at most.
    #[must_use]
    pub fn peak_in_flight(&self) -> usize {
        self.server.peak_in_flight()
    }

    /// Waits until so many requests have come whole.
    pub async fn received(&self, requests: usize) {
        self.server.received(requests).await;
    }
}

/// What a token request says, in whichever style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// How the client authenticated.
    pub style: AuthStyle,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The parameters besides, in order: `grant_type`, `scope`, `audience`.
    pub parameters: Vec<(String, String)>,
}

impl Grant {
    /// Reads a token request. Nothing if it has no credentials, or a body that is neither a form nor JSON.
    #[must_use]
    pub fn read(request: &Received) -> Option<Self> {
        let json = request.header("content-type")? == "application/json";
        let mut parameters: Vec<(String, String)> = if json {
            let Value::Object(members) = request.json() else { return None };
            let values = |value: Value| match value {
                Value::Array(values) => values,
                value => vec![value],
            };
            let named = members
                .into_iter()
                .flat_map(|(name, of)| values(of).into_iter().map(move |value| (name.clone(), value)));
            named.map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect::<Option<_>>()?
        } else {
            form(std::str::from_utf8(&request.body).ok()?)?
        };
        if let Some(basic) = request.header("authorization") {
            let decoded = base64_simd::STANDARD.decode_to_vec(basic.strip_prefix("Basic ")?).ok()?;
            let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
            let (client_id, client_secret) = (form_decoded(id)?, form_decoded(secret)?);
            return Some(Self { style: AuthStyle::Basic, client_id, client_secret, parameters });
        }
        let mut take = |wanted: &str| {
            let at = parameters.iter().position(|(name, _)| name == wanted)?;
            Some(parameters.remove(at).1)
        };
        let (client_id, client_secret) = (take("client_id")?, take("client_secret")?);
        let style = if json { AuthStyle::Json } else { AuthStyle::Post };
        Some(Self { style, client_id, client_secret, parameters })
    }

    /// Returns a parameter's value.
    #[must_use]
    pub fn parameter(&self, wanted: &str) -> Option<&str> {
        self.parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct Rules {
    script: Script,
    valid: Tokens,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    client_id: String,
    client_secret: String,
    lifetime: Duration,
    delay: Duration,
    expires_in: ExpiresIn,
    issued: Vec<String>,
}

impl Rules {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn grant(&self, request: &Received) -> Answer {
        if request.method != Method::POST {
            return unknown();
        }
        let Some(grant) = Grant::read(request) else {
            return Answer::status(400).json(&json!({"error": "invalid_request"}));
        };
        self.with(|state| {
            if (&grant.client_id, &grant.client_secret) != (&state.client_id, &state.client_secret) {
                return Answer::status(401)
                    .header("www-authenticate", r#"Basic realm="loopback""#)
                    .json(&json!({"error": "invalid_client"}));
            }
            if grant.parameter("grant_type") != Some("client_credentials") {
                return Answer::status(400).json(&json!({"error": "unsupported_grant_type"}));
            }
            Answer::status(200).header("cache-control", "no-store").json(&self.issue(state))
        })
    }

    fn issue(&self, state: &mut State) -> Value {
        let token = format!("token-{}-{:016x}", state.issued.len() + 1, fastrand::u64(..));
        self.valid.allow_after(state.delay, &token, state.lifetime);
        state.issued.push(token.clone());
        let seconds = state.lifetime.as_secs();
        match state.expires_in {
            ExpiresIn::Number => json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds}),
            ExpiresIn::String => {
                json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds.to_string()})
            }
            ExpiresIn::Omitted => json!({"access_token": token, "token_type": "Bearer"}),
        }
    }
}

impl Service for Rules {
    fn planned(&self, _: &Method, _: &str, _: &HeaderMap) -> Option<Answer> {
        self.script.next()
    }

    async fn answer(&self, request: &Received) -> Answer {
        self.grant(request)
    }
}

fn form(body: &str) -> Option<Vec<(String, String)>> {
    let pairs = body.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| Some((form_decoded(name)?, form_decoded(value)?))).collect()
}

fn form_decoded(text: &str) -> Option<String> {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::super::tls::client;
    use super::*;

    /// [`CLIENT_ID`] and [`CLIENT_SECRET`], form-encoded.
    const FORM_ID: &str = "forwarder%3Aclient";
    const FORM_SECRET: &str = "not+a+real+secret%2B1%25";

    async fn ask(endpoint: &TokenEndpoint, request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(endpoint.requests().last().unwrap().status, Some(status));
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
    }

    fn post(endpoint: &TokenEndpoint, body: String) -> reqwest::RequestBuilder {
        let request = client(None).post(endpoint.url());
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    #[tokio::test]
    async fn each_style_of_authentication_gets_a_token_of_its_own() {
        let endpoint = TokenEndpoint::start().await;
        let basic = post(&endpoint, "grant_type=client_credentials&scope=a+b".to_owned())
            .basic_auth(FORM_ID, Some(FORM_SECRET));
        let form =
            post(&endpoint, format!("grant_type=client_credentials&client_id={FORM_ID}&client_secret={FORM_SECRET}"));
        let members =
            json!({"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET});
        let request = client(None).post(endpoint.url()).header("content-type", "application/json");
        for request in [basic, form, request.body(members.to_string())] {
            let (status, answer) = ask(&endpoint, request).await;
            assert_eq!((status, &answer["token_type"], &answer["expires_in"]), (200, &json!("Bearer"), &json!(3600)));
        }
        let grants: Vec<_> = endpoint.requests().iter().map(|request| Grant::read(request).unwrap()).collect();
        assert_eq!(grants[0].parameter("scope"), Some("a b"));
        assert_eq!(
            grants.iter().map(|grant| grant.style).collect::<Vec<_>>(),
            [AuthStyle::Basic, AuthStyle::Post, AuthStyle::Json]
        );
        let tokens = endpoint.tokens();
        assert!(tokens[1].starts_with("token-2-"));
        assert!(tokens.iter().all(|token| endpoint.valid().allows(token)));
        endpoint.revoke(&tokens[0]);
        assert!(!endpoint.valid().allows(&tokens[0]));
    }

    #[tokio::test]
    async fn wrong_credentials_and_other_grants_are_refused() {
        let endpoint = TokenEndpoint::start().await;
        let grant = || "grant_type=client_credentials".to_owned();
        let (status, answer) = ask(&endpoint, post(&endpoint, grant()).basic_auth(FORM_ID, Some("other"))).await;
        assert_eq!((status, answer), (401, json!({"error": "invalid_client"})));
        let other = post(&endpoint, "grant_type=password".to_owned()).basic_auth(FORM_ID, Some(FORM_SECRET));
        assert_eq!(ask(&endpoint, other).await.0, 400);
        endpoint.set_client("rotated", "also-not-real");
        assert_eq!(ask(&endpoint, post(&endpoint, grant()).basic_auth("rotated", Some("also-not-real"))).await.0, 200);
        assert_eq!(endpoint.tokens().len(), 1);
    }

    #[tokio::test]
    async fn the_lifetime_can_be_a_string_or_left_out() {
        let endpoint = TokenEndpoint::start().await;
        endpoint.set_lifetime(Duration::from_secs(5));
        for (form, expected) in [(ExpiresIn::String, json!("5")), (ExpiresIn::Omitted, Value::Null)] {
            endpoint.set_expires_in(form);
            let request = post(&endpoint, "grant_type=client_credentials".to_owned());
            let (_, answer) = ask(&endpoint, request.basic_auth(FORM_ID, Some(FORM_SECRET))).await;
            assert_eq!(answer["expires_in"], expected);
        }
    }
}
