//! Credentials planted where API Gateway's logs have them. None is real, and each says so.

use serde_json::json;

use super::call::{Api, Call, Inventor};
use super::envelope::{Envelope, execution_group};
use super::execution::{TRUNCATED, line};

/// What every planted credential begins with: nothing that leaves the function holds it.
pub const PLANTED: &str = "not-a-real-secret-";
/// What values begin with that look like credentials by their name but stand where they are none: they stay.
pub const KEPT: &str = "keep-this-";

/// Counts what it plants, so that a test that finds one knows which.
#[derive(Debug, Default)]
struct Planter {
    planted: u32,
    kept: u32,
}

impl Planter {
    fn secret(&mut self) -> String {
        self.planted += 1;
        format!("{PLANTED}{}", self.planted)
    }

    fn kept(&mut self) -> String {
        self.kept += 1;
        format!("{KEPT}{}", self.kept)
    }

    /// Fills `^` with credentials and `~` with values that stay.
    fn fill(&mut self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len() * 2);
        for character in text.chars() {
            match character {
                '^' => filled.push_str(&self.secret()),
                '~' => filled.push_str(&self.kept()),
                other => filled.push(other),
            }
        }
        filled
    }
}

/// The texts of one request whose every part carries credentials. `^` is one; `~` is a value that stays.
const TRACE: [&str; 14] = [
    "Method request path: {petId=7}",
    "Method request query string: {access_token=^, id_token=^, refresh_token=^, token=^, client_secret=^, api_key=^, apikey=^, password=^, secret=^, key=^, code=^, sig=^, signature=^, X-Amz-Signature=^, X-Amz-Security-Token=^, X-Amz-Credential=^, limit=~}",
    "Method request headers: {Accept=*/*, Authorization=Bearer ^, Proxy-Authorization=Basic ^, cookie=session=^; theme=dark, x-api-key=^, X-Amz-Security-Token=^, authorizationToken=^, X-Forwarded-For=192.0.2.7, 203.0.113.9, X-Request-Note=~}",
    r#"Method request body before transformations: {"user":"~","password":"^","nested":{"client_secret":"^","list":[{"Token":"^"}]},"inner":"{\"refresh_token\":\"^\",\"code\":\"~\"}","key":"~","callback":"https://example.com/cb?code=^&state=~"}"#,
    "Endpoint request URI: https://backend.example.com/pets?Access%5FToken=^&X-Amz-Signature=^&page=~",
    "Endpoint request headers: {Authorization=Bearer ^, X-Amz-Date=20261121T185900Z, X-Amz-Security-Token=^, Accept=~}",
    "Endpoint request body after transformations: grant_type=client_credentials&client_id=~&client_secret=^&code=^",
    "Sending request to https://backend.example.com/pets?key=^&page=~",
    "Received response. Status: 200, Integration latency: 12 ms",
    "Endpoint response headers: {Set-Cookie=session=^; Path=/; Secure, Content-Type=application/json}",
    r#"Endpoint response body before transformations: {"access_token":"^","expires_in":3600,"signature":"~"}"#,
    r#"Method response body after transformations: {"id_token":"^","note":"~"}"#,
    "Method response headers: {Set-Cookie=id=^, Location=https://example.com/?sig=^&x=~}",
    "Method completed with status: 200",
];

const AUTHORIZER: &str = r#"Endpoint request body after transformations: {"type":"TOKEN","authorizationToken":"Bearer ^","methodArn":"arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/GET/pets"}"#;

const ACCESS: [&str; 2] = [
    r#"{"requestId":"REQUEST","status":"200","apiKey":"^","authorization":"Bearer ^","path":"/prod/pets?access_token=^&page=~","headers":{"Cookie":"session=^","Accept":"~"}}"#,
    r#"{"requestId":"REQUEST","status":"200","x-api-key":"^","referer":"https://example.com/?code=^&state=~","body":"{\"password\":\"^\",\"name\":\"~\"}"}"#,
];

const TEXT: [&str; 4] = [
    "note: ~, sent with X-Api-Key: ^",
    "callback https://example.com/cb?code=^&state=~ done",
    "login password=^ user=~",
    r#"answer was {"access_token":"^","user":"~"} in the end"#,
];

/// Puts credentials in execution logs.
pub(super) fn execution(inventor: &mut Inventor) -> Envelope {
    let (mut planter, call) = (Planter::default(), inventor.call(Api::Rest));
    let mut envelope = Envelope::of(&execution_group(Api::Rest), inventor);
    for text in ["Starting execution for request: ", "Starting authorizer: au1th2 for request: "] {
        push(&mut envelope, &call, &format!("{text}{}", call.request_id), inventor);
    }
    for text in [&[AUTHORIZER], TRACE.as_slice()].concat() {
        push(&mut envelope, &call, &planter.fill(text), inventor);
    }
    cut(&mut envelope, &mut planter, inventor);
    envelope
}

/// Adds a request whose values are cut by the cap of a line.
fn cut(envelope: &mut Envelope, planter: &mut Planter, inventor: &mut Inventor) {
    let call = inventor.call(Api::Rest);
    for text in [
        format!("Starting execution for request: {}", call.request_id),
        planter.fill("Method request headers: {Accept=~, X-Amz-Security-Token=^"),
        planter.fill(r#"Method request body before transformations: {"user":"~","password":"^"#),
        planter.fill("Endpoint request URI: https://backend.example.com/?page=~&token=^"),
    ] {
        let filler = if text.starts_with("Starting") { "" } else { TRUNCATED };
        push(envelope, &call, &format!("{text}{filler}"), inventor);
    }
    push(envelope, &call, "Method completed with status: 200", inventor);
}

/// Puts credentials in access logs with formats of one's own, and in `extractedFields`.
pub(super) fn access(inventor: &mut Inventor) -> Envelope {
    let mut planter = Planter { planted: 100, kept: 100 };
    let mut envelope = Envelope::of("/aws/apigateway/rest-access", inventor);
    for text in ACCESS {
        let id = inventor.uuid();
        envelope.push(&planter.fill(text).replace("REQUEST", &id), inventor);
    }
    let fields = json!({
        "authorization": planter.fill("Bearer ^"),
        "url": planter.fill("https://example.com/?token=^&page=~"),
        "ip": "192.0.2.7",
    });
    envelope.push_with_fields("192.0.2.7 -", &fields, inventor);
    envelope
}

/// Puts credentials in lines that are no API Gateway log.
pub(super) fn text(inventor: &mut Inventor) -> Envelope {
    let mut planter = Planter { planted: 200, kept: 200 };
    let mut envelope = Envelope::of("/aws/lambda/pets", inventor);
    for text in TEXT {
        envelope.push(&planter.fill(text), inventor);
    }
    envelope
}

fn push(envelope: &mut Envelope, call: &Call, text: &str, inventor: &mut Inventor) {
    envelope.push(&line(&call.request_id, text), inventor);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_too_long_for_what_is_planted_in_it() {
        // A line that the cap cuts would lose credentials that a test counts on.
        let json = execution(&mut Inventor::new(1)).json();
        assert_eq!(json.matches(TRUNCATED).count(), 3);
        assert_eq!(json.matches(PLANTED).count(), 43);
    }
}
