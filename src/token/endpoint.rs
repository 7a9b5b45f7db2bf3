//! The OAuth 2.0 token endpoint: one request of the client-credentials grant, and what its answer means.
//!
//! Written here rather than taken from an OAuth crate: the grant is one form and one answer, and the crates know neither a JSON
//! body, nor `expires_in` as a string, nor the expiry that a JWT carries.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc6749#section-4.4>

use std::time::{Duration, Instant};

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use serde::Deserialize;
use serde_json::map::Entry;
use serde_json::value::{RawValue, Value};
use thiserror::Error;
use url::form_urlencoded::{self, byte_serialize};
use zeroize::Zeroizing;

use super::assertion::{ASSERTION_TYPE, assertion};
use super::clock::Clock;
use super::store::Credentials;
use super::value::{Token, is_header_text};
use super::{OAuthSettings, TokenAuthStyle};
use crate::client::{BodyError, Client, Reuse, SendError};
use crate::inflate::Inflater;
use crate::retry::{self, Deadline};
use crate::secret::Secret;

/// Most of an answer that is read, in bytes: a token of the largest size that fits into a header, and room.
const MAX_ANSWER: usize = 256 * 1024;

/// The byte-order mark that some servers of Microsoft's put before JSON.
const BOM: &[u8] = b"\xEF\xBB\xBF";

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
    /// The request cannot be made of these credentials.
    #[error("the token request cannot be made: {0}")]
    Unsendable(&'static str),
    /// There was no answer.
    #[error("the token endpoint cannot be reached: {0}")]
    Unreachable(SendError),
    /// The answer holds no bearer token.
    #[error("the token endpoint's answer is of no use: {0}")]
    Malformed(&'static str),
}

impl EndpointError {
    /// Returns whether another attempt may fare better.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Unreachable(_))
    }

    /// Returns how long to wait, if the endpoint has said so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Unavailable { retry_after, .. } = self { *retry_after } else { None }
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
    parameters: Vec<(String, String)>,
    default_ttl: Duration,
    timeout: Duration,
    max_attempts: usize,
}

impl Endpoint {
    /// Takes what the settings say of the endpoint.
    #[must_use]
    pub fn new(client: Client, settings: &OAuthSettings, timeout: Duration, max_attempts: usize) -> Self {
        Self {
            client,
            url: settings.url.clone(),
            auth_style: settings.auth_style,
            scope: settings.scope.clone(),
            audience: settings.audience.clone(),
            parameters: settings.parameters.clone(),
            default_ttl: settings.default_ttl,
            timeout,
            max_attempts,
        }
    }

    /// Returns how many attempts a token is worth while the endpoint is overloaded or not reached.
    pub(super) fn attempts(&self) -> usize {
        self.max_attempts
    }

    /// Returns what the client has to have beside its name, as the credentials' parameter calls it.
    pub(super) fn wants(&self) -> &'static str {
        if self.auth_style == TokenAuthStyle::PrivateKeyJwt { "private_key" } else { "client_secret" }
    }

    /// Returns whether the client has it.
    pub(super) fn takes(&self, credentials: &Credentials) -> bool {
        let Credentials { client_secret, private_key, .. } = credentials;
        if self.auth_style == TokenAuthStyle::PrivateKeyJwt { private_key.is_some() } else { client_secret.is_some() }
    }

    /// Requests a token, with a single attempt.
    pub(super) async fn request(
        &self,
        credentials: &Credentials,
        clock: &Clock,
        deadline: Deadline,
    ) -> Result<Issued, EndpointError> {
        let Some(timeout) = deadline.allows(self.timeout, Instant::now()) else {
            return Err(EndpointError::Unreachable(SendError::NoAnswer));
        };
        let request = self.build(credentials, clock.seconds())?;
        match tokio::time::timeout(timeout, self.exchange(request, timeout, clock)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(EndpointError::Unreachable(SendError::NoAnswer)),
        }
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
        clock: &Clock,
    ) -> Result<Issued, EndpointError> {
        // Counted from before the request: the token is never taken to live longer than it does.
        let issued_at = clock.seconds();
        let answer = self.client.send(request, timeout, Reuse::Any).await.map_err(EndpointError::Unreachable)?;
        let status = answer.status;
        let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let retry_after = header(RETRY_AFTER).and_then(|value| retry::retry_after(value, clock.time()));
        let is_gzip = header(CONTENT_ENCODING).is_some_and(|coding| coding.trim().eq_ignore_ascii_case("gzip"));
        if status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) {
            return Err(EndpointError::Unavailable { status: status.as_u16(), retry_after });
        }
        let body = match answer.read(MAX_ANSWER).await {
            Ok(body) => body,
            Err(BodyError::Broken) if status.is_success() => {
                return Err(EndpointError::Unreachable(SendError::Broken("the answer broke off")));
            }
            Err(BodyError::TooLarge { .. }) if status.is_success() => {
                return Err(EndpointError::Malformed("it is too large"));
            }
            // The status tells enough.
            Err(_) => return Err(refusal(status, b"")),
        };
        let mut inflated = Zeroizing::new(Vec::new());
        let body = if is_gzip {
            let undone = Inflater::default().inflate(&body, MAX_ANSWER, &mut inflated);
            undone.map_err(|_| EndpointError::Malformed("its gzip is damaged or too large"))?;
            inflated.as_slice()
        } else {
            &*body
        };
        let body = body.strip_prefix(BOM).unwrap_or(body);
        if status.is_success() { token(body, issued_at, self.default_ttl) } else { Err(refusal(status, body)) }
    }

    fn build(&self, credentials: &Credentials, now: i64) -> Result<Request<Bytes>, EndpointError> {
        let (id, secret) =
            (credentials.client_id.as_str(), credentials.client_secret.as_ref().map_or("", Secret::expose));
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        fields.extend(self.audience.as_deref().map(|audience| ("audience", audience)));
        let is_basic = matches!(self.auth_style, TokenAuthStyle::Basic | TokenAuthStyle::BasicPlain);
        let signed;
        if self.auth_style == TokenAuthStyle::PrivateKeyJwt {
            signed = assertion(credentials, &self.url.to_string(), now).map_err(EndpointError::Unsendable)?;
            fields.extend([
                ("client_id", id),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", signed.as_str()),
            ]);
        } else if !is_basic {
            fields.extend([("client_id", id), ("client_secret", secret)]);
        }
        fields.extend(self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let (media_type, body) = if self.auth_style == TokenAuthStyle::Json {
            ("application/json", json_body(&fields).map_err(|_| EndpointError::Unsendable("its JSON body"))?)
        } else {
            let mut form = form_urlencoded::Serializer::new(String::new());
            ("application/x-www-form-urlencoded", form.extend_pairs(fields).finish())
        };
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if is_basic {
            headers.insert(AUTHORIZATION, basic(id, secret, self.auth_style)?);
        }
        Ok(request)
    }
}

/// Writes fields as a JSON object. Of a name that comes again the values become a list.
fn json_body(fields: &[(&str, &str)]) -> serde_json::Result<String> {
    let mut object = serde_json::Map::new();
    for (name, value) in fields {
        match object.entry(*name) {
            Entry::Vacant(place) => {
                place.insert((*value).into());
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Value::Array(list) => list.push((*value).into()),
                first => *first = Value::Array(vec![first.take(), (*value).into()]),
            },
        }
    }
    serde_json::to_string(&object)
}

/// Encodes id and secret as RFC 6749 §2.3.1 asks: each as a form value, unless they are to be sent plain, then both as HTTP Basic.
fn basic(id: &str, secret: &str, style: TokenAuthStyle) -> Result<HeaderValue, EndpointError> {
    let encode = |text: &str| -> String {
        if style == TokenAuthStyle::BasicPlain { text.to_owned() } else { byte_serialize(text.as_bytes()).collect() }
    };
    let pair = Zeroizing::new(format!("{}:{}", encode(id), encode(secret)));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode_to_string(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text).map_err(|_| EndpointError::Unsendable("its Authorization header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn refusal(status: StatusCode, body: &[u8]) -> EndpointError {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    // Whoever refuses need not speak OAuth: a proxy's page has no code.
    let code = serde_json::from_slice::<Refusal>(body).map_or_else(|_| String::new(), |refusal| refusal.error);
    // A code that is none of RFC 6749's form is not repeated: it may be anything.
    let is_code = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let error = if is_code { code } else { String::new() };
    if error == "invalid_client" || status == StatusCode::UNAUTHORIZED && error.is_empty() {
        EndpointError::InvalidClient
    } else {
        EndpointError::Refused { status: status.as_u16(), error }
    }
}

/// A token that the endpoint has issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issued {
    pub(super) token: Token,
    /// Whether its `token_type` is one that no standard knows: it is used as a bearer token.
    pub(super) is_odd: bool,
}

/// What `token_type` can say of a token that a header alone does not prove anything with.
///
/// Source: <https://www.iana.org/assignments/oauth-parameters/oauth-parameters.xhtml#token-types>
const NOT_BEARER: [&str; 4] = ["dpop", "mac", "pop", "n_a"];

/// Reads a successful answer, RFC 6749 §5.1.
fn token(body: &[u8], now: i64, default_ttl: Duration) -> Result<Issued, EndpointError> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        access_token: Option<Secret>,
        #[serde(borrow)]
        token_type: Option<&'a RawValue>,
        #[serde(borrow)]
        expires_in: Option<&'a RawValue>,
        #[serde(borrow)]
        expires_on: Option<&'a RawValue>,
    }
    let answer: Answer<'_> =
        serde_json::from_slice(body).map_err(|_| EndpointError::Malformed("it is no JSON object of a token"))?;
    let is_odd = answer.token_type.map(|json| is_odd(json.get())).transpose()?.unwrap_or(false);
    let access_token = answer.access_token.map(|token| Secret::new(token.expose().trim().to_owned()));
    let Some(access_token) = access_token.filter(|token| is_header_text(token.expose())) else {
        return Err(EndpointError::Malformed("it has no access_token that can stand in a header"));
    };
    let told = answer.expires_in.and_then(|json| seconds(json.get())).filter(|lifetime| *lifetime > 0);
    let ahead = |expires_at: &i64| *expires_at > now;
    let default_ttl = i64::try_from(default_ttl.as_secs()).unwrap_or(i64::MAX);
    let expires_at = told
        .map(|lifetime| now.saturating_add(lifetime))
        .or_else(|| answer.expires_on.and_then(|json| seconds(json.get())).filter(ahead))
        .or_else(|| jwt_expiry(access_token.expose()).filter(ahead))
        .unwrap_or_else(|| now.saturating_add(default_ttl));
    Ok(Issued { token: Token { access_token, issued_at: now, expires_at }, is_odd })
}

/// Returns whether a `token_type` is neither `Bearer` nor `null`.
fn is_odd(json: &str) -> Result<bool, EndpointError> {
    let kind = json.trim_matches('"').trim();
    if NOT_BEARER.iter().any(|other| kind.eq_ignore_ascii_case(other)) {
        return Err(EndpointError::Malformed("its token_type is none that can be sent as a bearer token"));
    }
    Ok(json != "null" && !kind.eq_ignore_ascii_case("bearer"))
}

/// Reads `expires_in` or `expires_on`: a number, or a number as a string, in whole seconds. Anything else tells nothing.
fn seconds(json: &str) -> Option<i64> {
    let seconds: f64 = json.trim_matches('"').trim().parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let seconds = seconds.floor() as i64;
    Some(seconds)
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
        token(body.as_bytes(), NOW, Duration::from_mins(5)).map(|issued| issued.token.expires_at - NOW)
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
    }

    #[test]
    fn a_token_of_any_type_that_a_header_suffices_for_is_used_as_a_bearer_token() {
        let is_odd = |kind: &str| {
            let body = format!(r#"{{"access_token":"t","token_type":{kind}}}"#);
            token(body.as_bytes(), NOW, Duration::from_mins(5)).map(|issued| issued.is_odd)
        };
        for plain in [r#""Bearer""#, r#""bearer""#, r#""BEARER""#, r#""Bearer ""#, r#"" Bearer""#, "null"] {
            assert_eq!(is_odd(plain), Ok(false), "{plain}");
        }
        for odd in [r#""BearerToken""#, r#""Application Access Token""#, r#""JWT""#, r#""""#, "1", r#"["Bearer"]"#] {
            assert_eq!(is_odd(odd), Ok(true), "{odd}");
        }
        for other in [r#""DPoP""#, r#""dpop ""#, r#""mac""#, r#""MAC""#, r#""PoP""#, r#""N_A""#, r#""n_a""#] {
            assert!(matches!(is_odd(other), Err(EndpointError::Malformed(_))), "{other}");
        }
    }

    #[test]
    fn expires_on_counts_where_expires_in_is_missing() {
        let on = NOW + 42;
        assert_eq!(expiry(&format!(r#"{{"access_token":"t","expires_on":{on}}}"#)), Ok(42));
        assert_eq!(expiry(&format!(r#"{{"access_token":"t","expires_on":"{on}"}}"#)), Ok(42));
        assert_eq!(expiry(&format!(r#"{{"access_token":"t","expires_on":"{on}","expires_in":7}}"#)), Ok(7));
        assert_eq!(expiry(&format!(r#"{{"access_token":"t","expires_on":"{on}","expires_in":null}}"#)), Ok(42));
        for odd in ["0", r#""06/20/2026 02:57:58 +00:00""#, "null", "{}", "12"] {
            assert_eq!(expiry(&format!(r#"{{"access_token":"t","expires_on":{odd}}}"#)), Ok(300), "{odd}");
        }
    }

    #[test]
    fn blanks_around_a_token_are_no_part_of_it() {
        let body = br#"{"access_token":" \tt-1\r\n","expires_in":60}"#;
        let issued = token(body, NOW, Duration::from_mins(5)).expect("a token");
        assert_eq!(issued.token.access_token.expose(), "t-1");
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
        let value = basic("a:b", "c d/é", TokenAuthStyle::Basic).expect("header text");
        assert_eq!(value.to_str().ok(), Some(&*format!("Basic {}", STANDARD.encode_to_string("a%3Ab:c+d%2F%C3%A9"))));
        assert!(value.is_sensitive());
    }
}
