//! What the lines of one request say together.
//!
//! A trace is folded from the lines in the order in which they came. The first value of a field counts; a line that
//! would change it is kept in `other`, as is every line that no field represents. Only lines whose whole content stands
//! in a field leave no trace of their own: those that name a field, those that repeat one, and the two that report a
//! successful end.
//!
//! Between the start and the end of a Lambda authorizer the lines about an endpoint are the authorizer's.

use std::borrow::Cow;

use super::line::{self, Label, Line};
use super::object::Object;
use crate::derive::Facts;
use crate::header_map::{self, Names};
use crate::redact::Redactor;

/// The header that carries a trace, with what follows its name in a map.
const TRACE_HEADER: &str = "X-Amzn-Trace-Id=";

/// One request as its execution log tells it, borrowed from the lines.
#[derive(Default)]
pub(super) struct Trace<'a> {
    id: &'a str,
    extended_id: Option<&'a str>,
    started: bool,
    ended: bool,
    method: Option<&'a str>,
    resource_path: Option<&'a str>,
    status: Option<u64>,
    request: Request<'a>,
    endpoint: Endpoint<'a>,
    response: Response<'a>,
    authorizer: Authorizer<'a>,
    phase: Phase,
    errors: Vec<&'a str>,
    other: Vec<&'a str>,
}

/// Whose endpoint the lines tell of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing told yet: the integration's, unless lines that follow tell of an authorizer whose start came elsewhere.
    #[default]
    Untold,
    /// The authorizer's, from its start to its end.
    Authorizer,
    /// The integration's.
    Integration,
}

/// The method request. Maps are without their braces.
#[derive(Default)]
struct Request<'a> {
    path: Option<&'a str>,
    query: Option<&'a str>,
    headers: Option<&'a str>,
    body: Option<&'a str>,
}

/// A call of the integration's endpoint, or of the authorizer's.
#[derive(Default)]
struct Endpoint<'a> {
    uri: Option<&'a str>,
    request_headers: Option<&'a str>,
    request_body: Option<&'a str>,
    status: Option<u64>,
    latency: Option<u64>,
    response_headers: Option<&'a str>,
    response_body: Option<&'a str>,
    request_id: Option<&'a str>,
}

/// The method response, or the gateway's own.
#[derive(Default)]
struct Response<'a> {
    headers: Option<&'a str>,
    body: Option<&'a str>,
}

/// The Lambda authorizer's part.
#[derive(Default)]
struct Authorizer<'a> {
    id: Option<&'a str>,
    identity: Option<&'a str>,
    endpoint: Endpoint<'a>,
    result: Option<&'a str>,
    principal: Option<&'a str>,
    completed: bool,
}

impl<'a> Trace<'a> {
    /// Folds the lines of the request `id`. A line is without its `(id) ` prefix.
    pub(super) fn read(id: &'a str, lines: impl Iterator<Item = &'a str>) -> Self {
        let mut trace = Self { id, ..Self::default() };
        for line in lines {
            trace.take(line);
        }
        trace
    }

    /// Names the method and the resource path that hold where no line told them.
    pub(super) fn or(mut self, method: Option<&'a str>, resource_path: Option<&'a str>) -> Self {
        self.method = self.method.or(method);
        self.resource_path = self.resource_path.or(resource_path);
        self
    }

    /// Adds texts that no field represents, and that are not lines.
    pub(super) fn with(mut self, texts: impl Iterator<Item = &'a str>) -> Self {
        self.other.extend(texts);
        self
    }

    /// Says the request in a line: `GET /orders 200`.
    pub(super) fn summary(&self) -> String {
        let status = self.status.map(|status| status.to_string());
        let parts: Vec<_> = [self.method, self.resource_path, status.as_deref()].into_iter().flatten().collect();
        if parts.is_empty() { "execution".to_owned() } else { parts.join(" ") }
    }

    /// Returns what is known of the request.
    pub(super) fn facts(&self, redactor: &Redactor) -> Facts<'a> {
        let behind = |prefix: &str| {
            let mut lines = self.errors.iter().chain(&self.other);
            lines.find_map(|line| line.strip_prefix(prefix)).map(|rest| rest.trim_start_matches([' ', ':']))
        };
        let header = |map: Option<&'a str>| {
            let (_, rest) = map?.split_once(TRACE_HEADER)?;
            rest.split([',', '}']).next()
        };
        let header = header(self.request.headers).or_else(|| header(self.endpoint.request_headers));
        let header = header.filter(|_| !redactor.hides(TRACE_HEADER.trim_end_matches('=')));
        let response_type = behind("Gateway response type: ").and_then(|rest| rest.split(' ').next());
        Facts {
            trace: behind("X-ray Tracing ID").or(header).map(Cow::Borrowed),
            response_latency: None,
            integration_latency: None,
            status: self.status,
            response_type: response_type.map(Cow::Borrowed),
            backend_error: self.endpoint.status.is_some_and(|status| status >= 400),
        }
    }

    fn take(&mut self, text: &'a str) {
        let whole = text.trim_end_matches(['\n', '\r']);
        let (said, cut) = line::uncut(text).map_or((text, false), |said| (said, true));
        let line = line::read(said);
        if line == Line::Failure {
            self.phase = Phase::Integration;
            self.errors.push(whole);
        } else if !self.place(line, cut) && !whole.is_empty() {
            self.other.push(whole);
        }
    }

    /// Puts what a line says where it belongs; `false` if the line's text must be kept.
    fn place(&mut self, line: Line<'a>, cut: bool) -> bool {
        match line {
            Line::Value(label, value) => self.place_value(label, value, cut),
            Line::Method { method, path } => {
                self.phase = Phase::Integration;
                let known = (self.method, self.resource_path);
                if known == (None, None) {
                    (self.method, self.resource_path) = (Some(method), Some(path));
                    return true;
                }
                known == (Some(method), Some(path))
            }
            Line::Sending(uri) => fill(&mut self.endpoint().uri, uri),
            Line::Received { status, latency } => {
                let endpoint = self.endpoint();
                let known = (endpoint.status, endpoint.latency);
                if known == (None, None) {
                    (endpoint.status, endpoint.latency) = (status, Some(latency));
                    return true;
                }
                known == (status, Some(latency))
            }
            Line::AuthorizerStarted { id, request } => {
                self.phase = Phase::Authorizer;
                fill(&mut self.authorizer.id, id) && request == self.id
            }
            Line::AuthorizerCompleted => {
                self.adopt();
                self.phase = Phase::Integration;
                self.authorizer.completed = true;
                true
            }
            Line::ExecutionCompleted => true,
            Line::Failure | Line::Unknown => false,
        }
    }

    fn place_value(&mut self, label: Label, value: &'a str, cut: bool) -> bool {
        let word = value.trim();
        match label {
            Label::ExtendedRequestId => {
                self.started = true;
                fill_text(&mut self.extended_id, word)
            }
            // Tells the key and the stage, for which there is no field.
            Label::VerifyingUsagePlan => {
                self.started = true;
                false
            }
            Label::StartingExecution => {
                self.started = true;
                self.phase = Phase::Integration;
                word == self.id
            }
            Label::RequestPath => fill_map(&mut self.request.path, value, Names::Path, cut),
            Label::RequestQuery => fill_map(&mut self.request.query, value, Names::Query, cut),
            Label::RequestHeaders => fill_map(&mut self.request.headers, value, Names::Headers, cut),
            Label::RequestBody => fill_text(&mut self.request.body, value),
            Label::EndpointUri => fill_text(&mut self.endpoint().uri, word),
            Label::EndpointRequestHeaders => fill_map(&mut self.endpoint().request_headers, value, Names::Headers, cut),
            Label::EndpointRequestBody => fill_text(&mut self.endpoint().request_body, value),
            Label::EndpointResponseHeaders => {
                fill_map(&mut self.endpoint().response_headers, value, Names::Headers, cut)
            }
            Label::EndpointResponseBody => fill_text(&mut self.endpoint().response_body, value),
            Label::EndpointRequestId => fill_text(&mut self.endpoint().request_id, word),
            Label::ResponseHeaders => fill_map(&mut self.response.headers, value, Names::Headers, cut),
            Label::ResponseBody => fill_text(&mut self.response.body, value),
            Label::Status => {
                self.ended = true;
                line::number(word).is_some_and(|status| fill(&mut self.status, status))
            }
            Label::AuthorizerIdentity => fill_text(&mut self.authorizer.identity, word),
            Label::AuthorizerResult => {
                self.adopt();
                fill_text(&mut self.authorizer.result, value)
            }
            Label::AuthorizerPrincipal => {
                self.adopt();
                fill_text(&mut self.authorizer.principal, word)
            }
        }
    }

    /// Returns whose call the lines about an endpoint tell at this point.
    fn endpoint(&mut self) -> &mut Endpoint<'a> {
        if self.phase == Phase::Authorizer { &mut self.authorizer.endpoint } else { &mut self.endpoint }
    }

    /// Gives the authorizer the call that was taken for the integration's, because the line that told of the
    /// authorizer's start came in another batch.
    fn adopt(&mut self) {
        if self.phase == Phase::Untold {
            self.authorizer.endpoint = std::mem::take(&mut self.endpoint);
            self.phase = Phase::Authorizer;
        }
    }

    /// Writes the trace as a JSON object: the event's `execution`.
    pub(super) fn write(&self, redactor: &Redactor, out: &mut Vec<u8>) {
        Object::write(out, redactor, |object| {
            object.text("requestId", Some(self.id));
            object.text("extendedRequestId", self.extended_id);
            object.truth("complete", self.started && self.ended);
            object.text("method", self.method);
            object.text("resourcePath", self.resource_path);
            object.number("status", self.status);
            object.number("integrationLatency", self.endpoint.latency);
            object.object("request", |object| {
                object.map("path", self.request.path, Names::Path);
                object.map("query", self.request.query, Names::Query);
                object.map("headers", self.request.headers, Names::Headers);
                object.text("body", self.request.body);
            });
            object.object("endpoint", |object| self.endpoint.write(object));
            object.object("response", |object| {
                object.map("headers", self.response.headers, Names::Headers);
                object.text("body", self.response.body);
            });
            object.object("authorizer", |object| self.authorizer.write(object));
            object.list("errors", &self.errors);
            object.list("other", &self.other);
        });
    }
}

impl Endpoint<'_> {
    fn write(&self, object: &mut Object<'_>) {
        object.text("uri", self.uri);
        object.map("requestHeaders", self.request_headers, Names::Headers);
        object.text("requestBody", self.request_body);
        object.number("status", self.status);
        object.map("responseHeaders", self.response_headers, Names::Headers);
        object.text("responseBody", self.response_body);
        object.text("requestId", self.request_id);
    }
}

impl Authorizer<'_> {
    fn write(&self, object: &mut Object<'_>) {
        object.text("id", self.id);
        object.identity("identity", self.identity);
        self.endpoint.write(object);
        object.number("integrationLatency", self.endpoint.latency);
        object.text("result", self.result);
        object.text("principal", self.principal);
        if self.completed || self.id.is_some() {
            object.truth("complete", self.completed);
        }
    }
}

/// Sets a field that has no value; `false` if it has another one.
fn fill<T: PartialEq>(slot: &mut Option<T>, value: T) -> bool {
    let same = slot.as_ref().is_none_or(|known| *known == value);
    slot.get_or_insert(value);
    same
}

/// Sets a field to a text; white space alone is not a value.
fn fill_text<'a>(slot: &mut Option<&'a str>, text: &'a str) -> bool {
    text.trim().is_empty() || fill(slot, text)
}

/// Sets a field to the inside of a map; `false` also if the text is not one.
fn fill_map<'a>(slot: &mut Option<&'a str>, text: &'a str, names: Names, cut: bool) -> bool {
    header_map::inside(text, names, cut).is_some_and(|inside| inside.is_empty() || fill(slot, inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(lines: &[&str], redactor: &Redactor, expected: &str) {
        let mut out = Vec::new();
        Trace::read("r-1", lines.iter().copied()).write(redactor, &mut out);
        let expected: String = expected.lines().map(str::trim_start).collect();
        assert_eq!(String::from_utf8_lossy(&out), expected, "{lines:?}");
    }

    #[track_caller]
    fn tells(lines: &[&str], expected: &str) {
        says(lines, &Redactor::off(), expected);
    }

    #[test]
    fn a_request_with_data_trace_fills_every_field() {
        tells(
            &[
                "Extended Request Id: Abc12EXAMPLE=",
                "Verifying Usage Plan for request: r-1. API Key:  API Stage: a1/prod",
                "API Key  authorized because method 'POST /o/{id}' does not require API Key",
                "Usage Plan check succeeded for API Key  and API Stage a1/prod",
                "Starting execution for request: r-1",
                "HTTP Method: POST, Resource Path: /o/{id}",
                "Method request path: {id=7}",
                "Method request query string: {mode=a, b=c d}",
                "Method request headers: {Accept=*/*, X-Forwarded-For=192.0.2.7, 198.51.100.1, Host=a.test}",
                "Method request body before transformations: {\"n\":1}",
                "Endpoint request URI: https://b.test/o/7",
                "Endpoint request headers: {X-Amz-Date=20261121T185900Z, Accept=application/json}",
                "Endpoint request body after transformations: {\"n\":1,\"v\":2}",
                "Sending request to https://b.test/o/7",
                "Received response. Status: 201, Integration latency: 46 ms",
                "Endpoint response headers: {Date=Sat, 21 Nov 2026 18:59:00 GMT, Content-Type=text/plain}",
                "Endpoint response body before transformations: made",
                "Method response body after transformations: {\"made\":true}",
                "Method response headers: {Content-Type=application/json}",
                "Successfully completed execution",
                "Method completed with status: 200",
                "AWS Integration Endpoint RequestId : 4e-2",
                "X-ray Tracing ID : 1-5f-0a",
            ],
            r#"{"requestId":"r-1","extendedRequestId":"Abc12EXAMPLE=","complete":true,"method":"POST",
            "resourcePath":"/o/{id}","status":200,"integrationLatency":46,
            "request":{"path":{"id":"7"},"query":{"mode":"a","b":"c d"},
            "headers":{"Accept":"*/*","X-Forwarded-For":"192.0.2.7, 198.51.100.1","Host":"a.test"},
            "body":"{\"n\":1}"},
            "endpoint":{"uri":"https://b.test/o/7",
            "requestHeaders":{"X-Amz-Date":"20261121T185900Z","Accept":"application/json"},
            "requestBody":"{\"n\":1,\"v\":2}","status":201,
            "responseHeaders":{"Date":"Sat, 21 Nov 2026 18:59:00 GMT","Content-Type":"text/plain"},
            "responseBody":"made","requestId":"4e-2"},
            "response":{"headers":{"Content-Type":"application/json"},"body":"{\"made\":true}"},
            "other":["Verifying Usage Plan for request: r-1. API Key:  API Stage: a1/prod",
            "API Key  authorized because method 'POST /o/{id}' does not require API Key",
            "Usage Plan check succeeded for API Key  and API Stage a1/prod","X-ray Tracing ID : 1-5f-0a"]}"#,
        );
    }

    #[test]
    fn a_throttled_request_is_complete_and_tells_the_limit() {
        tells(
            &[
                "Extended Request Id: Abc12EXAMPLE=",
                "Key throttle limit exceeded for RestApi a1, Stage prod, HttpMethod GET. Limit: 1.00",
                "Method completed with status: 429",
            ],
            r#"{"requestId":"r-1","extendedRequestId":"Abc12EXAMPLE=","complete":true,"status":429,
            "errors":["Key throttle limit exceeded for RestApi a1, Stage prod, HttpMethod GET. Limit: 1.00"]}"#,
        );
    }

    #[test]
    fn a_malformed_proxy_response_is_an_error_beside_what_the_endpoint_said() {
        tells(
            &[
                "Starting execution for request: r-1",
                "Sending request to https://b.test/o",
                "Received response. Integration latency: 5 ms",
                "Endpoint response headers: {x-amzn-ErrorType=TooManyRequestsException}",
                "Execution failed due to configuration error: Malformed Lambda proxy response",
                "Gateway response type: API_CONFIGURATION_ERROR with status code: 502",
                "Gateway response body: {\"message\":\"Internal server error\"}",
                "Gateway response headers: {x-amzn-ErrorType=InternalServerErrorException}",
                "Method completed with status: 502",
            ],
            r#"{"requestId":"r-1","complete":true,"status":502,"integrationLatency":5,
            "endpoint":{"uri":"https://b.test/o","responseHeaders":{"x-amzn-ErrorType":"TooManyRequestsException"}},
            "response":{"headers":{"x-amzn-ErrorType":"InternalServerErrorException"},
            "body":"{\"message\":\"Internal server error\"}"},
            "errors":["Execution failed due to configuration error: Malformed Lambda proxy response",
            "Gateway response type: API_CONFIGURATION_ERROR with status code: 502"]}"#,
        );
    }

    #[test]
    fn a_time_out_whose_start_came_elsewhere_is_not_complete() {
        tells(
            &[
                "Sending request to https://b.test/o",
                "Execution failed due to a timeout error",
                "Method completed with status: 504",
            ],
            r#"{"requestId":"r-1","complete":false,"status":504,"endpoint":{"uri":"https://b.test/o"},
            "errors":["Execution failed due to a timeout error"]}"#,
        );
    }

    #[test]
    fn the_authorizers_call_is_not_the_integrations() {
        tells(
            &[
                "Starting authorizer: 1a2b3c for request: r-1",
                "Incoming identity: ****xyz",
                "Endpoint request URI: https://b.test/auth",
                "Endpoint request headers: {Accept=application/json}",
                "Endpoint request body after transformations: {\"type\":\"TOKEN\"}",
                "Sending request to https://b.test/auth",
                "Received response. Status: 200, Integration latency: 9 ms",
                "Authorizer result body before parsing: {\"principalId\":\"u1\"}",
                "Using valid authorizer policy for principal: ****u1",
                "Successfully completed authorizer execution",
                "Starting execution for request: r-1",
                "Endpoint request URI: https://b.test/o",
                "Received response. Status: 204, Integration latency: 46 ms",
            ],
            r#"{"requestId":"r-1","complete":false,"integrationLatency":46,
            "endpoint":{"uri":"https://b.test/o","status":204},
            "authorizer":{"id":"1a2b3c","identity":"****xyz","uri":"https://b.test/auth",
            "requestHeaders":{"Accept":"application/json"},"requestBody":"{\"type\":\"TOKEN\"}","status":200,
            "integrationLatency":9,"result":"{\"principalId\":\"u1\"}","principal":"****u1","complete":true}}"#,
        );
    }

    #[test]
    fn a_request_that_the_authorizer_denies_ends_there() {
        tells(
            &[
                "Starting authorizer: 1a2b3c for request: r-1",
                "Endpoint request URI: https://b.test/auth",
                "Unauthorized request: r-1",
                "Endpoint response body before transformations: late",
            ],
            r#"{"requestId":"r-1","complete":false,"endpoint":{"responseBody":"late"},
            "authorizer":{"id":"1a2b3c","uri":"https://b.test/auth","complete":false},
            "errors":["Unauthorized request: r-1"]}"#,
        );
    }

    #[test]
    fn an_authorizers_call_without_its_start_is_told_by_its_end() {
        tells(
            &[
                "Endpoint request URI: https://b.test/auth",
                "Authorizer result body before parsing: {}",
                "Successfully completed authorizer execution",
                "Starting execution for request: r-1",
                "Endpoint request URI: https://b.test/o",
            ],
            r#"{"requestId":"r-1","complete":false,"endpoint":{"uri":"https://b.test/o"},
            "authorizer":{"uri":"https://b.test/auth","result":"{}","complete":true}}"#,
        );
    }

    #[test]
    fn a_web_socket_route_has_extended_ids_throughout() {
        let lines = [
            "Extended Request Id: Abc12EXAMPLE=",
            "Starting execution for request: Abc12EXAMPLE=",
            "Endpoint request body after transformations: {\"requestContext\":{\"routeKey\":\"$connect\"}}",
            "Method completed with status: 200",
        ];
        let mut out = Vec::new();
        Trace::read("Abc12EXAMPLE=", lines.into_iter()).write(&Redactor::off(), &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"requestId":"Abc12EXAMPLE=","extendedRequestId":"Abc12EXAMPLE=","complete":true,"status":200,"#
                .to_owned()
                + r#""endpoint":{"requestBody":"{\"requestContext\":{\"routeKey\":\"$connect\"}}"}}"#,
        );
    }

    #[test]
    fn each_kind_of_start_and_the_end_make_a_request_complete() {
        for start in
            ["Extended Request Id: e", "Verifying Usage Plan for request: r-1.", "Starting execution for request: r-1"]
        {
            for (end, complete) in
                [("Method completed with status: 200", true), ("Successfully completed execution", false)]
            {
                let lines = [start, end];
                let trace = Trace::read("r-1", lines.into_iter());
                assert_eq!(trace.started && trace.ended, complete, "{lines:?}");
            }
        }
        assert!(!Trace::read("r-1", ["Method completed with status: 200"].into_iter()).started);
    }

    #[test]
    fn the_first_value_counts_and_another_one_is_kept() {
        tells(
            &[
                "Received response. Status: 500, Integration latency: 5 ms",
                "Received response. Status: 200, Integration latency: 6 ms",
                "Received response. Status: 500, Integration latency: 5 ms",
                "Endpoint request URI: https://b.test/o",
                "Sending request to https://c.test/o",
                "HTTP Method: GET, Resource Path: /o",
                "HTTP Method: GET, Resource Path: /p",
                "Method request headers: {A=b}",
                "Method request headers: {A=c}",
                "Method completed with status: 200",
                "Method completed with status: 201",
                "Method response body after transformations: x",
                "Gateway response body: y",
            ],
            r#"{"requestId":"r-1","complete":false,"method":"GET","resourcePath":"/o","status":200,
            "integrationLatency":5,"request":{"headers":{"A":"b"}},
            "endpoint":{"uri":"https://b.test/o","status":500},"response":{"body":"x"},
            "other":["Received response. Status: 200, Integration latency: 6 ms","Sending request to https://c.test/o",
            "HTTP Method: GET, Resource Path: /p","Method request headers: {A=c}","Method completed with status: 201",
            "Gateway response body: y"]}"#,
        );
    }

    #[test]
    fn lines_whose_value_is_not_of_its_kind_are_kept() {
        tells(
            &[
                "Starting execution for request: r-2",
                "Starting authorizer: 1a2b3c for request: r-2",
                "Method request headers: null",
                "Method request query string: a=b",
                "Method completed with status: none",
            ],
            r#"{"requestId":"r-1","complete":true,"authorizer":{"id":"1a2b3c","complete":false},
            "other":["Starting execution for request: r-2","Starting authorizer: 1a2b3c for request: r-2",
            "Method request headers: null","Method request query string: a=b","Method completed with status: none"]}"#,
        );
    }

    #[test]
    fn empty_values_are_left_out() {
        tells(
            &[
                "Method request path: {}",
                "Method request query string: {}",
                "Method request body before transformations: ",
                "Endpoint response body before transformations:",
            ],
            r#"{"requestId":"r-1","complete":false}"#,
        );
    }

    #[test]
    fn a_value_that_was_cut_ends_there_and_a_text_keeps_the_mark() {
        tells(
            &[
                "Endpoint request headers: {Host=a.test, X-Forwarded-For=192.0.2.7, 198.5 [TRUNCATED]",
                "Endpoint request body after transformations: {\"resource\":\"/o\",\"pa [TRUNCATED]",
                "Something new: abc [TRUNCATED]",
            ],
            r#"{"requestId":"r-1","complete":false,
            "endpoint":{"requestHeaders":{"Host":"a.test","X-Forwarded-For":"192.0.2.7, 198.5"},
            "requestBody":"{\"resource\":\"/o\",\"pa"},"other":["Something new: abc [TRUNCATED]"]}"#,
        );
    }

    #[test]
    fn bodies_keep_their_line_breaks() {
        let lines = ["Endpoint response body before transformations: \n{\n  \"a\": 1\n}\n"];
        let mut out = Vec::new();
        Trace::read("r-1", lines.into_iter()).write(&Redactor::off(), &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"requestId":"r-1","complete":false,"endpoint":{"responseBody":"\n{\n  \"a\": 1\n}\n"}}"#,
        );
    }

    #[test]
    fn credentials_in_maps_are_hidden_by_their_names() {
        says(
            &[
                "Method request path: {key=k, token=t0}",
                "Method request query string: {token=t0p, page=2, key=k3y}",
                "Method request headers: {Cookie=a=h1; b=h2, Host=a.test, Authorization=A Credential=h3, Signature=h4}",
                "Incoming identity: h5",
                "Endpoint request headers: {Accept=*/*, X-Amz-Security-Token=h6 [TRUNCATED]",
                "Usage Plan check succeeded for API Key h7 and API Stage a1/prod",
            ],
            &Redactor::new(std::iter::empty::<&str>()),
            r#"{"requestId":"r-1","complete":false,
            "request":{"path":{"key":"k","token":"[REDACTED]"},
            "query":{"token":"[REDACTED]","page":"2","key":"[REDACTED]"},
            "headers":{"Cookie":"[REDACTED]","Host":"a.test","Authorization":"[REDACTED]"}},
            "endpoint":{"requestHeaders":{"Accept":"*/*","X-Amz-Security-Token":"[REDACTED]"}},
            "authorizer":{"identity":"[REDACTED]"},
            "other":["Usage Plan check succeeded for API Key [REDACTED] and API Stage a1/prod"]}"#,
        );
    }
}
