//! The OAuth 2.0 token endpoint: one request of the client-credentials grant, and what its answer means.
//!
//! Written here rather than taken from an OAuth crate: the grant is one form and one answer, and the crates know neither a JSON
//! body, nor `expires_in` as a string, nor the expiry that a JWT carries.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc6749#section-4.4>

use std::time::{Duration, Instant, SystemTime};

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;
use zeroize::Zeroizing;

use super::store::Credentials;
use super::value::{Token, is_header_text};
use crate::client::{Client, Reuse, SendError};
use crate::config::{TokenAuthStyle, TokenSettings};
use crate::retry::{self, Deadline};
use crate::secret::Secret;

/// Most of an answer that is read, in bytes: a token of the largest size that fits into a header, and room.
const MAX_ANSWER: usize = 256 * 1024;

/// What stays as it is in `application/x-www-form-urlencoded`.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');

/// Why there is no token. Nothing of the answer is repeated but its `error` code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// The client is not known, or its secret is not right.
    #[error(
        "the token endpoint refuses the client's credentials (invalid_client): correct the value of CREDENTIALS_PARAMETER"
    )]
    InvalidClient,
    /// The request is refused for another reason.
    #[error("the token endpoint answers {status} {error}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `error` code of RFC 6749 §5.2, or nothing.
        error: String,
    },
    /// The endpoint is overloaded or broken, also after every attempt.
    #[error("the token endpoint answers {status}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// How long to wait, if the answer says so.
        retry_after: Option<Duration>,
    },
    /// There was no answer.
    #[error("the token endpoint cannot be reached: {0}")]
    Unreachable(SendError),
    /// The answer holds no bearer token.
    #[error("the token endpoint's answer is of no use: {0}")]
    Malformed(&'static str),
}

impl EndpointError {
    /// Returns whether another attempt may fare better.
    fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Unreachable(_))
    }
}

/// The endpoint and how it is asked.
#[derive(Debug, Clone)]
pub struct Endpoint {
    client: Client,
    url: Uri,
    auth_style: TokenAuthStyle,
    scope: Option<String>,
    audience: Option<String>,
    default_ttl: Duration,
    timeout: Duration,
    max_attempts: usize,
}

impl Endpoint {
    /// Takes what the settings say of the endpoint.
    #[must_use]
    pub fn new(client: Client, settings: &TokenSettings, timeout: Duration, max_attempts: usize) -> Self {
        Self {
            client,
            url: settings.url.clone(),
            auth_style: settings.auth_style,
            scope: settings.scope.clone(),
            audience: settings.audience.clone(),
            default_ttl: settings.default_ttl,
            timeout,
            max_attempts,
        }
    }

    /// Requests a token; tries again, within the deadline, while the endpoint is overloaded or not reached.
    pub(super) async fn request(&self, credentials: &Credentials, deadline: Deadline) -> Result<Token, EndpointError> {
        let mut attempt = 1;
        loop {
            let error = match self.request_once(credentials, deadline).await {
                Err(error) if error.is_transient() && attempt < self.max_attempts => error,
                outcome => return outcome,
            };
            let pause = match error {
                EndpointError::Unavailable { retry_after: Some(pause), .. } => pause,
                _ => retry::pause(attempt, fastrand::f64()),
            };
            let Some(then) = deadline.after(pause, Instant::now()) else { return Err(error) };
            tokio::time::sleep_until(then.into()).await;
            attempt += 1;
        }
    }

    /// Requests a token, with a single attempt.
    pub(super) async fn request_once(
        &self,
        credentials: &Credentials,
        deadline: Deadline,
    ) -> Result<Token, EndpointError> {
        let Some(timeout) = deadline.allows(self.timeout, Instant::now()) else {
            return Err(EndpointError::Unreachable(SendError::NoAnswer));
        };
        match tokio::time::timeout(timeout, self.exchange(credentials, timeout)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(EndpointError::Unreachable(SendError::NoAnswer)),
        }
    }

    async fn exchange(&self, credentials: &Credentials, timeout: Duration) -> Result<Token, EndpointError> {
        // Counted from before the request: the token is never taken to live longer than it does.
        let issued_at = epoch_seconds();
        let answer = self.client.send(self.build(credentials), timeout, Reuse::Any).await;
        let answer = answer.map_err(EndpointError::Unreachable)?;
        let status = answer.status;
        let retry_after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| retry::retry_after(value, now()));
        if status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) {
            return Err(EndpointError::Unavailable { status: status.as_u16(), retry_after });
        }
        let body = answer.read(MAX_ANSWER).await;
        if !status.is_success() {
            return Err(refusal(status, &body.unwrap_or_default()));
        }
        let body = body.map_err(|_| EndpointError::Malformed("it broke off or is too large"))?;
        token(&body, issued_at, self.default_ttl)
    }

    fn build(&self, credentials: &Credentials) -> Request<Bytes> {
        let (id, secret) = (credentials.client_id.as_str(), credentials.client_secret.expose());
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        fields.extend(self.audience.as_deref().map(|audience| ("audience", audience)));
        if self.auth_style != TokenAuthStyle::Basic {
            fields.extend([("client_id", id), ("client_secret", secret)]);
        }
        let (media_type, body) = if self.auth_style == TokenAuthStyle::Json {
            let object: std::collections::BTreeMap<&str, &str> = fields.into_iter().collect();
            ("application/json", serde_json::to_string(&object).unwrap_or_default())
        } else {
            let form: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={}", form_encode(value))).collect();
            ("application/x-www-form-urlencoded", form.join("&"))
        };
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if self.auth_style == TokenAuthStyle::Basic {
            headers.insert(AUTHORIZATION, basic(id, secret));
        }
        request
    }
}

/// Encodes id and secret as RFC 6749 §2.3.1 asks: each as a form value, then both as HTTP Basic.
fn basic(id: &str, secret: &str) -> HeaderValue {
    let pair = Zeroizing::new(format!("{}:{}", form_encode(id), form_encode(secret)));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode_to_string(pair.as_bytes())));
    // Base64 is header text.
    let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

fn form_encode(value: &str) -> String {
    utf8_percent_encode(value, FORM).to_string().replace("%20", "+")
}

/// Seconds since the Unix epoch.
pub(super) fn epoch_seconds() -> i64 {
    let since = now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a lifetime counts from the moment of the request")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn refusal(status: StatusCode, body: &[u8]) -> EndpointError {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let code = serde_json::from_slice::<Refusal>(body).map(|refusal| refusal.error).unwrap_or_default();
    // A code that is none of RFC 6749's form is not repeated: it may be anything.
    let is_code = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let error = if is_code { code } else { String::new() };
    if error == "invalid_client" || status == StatusCode::UNAUTHORIZED && error.is_empty() {
        EndpointError::InvalidClient
    } else {
        EndpointError::Refused { status: status.as_u16(), error }
    }
}

/// Reads a successful answer, RFC 6749 §5.1.
fn token(body: &[u8], now: i64, default_ttl: Duration) -> Result<Token, EndpointError> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        access_token: Option<Secret>,
        token_type: Option<String>,
        #[serde(borrow)]
        expires_in: Option<&'a RawValue>,
    }
    let answer: Answer<'_> =
        serde_json::from_slice(body).map_err(|_| EndpointError::Malformed("it is no JSON object of a token"))?;
    if !answer.token_type.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(EndpointError::Malformed("its token_type is not Bearer"));
    }
    let Some(access_token) = answer.access_token.filter(|token| is_header_text(token.expose())) else {
        return Err(EndpointError::Malformed("it has no access_token that can stand in a header"));
    };
    let told = answer.expires_in.and_then(|seconds| lifetime(seconds.get())).map(|seconds| now.saturating_add(seconds));
    let default_ttl = i64::try_from(default_ttl.as_secs()).unwrap_or(i64::MAX);
    let expires_at = told
        .or_else(|| jwt_expiry(access_token.expose()).filter(|expires_at| *expires_at > now))
        .unwrap_or_else(|| now.saturating_add(default_ttl));
    Ok(Token { access_token, issued_at: now, expires_at })
}

/// Reads `expires_in`: a number, or a number as a string; whole seconds, more than none.
fn lifetime(json: &str) -> Option<i64> {
    let seconds: f64 = json.trim_matches('"').trim().parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let seconds = seconds.floor() as i64;
    (seconds > 0).then_some(seconds)
}

/// Reads the `exp` claim of a JWT, without any look at its signature: it is the issuer's own word on its own token.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4>
fn jwt_expiry(token: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let mut parts = token.split('.');
    let (claims, 1) = (parts.nth(1)?, parts.count()) else { return None };
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode_to_vec(claims.trim_end_matches('=')).ok()?);
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let expiry = claims.exp.floor() as i64;
    Some(expiry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_283_940;

    fn expiry(body: &str) -> Result<i64, EndpointError> {
        token(body.as_bytes(), NOW, Duration::from_mins(5)).map(|token| token.expires_at - NOW)
    }

    #[test]
    fn the_lifetime_is_a_number_or_a_string_or_the_default() {
        assert_eq!(expiry(r#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#), Ok(3600));
        assert_eq!(expiry(r#"{"access_token":"t","token_type":"bearer","expires_in":"3600"}"#), Ok(3600));
        assert_eq!(expiry(r#"{"access_token":"t","expires_in":59.9}"#), Ok(59));
        for odd in ["null", "0", "-5", "\"soon\"", "{}", "1e999999"] {
            let expected = if odd == "1e999999" { i64::MAX - NOW } else { 300 };
            assert_eq!(expiry(&format!(r#"{{"access_token":"t","expires_in":{odd}}}"#)), Ok(expected), "{odd}");
        }
        assert_eq!(expiry(r#"{"access_token":"t"}"#), Ok(300));
    }

    #[test]
    fn a_jwt_tells_its_own_expiry_where_the_answer_does_not() {
        let claims = URL_SAFE_NO_PAD.encode_to_string(format!(r#"{{"sub":"x","exp":{}}}"#, NOW + 42));
        let jwt = format!("e30.{claims}.c2ln");
        assert_eq!(expiry(&format!(r#"{{"access_token":"{jwt}"}}"#)), Ok(42));
        assert_eq!(expiry(&format!(r#"{{"access_token":"{jwt}","expires_in":7}}"#)), Ok(7));
        let expired = URL_SAFE_NO_PAD.encode_to_string(format!(r#"{{"exp":{}}}"#, NOW - 1));
        assert_eq!(expiry(&format!(r#"{{"access_token":"e30.{expired}.c2ln"}}"#)), Ok(300));
        assert_eq!(expiry(r#"{"access_token":"a.b.c"}"#), Ok(300));
    }

    #[test]
    fn an_answer_without_a_bearer_token_is_of_no_use() {
        for body in ["", "null", "[]", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\nb"}"#] {
            assert!(matches!(expiry(body), Err(EndpointError::Malformed(_))), "{body}");
        }
        assert!(matches!(expiry(r#"{"access_token":"t","token_type":"mac"}"#), Err(EndpointError::Malformed(_))));
    }

    #[test]
    fn a_refusal_tells_its_code_and_nothing_else() {
        let refused = |status: StatusCode, body: &str| refusal(status, body.as_bytes());
        assert_eq!(refused(StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#), EndpointError::InvalidClient);
        assert_eq!(refused(StatusCode::BAD_REQUEST, r#"{"error":"invalid_client"}"#), EndpointError::InvalidClient);
        assert_eq!(refused(StatusCode::UNAUTHORIZED, "<html>"), EndpointError::InvalidClient);
        let error = |error: &str| EndpointError::Refused { status: 400, error: error.to_owned() };
        assert_eq!(refused(StatusCode::BAD_REQUEST, r#"{"error":"invalid_scope"}"#), error("invalid_scope"));
        assert_eq!(refused(StatusCode::BAD_REQUEST, r#"{"error":"Bad secret: x"}"#), error(""));
    }

    #[test]
    fn credentials_are_form_encoded_before_they_are_basic() {
        let value = basic("a:b", "c d/é");
        assert_eq!(value.to_str().ok(), Some(&*format!("Basic {}", STANDARD.encode_to_string("a%3Ab:c+d%2F%C3%A9"))));
        assert!(value.is_sensitive());
    }
}
