//! The function's process: settings, log and clients at the start, then one answer for each event. The library does the work.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Instant;

use apigw_log_forwarder::check::{Check, Report};
use apigw_log_forwarder::config::{Settings, SettingsError};
use apigw_log_forwarder::counts::Counts;
use apigw_log_forwarder::firehose::{EventError, FirehoseEvent, FirehoseResponse};
use apigw_log_forwarder::forwarder::Forwarder;
use apigw_log_forwarder::log::Log;
use apigw_log_forwarder::process::{StartError, environment, epoch_milliseconds, serve, start_log, write_out};
use apigw_log_forwarder::retry::{self, Deadline};
use apigw_log_forwarder::summary::Summary;
use aws_config::BehaviorVersion;
use futures_util::FutureExt;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::{error, info};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = Settings::read(environment);
    let log = start_log(settings.as_ref().ok().and_then(|settings| settings.log_level));
    let started = Box::pin(start(settings)).await;
    Box::pin(serve(started, async |forwarder, event| handle(forwarder, &log, event).await)).await
}

/// Sets the clients up, if the settings are valid.
async fn start(settings: Result<Settings, SettingsError>) -> Result<Forwarder, StartError> {
    Ok(Forwarder::from_settings(settings?, aws_config::defaults(BehaviorVersion::latest())).await?)
}

/// What an invocation is answered.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Firehose(FirehoseResponse),
    Check(Box<Report>),
}

/// Handles one event. Faults of data and destination are verdicts; only a payload that holds neither records nor a check is an error.
///
/// A fault of the function's own that nothing else has caught is a verdict too: every record fails, and Firehose keeps it.
async fn handle(forwarder: &Forwarder, log: &Log, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, Diagnostic> {
    log.begin();
    let now = epoch_milliseconds();
    let deadline = Deadline::of_invocation(retry::time_left(event.context.deadline, now), Instant::now());
    let payload = event.payload.get();
    let records = match FirehoseEvent::parse(payload) {
        Ok(records) => records,
        Err(error) => {
            let check = Check::parse(payload).ok_or_else(|| refuse_event(&error))?;
            let check = check.map_err(|error| refuse_check(&error))?;
            return Ok(Answer::Check(Box::new(Box::pin(self::check(forwarder, &check, now, deadline)).await)));
        }
    };
    let handled = forwarder.handle(&records, i64::try_from(now).unwrap_or(i64::MAX), deadline);
    let (response, mut summary) = AssertUnwindSafe(handled).catch_unwind().await.unwrap_or_else(|_| {
        let failed = records.records.len();
        let counts = Counts { records: failed, records_failed: failed, panics: 1, ..Counts::default() };
        (FirehoseResponse::all_failed(&records), Summary { counts, ..Summary::default() })
    });
    summary.counts.log_lines_omitted = log.begin();
    summary.log();
    let metrics = forwarder.metrics(&summary, now, []);
    write_out(format!("{metrics}\n").as_bytes());
    Ok(Answer::Firehose(response))
}

/// Says whether the function is well.
async fn check(forwarder: &Forwarder, check: &Check, now: u64, deadline: Deadline) -> Report {
    let (report, summary) = forwarder.check(check, i64::try_from(now).unwrap_or(i64::MAX), deadline).await;
    info!(ok = report.ok, problems = report.problems.len(), "checked");
    write_out(format!("{}\n", forwarder.metrics(&summary, now, report.metrics())).as_bytes());
    report
}

fn refuse_check(error: &serde_json::Error) -> Diagnostic {
    error!(reason = %error, "check refused");
    let error_message = format!("no check that is known: {error}");
    Diagnostic { error_type: "NotACheck".to_owned(), error_message }
}

fn refuse_event(error: &EventError) -> Diagnostic {
    error!(reason = %error, "event refused");
    Diagnostic { error_type: "NotAFirehoseEvent".to_owned(), error_message: error.to_string() }
}
