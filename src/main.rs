//! Start: settings, clients, runtime. No logic.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use apigw_log_forwarder::client::{Client, ClientError, Reuse};
use apigw_log_forwarder::config::{Settings, SettingsError};
use apigw_log_forwarder::firehose::{EventError, FirehoseEvent, FirehoseResponse};
use apigw_log_forwarder::forwarder::Forwarder;
use apigw_log_forwarder::retry::{self, Deadline};
use aws_config::BehaviorVersion;
use http::Request;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde_json::value::RawValue;
use thiserror::Error;
use tracing::error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    init_log();
    let forwarder = match start().await {
        Ok(forwarder) => forwarder,
        Err(error) => return refuse_to_start(&error).await,
    };
    let handler = service_fn(async |event: LambdaEvent<Box<RawValue>>| handle(&forwarder, event).await);
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

/// Reads the settings and sets the clients up.
async fn start() -> Result<Forwarder, StartError> {
    let settings = Settings::read(environment)?;
    Ok(Forwarder::from_settings(settings, aws_config::defaults(BehaviorVersion::latest())).await?)
}

/// Handles one event. Faults of data and destination are verdicts; only a payload that holds no records at all is an error.
async fn handle(forwarder: &Forwarder, event: LambdaEvent<Box<RawValue>>) -> Result<FirehoseResponse, Diagnostic> {
    let now = epoch_milliseconds();
    let deadline = Deadline::of_invocation(retry::time_left(event.context.deadline, now), Instant::now());
    let records = FirehoseEvent::parse(event.payload.get()).map_err(|error| refuse_event(&error))?;
    let (response, summary) = forwarder.handle(&records, i64::try_from(now).unwrap_or(i64::MAX), deadline).await;
    summary.log();
    let metrics = forwarder.metrics(&summary, now);
    // Standard output is the log; if it is gone, there is nobody to tell.
    writeln!(std::io::stdout().lock(), "{metrics}").ok();
    Ok(response)
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

/// Writes the log as Lambda asks for it: its format and level by Lambda's own variables.
///
/// The level is this crate's alone. What the libraries say at a low level holds payloads and headers.
fn init_log() {
    let level = environment("AWS_LAMBDA_LOG_LEVEL").or_else(|| environment("RUST_LOG")).unwrap_or_default();
    let level = match level.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let filter =
        Targets::new().with_target("apigw_log_forwarder", level).with_target("lambda_runtime", LevelFilter::ERROR);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_target(false).with_ansi(false);
    if environment("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json")) {
        registry.with(lines.json().flatten_event(true)).init();
    } else {
        registry.with(lines.without_time()).init();
    }
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
