//! Events as log records of the OpenTelemetry protocol: protobuf, with the names of its semantic conventions.
//!
//! ```text
//! {"kind":"access","context":{"httpMethod":"GET","status":200,"path":"/orders"},…}
//! LogRecord { time, severity INFO, body "GET /orders 200", event_name "apigw.access",
//!             attributes { http.request.method "GET", http.response.status_code 200, url.path "/orders", … } }
//! ```
//!
//! There is no convention for API Gateway: what has no name of its own stands under `apigw.`. A record is written here from its
//! event's JSON, in which nothing is secret any more: so there is one place that decides what is hidden. The resource is made of the
//! event's origin: account, region, log group.
//!
//! Source: <https://github.com/open-telemetry/opentelemetry-proto/blob/main/docs/specification.md>,
//! <https://opentelemetry.io/docs/specs/semconv/>

mod wire;

use std::borrow::Cow;
use std::collections::HashSet;

use crate::derive::trace_id;
use crate::head::{Head, Origin};
use crate::json::{Cursor, JsonError, Kind};

/// The conventions' version that the names are of.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Severity numbers.
const INFO: u64 = 9;
const WARN: u64 = 13;
const ERROR: u64 = 17;

/// Methods that the conventions know. Any other one is `_OTHER`.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

/// What becomes of a variable.
#[derive(Clone, Copy)]
enum Rule {
    /// An attribute with this name.
    Named(&'static str),
    Method,
    RouteKey,
    Protocol,
    Tls,
    Address,
    /// One of the names of the caller: the first is the user's id, the others stay.
    User,
    Trace,
}

/// Variables by their path, and what becomes of each. All others are `apigw.` and their path in snake case.
const VARIABLES: [(&str, Rule); 37] = [
    ("context.httpMethod", Rule::Method),
    ("context.status", Rule::Named("http.response.status_code")),
    ("context.resourcePath", Rule::Named("http.route")),
    ("context.routeKey", Rule::RouteKey),
    ("context.path", Rule::Named("url.path")),
    ("context.protocol", Rule::Protocol),
    ("context.identity.sourceIp", Rule::Address),
    ("context.identity.userAgent", Rule::Named("user_agent.original")),
    ("context.domainName", Rule::Named("server.address")),
    ("context.error.message", Rule::Named("apigw.error.message")),
    ("context.error.messageString", Rule::Named("apigw.error.message")),
    ("context.requestId", Rule::Named("aws.request_id")),
    ("context.extendedRequestId", Rule::Named("apigw.extended_request_id")),
    ("context.awsEndpointRequestId", Rule::Named("apigw.integration.request_id")),
    ("context.integration.requestId", Rule::Named("apigw.integration.request_id")),
    ("context.responseLength", Rule::Named("http.response.body.size")),
    ("context.responseLatency", Rule::Named("apigw.response_latency_ms")),
    ("context.integrationLatency", Rule::Named("apigw.integration.latency_ms")),
    ("context.integration.latency", Rule::Named("apigw.integration.latency_ms")),
    ("context.integrationStatus", Rule::Named("apigw.integration.status")),
    ("context.integration.status", Rule::Named("apigw.integration.status")),
    ("context.integration.integrationStatus", Rule::Named("apigw.integration.status")),
    ("context.tlsVersion", Rule::Tls),
    ("context.cipherSuite", Rule::Named("tls.cipher")),
    ("context.identity.clientCert.subjectDN", Rule::Named("tls.client.subject")),
    ("context.identity.clientCert.issuerDN", Rule::Named("tls.client.issuer")),
    ("context.identity.user", Rule::User),
    ("context.identity.userArn", Rule::User),
    ("context.identity.caller", Rule::User),
    ("context.identity.cognitoIdentityId", Rule::User),
    ("context.authorizer.principalId", Rule::User),
    ("context.xrayTraceId", Rule::Trace),
    ("execution.method", Rule::Method),
    ("execution.resourcePath", Rule::Named("http.route")),
    ("execution.status", Rule::Named("http.response.status_code")),
    ("execution.requestId", Rule::Named("aws.request_id")),
    ("execution.endpoint.uri", Rule::Named("apigw.endpoint.url")),
];

/// Fields of the event that become attributes of our own names.
const EVENT_FIELDS: [&str; 10] = [
    "context",
    "fields",
    "extractedFields",
    "execution",
    "derived",
    "apiId",
    "stage",
    "truncated",
    "parseError",
    "sampleRate",
];

/// Those whose members become attributes, and those of these whose members do so at any depth.
const OPENED: [&str; 5] = ["context", "fields", "extractedFields", "execution", "derived"];
const FLAT: [&str; 3] = ["context.", "execution.", "derived."];

/// Fields of the event that the head and the resource tell, or that have an attribute of their own.
const HEAD_FIELDS: [&str; 7] = ["id", "timestamp", "kind", "owner", "logGroup", "logStream", "message"];

/// Writes an event as an entry of `ScopeLogs.log_records`. `json` is the structured event, an object.
///
/// # Errors
/// If it is not one.
pub fn log_record(head: &Head<'_>, json: &str, out: &mut Vec<u8>) -> Result<(), JsonError> {
    let mut record = Record::default();
    record.members(&mut String::new(), &mut Cursor::new(json))?;
    wire::message(0x12, out, |out| record.write(head, out));
    Ok(())
}

/// A log record, as far as the event was read.
#[derive(Default)]
struct Record {
    /// The attributes, each as an entry of `LogRecord.attributes`.
    attributes: Vec<u8>,
    /// Their names: none may come twice.
    names: HashSet<String>,
    kind: String,
    message: Option<String>,
    /// What the body of a request says: method, path or route, status.
    method: Option<String>,
    path: Option<String>,
    route: Option<String>,
    status: Option<u64>,
    response_type: Option<String>,
    has_errors: bool,
    /// The trace's id, the parent's, and whether it is sampled.
    trace: Option<[u8; 16]>,
    span: Option<[u8; 8]>,
    is_sampled: bool,
}

impl Record {
    /// Takes the members of the object at the cursor. `path` is where it stands: `context.identity`.
    fn members(&mut self, path: &mut String, cursor: &mut Cursor<'_>) -> Result<(), JsonError> {
        cursor.open()?;
        let mut first = true;
        while let Some(key) = cursor.next_key(&mut first)? {
            let length = path.len();
            if length > 0 {
                path.push('.');
            }
            path.push_str(&key.decode());
            // What AWS has named is flattened; what others have named stays as deep as it is, and so the names stay short.
            let is_flat = FLAT.iter().any(|root| path.starts_with(root));
            if cursor.kind()? == Kind::Object && (is_flat || length == 0 && OPENED.contains(&path.as_str())) {
                self.members(path, cursor)?;
            } else if length == 0 && !EVENT_FIELDS.contains(&path.as_str()) && !HEAD_FIELDS.contains(&path.as_str()) {
                // A static field has the name that it was given.
                self.attribute(path, cursor.value()?);
            } else {
                self.value(path, cursor.value()?);
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn value(&mut self, path: &str, raw: &str) {
        match path {
            // The head and the resource tell these.
            "timestamp" | "owner" | "logGroup" => {}
            "id" => self.attribute("log.record.uid", raw),
            "kind" => self.kind = text(raw),
            "message" => self.message = Some(text(raw)),
            "logStream" => self.list("aws.log.stream.names", &text(raw)),
            "derived.traceId" => self.take_trace(&text(raw)),
            _ => match VARIABLES.iter().find(|(known, _)| *known == path) {
                Some((_, rule)) => self.ruled(*rule, path, raw),
                None => self.other(path, raw),
            },
        }
    }

    /// Takes a variable that has a rule.
    fn ruled(&mut self, rule: Rule, path: &str, raw: &str) {
        match rule {
            Rule::Named(name) => {
                match name {
                    "http.response.status_code" => self.status = raw.parse().ok(),
                    "url.path" => self.path = Some(text(raw)),
                    "http.route" => self.route = Some(text(raw)),
                    _ => {}
                }
                self.attribute(name, raw);
            }
            Rule::Method => {
                let method = text(raw);
                if METHODS.contains(&method.as_str()) {
                    self.attribute("http.request.method", raw);
                } else {
                    self.attribute("http.request.method", "\"_OTHER\"");
                    self.attribute("http.request.method_original", raw);
                }
                self.method = Some(method);
            }
            Rule::RouteKey => {
                let key = text(raw);
                match key.split_once(' ') {
                    Some((_, route)) if !self.has("http.route") => {
                        self.text("http.route", route);
                        self.route = Some(route.to_owned());
                    }
                    _ => self.attribute("apigw.route_key", raw),
                }
            }
            Rule::Protocol => {
                let protocol = text(raw);
                match protocol.split_once('/') {
                    Some((name, version)) => {
                        self.text("network.protocol.name", &name.to_ascii_lowercase());
                        self.text("network.protocol.version", version.strip_suffix(".0").unwrap_or(version));
                    }
                    None => self.text("network.protocol.name", &protocol.to_ascii_lowercase()),
                }
            }
            Rule::Tls => {
                self.text("tls.protocol.name", "tls");
                self.text("tls.protocol.version", text(raw).trim_start_matches("TLSv"));
            }
            Rule::Address => {
                self.attribute("client.address", raw);
                self.attribute("network.peer.address", raw);
            }
            Rule::User if !self.has("user.id") => self.attribute("user.id", raw),
            Rule::User => self.own(path, raw),
            Rule::Trace => {
                let trace = text(raw);
                self.take_trace(&trace);
                if self.trace.is_none() {
                    self.own(path, raw);
                }
            }
        }
    }

    /// Takes a value that has no rule of its own.
    fn other(&mut self, path: &str, raw: &str) {
        let header = |prefix: &str| path.strip_prefix(prefix).map(str::to_ascii_lowercase);
        if let Some(name) = header("execution.request.headers.") {
            self.list(&format!("http.request.header.{name}"), &text(raw));
        } else if let Some(name) = header("execution.response.headers.") {
            self.list(&format!("http.response.header.{name}"), &text(raw));
        } else {
            match path {
                "execution.request.body" => self.attribute("http.request.body.content", raw),
                "execution.response.body" => self.attribute("http.response.body.content", raw),
                "context.error.responseType" => {
                    self.response_type = Some(text(raw));
                    self.own(path, raw);
                }
                "execution.errors" => {
                    self.has_errors = true;
                    self.own(path, raw);
                }
                _ => self.own(path, raw),
            }
        }
    }

    /// Adds an attribute of a name of our own: the path in snake case.
    fn own(&mut self, path: &str, raw: &str) {
        let path = path.strip_prefix("context.").or_else(|| path.strip_prefix("derived.")).unwrap_or(path);
        let name = match path {
            "gatewayLatency" => "apigw.gateway_latency_ms".to_owned(),
            _ => format!("apigw.{}", snake_case(path)),
        };
        self.attribute(&name, raw);
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Adds an attribute with a JSON value, unless it is null.
    fn attribute(&mut self, name: &str, raw: &str) {
        if raw != "null" {
            self.entry(name, |out| any_value(&mut Cursor::new(raw), out));
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.entry(name, |out| wire::bytes(0x0a, value.as_bytes(), out));
    }

    /// Adds an attribute that is a list of one text.
    fn list(&mut self, name: &str, value: &str) {
        self.entry(name, |out| {
            wire::message(0x2a, out, |out| {
                wire::message(0x0a, out, |out| wire::bytes(0x0a, value.as_bytes(), out));
            });
        });
    }

    fn entry(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let mut name = Cow::Borrowed(name);
        // Two may have one name in snake case, and a header may come in two spellings.
        for number in 2.. {
            if self.names.insert(name.clone().into_owned()) {
                break;
            }
            let base = name.strip_suffix(&format!("_{}", number - 1)).unwrap_or(&name);
            name = Cow::Owned(format!("{base}_{number}"));
        }
        key_value(0x32, &name, &mut self.attributes, write);
    }

    /// Takes a trace, an id of 32 digits, X-Ray's own form of it, or a header.
    fn take_trace(&mut self, text: &str) {
        let id = if text.len() == 32 { Some(text.to_owned()) } else { trace_id(text) };
        let Some(id) = id.as_deref().and_then(hex::<16>).filter(|id| *id != [0; 16]) else { return };
        self.trace = Some(id);
        let part = |name: &str| text.split(';').find_map(|part| part.trim().strip_prefix(name));
        self.span = self.span.or(part("Parent=").and_then(hex::<8>).filter(|span| *span != [0; 8]));
        self.is_sampled |= part("Sampled=") == Some("1");
    }

    fn severity(&self) -> u64 {
        match self.status {
            Some(500..) => ERROR,
            _ if self.has_errors => ERROR,
            Some(400..) => WARN,
            _ if self.kind == "text" => 0,
            _ => INFO,
        }
    }

    fn write(mut self, head: &Head<'_>, out: &mut Vec<u8>) {
        let is_request = self.kind != "text";
        if is_request {
            if self.method.is_some() {
                self.text("url.scheme", "https");
            }
            let failed = self.status.is_none_or(|status| status >= 500);
            let error = self.response_type.take().or_else(|| self.status.map(|status| status.to_string()));
            if let Some(error) = error.filter(|_| failed) {
                self.text("error.type", &error);
            }
        }
        let nanoseconds = u64::try_from(head.timestamp).unwrap_or(0).saturating_mul(1_000_000);
        if nanoseconds > 0 {
            wire::fixed64(0x09, nanoseconds, out);
        }
        let severity = self.severity();
        if severity > 0 {
            out.push(0x10);
            wire::varint(severity, out);
        }
        let body = self.body();
        wire::message(0x2a, out, |out| wire::bytes(0x0a, body.as_bytes(), out));
        out.extend_from_slice(&self.attributes);
        if let Some(trace) = self.trace {
            if self.is_sampled {
                out.extend_from_slice(&[0x45, 1, 0, 0, 0]);
            }
            wire::bytes(0x4a, &trace, out);
            if let Some(span) = self.span {
                wire::bytes(0x52, &span, out);
            }
        }
        // The same in every attempt.
        if nanoseconds > 0 {
            wire::fixed64(0x59, nanoseconds, out);
        }
        if is_request {
            wire::bytes(0x62, format!("apigw.{}", self.kind).as_bytes(), out);
        }
    }

    /// Says the event in a line for people.
    fn body(&self) -> Cow<'_, str> {
        if let Some(message) = &self.message {
            return Cow::Borrowed(message);
        }
        let status = self.status.map(|status| status.to_string());
        let path = self.route.as_deref().or(self.path.as_deref());
        let parts: Vec<&str> = [self.method.as_deref(), path, status.as_deref()].into_iter().flatten().collect();
        if parts.is_empty() { Cow::Borrowed(&self.kind) } else { Cow::Owned(parts.join(" ")) }
    }
}

/// Writes the records of one origin as an entry of `ExportLogsServiceRequest.resource_logs`.
pub fn resource_logs(origin: &Origin, region: &str, records: &[u8], out: &mut Vec<u8>) {
    let (resource, scope, schema) = (resource(origin, region), scope(), schema());
    let scope_logs = scope.len() + records.len() + schema.len();
    let in_all = resource.len() + 1 + wire::varint_len(scope_logs) + scope_logs + schema.len();
    out.push(0x0a);
    wire::varint(in_all as u64, out);
    out.extend_from_slice(&resource);
    out.push(0x12);
    wire::varint(scope_logs as u64, out);
    out.extend_from_slice(&scope);
    out.extend_from_slice(records);
    out.extend_from_slice(&schema);
    out.extend_from_slice(&schema);
}

/// Returns how many bytes more than its records the entry of an origin takes in a body of at most `max_bytes`.
#[must_use]
pub fn overhead(origin: &Origin, region: &str, max_bytes: usize) -> usize {
    let lengths = 2 * (1 + wire::varint_len(max_bytes));
    resource(origin, region).len() + scope().len() + 2 * schema().len() + lengths
}

/// `ResourceLogs.resource`: where the logs come from.
fn resource(origin: &Origin, region: &str) -> Vec<u8> {
    let mut out = Vec::new();
    wire::message(0x0a, &mut out, |out| {
        let mut text = |name, value: &str| {
            if !value.is_empty() {
                key_value(0x0a, name, out, |out| wire::bytes(0x0a, value.as_bytes(), out));
            }
        };
        let service = origin.api_id.as_deref().unwrap_or(origin.log_group());
        text("service.name", if service.is_empty() { "apigateway" } else { service });
        text("cloud.provider", "aws");
        text("cloud.account.id", &origin.owner);
        text("cloud.region", region);
        if !origin.log_group().is_empty() {
            key_value(0x0a, "aws.log.group.names", out, |out| {
                wire::message(0x2a, out, |out| {
                    wire::message(0x0a, out, |out| wire::bytes(0x0a, origin.log_group().as_bytes(), out));
                });
            });
        }
    });
    out
}

/// `ScopeLogs.scope`: who has made the records.
fn scope() -> Vec<u8> {
    let mut out = Vec::new();
    wire::message(0x0a, &mut out, |out| {
        wire::bytes(0x0a, env!("CARGO_PKG_NAME").as_bytes(), out);
        wire::bytes(0x12, env!("CARGO_PKG_VERSION").as_bytes(), out);
    });
    out
}

/// `schema_url`, which has the same tag in both messages.
fn schema() -> Vec<u8> {
    let mut out = Vec::new();
    wire::bytes(0x1a, SCHEMA_URL.as_bytes(), &mut out);
    out
}

/// Writes a `KeyValue`, whose value `write` writes.
fn key_value(tag: u8, name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    wire::message(tag, out, |out| {
        wire::bytes(0x0a, name.as_bytes(), out);
        wire::message(0x12, out, write);
    });
}

/// Writes the JSON value at the cursor as the inside of an `AnyValue`. A null, which has none, is an empty one.
fn any_value(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) {
    // It was read before: what cannot be read is left out.
    let Ok(kind) = cursor.kind() else { return };
    match kind {
        Kind::String => {
            if let Ok(string) = cursor.string() {
                wire::bytes(0x0a, string.decode().as_bytes(), out);
            }
        }
        Kind::Bool => out.extend_from_slice(&[0x10, u8::from(cursor.value() == Ok("true"))]),
        Kind::Number => {
            let raw = cursor.value().unwrap_or_default();
            if let Ok(number) = raw.parse::<i64>() {
                out.push(0x18);
                wire::varint(number.cast_unsigned(), out);
            } else if raw.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
                // As a double it would lose digits.
                wire::bytes(0x0a, raw.as_bytes(), out);
            } else if let Ok(number) = raw.parse::<f64>() {
                wire::fixed64(0x21, number.to_bits(), out);
            }
        }
        Kind::Array => wire::message(0x2a, out, |out| {
            let mut first = true;
            if cursor.open().is_ok() {
                while cursor.next_element(&mut first) == Ok(true) {
                    wire::message(0x0a, out, |out| any_value(cursor, out));
                }
            }
        }),
        Kind::Object => wire::message(0x32, out, |out| {
            let mut first = true;
            if cursor.open().is_ok() {
                while let Ok(Some(key)) = cursor.next_key(&mut first) {
                    let key = key.decode();
                    key_value(0x0a, &key, out, |out| any_value(cursor, out));
                }
            }
        }),
        Kind::Null => {
            cursor.value().ok();
        }
    }
}

/// Returns the characters of a JSON string, or any other JSON value as it stands.
fn text(raw: &str) -> String {
    Cursor::new(raw).string().map_or_else(|_| raw.to_owned(), |string| string.decode().into_owned())
}

/// `identity.clientCert` is `identity.client_cert`.
fn snake_case(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 4);
    let mut follows_lower = false;
    for character in path.chars() {
        if character.is_ascii_uppercase() && follows_lower {
            out.push('_');
        }
        follows_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
        out.push(character.to_ascii_lowercase());
    }
    out
}

/// Reads so many bytes in hex.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}
