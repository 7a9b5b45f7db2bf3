//! Every setting, its unit and its default: read once, at cold start, from a function that is the environment.
//!
//! [`Settings::read`] turns what was typed into what it means. An unset or empty variable is its default; a malformed one is an
//! error, never its default. All problems are reported at once, by variable and reason, and no value is repeated: some are
//! secret, and a log keeps what it is told.

mod reader;
mod redrive;
mod subscriber;

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use serde_json::Value;
use tracing::level_filters::LevelFilter;

use self::reader::Reader;
pub use self::redrive::RedriveSettings;
pub use self::subscriber::{SubscriberSettings, Wanted};
use crate::access_log::{FormatError, Formats};
use crate::archive::Archive;
use crate::batch::{Framing, Limits, PayloadFormat};
use crate::delivery::{AuthHeader, DeliverySettings, PayloadEncoding};
use crate::destination::{Auth, DESTINATIONS, Destination, JSON};
use crate::layout::{Field, Layout};
use crate::redact::{Redactor, ValueKind};
use crate::selection::Selection;
use crate::token::{OAuthSettings, TokenAuthStyle};

/// Largest body that a batch may have before it is encoded, in bytes; also the default.
pub const MAX_BATCH_BYTES: usize = 1_000_000;

/// Most that one Firehose record inflates to unless `MAX_RECORD_BYTES` says otherwise, in bytes.
pub const DEFAULT_MAX_RECORD_BYTES: usize = 33_554_432;

/// Longest time that a setting may name: the longest that a Lambda function runs.
const MAX_TIME: Duration = Duration::from_mins(15);

/// Longest lifetime that `TOKEN_DEFAULT_TTL_SECONDS` may name: a year.
const MAX_TTL: Duration = Duration::from_hours(366 * 24);

/// Of how many successes one can stand for at most.
const MAX_SAMPLE: u64 = 1_000_000;

/// What the function is told by its environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The token endpoint, if tokens are obtained from one.
    pub oauth: Option<OAuthSettings>,
    /// `CREDENTIALS_PARAMETER`: the `SecureString` with the client's credentials or the static key.
    pub credentials_parameter: Option<String>,
    /// What an event looks like: `FIELD_NAMES`, `STATIC_FIELDS`, `EVENT_TEMPLATE`.
    pub layout: Layout,
    /// The bodies: `PAYLOAD_FORMAT`, `BODY_TEMPLATE`, `MAX_BATCH_BYTES` (before encoding, framing counted), `MAX_BATCH_EVENTS`.
    pub limits: Limits,
    /// What an event looks like in the archive.
    pub archive_layout: Layout,
    /// Which events are delivered: `EXCLUDE`, `SAMPLE_SUCCESSES`, `SAMPLE_KEEP_SLOW_MS`.
    pub selection: Selection,
    /// Their delivery.
    pub delivery: DeliverySettings,
    /// `ACCESS_LOG_FORMAT`, compiled.
    pub formats: Formats,
    /// `FORMATS_PARAMETER`: the parameter with further formats.
    pub formats_parameter: Option<String>,
    /// `REQUEST_TIMEOUT_MS`: the longest wait for one answer of the API, the token endpoint and the store.
    pub request_timeout: Duration,
    /// `MAX_RECORD_BYTES`: the most that one Firehose record may inflate to.
    pub max_record_bytes: usize,
    /// Age of an event beyond which the destination drops it, or gives it another time.
    pub max_age: Option<Duration>,
    /// `ARCHIVE`.
    pub archive: Archive,
    /// `REDACT`, `REDACT_NAMES` and `REDACT_VALUES`, and what the formats call credentials.
    pub redactor: Redactor,
    /// `LOG_LEVEL`: level of the function's own log, where it is set.
    pub log_level: Option<LevelFilter>,
    /// `METRICS_NAMESPACE`.
    pub metrics_namespace: String,
    /// `SSL_CERT_FILE`: further roots that TLS trusts, as PEM.
    pub ca_file: Option<PathBuf>,
    /// `CLIENT_CERTIFICATE_PARAMETER`: the `SecureString` with the client's certificate and its key.
    pub certificate_parameter: Option<String>,
    /// `PROXY_URL`: the proxy to the API and the token endpoint.
    pub proxy: Option<Uri>,
    /// `AWS_LAMBDA_FUNCTION_NAME`, set by Lambda: the metrics' dimension.
    pub function_name: String,
    /// `AWS_LAMBDA_LOG_GROUP_NAME`, set by Lambda: the group whose events are never forwarded.
    pub own_log_group: Option<String>,
    /// The variables that are set, and as much of their values as anybody may see.
    pub shown: Vec<(&'static str, Value)>,
}

/// All that is wrong with the settings: one problem for each variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// The problems, in the order of the variables in the documentation.
    pub problems: Vec<Problem>,
}

/// What is wrong with one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable's name.
    pub variable: &'static str,
    /// Why its value does not do. Never holds the value.
    pub reason: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid settings: ")?;
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", problem.variable, problem.reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the settings from `environment`, which returns a variable's value.
    ///
    /// # Errors
    /// Every problem of every variable, in one error.
    pub fn read(environment: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(environment);
        let reader = &mut reader;

        // The order is that of the documentation; each line leaves a problem or a value.
        let analytics_url = reader.required("ANALYTICS_URL").and_then(|url| reader.url("ANALYTICS_URL", &url));
        let destination = reader.word("DESTINATION", &DESTINATIONS.map(|row| (row.name, row)), &JSON);
        let words = [("oauth", Auth::OAuth), ("key", Auth::Key), ("none", Auth::None)];
        let auth = reader.word("AUTH", &words, destination.auth);
        let auth_header = read_auth_header(reader, destination, auth);
        let headers = reader.headers("REQUEST_HEADERS", auth_header.as_ref());
        let ca_file = reader.text("SSL_CERT_FILE").map(PathBuf::from);
        let certificate_parameter = reader.optional_parameter_name("CLIENT_CERTIFICATE_PARAMETER");
        let proxy = reader.proxy("PROXY_URL");
        let oauth = if auth == Auth::OAuth { Some(read_oauth(reader, destination)) } else { None };
        let credentials_parameter = match auth {
            Auth::OAuth | Auth::Key => Some(reader.parameter_name("CREDENTIALS_PARAMETER")),
            Auth::None => None,
        };
        let formats = reader.formats("ACCESS_LOG_FORMAT");
        let formats_parameter = reader.optional_parameter_name("FORMATS_PARAMETER");
        let token_parameter = reader.text("TOKEN_PARAMETER").filter(|_| oauth.is_some());
        let credentials = reader.text("CREDENTIALS_PARAMETER").filter(|_| credentials_parameter.is_some());
        if token_parameter.is_some() && token_parameter == credentials {
            reader.problem(
                "CREDENTIALS_PARAMETER",
                "must not be the same parameter as TOKEN_PARAMETER, which is overwritten",
            );
        }
        for (variable, parameter) in
            [("CLIENT_CERTIFICATE_PARAMETER", &certificate_parameter), ("FORMATS_PARAMETER", &formats_parameter)]
        {
            if parameter.is_some() && [&token_parameter, &credentials].contains(&parameter) {
                reader.problem(variable, "must be another parameter than TOKEN_PARAMETER and CREDENTIALS_PARAMETER");
            }
        }
        let mut archive_layout = Layout::default();
        let (mut layout, limits, encoding, content_type) = read_bodies(reader, destination);
        let concurrency = reader.count("DELIVERY_CONCURRENCY", 1000).unwrap_or(4);
        let request_timeout = reader.number("REQUEST_TIMEOUT_MS", 1, MAX_TIME.as_secs() * 1000).unwrap_or(10_000);
        let max_attempts = reader.count("MAX_ATTEMPTS", 1000).unwrap_or(5);
        let retry_statuses = reader.statuses("RETRY_STATUSES");
        let answer_check = reader.json_pointer("ANSWER_CHECK");
        // Offsets into a decoded record are 32 bits wide.
        let max_record_bytes = reader.count("MAX_RECORD_BYTES", 1 << 31).unwrap_or(DEFAULT_MAX_RECORD_BYTES);
        let archive =
            reader.word("ARCHIVE", &[("none", Archive::None), ("structured", Archive::Structured)], Archive::None);
        let redactor = read_redactor(reader, formats.as_ref());
        let selection = read_selection(reader);
        if !reader.word("DERIVE", &[("on", true), ("off", false)], true) {
            layout.omit(&[Field::Derived]);
            archive_layout.omit(&[Field::Derived]);
        }
        let log_level = reader.level("LOG_LEVEL");
        let metrics_namespace = reader.namespace("METRICS_NAMESPACE").unwrap_or_else(|| "ApiLogForwarder".to_owned());
        let function_name =
            reader.text("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned());
        let own_log_group = reader.text("AWS_LAMBDA_LOG_GROUP_NAME");

        // A required setting without a value has left a problem: a value of a group that is missing then is never used.
        let (Some(url), Some(formats), true) = (analytics_url, formats, reader.problems.is_empty()) else {
            return Err(SettingsError { problems: std::mem::take(&mut reader.problems) });
        };
        Ok(Self {
            oauth: oauth.flatten(),
            credentials_parameter: credentials_parameter.flatten(),
            delivery: DeliverySettings {
                url,
                auth_header,
                headers,
                content_type,
                encoding,
                concurrency,
                max_attempts,
                retry_statuses,
                answers: destination.answers,
                answer_check,
            },
            layout,
            archive_layout,
            limits,
            selection,
            formats,
            formats_parameter,
            request_timeout: Duration::from_millis(request_timeout),
            max_record_bytes,
            max_age: destination.max_age,
            archive,
            redactor,
            log_level,
            metrics_namespace,
            ca_file,
            certificate_parameter,
            proxy,
            function_name,
            own_log_group,
            shown: reader.shown(),
        })
    }
}

/// Reads the header that carries a token or a key.
fn read_auth_header<E>(reader: &mut Reader<E>, destination: &Destination, auth: Auth) -> Option<AuthHeader>
where
    E: Fn(&str) -> Option<String>,
{
    let [token, key] = destination.headers;
    let default = match auth {
        Auth::OAuth => token,
        Auth::Key => key,
        Auth::None => return None,
    };
    let header = reader.text("AUTH_HEADER").unwrap_or_else(|| default.to_owned());
    reader.auth_header("AUTH_HEADER", &header)
}

/// Reads what a token is asked for with. `None` if something is missing, which is a problem then.
fn read_oauth<E: Fn(&str) -> Option<String>>(
    reader: &mut Reader<E>,
    destination: &Destination,
) -> Option<OAuthSettings> {
    let url = reader.required("TOKEN_URL").and_then(|url| reader.url("TOKEN_URL", &url));
    let parameter = reader.parameter_name("TOKEN_PARAMETER");
    let styles = [
        ("basic", TokenAuthStyle::Basic),
        ("basic-plain", TokenAuthStyle::BasicPlain),
        ("post", TokenAuthStyle::Post),
        ("json", TokenAuthStyle::Json),
        ("private_key_jwt", TokenAuthStyle::PrivateKeyJwt),
    ];
    let auth_style = reader.word("TOKEN_AUTH_STYLE", &styles, destination.auth_style);
    let scope = reader.text("TOKEN_SCOPE").or_else(|| destination.scope.map(str::to_owned));
    let audience = reader.text("TOKEN_AUDIENCE");
    let parameters = reader.form("TOKEN_REQUEST_PARAMETERS");
    let default_ttl = reader.number("TOKEN_DEFAULT_TTL_SECONDS", 1, MAX_TTL.as_secs()).unwrap_or(300);
    let default_ttl = Duration::from_secs(default_ttl);
    Some(OAuthSettings { url: url?, parameter: parameter?, auth_style, scope, audience, parameters, default_ttl })
}

/// Reads what bodies and the events in them look like, and the media type.
fn read_bodies<E: Fn(&str) -> Option<String>>(
    reader: &mut Reader<E>,
    destination: &Destination,
) -> (Layout, Limits, PayloadEncoding, &'static str) {
    let formats = [("json", PayloadFormat::Json), ("ndjson", PayloadFormat::Ndjson)];
    let format = reader.word("PAYLOAD_FORMAT", &formats, destination.format);
    // An array alone can also be lines.
    let takes_lines = destination.format == PayloadFormat::Json && destination.around == JSON.around;
    for (variable, is_fixed) in [
        ("PAYLOAD_FORMAT", !takes_lines),
        ("EVENT_TEMPLATE", destination.name != JSON.name),
        ("BODY_TEMPLATE", destination.name != JSON.name),
    ] {
        if is_fixed && reader.text(variable).is_some() {
            reader.problem(variable, format!("is not for DESTINATION={}, which has its own", destination.name));
        }
    }
    if destination.format == PayloadFormat::Otlp && reader.text("FIELD_NAMES").is_some() {
        reader.problem("FIELD_NAMES", "is not for DESTINATION=otlp: its attributes have the names of the conventions");
    }
    let region = reader.text("AWS_REGION").unwrap_or_default();
    let layout = reader.layout(["EVENT_TEMPLATE", "FIELD_NAMES", "STATIC_FIELDS"], destination.layout());
    let around = reader.around_events("BODY_TEMPLATE");
    let around = around.as_ref().map_or(destination.around, |[before, behind]| [before, behind]);
    let encodings =
        [("identity", PayloadEncoding::Identity), ("gzip", PayloadEncoding::Gzip), ("zstd", PayloadEncoding::Zstd)];
    let encoding = reader.word("PAYLOAD_ENCODING", &encodings, destination.encoding);
    let [default_bytes, most_bytes] = destination.max_bytes;
    let limits = Limits {
        framing: Framing::new(format, around, &region).into(),
        max_bytes: reader.count("MAX_BATCH_BYTES", most_bytes).unwrap_or(default_bytes),
        max_event_bytes: destination.max_event_bytes,
        max_events: reader
            .count("MAX_BATCH_EVENTS", destination.max_events.unwrap_or(MAX_BATCH_BYTES))
            .or(destination.max_events)
            .and_then(NonZeroUsize::new),
    };
    (layout, limits, encoding, format.content_type())
}

fn read_selection<E: Fn(&str) -> Option<String>>(reader: &mut Reader<E>) -> Selection {
    let exclude = reader.text("EXCLUDE").unwrap_or_default();
    let every = reader.number("SAMPLE_SUCCESSES", 1, MAX_SAMPLE).and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN);
    let slow = reader.number("SAMPLE_KEEP_SLOW_MS", 1, MAX_TIME.as_secs() * 1000);
    Selection::new(&exclude, every, slow).unwrap_or_else(|| {
        reader.problem("EXCLUDE", "has a line that is no rule, such as path=/health* or identity.userAgent=ELB-*");
        Selection::default()
    })
}

fn read_redactor<E: Fn(&str) -> Option<String>>(reader: &mut Reader<E>, formats: Option<&Formats>) -> Redactor {
    let redact = reader.word("REDACT", &[("on", true), ("off", false)], true);
    let names = reader.text("REDACT_NAMES").unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let values = reader.words("REDACT_VALUES", &ValueKind::WORDS);
    let redactor = if redact { Redactor::new(names).with_values(&values) } else { Redactor::off() };
    redactor.with_format_names(formats.iter().flat_map(|formats| formats.secret_names(&redactor)))
}

impl Settings {
    /// Returns the same settings with further formats, the text of `FORMATS_PARAMETER`, behind those that are set.
    ///
    /// # Errors
    /// Every problem of the text, with line and column.
    pub fn with_formats(&self, further: &str) -> Result<Self, Vec<FormatError>> {
        let formats = self.formats.clone().and(further)?;
        let redactor = self.redactor.with_format_names(formats.secret_names(&self.redactor));
        Ok(Self { formats, redactor, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [(&str, &str); 4] = [
        ("ANALYTICS_URL", "https://analytics.example.com/v1/events"),
        ("TOKEN_URL", "https://id.example.com/oauth2/token"),
        ("TOKEN_PARAMETER", "/forwarder/token"),
        ("CREDENTIALS_PARAMETER", "/forwarder/credentials"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(|name| {
            let of = |settings: &[(&str, &str)]| {
                settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            of(changes).or_else(|| of(&REQUIRED))
        })
    }

    #[track_caller]
    fn refuses(variable: &'static str, value: &str) {
        let error = read(&[(variable, value)]).map(drop).expect_err(value);
        let variables: Vec<_> = error.problems.iter().map(|problem| problem.variable).collect();
        assert_eq!(variables, [variable], "{error}");
    }

    #[test]
    fn the_required_settings_are_enough() {
        let settings = read(&[]).expect("the required settings are there");
        assert_eq!(settings.limits.framing, Framing::new(PayloadFormat::Json, ["", ""], "").into());
        assert_eq!(settings.delivery.encoding, PayloadEncoding::Identity);
        assert_eq!(settings.limits.max_bytes, 1_000_000);
        assert_eq!(settings.limits.max_events, None);
        assert_eq!(settings.delivery.concurrency, 4);
        assert_eq!(settings.delivery.max_attempts, 5);
        assert_eq!(settings.request_timeout, Duration::from_secs(10));
        assert_eq!(settings.max_record_bytes, 33_554_432);
        assert_eq!(settings.archive, Archive::None);
        assert_eq!(settings.log_level, None);
        assert_eq!(settings.oauth.as_ref().unwrap().auth_style, TokenAuthStyle::Basic);
        assert_eq!(settings.oauth.as_ref().unwrap().default_ttl, Duration::from_mins(5));
        assert_eq!(settings.metrics_namespace, "ApiLogForwarder");
    }

    #[test]
    fn all_problems_are_in_one_error_that_repeats_no_value() {
        let error = Settings::read(|name| match name {
            "TOKEN_URL" => Some("http://secret-host.example.com".to_owned()),
            "MAX_ATTEMPTS" => Some("secret-number".to_owned()),
            "ARCHIVE" => Some("secret-word".to_owned()),
            _ => None,
        })
        .map(drop)
        .expect_err("four are missing");
        let variables: Vec<_> = error.problems.iter().map(|problem| problem.variable).collect();
        let expected =
            ["ANALYTICS_URL", "TOKEN_URL", "TOKEN_PARAMETER", "CREDENTIALS_PARAMETER", "MAX_ATTEMPTS", "ARCHIVE"];
        assert_eq!(variables, expected);
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for url in ["http://localhost:1/", "http://127.0.0.1:8080/x", "http://127.9.9.9/", "http://[::1]:9/"] {
            assert!(read(&[("ANALYTICS_URL", url)]).is_ok(), "{url}");
        }
        for url in [
            "http://example.com/",
            "http://localhost.example.com/",
            "http://128.0.0.1/",
            "http://[::2]/",
            "ftp://localhost/",
            "localhost:80",
            "/events",
            "https://",
            "https://user:password@example.com/",
        ] {
            refuses("ANALYTICS_URL", url);
        }
    }

    #[test]
    fn a_proxy_is_a_scheme_a_host_and_a_port() {
        for url in ["http://proxy:3128", "https://proxy.example.com/", "http://[2001:db8::1]:8080", "http://192.0.2.1"]
        {
            assert!(read(&[("PROXY_URL", url)]).expect(url).proxy.is_some(), "{url}");
        }
        for url in [
            "proxy:3128",
            "http://",
            "socks5://proxy:1080",
            "http://user@proxy",
            "http://user:password@proxy",
            "http://:password@proxy",
            "http://proxy/path",
            "http://proxy/?a",
            "http://proxy/#a",
        ] {
            refuses("PROXY_URL", url);
        }
    }

    #[test]
    fn an_empty_value_is_unset() {
        assert!(read(&[("MAX_ATTEMPTS", ""), ("ARCHIVE", ""), ("ACCESS_LOG_FORMAT", "")]).is_ok());
        refuses("TOKEN_PARAMETER", "");
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        for value in ["0", "-1", "+5", "1.5", "1e3", " 5", "five", "99999999999999999999"] {
            refuses("MAX_ATTEMPTS", value);
            refuses("DELIVERY_CONCURRENCY", value);
            refuses("REQUEST_TIMEOUT_MS", value);
            refuses("TOKEN_DEFAULT_TTL_SECONDS", value);
            refuses("MAX_RECORD_BYTES", value);
            refuses("MAX_BATCH_EVENTS", value);
        }
        assert!(read(&[("MAX_BATCH_BYTES", "1")]).is_ok());
        assert!(read(&[("MAX_BATCH_BYTES", "1000000")]).is_ok());
        refuses("MAX_BATCH_BYTES", "0");
        refuses("MAX_BATCH_BYTES", "1000001");
    }

    #[test]
    fn words_are_those_listed() {
        refuses("TOKEN_AUTH_STYLE", "digest");
        refuses("PAYLOAD_FORMAT", "JSON");
        refuses("PAYLOAD_ENCODING", "br");
        refuses("ARCHIVE", "original");
        refuses("REDACT", "false");
        refuses("LOG_LEVEL", "trace");
        refuses("LOG_LEVEL", "INFO");
        refuses("REDACT_VALUES", "phone");
        refuses("REDACT_VALUES", "email,,ip");
        refuses("METRICS_NAMESPACE", "AWS/Lambda");
    }

    #[test]
    fn a_format_without_a_variable_is_refused() {
        refuses("ACCESS_LOG_FORMAT", "no variable here");
    }

    #[test]
    fn statuses_are_a_list_of_those_that_may_be_tried_again() {
        let statuses = |value| read(&[("RETRY_STATUSES", value)]).map(|settings| settings.delivery.retry_statuses);
        assert_eq!(statuses("404, 423,"), Ok(vec![404, 423]));
        assert_eq!(statuses("300,599,400"), Ok(vec![300, 599, 400]));
        for value in ["200", "299", "401", "403", "413", "600", "4040", "404;423", "404 423", "x", "-404", "+40"] {
            refuses("RETRY_STATUSES", value);
        }
    }

    #[test]
    fn a_check_is_a_json_pointer() {
        for value in ["/errors", "/", "/a/0/b~1c~0", "/a b"] {
            assert!(read(&[("ANSWER_CHECK", value)]).is_ok(), "{value}");
        }
        for value in ["errors", "$.errors", "/a~2", "/a~", "#/errors"] {
            refuses("ANSWER_CHECK", value);
        }
    }

    #[test]
    fn the_token_may_not_overwrite_the_credentials() {
        refuses("CREDENTIALS_PARAMETER", "/forwarder/token");
        refuses("TOKEN_PARAMETER", "not a name");
    }

    #[test]
    fn certificate_and_formats_have_parameters_of_their_own() {
        for variable in ["CLIENT_CERTIFICATE_PARAMETER", "FORMATS_PARAMETER"] {
            assert!(read(&[(variable, "/forwarder/another")]).is_ok());
            for value in ["/forwarder/token", "/forwarder/credentials", "not a name"] {
                refuses(variable, value);
            }
        }
    }
}
