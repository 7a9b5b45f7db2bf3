//! The function's process: settings, log and clients at the start, then one answer for each event. The library does the work.

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use apigw_log_forwarder::client::{Client, ClientError, Reuse};
use apigw_log_forwarder::config::{Settings, SettingsError};
use apigw_log_forwarder::counts::Counts;
use apigw_log_forwarder::firehose::{EventError, FirehoseEvent, FirehoseResponse};
use apigw_log_forwarder::forwarder::Forwarder;
use apigw_log_forwarder::log::{self, Form, Log};
use apigw_log_forwarder::retry::{self, Deadline};
use apigw_log_forwarder::summary::Summary;
use aws_config::BehaviorVersion;
use futures_util::FutureExt;
use http::Request;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde_json::value::RawValue;
use thiserror::Error;
use tracing::error;
use tracing::level_filters::LevelFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = Settings::read(environment);
    let log = start_log(settings.as_ref().ok().and_then(|settings| settings.log_level));
    let forwarder = match Box::pin(start(settings)).await {
        Ok(forwarder) => forwarder,
        Err(error) => return refuse_to_start(&error).await,
    };
    let handler = service_fn(async |event: LambdaEvent<Box<RawValue>>| handle(&forwarder, &log, event).await);
    match Runtime::new(handler).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(reason = %error, "the Lambda runtime has ended");
            ExitCode::FAILURE
        }
    }
}

/// Why the function cannot start.
#[derive(Debug, Error)]
enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Sets the clients up, if the settings are valid.
async fn start(settings: Result<Settings, SettingsError>) -> Result<Forwarder, StartError> {
    Ok(Forwarder::from_settings(settings?, aws_config::defaults(BehaviorVersion::latest())).await?)
}

/// Handles one event. Faults of data and destination are verdicts; only a payload that holds no records at all is an error.
///
/// A fault of the function's own that nothing else has caught is a verdict too: every record fails, and Firehose keeps it.
async fn handle(
    forwarder: &Forwarder,
    log: &Log,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<FirehoseResponse, Diagnostic> {
    log.begin();
    let now = epoch_milliseconds();
    let deadline = Deadline::of_invocation(retry::time_left(event.context.deadline, now), Instant::now());
    let records = FirehoseEvent::parse(event.payload.get()).map_err(|error| refuse_event(&error))?;
    let handled = forwarder.handle(&records, i64::try_from(now).unwrap_or(i64::MAX), deadline);
    let (response, mut summary) = AssertUnwindSafe(handled).catch_unwind().await.unwrap_or_else(|_| {
        let failed = records.records.len();
        let counts = Counts { records: failed, records_failed: failed, panics: 1, ..Counts::default() };
        (FirehoseResponse::all_failed(&records), Summary { counts, ..Summary::default() })
    });
    summary.counts.log_lines_omitted = log.begin();
    summary.log();
    let metrics = forwarder.metrics(&summary, now);
    write_out(format!("{metrics}\n").as_bytes());
    Ok(response)
}

/// Standard output is the log; if it is gone, there is nobody to tell.
fn write_out(line: &[u8]) {
    std::io::stdout().lock().write_all(line).ok();
}

fn refuse_event(error: &EventError) -> Diagnostic {
    error!(reason = %error, "event refused");
    Diagnostic { error_type: "NotAFirehoseEvent".to_owned(), error_message: error.to_string() }
}

/// Says why the function cannot start, in the log and to Lambda, whose invoker reads it there.
async fn refuse_to_start(error: &StartError) -> ExitCode {
    error!(reason = %error, "the function cannot start");
    if let (Some(api), Ok(client)) = (environment("AWS_LAMBDA_RUNTIME_API"), Client::new(None)) {
        let body = serde_json::json!({"errorType": "Runtime.InvalidSettings", "errorMessage": error.to_string(), "stackTrace": []});
        let request = Request::post(format!("http://{api}/2018-06-01/runtime/init/error"))
            .header("lambda-runtime-function-error-type", "Runtime.InvalidSettings")
            .body(body.to_string().into());
        // The log has it already; an answer changes nothing.
        if let Ok(request) = request {
            client.send(request, Duration::from_secs(1), Reuse::None).await.ok();
        }
    }
    ExitCode::FAILURE
}

/// Starts the log at the level that is set, else at the one that Lambda asks for, and in its format.
fn start_log(set: Option<LevelFilter>) -> Log {
    let asked = environment("AWS_LAMBDA_LOG_LEVEL").or_else(|| environment("RUST_LOG")).unwrap_or_default();
    let asked = match asked.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let format = environment("AWS_LAMBDA_LOG_FORMAT");
    let is_json = format.is_some_and(|format| format.eq_ignore_ascii_case("json"));
    let form = if is_json { Form::Json } else { Form::Text };
    let log = Log::start(form, set.unwrap_or(asked), write_out);
    log::report_panics();
    log
}

#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the one place where an invocation's time is read")]
fn epoch_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
