//! Variables read: each kind of value with what is said of one that is none.

use std::cell::RefCell;
use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Uri, header};
use serde_json::{Map, Value};
use tracing::level_filters::LevelFilter;
use url::{Url, form_urlencoded};

use super::Problem;
use crate::access_log::Formats;
use crate::client::is_loopback;
use crate::delivery::{AuthHeader, IDEMPOTENCY_KEY};
use crate::layout::{self, Layout, LayoutError};

/// Reads variables and keeps the problems.
pub(super) struct Reader<E> {
    environment: E,
    /// The variables that were asked for and are set.
    set: RefCell<BTreeMap<&'static str, String>>,
    pub(super) problems: Vec<Problem>,
}

impl<E: Fn(&str) -> Option<String>> Reader<E> {
    pub(super) fn new(environment: E) -> Self {
        Self { environment, set: RefCell::default(), problems: Vec::new() }
    }

    pub(super) fn problem(&mut self, variable: &'static str, reason: impl Into<String>) {
        self.problems.push(Problem { variable, reason: reason.into() });
    }

    /// A value that is there; an empty one is not.
    pub(super) fn text(&self, variable: &'static str) -> Option<String> {
        let value = (self.environment)(variable).filter(|value| !value.is_empty())?;
        self.set.borrow_mut().insert(variable, value.clone());
        Some(value)
    }

    /// Returns the variables that are set and what may be seen of each: of a URL its origin, of headers, parameters and fields
    /// their names. What Lambda sets is left out, and so are formats, which are told apart.
    pub(super) fn shown(&self) -> Vec<(&'static str, Value)> {
        let set = self.set.borrow();
        let set = set.iter().filter(|(variable, _)| !variable.starts_with("AWS_") && **variable != "ACCESS_LOG_FORMAT");
        set.map(|(variable, value)| (*variable, shown(variable, value))).collect()
    }

    pub(super) fn required(&mut self, variable: &'static str) -> Option<String> {
        let value = self.text(variable);
        if value.is_none() {
            self.problem(variable, "is required and not set");
        }
        value
    }

    pub(super) fn url(&mut self, variable: &'static str, value: &str) -> Option<Uri> {
        match service_url(value) {
            Ok(url) => Some(url),
            Err(reason) => {
                self.problem(variable, reason);
                None
            }
        }
    }

    /// A proxy's URL: nothing but its scheme, host and port.
    pub(super) fn proxy(&mut self, variable: &'static str) -> Option<Uri> {
        let value = self.text(variable)?;
        let url = Url::parse(&value).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        // Without what stands before and behind these, it is written as an origin is.
        let url = url.filter(|url| url.as_str().strip_suffix('/') == Some(&url.origin().ascii_serialization()));
        let uri = url.and_then(|url| Uri::try_from(url.as_str()).ok());
        if uri.is_none() {
            self.problem(
                variable,
                "is no http or https URL without user, password and path, such as http://proxy:3128",
            );
        }
        uri
    }

    /// What keys of objects begin with: one folder or several.
    pub(super) fn prefix(&mut self, variable: &'static str, default: &str) -> String {
        let prefix = self.text(variable).unwrap_or_else(|| default.to_owned());
        if !prefix.ends_with('/') || prefix.starts_with('/') {
            self.problem(variable, "is no folder of a bucket, such as failed/");
        }
        prefix
    }

    /// A URL that AWS has made.
    pub(super) fn absolute_url(&mut self, variable: &'static str) -> Option<String> {
        let value = self.required(variable)?;
        let is_url = Url::parse(&value).is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
        if !is_url {
            self.problem(variable, "is no http or https URL");
        }
        is_url.then_some(value)
    }

    /// A header with `{token}` in its value.
    pub(super) fn auth_header(&mut self, variable: &'static str, value: &str) -> Option<AuthHeader> {
        let header = header(value).and_then(|(name, value)| {
            let (before, behind) = value.split_once("{token}")?;
            let is_one = !behind.contains("{token}") && HeaderValue::from_str(value).is_ok();
            let around = [before.to_owned(), behind.to_owned()];
            (is_one && !OWN_HEADERS.contains(&name)).then_some(AuthHeader { name, around })
        });
        if header.is_none() {
            self.problem(
                variable,
                "is no header with {token} once in its value, such as Authorization: Bearer {token}",
            );
        }
        header
    }

    /// Headers, one a line; none that the function sets itself.
    pub(super) fn headers(
        &mut self,
        variable: &'static str,
        auth: Option<&AuthHeader>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for line in self.text(variable).unwrap_or_default().lines().filter(|line| !line.trim().is_empty()) {
            let Some((name, value)) =
                header(line).and_then(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?)))
            else {
                self.problem(variable, "has a line that is no header, such as X-Tenant: orders");
                return headers;
            };
            if OWN_HEADERS.contains(&name) || auth.is_some_and(|auth| auth.name == name) {
                self.problem(variable, format!("must not hold {name}: the function sets it itself"));
                return headers;
            }
            headers.push((name, value));
        }
        headers
    }

    /// Parameters of a token request, as in a form.
    pub(super) fn form(&mut self, variable: &'static str) -> Vec<(String, String)> {
        let value = self.text(variable).unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(value.as_bytes()).into_owned().collect();
        if pairs.iter().any(|(name, _)| name.is_empty()) {
            self.problem(variable, "is no form, such as resource=https%3A%2F%2Fapi.example.com&x=y");
        } else if pairs.iter().any(|(name, _)| name == "grant_type" || name.starts_with("client_")) {
            self.problem(variable, "must not hold grant_type or client_*: the function sets them itself");
        } else {
            return pairs;
        }
        Vec::new()
    }

    pub(super) fn parameter_name(&mut self, variable: &'static str) -> Option<String> {
        self.required(variable)?;
        self.optional_parameter_name(variable)
    }

    pub(super) fn optional_parameter_name(&mut self, variable: &'static str) -> Option<String> {
        // Parameter Store takes 1,011 characters in all; a lock's name adds `.lock.` and a version.
        const MAX_NAME: usize = 980;
        let value = self.text(variable)?;
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
        if !value.bytes().all(valid) {
            self.problem(variable, "is no parameter name: letters, digits and _ . - / only");
        } else if value.len() > MAX_NAME {
            self.problem(variable, format!("is longer than {MAX_NAME} characters"));
        } else {
            return Some(value);
        }
        None
    }

    pub(super) fn level(&mut self, variable: &'static str) -> Option<LevelFilter> {
        let words = [
            ("error", Some(LevelFilter::ERROR)),
            ("warn", Some(LevelFilter::WARN)),
            ("info", Some(LevelFilter::INFO)),
            ("debug", Some(LevelFilter::DEBUG)),
        ];
        self.word(variable, &words, None)
    }

    pub(super) fn word<T: Copy>(&mut self, variable: &'static str, words: &[(&str, T)], default: T) -> T {
        let Some(value) = self.text(variable) else { return default };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return *meaning;
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.problem(variable, format!("must be one of: {}", words.join(", ")));
        default
    }

    /// Words of a list, with commas between.
    pub(super) fn words<T: Copy>(&mut self, variable: &'static str, words: &[(&str, T)]) -> Vec<T> {
        let Some(value) = self.text(variable) else { return Vec::new() };
        let meanings = value.split(',').map(|word| {
            let word = word.trim();
            words.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
        });
        if let Some(meanings) = meanings.collect() {
            return meanings;
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.problem(variable, format!("must be a list, with commas, of: {}", words.join(", ")));
        Vec::new()
    }

    pub(super) fn number(&mut self, variable: &'static str, min: u64, max: u64) -> Option<u64> {
        let value = self.text(variable)?;
        let number = if value.bytes().all(|byte| byte.is_ascii_digit()) { value.parse().ok() } else { None };
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.problem(variable, format!("must be a whole number from {min} to {max}"));
        }
        number
    }

    pub(super) fn count(&mut self, variable: &'static str, max: usize) -> Option<usize> {
        self.number(variable, 1, u64::try_from(max).unwrap_or(u64::MAX)).and_then(|count| usize::try_from(count).ok())
    }

    /// What an event looks like.
    pub(super) fn layout(&mut self, [template, names, fields]: [&'static str; 3], mut layout: Layout) -> Layout {
        let mut change = |variable, change: fn(&mut Layout, &str) -> Result<(), LayoutError>| {
            if let Some(value) = self.text(variable)
                && let Err(error) = change(&mut layout, &value)
            {
                self.problem(variable, error.to_string());
            }
        };
        change(template, Layout::write_as);
        change(names, Layout::rename);
        change(fields, Layout::add);
        layout
    }

    /// What stands before and behind the events of a body.
    pub(super) fn around_events(&mut self, variable: &'static str) -> Option<[String; 2]> {
        let value = self.text(variable)?;
        match layout::around_events(&value) {
            Ok(around) => Some(around.map(str::to_owned)),
            Err(error) => {
                self.problem(variable, error.to_string());
                None
            }
        }
    }

    pub(super) fn formats(&mut self, variable: &'static str) -> Option<Formats> {
        let Some(value) = self.text(variable) else { return Some(Formats::documented()) };
        match Formats::compile(&value) {
            Ok(formats) => Some(formats),
            Err(errors) => {
                for error in errors {
                    self.problem(variable, error.to_string());
                }
                None
            }
        }
    }

    /// Statuses that are to be tried again, comma-separated.
    pub(super) fn statuses(&mut self, variable: &'static str) -> Vec<u16> {
        let value = self.text(variable).unwrap_or_default();
        let parse = |text: &str| {
            let status = Some(text).filter(|text| text.len() == 3)?.parse().ok()?;
            (matches!(status, 300..=599) && !matches!(status, 401 | 403 | 413)).then_some(status)
        };
        let statuses: Option<Vec<u16>> =
            value.split(',').map(str::trim).filter(|text| !text.is_empty()).map(parse).collect();
        if statuses.is_none() {
            self.problem(variable, "is no list of statuses from 300 to 599 without 401, 403 and 413, such as 404,423");
        }
        statuses.unwrap_or_default()
    }

    /// A pointer into a JSON document.
    ///
    /// Source: <https://www.rfc-editor.org/rfc/rfc6901>
    pub(super) fn json_pointer(&mut self, variable: &'static str) -> Option<String> {
        let value = self.text(variable)?;
        let is_escape = |rest: &str| rest.starts_with('0') || rest.starts_with('1');
        if value.starts_with('/') && value.split('~').skip(1).all(is_escape) {
            return Some(value);
        }
        self.problem(variable, "is no JSON pointer (RFC 6901), such as /errors");
        None
    }

    /// A CloudWatch namespace: 1 to 255 characters, not one of AWS's own.
    pub(super) fn namespace(&mut self, variable: &'static str) -> Option<String> {
        let value = self.text(variable)?;
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#: ".contains(&byte);
        if value.len() <= 255 && value.bytes().all(valid) && !value.starts_with(':') && !value.starts_with("AWS/") {
            return Some(value);
        }
        self.problem(
            variable,
            "is no CloudWatch namespace: up to 255 letters, digits and . - _ / # : or spaces, not AWS/…",
        );
        None
    }
}

/// Headers that the function or HTTP itself sets.
const OWN_HEADERS: [HeaderName; 10] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::HOST,
    header::USER_AGENT,
    header::TE,
    header::UPGRADE,
    IDEMPOTENCY_KEY,
];

/// Divides a header into its name and its value.
fn header(line: &str) -> Option<(HeaderName, &str)> {
    let (name, value) = line.split_once(':')?;
    let value = value.trim();
    let name = HeaderName::try_from(name.trim()).ok()?;
    (!value.is_empty()).then_some((name, value))
}

/// Reads the URL of a service that gets a secret: `https`, or `http` to this machine.
fn service_url(value: &str) -> Result<Uri, &'static str> {
    let url = Url::parse(value).map_err(|_| "is no absolute URL")?;
    if url.host().is_none() {
        return Err("is a URL without a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password");
    }
    let uri = Uri::try_from(url.as_str()).map_err(|_| "holds a character that a request cannot");
    match url.scheme() {
        "https" => uri,
        "http" if url.host_str().is_some_and(is_loopback) => uri,
        "http" => Err("must be https: http is for a loopback host only"),
        _ => Err("must be an https URL"),
    }
}

/// Returns what anybody may see of a variable's value.
fn shown(variable: &str, value: &str) -> Value {
    let names = |names: Vec<String>| Value::from(names);
    match variable {
        "ANALYTICS_URL" | "TOKEN_URL" => {
            let url = Url::parse(value).ok();
            url.map_or(Value::Null, |url| url.origin().ascii_serialization().into())
        }
        "AUTH_HEADER" | "REQUEST_HEADERS" => {
            let name = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_owned());
            names(value.lines().filter_map(name).collect())
        }
        "TOKEN_REQUEST_PARAMETERS" => {
            names(form_urlencoded::parse(value.as_bytes()).map(|(name, _)| name.into_owned()).collect())
        }
        "STATIC_FIELDS" => {
            let fields: Map<String, Value> = serde_json::from_str(value).unwrap_or_default();
            names(fields.into_iter().map(|(name, _)| name).collect())
        }
        "EXCLUDE" => {
            let variable = |rule: &str| rule.split_once('=').map(|(variable, _)| variable.trim().to_owned());
            names(value.lines().filter_map(variable).collect())
        }
        "EVENT_TEMPLATE" | "BODY_TEMPLATE" => true.into(),
        _ => value.into(),
    }
}
