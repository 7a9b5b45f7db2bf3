//! The analytics APIs that are known by name: a row each, of what the API wants and how it answers.
//!
//! `DESTINATION=splunk-hec` is `{"time":1795287540.123,"event":{"id":"3871",…}}`, one behind the other, with `Authorization: Splunk …`.
//! How events are framed and answers are read is fixed; the rest are defaults of settings. One that is like another is a row here, a
//! golden body in tests/it/destinations.rs and a section of docs/destinations.md.

use std::time::Duration;

use crate::batch::PayloadFormat;
use crate::delivery::{Answers, PayloadEncoding};
use crate::layout::{Field, Layout};
use crate::token::TokenAuthStyle;

/// Where a secret for the API comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// A bearer token of an OAuth 2.0 token endpoint.
    OAuth,
    /// A static key.
    Key,
    /// There is none.
    None,
}

/// What an analytics API wants.
#[derive(Debug)]
pub struct Destination {
    /// Its name in `DESTINATION`.
    pub name: &'static str,
    /// Where the secret comes from unless `AUTH` says otherwise.
    pub auth: Auth,
    /// The header that carries a token, and the one that carries a key.
    pub headers: [&'static str; 2],
    /// How the client authenticates at the token endpoint.
    pub auth_style: TokenAuthStyle,
    /// The scope of its tokens.
    pub scope: Option<&'static str>,
    /// How events are framed.
    pub format: PayloadFormat,
    /// What stands before and behind the events of a body.
    pub around: [&'static str; 2],
    /// What is written for each event.
    event: &'static str,
    /// Names that this writes beside the event's members.
    taken: &'static [&'static str],
    /// Other names of fields.
    names: &'static str,
    /// Fields that are not written: the template has them elsewhere.
    omitted: &'static [Field],
    /// How bodies are encoded.
    pub encoding: PayloadEncoding,
    /// Most bytes of a body, by default and at most.
    pub max_bytes: [usize; 2],
    /// Most events of a body.
    pub max_events: Option<usize>,
    /// Most bytes of an event.
    pub max_event_bytes: usize,
    /// Most bytes of a top-level value that it does not cut.
    max_value_bytes: usize,
    /// Age of an event beyond which it drops it, or gives it another time.
    pub max_age: Option<Duration>,
    /// How its answers are read.
    pub answers: Answers,
}

const MB: usize = 1_000_000;

const AUTHORIZATION: &str = "Authorization: Bearer {token}";

/// The structured event as it is.
pub static JSON: Destination = Destination {
    name: "json",
    auth: Auth::OAuth,
    headers: [AUTHORIZATION; 2],
    auth_style: TokenAuthStyle::Basic,
    scope: None,
    format: PayloadFormat::Json,
    around: ["", ""],
    event: "{event}",
    taken: &[],
    names: "",
    omitted: &[],
    encoding: PayloadEncoding::Identity,
    max_bytes: [MB, MB],
    max_events: None,
    max_event_bytes: usize::MAX,
    max_value_bytes: usize::MAX,
    max_age: None,
    answers: Answers::Status,
};

/// Any receiver of the OpenTelemetry protocol: a collector, and most vendors.
static OTLP: Destination =
    Destination { name: "otlp", format: PayloadFormat::Otlp, max_bytes: [MB, 4 * MB], answers: Answers::Otlp, ..JSON };

/// Azure Monitor's Logs Ingestion API. Its columns cannot be named `id` or `timestamp`.
static AZURE_MONITOR: Destination = Destination {
    name: "azure-monitor",
    auth_style: TokenAuthStyle::Post,
    scope: Some("https://monitor.azure.com/.default"),
    names: "id=EventId,timestamp=TimeGenerated",
    max_value_bytes: 64 << 10,
    encoding: PayloadEncoding::Gzip,
    ..JSON
};

/// Datadog's logs API, version 2. It cuts what is longer than 1 MB, and accepts it.
static DATADOG: Destination = Destination {
    name: "datadog",
    auth: Auth::Key,
    headers: ["DD-API-KEY: {token}"; 2],
    event: r#"{"message":"{summary}","ddsource":"apigateway","service":"{service}","timestamp":{epochMillis}{members}}"#,
    taken: &["message", "ddsource", "service", "timestamp"],
    omitted: &[Field::Timestamp, Field::Message],
    encoding: PayloadEncoding::Gzip,
    max_bytes: [5 * MB, 5 * MB],
    max_events: Some(1000),
    max_event_bytes: MB,
    max_age: Some(Duration::from_hours(18)),
    ..JSON
};

/// New Relic's Log API.
static NEW_RELIC: Destination = Destination {
    name: "new-relic",
    auth: Auth::Key,
    headers: ["Api-Key: {token}"; 2],
    around: [r#"[{"logs":"#, "}]"],
    event: r#"{"timestamp":{epochMillis},"message":"{summary}","attributes":{event}}"#,
    encoding: PayloadEncoding::Gzip,
    max_age: Some(Duration::from_hours(48)),
    ..JSON
};

/// Splunk's HTTP Event Collector.
static SPLUNK_HEC: Destination = Destination {
    name: "splunk-hec",
    auth: Auth::Key,
    headers: ["Authorization: Splunk {token}"; 2],
    format: PayloadFormat::Joined,
    event: r#"{"time":{epochSeconds},"event":{event}}"#,
    answers: Answers::Splunk,
    ..JSON
};

/// `_bulk` of Elasticsearch and `OpenSearch`. Only `create` never overwrites, and is all that a data stream takes.
static ELASTIC: Destination = Destination {
    name: "elastic",
    auth: Auth::Key,
    headers: ["Authorization: ApiKey {token}"; 2],
    format: PayloadFormat::Ndjson,
    event: "{\"create\":{\"_id\":\"{id}\"}}\n{event}",
    names: "timestamp=@timestamp",
    max_bytes: [5 * MB, 5 * MB],
    answers: Answers::Elastic,
    ..JSON
};

/// Dynatrace's log ingest API, version 2.
static DYNATRACE: Destination = Destination {
    name: "dynatrace",
    headers: [AUTHORIZATION, "Authorization: Api-Token {token}"],
    event: r#"{"timestamp":"{timestamp}","content":"{summary}"{members}}"#,
    taken: &["timestamp", "content"],
    omitted: &[Field::Timestamp, Field::Message],
    max_bytes: [MB, 10 * MB],
    max_events: Some(50_000),
    max_age: Some(Duration::from_hours(24)),
    answers: Answers::Dynatrace,
    ..JSON
};

/// All of them.
pub static DESTINATIONS: [&Destination; 8] =
    [&JSON, &OTLP, &AZURE_MONITOR, &DATADOG, &NEW_RELIC, &SPLUNK_HEC, &ELASTIC, &DYNATRACE];

impl Destination {
    /// Returns what an event looks like there.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        if self.format == PayloadFormat::Otlp {
            layout.write_as_log_record();
        } else {
            layout.write_as_own(self.event, self.taken);
        }
        layout.omit(self.omitted);
        layout.max_value_bytes = self.max_value_bytes;
        layout.rename(self.names).expect("the names of a row are a list of an event's fields");
        layout
    }
}
