//! What follows from a request's values: its trace, the time that API Gateway itself took, whose fault an error is.
//!
//! ```json
//! {"traceId":"5759e988bd862e3fe1be46a994272793","gatewayLatency":12,"errorSource":"integration"}
//! ```

use std::borrow::Cow;

/// What is known of a request.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// The X-Ray trace, as an id or as its header.
    pub trace: Option<Cow<'a, str>>,
    /// Milliseconds until the response.
    pub response_latency: Option<u64>,
    /// Milliseconds of these that the integration took.
    pub integration_latency: Option<u64>,
    /// The response's status.
    pub status: Option<u64>,
    /// The type of a gateway response, such as `INTEGRATION_TIMEOUT`.
    pub response_type: Option<Cow<'a, str>>,
    /// A status that the back end itself has answered, from 400 on.
    pub backend_error: bool,
}

impl Facts<'_> {
    /// Writes what is derived as a JSON object. `false` if that is nothing.
    pub fn write(&self, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        // Each member brings a comma; the first one's is the brace. None of them needs an escape.
        if let Some(trace) = self.trace.as_deref().and_then(trace_digits) {
            out.extend_from_slice(b",\"traceId\":\"");
            out.extend(trace.into_iter().flat_map(str::bytes).map(|digit| digit.to_ascii_lowercase()));
            out.push(b'"');
        }
        if let Some(latency) = self.gateway_latency() {
            out.extend_from_slice(b",\"gatewayLatency\":");
            out.extend_from_slice(latency.to_string().as_bytes());
        }
        if let Some(source) = self.error_source() {
            out.extend_from_slice(b",\"errorSource\":\"");
            out.extend_from_slice(source.as_bytes());
            out.push(b'"');
        }
        match out.get_mut(start) {
            Some(separator) => {
                *separator = b'{';
                out.push(b'}');
                true
            }
            None => false,
        }
    }

    /// Returns the milliseconds that API Gateway itself took.
    fn gateway_latency(&self) -> Option<u64> {
        self.response_latency?.checked_sub(self.integration_latency?)
    }

    /// Says whose fault an error is.
    fn error_source(&self) -> Option<&'static str> {
        let status = self.status.filter(|status| *status >= 400)?;
        let by_type = match self.response_type.as_deref().unwrap_or_default() {
            "THROTTLED" | "QUOTA_EXCEEDED" => Some("throttle"),
            "API_CONFIGURATION_ERROR" | "AUTHORIZER_CONFIGURATION_ERROR" => Some("gateway"),
            "UNAUTHORIZED"
            | "ACCESS_DENIED"
            | "INVALID_API_KEY"
            | "MISSING_AUTHENTICATION_TOKEN"
            | "EXPIRED_TOKEN"
            | "INVALID_SIGNATURE" => Some("authorizer"),
            kind if kind.starts_with("AUTHORIZER_") => Some("authorizer"),
            kind if kind.starts_with("WAF_") => Some("waf"),
            kind if kind.starts_with("INTEGRATION_") => Some("integration"),
            _ => None,
        };
        let by_status = if self.backend_error {
            "integration"
        } else if status < 500 {
            "client"
        } else {
            "gateway"
        };
        Some(by_type.unwrap_or(by_status))
    }
}

/// Returns the trace of an X-Ray id, `1-5759e988-bd862e3fe1be46a994272793`, or of a header that holds one as its `Root`, as 32
/// lowercase hex digits.
#[must_use]
pub fn trace_id(text: &str) -> Option<String> {
    trace_digits(text).map(|digits| digits.concat().to_ascii_lowercase())
}

/// Returns the two parts of the digits, as they stand.
///
/// Source: <https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-traceids>
fn trace_digits(text: &str) -> Option<[&str; 2]> {
    let root = text.split(';').map(str::trim).find_map(|part| part.strip_prefix("Root="));
    let (time, rest) = root.unwrap_or(text.trim()).strip_prefix("1-")?.split_once('-')?;
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let is_id = time.len() == 8 && rest.len() == 24 && are_digits(time) && are_digits(rest);
    (is_id && !(is_zero(time) && is_zero(rest))).then_some([time, rest])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn derives(facts: &Facts<'_>, expected: &str) {
        let mut out = Vec::new();
        assert_eq!(facts.write(&mut out), !expected.is_empty());
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        derives(&Facts::default(), "");
        let trace = Some("1-5759e988-bd862e3fe1be46a994272793".into());
        let facts = Facts { trace, response_latency: Some(50), integration_latency: Some(38), ..Facts::default() };
        derives(&facts, r#"{"traceId":"5759e988bd862e3fe1be46a994272793","gatewayLatency":12}"#);
        derives(&Facts { response_latency: Some(5), integration_latency: Some(6), ..Facts::default() }, "");
        derives(&Facts { response_latency: Some(5), ..Facts::default() }, "");
        derives(&Facts { status: Some(399), backend_error: true, ..Facts::default() }, "");
    }

    #[test]
    fn a_trace_is_an_id_or_the_root_of_a_header() {
        let hex = "5759e988bd862e3fe1be46a994272793";
        for text in [
            "1-5759e988-bd862e3fe1be46a994272793",
            "1-5759E988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            "Self=1-0; Root=1-5759e988-bd862e3fe1be46a994272793",
        ] {
            assert_eq!(trace_id(text).as_deref(), Some(hex), "{text}");
        }
        for text in [
            "",
            "-",
            "2-5759e988-bd862e3fe1be46a994272793",
            "1-5759e98-bd862e3fe1be46a994272793",
            "1-5759e988-bd862e3fe1be46a99427279g",
            "1-00000000-000000000000000000000000",
            "Self=1-5759e988-bd862e3fe1be46a994272793",
            hex,
        ] {
            assert_eq!(trace_id(text), None, "{text}");
        }
    }

    #[track_caller]
    fn blames(status: u64, response_type: &str, backend_error: bool, expected: &str) {
        let response_type = Some(response_type.into());
        let facts = Facts { status: Some(status), response_type, backend_error, ..Facts::default() };
        assert_eq!(facts.error_source(), Some(expected), "{facts:?}");
    }

    #[test]
    fn an_error_is_somebodys_fault() {
        blames(403, "WAF_FILTERED", false, "waf");
        blames(429, "THROTTLED", false, "throttle");
        blames(429, "QUOTA_EXCEEDED", false, "throttle");
        blames(403, "ACCESS_DENIED", false, "authorizer");
        blames(500, "AUTHORIZER_FAILURE", false, "authorizer");
        blames(500, "AUTHORIZER_CONFIGURATION_ERROR", true, "gateway");
        blames(500, "API_CONFIGURATION_ERROR", false, "gateway");
        blames(504, "INTEGRATION_TIMEOUT", false, "integration");
        blames(502, "", true, "integration");
        blames(404, "", true, "integration");
        blames(404, "RESOURCE_NOT_FOUND", false, "client");
        blames(400, "BAD_REQUEST_BODY", false, "client");
        blames(500, "DEFAULT_5XX", false, "gateway");
    }
}
