//! What the processes of this package share: the log at the start, the one place where environment and clock are read, and the
//! loop that answers invocations.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use http::Request;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;
use tracing::error;
use tracing::level_filters::LevelFilter;

use crate::client::{Client, ClientError, Reuse};
use crate::config::SettingsError;
use crate::log::{self, Form, Log};

/// Why the function cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings are not valid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no HTTP client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It is not known where a service is.
    #[error("{0}")]
    Endpoint(String),
}

/// Returns a variable of the environment.
#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the time, in milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the one place where an invocation's time is read")]
#[must_use]
pub fn epoch_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Writes to standard output, which is the log; if it is gone, there is nobody to tell.
pub fn write_out(line: &[u8]) {
    std::io::stdout().lock().write_all(line).ok();
}

/// Starts the log at the level that is set, else at the one that Lambda asks for, and in its format.
pub fn start_log(set: Option<LevelFilter>) -> Log {
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

/// Answers invocations until the runtime ends; or, if the function cannot start, says why.
pub async fn serve<F, T: Serialize>(
    started: Result<F, StartError>,
    handle: impl AsyncFn(&F, LambdaEvent<Box<RawValue>>) -> Result<T, Diagnostic>,
) -> ExitCode {
    let function = match started {
        Ok(function) => function,
        Err(error) => {
            refuse_to_start(&error).await;
            return ExitCode::FAILURE;
        }
    };
    match Runtime::new(service_fn(async |event| handle(&function, event).await)).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(reason = %error, "the Lambda runtime has ended");
            ExitCode::FAILURE
        }
    }
}

/// Says why the function cannot start, in the log and to Lambda, whose invoker reads it there.
async fn refuse_to_start(reason: &StartError) {
    error!(%reason, "the function cannot start");
    let (Some(api), Ok(client)) = (environment("AWS_LAMBDA_RUNTIME_API"), Client::new(None)) else { return };
    let body = serde_json::json!({"errorType": "Runtime.InvalidSettings", "errorMessage": reason.to_string(), "stackTrace": []});
    let request = Request::post(format!("http://{api}/2018-06-01/runtime/init/error"))
        .header("lambda-runtime-function-error-type", "Runtime.InvalidSettings")
        .body(body.to_string().into());
    // The log has it already; an answer changes nothing.
    if let Ok(request) = request {
        client.send(request, Duration::from_secs(1), Reuse::None).await.ok();
    }
}
