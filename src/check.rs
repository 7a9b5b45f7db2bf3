//! What the function answers when it is asked whether it is well: everything that a delivery needs, tried once.
//!
//! ```text
//! {"check":{}}                                       settings, formats, parameters, token, and one marker event to the API
//! {"check":{"lines":["…"],"logGroup":"orders"}}      what becomes of these lines; nothing is delivered
//! ```

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::batch::{Batch, Packer};
use crate::config::Settings;
use crate::counts::{Counts, Unit};
use crate::event::{Event, Writer};
use crate::execution_log::Stitcher;
use crate::forwarder::Forwarder;
use crate::head::{Head, Origin, Share};
use crate::ids::Ids;
use crate::line::{Line, Read, Reader};
use crate::retry::Deadline;
use crate::selection::Fate;
use crate::summary::Summary;

/// The line of the marker event.
pub const MARKER: &str = concat!(env!("CARGO_PKG_NAME"), " check");

/// What is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// Lines that are to be explained, and nothing else.
    lines: Option<Vec<String>>,
    /// The log group that they are of.
    log_group: Option<String>,
}

impl Check {
    /// Reads `{"check":{…}}`. `None` if the payload asks for something else.
    ///
    /// # Errors
    /// If it asks for a check that is not known.
    #[must_use]
    pub fn parse(payload: &str) -> Option<Result<Self, serde_json::Error>> {
        #[derive(Deserialize)]
        struct Asked {
            check: Value,
        }
        let asked: Asked = serde_json::from_str(payload).ok()?;
        Some(serde_json::from_value(asked.check))
    }
}

/// How the function is.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether there are no problems.
    pub ok: bool,
    version: &'static str,
    settings: Map<String, Value>,
    formats: Vec<FormatReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Vec<ParameterReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Vec<LineReport>>,
    /// What is wrong.
    pub problems: Vec<String>,
}

impl Report {
    /// Returns the metric of a check beside what every invocation counts.
    #[must_use]
    pub fn metrics(&self) -> [(&'static str, Unit, usize); 1] {
        [("CheckFailed", Unit::Count, usize::from(!self.ok))]
    }
}

#[derive(Debug, Serialize)]
struct FormatReport {
    format: String,
    variables: usize,
}

#[derive(Debug, Serialize)]
struct ParameterReport {
    name: String,
    found: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenReport {
    from: &'static str,
    expires_in_seconds: Option<i64>,
    ms: u64,
}

#[derive(Debug, Serialize)]
struct DeliveryReport {
    status: Option<u16>,
    accepted: bool,
    ms: u64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct LineReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
    /// Why the event would not be delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<&'static str>,
}

impl Forwarder {
    /// Tries what a delivery needs, or explains lines. `now` is in milliseconds since the Unix epoch.
    pub async fn check(&self, check: &Check, now: i64, deadline: Deadline) -> (Report, Summary) {
        let start = Instant::now();
        let mut report = Report { version: env!("CARGO_PKG_VERSION"), ..Report::default() };
        let was_held = self.tokens.is_held();
        let mut counts = self.tokens.take_counts();
        let settings = self.settings(deadline).await.unwrap_or_else(|error| {
            report.problems.push(error.to_string());
            &self.settings
        });
        report.settings = settings.shown.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        report.formats = settings
            .formats
            .outlines()
            .map(|outline| FormatReport { format: outline.text().to_owned(), variables: outline.variables() })
            .collect();
        if let Some(lines) = &check.lines {
            report.lines = Some(explain(settings, lines, check.log_group.as_deref().unwrap_or_default(), now));
        } else {
            self.try_parameters(&mut report, deadline).await;
            self.try_token(&mut report, was_held, &mut counts, deadline).await;
            self.try_delivery(&mut report, &mut counts, settings, now, deadline).await;
            self.tokens.hand_over(deadline).await;
        }
        counts += self.tokens.take_counts();
        report.ok = report.problems.is_empty();
        (report, Summary { counts, took: start.elapsed(), ..Summary::default() })
    }

    async fn try_parameters(&self, report: &mut Report, deadline: Deadline) {
        match self.tokens.found(deadline).await {
            Ok(found) => {
                for (name, found) in &found {
                    // The function itself makes the token's.
                    if !found && !self.tokens.makes(name) {
                        report.problems.push(format!("the parameter {name} does not exist"));
                    }
                }
                report.parameters =
                    Some(found.into_iter().map(|(name, found)| ParameterReport { name, found }).collect());
            }
            Err(error) => report.problems.push(format!("Parameter Store: {error}")),
        }
    }

    async fn try_token(&self, report: &mut Report, was_held: bool, counts: &mut Counts, deadline: Deadline) {
        let start = Instant::now();
        let bearer = self.tokens.bearer(deadline).await;
        // Formats and certificate may have been read with it before.
        let asked = self.tokens.take_counts();
        *counts += asked;
        match bearer {
            Ok(bearer) if !bearer.expose().is_empty() => {
                let from = match asked.token_requests {
                    _ if was_held => "memory",
                    0 => "store",
                    _ => "endpoint",
                };
                let expires_in_seconds = self.tokens.expires_in(&bearer);
                report.token = Some(TokenReport { from, expires_in_seconds, ms: milliseconds(start.elapsed()) });
            }
            Ok(_) => {}
            Err(error) => report.problems.push(format!("token: {error}")),
        }
    }

    async fn try_delivery(
        &self,
        report: &mut Report,
        counts: &mut Counts,
        settings: &Settings,
        now: i64,
        deadline: Deadline,
    ) {
        let Some(marker) = marker(settings, now) else {
            report.problems.push("the marker event does not fit into a body: MAX_BATCH_BYTES is too small".to_owned());
            return;
        };
        let start = Instant::now();
        let invocation = self.delivery.start(deadline);
        let outcome = self.delivery.deliver(&marker, &self.tokens, &invocation).await;
        *counts += self.delivery.end(&invocation);
        let accepted = !outcome.accepted.is_empty();
        if !accepted {
            let reason = invocation.first_failure().unwrap_or_else(|| "not accepted".to_owned());
            report.problems.push(format!("delivery: {reason}"));
        }
        report.delivery =
            Some(DeliveryReport { status: invocation.last_status(), accepted, ms: milliseconds(start.elapsed()) });
    }
}

/// Packs the marker event, as the destination wants it.
fn marker(settings: &Settings, now: i64) -> Option<Batch> {
    let Settings { layout, redactor, limits, .. } = settings;
    let origin = Arc::new(Origin::default());
    let id = Ids::new(format!("{MARKER} {now}").as_bytes()).id(0);
    let head = Head { id: id.into(), timestamp: now, origin: Arc::clone(&origin), extracted_fields: None };
    let mut packer = Packer::new(limits.clone());
    let shares = [Share { record: 0, lines: 1 }];
    let write = |out: &mut Vec<u8>| Writer { layout, redactor }.write(&head, &Event::Text(MARKER, &"a check"), out);
    packer.push(&head.id, &origin, &shares, write).ok()?;
    packer.finish()
}

/// Says what becomes of lines: the event that each is, or is a part of.
fn explain(settings: &Settings, lines: &[String], log_group: &str, now: i64) -> Vec<LineReport> {
    let Settings { archive_layout: layout, redactor, formats, selection, .. } = settings;
    let origin = Arc::new(Origin::new(layout, "", log_group, ""));
    let text = lines.join("\n");
    let mut ids = Ids::new(text.as_bytes());
    let mut reader = Reader::new(formats, redactor);
    let mut stitcher = Stitcher::default();
    let mut reports: Vec<LineReport> = lines.iter().map(|_| LineReport::default()).collect();
    let written = |head: &Head<'_>, event: &Event<'_>| {
        let mut out = Vec::new();
        Writer { layout, redactor }.write(head, event, &mut out);
        String::from_utf8(out).ok().and_then(|json| RawValue::from_string(json).ok())
    };
    for (at, (line, report)) in lines.iter().zip(&mut reports).enumerate() {
        let id = ids.id(at);
        let head = Head { id: id.into(), timestamp: now, origin: Arc::clone(&origin), extracted_fields: None };
        reader.read(&head, Line::Bare(line), |head, read| match read {
            Read::Access(log) => {
                let (rate, left_out) = match selection.of(head, log) {
                    Fate::Leaves(rate) => (rate, None),
                    Fate::Excluded => (NonZeroU64::MIN, Some("EXCLUDE")),
                    Fate::SampledOut => (NonZeroU64::MIN, Some("SAMPLE_SUCCESSES")),
                };
                *report = LineReport { event: written(head, &Event::Access(log, rate)), left_out };
            }
            Read::Text(line, reason) => report.event = written(head, &Event::Text(line, &reason)),
            Read::Execution(part) => stitcher.push(at, head, part),
            Read::Vended(vended, part) => stitcher.push_vended(at, head, vended, part),
        });
    }
    while let Some(request) = stitcher.pop() {
        let event = written(&request.head, &Event::Execution(&request));
        for share in &request.shares {
            if let Some(report) = reports.get_mut(share.record) {
                report.event.clone_from(&event);
            }
        }
    }
    reports
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn explained(lines: &[&str], log_group: &str) -> Value {
        let settings = Settings::read(|name| match name {
            "ANALYTICS_URL" => Some("http://127.0.0.1/".to_owned()),
            "AUTH" => Some("none".to_owned()),
            "EXCLUDE" => Some("path=/health".to_owned()),
            "ACCESS_LOG_FORMAT" => Some(r#"{"id":"$context.requestId","path":"$context.path"}"#.to_owned()),
            _ => None,
        });
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        serde_json::to_value(explain(&settings.expect("settings"), &lines, log_group, 0)).expect("JSON")
    }

    #[test]
    fn each_line_has_its_event_and_lines_of_a_request_share_one() {
        let access = explained(&[r#"{"id":"1","path":"/"}"#, r#"{"id":"2","path":"/health"}"#, "x"], "");
        assert_eq!(access[0]["event"]["context"], json!({"requestId": "1", "path": "/"}));
        assert_eq!((&access[1]["leftOut"], &access[2]["event"]["kind"]), (&json!("EXCLUDE"), &json!("text")));
        let lines = ["(1c9d) Starting execution for request: 1c9d", "no", "(1c9d) Method completed with status: 200"];
        let execution = explained(&lines, "API-Gateway-Execution-Logs_a1/prod");
        assert_eq!(execution[0], execution[2]);
        assert_eq!(
            (&execution[0]["event"]["execution"]["status"], &execution[1]["event"]["kind"]),
            (&json!(200), &json!("text"))
        );
    }

    #[test]
    fn a_check_is_told_from_all_else() {
        let lines = |payload: &str| Check::parse(payload).map(|check| check.map(|check| check.lines).ok());
        assert_eq!(lines(r#"{"check":{}}"#), Some(Some(None)));
        assert_eq!(lines(r#"{"check":{"lines":[],"logGroup":null}}"#), Some(Some(Some(vec![]))));
        // What is mistyped must not deliver anything.
        assert_eq!((lines(r#"{"check":{"line":["x"]}}"#), lines(r#"{"check":7}"#)), (Some(None), Some(None)));
        for other in ["{}", "[]", r#"{"Records":[]}"#] {
            assert!(Check::parse(other).is_none(), "{other}");
        }
    }
}
