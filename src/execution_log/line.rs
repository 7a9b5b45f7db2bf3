//! One execution-log line, recognised by the phrase at its start.
//!
//! The phrases are those that API Gateway was seen to write; they are documented nowhere as a whole, and their spacing
//! varies: where a masked key or nothing stands, one specimen has two spaces and another one. White space is therefore
//! matched as any run of it. What no phrase takes is [`Line::Unknown`] and is kept as it came.

use std::ops::Range;

use crate::json;
use crate::redact::is_missing;

/// What a line says. A value is the text behind the phrase, only its one separating space taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A phrase, a colon and one value.
    Value(Label, &'a str),
    /// `HTTP Method: GET, Resource Path: /orders`
    Method {
        /// The HTTP method.
        method: &'a str,
        /// The resource's path, with its parameters' names in braces.
        path: &'a str,
    },
    /// `Sending request to https://…`
    Sending(&'a str),
    /// `Received response. Status: 200, Integration latency: 46 ms`, or without the status.
    Received {
        /// Status that the endpoint answered.
        status: Option<u64>,
        /// Time that the endpoint took, in milliseconds.
        latency: u64,
    },
    /// `Starting authorizer: 1a2b3c for request: …`
    AuthorizerStarted {
        /// The authorizer's id.
        id: &'a str,
        /// The id of the request.
        request: &'a str,
    },
    /// `Successfully completed authorizer execution`
    AuthorizerCompleted,
    /// `Successfully completed execution`
    ExecutionCompleted,
    /// A text that says that something failed or was refused.
    Failure,
    /// Any other text.
    Unknown,
}

/// What the value of a [`Line::Value`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    AuthorizerIdentity,
    AuthorizerPrincipal,
    AuthorizerResult,
    EndpointRequestBody,
    EndpointRequestHeaders,
    EndpointRequestId,
    EndpointResponseBody,
    EndpointResponseHeaders,
    EndpointUri,
    ExtendedRequestId,
    RequestBody,
    RequestHeaders,
    RequestPath,
    RequestQuery,
    ResponseBody,
    ResponseHeaders,
    StartingExecution,
    Status,
    VerifyingUsagePlan,
}

/// The phrases before a colon. The gateway's own answer stands where no method response was mapped.
const LABELS: &[(&str, Label)] = &[
    ("Extended Request Id", Label::ExtendedRequestId),
    ("Verifying Usage Plan for request", Label::VerifyingUsagePlan),
    ("Starting execution for request", Label::StartingExecution),
    ("Method request path", Label::RequestPath),
    ("Method request query string", Label::RequestQuery),
    ("Method request headers", Label::RequestHeaders),
    ("Method request body before transformations", Label::RequestBody),
    ("Endpoint request URI", Label::EndpointUri),
    ("Endpoint request headers", Label::EndpointRequestHeaders),
    ("Endpoint request body after transformations", Label::EndpointRequestBody),
    ("Endpoint response headers", Label::EndpointResponseHeaders),
    ("Endpoint response body before transformations", Label::EndpointResponseBody),
    ("Method response headers", Label::ResponseHeaders),
    ("Method response body after transformations", Label::ResponseBody),
    ("Method completed with status", Label::Status),
    ("AWS Integration Endpoint RequestId", Label::EndpointRequestId),
    ("Incoming identity", Label::AuthorizerIdentity),
    ("Authorizer result body before parsing", Label::AuthorizerResult),
    ("Using valid authorizer policy for principal", Label::AuthorizerPrincipal),
    ("Gateway response headers", Label::ResponseHeaders),
    ("Gateway response body", Label::ResponseBody),
];

/// How texts of failures begin.
const FAILURES: &[&str] = &[
    "Authorizer error",
    "Execution failed",
    "Gateway response type",
    "Lambda execution failed",
    "Method request validation failed",
    "Missing required request parameter",
    "Request body does not match model schema",
    "Unauthorized request",
    "Usage Plan check failed",
];

/// What other texts of failures hold: `Key throttle limit exceeded for …`, `API Key … not authorized because …`.
const REFUSALS: &[&str] = &["limit exceeded", "not authorized"];

/// Tells what a line says. `text` is without the `(id) ` prefix and the mark of a cut.
pub(super) fn read(text: &str) -> Line<'_> {
    let text = text.trim_start();
    // Nearly all phrases stand as they do here: those are quick to tell. No text has two.
    let likely = LABELS.iter().filter(|(phrase, _)| phrase.as_bytes().first() == text.as_bytes().first());
    let to_the_letter = |(phrase, _): &&(&str, _)| json::starts_with(text.as_bytes(), phrase.as_bytes());
    let mut labels = likely.clone().filter(to_the_letter).chain(likely);
    if let Some(line) = labels.find_map(|&(phrase, label)| Some(Line::Value(label, value(text, phrase)?))) {
        return line;
    }
    if let Some(line) = method(text).or_else(|| received(text)).or_else(|| authorizer_started(text)) {
        return line;
    }
    if let Some(rest) = after(text, "Sending request to")
        && let uri = rest.trim()
        && uri.len() < rest.trim_end().len()
        && !uri.is_empty()
    {
        return Line::Sending(uri);
    }
    match text.trim_end() {
        "Successfully completed execution" => Line::ExecutionCompleted,
        "Successfully completed authorizer execution" => Line::AuthorizerCompleted,
        _ if FAILURES.iter().any(|phrase| after(text, phrase).is_some()) => Line::Failure,
        _ if REFUSALS.iter().any(|phrase| text.contains(phrase)) => Line::Failure,
        _ => Line::Unknown,
    }
}

/// Takes the mark of API Gateway's cut at 1,024 bytes off the end of a line; `None` if there is none.
pub(super) fn uncut(text: &str) -> Option<&str> {
    let text = text.trim_end_matches(['\n', '\r']).strip_suffix("[TRUNCATED]")?;
    Some(text.strip_suffix(' ').unwrap_or(text))
}

/// Splits a line that tells a body before that.
pub(super) fn body(text: &str) -> Option<(&str, &str)> {
    if !text.contains("body") {
        return None;
    }
    match read(text) {
        Line::Value(
            Label::RequestBody
            | Label::EndpointRequestBody
            | Label::EndpointResponseBody
            | Label::ResponseBody
            | Label::AuthorizerResult,
            body,
        ) => text.split_at_checked(text.len() - body.len()),
        _ => None,
    }
}

/// Finds the credential that a phrase tells without a name of its own: the API key in a text about usage plans, and the
/// identity that an authorizer is given. Returns a name for it, and what stands before and behind it.
///
/// API Gateway masks all but the last characters of a key, or leaves nothing where none was sent. The text may be cut.
pub(super) fn credential(text: &str) -> Option<(&'static str, &str, &str)> {
    const TEXTS: &[&str] = &["API Key", "Usage Plan check", "Verifying Usage Plan"];
    let said = uncut(text).unwrap_or(text);
    let (name, place) = match value(said.trim_start(), "Incoming identity") {
        Some(identity) => {
            let start = said.len() - identity.trim_start().len();
            ("authorizationToken", start..start + identity.trim().len())
        }
        _ if TEXTS.iter().any(|phrase| after(said.trim_start(), phrase).is_some()) => ("x-api-key", api_key(said)?),
        _ => return None,
    };
    let (before, rest) = text.split_at_checked(place.start)?;
    let (credential, behind) = rest.split_at_checked(place.len())?;
    (!is_missing(credential)).then_some((name, before, behind))
}

/// Finds the API key in a text about usage plans. Where the text was cut, only a beginning of what follows may be there.
fn api_key(text: &str) -> Option<Range<usize>> {
    const BEHIND: &[&str] = &["API Stage", "and API Stage", "authorized", "not authorized"];
    let (_, rest) = text.split_once("API Key")?;
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    let (key, behind) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
    let goes_on = |text: &str| BEHIND.iter().any(|phrase| after(text, phrase).is_some() || phrase.starts_with(text));
    let start = text.len() - rest.len();
    (!goes_on(key) && goes_on(behind.trim())).then_some(start..start + key.len())
}

/// Reads a number of decimal digits.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.trim();
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Takes `phrase` off the start of `text`. A space of the phrase stands for any run of white space.
fn after<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    if json::starts_with(text.as_bytes(), phrase.as_bytes()) {
        return text.get(phrase.len()..);
    }
    if text.as_bytes().first() != phrase.as_bytes().first() {
        return None;
    }
    let mut bytes = text.bytes().peekable();
    for expected in phrase.bytes() {
        let byte = bytes.next()?;
        if expected == b' ' && byte.is_ascii_whitespace() {
            while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
        } else if byte != expected {
            return None;
        }
    }
    text.get(text.len() - bytes.len()..)
}

/// Returns what stands behind `phrase`, a colon and one space.
fn value<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    let value = after(text, phrase)?.trim_start().strip_prefix(':')?;
    Some(value.strip_prefix(' ').unwrap_or(value))
}

fn method(text: &str) -> Option<Line<'_>> {
    let (method, path) = value(text, "HTTP Method")?.split_once(',')?;
    let path = value(path.trim_start(), "Resource Path")?;
    Some(Line::Method { method: method.trim(), path: path.trim() })
}

fn received(text: &str) -> Option<Line<'_>> {
    let rest = after(text, "Received response.")?.trim_start();
    let (status, rest) = match value(rest, "Status") {
        Some(value) => {
            let (status, rest) = value.split_once(',')?;
            (Some(number(status)?), rest.trim_start())
        }
        None => (None, rest),
    };
    let latency = value(rest, "Integration latency")?.trim_end().strip_suffix("ms")?;
    Some(Line::Received { status, latency: number(latency)? })
}

fn authorizer_started(text: &str) -> Option<Line<'_>> {
    let (id, rest) = value(text, "Starting authorizer")?.trim().split_once(char::is_whitespace)?;
    let request = value(rest.trim_start(), "for request")?;
    Some(Line::AuthorizerStarted { id, request: request.trim() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(text: &str, expected: Line<'_>) {
        assert_eq!(read(text), expected, "{text:?}");
    }

    #[track_caller]
    fn labels(text: &str, label: Label, value: &str) {
        says(text, Line::Value(label, value));
    }

    #[test]
    fn a_request_starts_and_ends() {
        labels("Extended Request Id: Abc12EXAMPLE=", Label::ExtendedRequestId, "Abc12EXAMPLE=");
        labels("Starting execution for request: 0f-1", Label::StartingExecution, "0f-1");
        labels("Method completed with status: 200", Label::Status, "200");
        says("Successfully completed execution", Line::ExecutionCompleted);
        says("Successfully completed execution\n", Line::ExecutionCompleted);
        says("HTTP Method: GET, Resource Path: /o/{id}", Line::Method { method: "GET", path: "/o/{id}" });
    }

    #[test]
    fn the_usage_plan_is_verified_with_a_key_or_without() {
        let rest = "0f-1. API Key:  API Stage: a1/prod";
        labels(&format!("Verifying Usage Plan for request: {rest}"), Label::VerifyingUsagePlan, rest);
        let rest = "0f-1. API Key: ****99ff API Stage: a1/prod";
        labels(&format!("Verifying Usage Plan for request: {rest}"), Label::VerifyingUsagePlan, rest);
        says("Usage Plan check succeeded for API Key  and API Stage a1/prod", Line::Unknown);
        says("API Key ****99ff authorized because method 'GET /o' requires API Key", Line::Unknown);
    }

    #[test]
    fn the_method_request_is_told_by_its_parts() {
        labels("Method request path: {id=7}", Label::RequestPath, "{id=7}");
        labels("Method request query string: {}", Label::RequestQuery, "{}");
        labels("Method request headers: {Accept=*/*}", Label::RequestHeaders, "{Accept=*/*}");
        labels("Method request body before transformations: ", Label::RequestBody, "");
        labels("Method request body before transformations:", Label::RequestBody, "");
    }

    #[test]
    fn the_endpoint_is_told_by_its_parts() {
        labels("Endpoint request URI: https://b.test/x", Label::EndpointUri, "https://b.test/x");
        labels("Endpoint request headers: {A=b}", Label::EndpointRequestHeaders, "{A=b}");
        labels("Endpoint request body after transformations: {\"a\":1}", Label::EndpointRequestBody, "{\"a\":1}");
        says("Sending request to https://b.test/x", Line::Sending("https://b.test/x"));
        labels("Endpoint response headers: {A=b}", Label::EndpointResponseHeaders, "{A=b}");
        labels("Endpoint response body before transformations: x", Label::EndpointResponseBody, "x");
        labels("AWS Integration Endpoint RequestId : 4e-2", Label::EndpointRequestId, "4e-2");
        labels("AWS Integration Endpoint RequestId: 4e-2", Label::EndpointRequestId, "4e-2");
    }

    #[test]
    fn a_response_is_received_with_its_status_or_without() {
        let status = Some(200);
        says("Received response. Status: 200, Integration latency: 46 ms", Line::Received { status, latency: 46 });
        says("Received response. Integration latency: 40 ms", Line::Received { status: None, latency: 40 });
        says("Received response. Status: none, Integration latency: 46 ms", Line::Unknown);
        says("Received response. Integration latency: 4.5 ms", Line::Unknown);
        says("Received response. Status: 200", Line::Unknown);
    }

    #[test]
    fn the_method_response_and_the_gateways_own_are_one() {
        labels("Method response body after transformations: ok", Label::ResponseBody, "ok");
        labels("Method response headers: {A=b}", Label::ResponseHeaders, "{A=b}");
        labels("Gateway response body: {\"message\":null}", Label::ResponseBody, "{\"message\":null}");
        labels("Gateway response headers: {A=b}", Label::ResponseHeaders, "{A=b}");
    }

    #[test]
    fn the_authorizer_is_told_by_its_parts() {
        says(
            "Starting authorizer: 1a2b3c for request: 0f-1",
            Line::AuthorizerStarted { id: "1a2b3c", request: "0f-1" },
        );
        says("Starting authorizer: 1a2b3c", Line::Unknown);
        labels("Incoming identity: ****xyz", Label::AuthorizerIdentity, "****xyz");
        labels("Authorizer result body before parsing: {}", Label::AuthorizerResult, "{}");
        labels("Using valid authorizer policy for principal: ****u1", Label::AuthorizerPrincipal, "****u1");
        says("Successfully completed authorizer execution", Line::AuthorizerCompleted);
    }

    #[test]
    fn failures_are_told_by_their_beginnings() {
        for text in [
            "Execution failed due to a timeout error",
            "Execution failed due to configuration error: Malformed Lambda proxy response",
            "Lambda execution failed with status 200 due to customer function error: no. Lambda request id: 4e-2",
            "Key throttle limit exceeded for RestApi a1, Stage prod, Resource r1, HttpMethod GET. Limit: 1.00 Burst: 1",
            "Unauthorized request: 0f-1",
            "API Key  not authorized because method 'GET /o' requires API Key and API Key is not associated with a \
             Usage Plan for API Stage a1/prod: No Usage Plan found for key and API Stage",
            "User is not authorized to access this resource",
            "Usage Plan check failed for API Key ****99ff",
            "Request body does not match model schema for content type application/json: [no]",
            "Missing required request parameters: [q]",
            "Gateway response type: UNAUTHORIZED with status code: 401",
            "Authorizer error: no",
        ] {
            says(text, Line::Failure);
        }
    }

    #[test]
    fn white_space_between_the_words_is_any() {
        labels("Method  request\theaders : {A=b}", Label::RequestHeaders, "{A=b}");
        labels("  Method completed with status:  200 \n", Label::Status, " 200 \n");
        says("HTTP Method:GET,Resource  Path:/o\r\n", Line::Method { method: "GET", path: "/o" });
        says("Sending  request to  https://b.test/x\n", Line::Sending("https://b.test/x"));
    }

    #[test]
    fn a_body_keeps_its_white_space_but_for_the_separating_one() {
        labels(
            "Endpoint response body before transformations: \n{\n  }\n\n",
            Label::EndpointResponseBody,
            "\n{\n  }\n\n",
        );
        labels("Endpoint response body before transformations:   x ", Label::EndpointResponseBody, "  x ");
    }

    #[test]
    fn what_only_resembles_a_phrase_is_unknown() {
        says("", Line::Unknown);
        says("method request headers: {A=b}", Line::Unknown);
        says("Methodrequest headers: {A=b}", Line::Unknown);
        says("Method request headers {A=b}", Line::Unknown);
        says("Sending request to", Line::Unknown);
        says("Sending request tomorrow", Line::Unknown);
        says("Successfully completed execution of nothing", Line::Unknown);
        says("X-ray Tracing ID : 1-5f-0a", Line::Unknown);
    }

    #[test]
    fn the_mark_of_a_cut_comes_off_with_its_space() {
        assert_eq!(uncut("{A=b [TRUNCATED]"), Some("{A=b"));
        assert_eq!(uncut("{A=b  [TRUNCATED]\n"), Some("{A=b "));
        assert_eq!(uncut("{A=b[TRUNCATED]"), Some("{A=b"));
        assert_eq!(uncut("{A=[TRUNCATED]}"), None);
    }

    #[track_caller]
    fn key(text: &str, expected: Option<(&str, &str)>) {
        let expected = expected.map(|(before, behind)| ("x-api-key", before, behind));
        assert_eq!(credential(text), expected, "{text:?}");
    }

    #[test]
    fn an_api_key_is_found_where_the_usage_plan_names_it() {
        let rest = " authorized because method 'GET /o' requires API Key and API Key is associated";
        key(&format!("API Key ****99ff{rest}"), Some(("API Key ", rest)));
        key("API Key ****99ff not authorized because", Some(("API Key ", " not authorized because")));
        key(
            "Verifying Usage Plan for request: 0f-1. API Key: ****99ff API Stage: a1/prod",
            Some(("Verifying Usage Plan for request: 0f-1. API Key: ", " API Stage: a1/prod")),
        );
        key(
            "Usage Plan check succeeded for API Key ****99ff and API Stage a1/prod",
            Some(("Usage Plan check succeeded for API Key ", " and API Stage a1/prod")),
        );
    }

    #[test]
    fn a_credential_is_found_where_the_text_was_cut() {
        for cut in ["", " ", " API", " API Sta", " and API"] {
            key(
                &format!("Verifying Usage Plan for request: r. API Key: k{cut}"),
                Some(("Verifying Usage Plan for request: r. API Key: ", cut)),
            );
            key(&format!("API Key k{cut} [TRUNCATED]"), Some(("API Key ", &format!("{cut} [TRUNCATED]"))));
        }
        key("API Key author [TRUNCATED]", None);
        assert_eq!(credential("Incoming identity:  t 1 "), Some(("authorizationToken", "Incoming identity:  ", " ")));
        assert_eq!(
            credential("Incoming identity: t [TRUNCATED]"),
            Some(("authorizationToken", "Incoming identity: ", " [TRUNCATED]"))
        );
        assert_eq!(credential("Incoming identity: -"), None);
    }

    #[test]
    fn no_api_key_is_found_where_none_was_sent() {
        for text in [
            "API Key  authorized because method 'GET /o' does not require API Key",
            "API Key authorized because method 'GET /o' does not require API Key",
            "API Key  not authorized because method 'GET /o' requires API Key",
            "Verifying Usage Plan for request: 0f-1. API Key:  API Stage: a1/prod",
            "Verifying Usage Plan for request: 0f-1. API Key: API Stage: a1/prod",
            "Usage Plan check succeeded for API Key  and API Stage a1/prod",
            "API Key",
            "News of API Key k and API Stage s",
        ] {
            key(text, None);
        }
    }

    #[test]
    fn a_number_is_digits_that_fit() {
        assert_eq!(number(" 504\n"), Some(504));
        assert_eq!(number("18446744073709551615"), Some(u64::MAX));
        for text in ["", "-1", "+1", "1.0", "18446744073709551616"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
