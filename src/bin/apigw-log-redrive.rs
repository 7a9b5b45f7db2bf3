//! The second function's process: what failed comes back. The library does the work.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Instant;

use apigw_log_forwarder::config::RedriveSettings;
use apigw_log_forwarder::log::Log;
use apigw_log_forwarder::process::{environment, epoch_milliseconds, serve, start_log, write_out};
use apigw_log_forwarder::redrive::{Books, Redrive};
use apigw_log_forwarder::retry::{self, Deadline};
use aws_config::BehaviorVersion;
use futures_util::FutureExt;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = RedriveSettings::read(environment);
    let log = start_log(settings.as_ref().ok().and_then(|(settings, _)| settings.log_level));
    let aws = aws_config::defaults(BehaviorVersion::latest());
    let started = Box::pin(Redrive::from_settings(settings, aws)).await;
    Box::pin(serve(started, async |redrive, event| handle(redrive, &log, event).await)).await
}

/// Handles one event. After a fault of the function's own, all of its messages come again.
async fn handle(redrive: &Redrive, log: &Log, event: LambdaEvent<Box<RawValue>>) -> Result<Value, Diagnostic> {
    log.begin();
    let now = epoch_milliseconds();
    let deadline = Deadline::of_invocation(retry::time_left(event.context.deadline, now), Instant::now());
    let account = event.context.invoked_function_arn.split(':').nth(4).unwrap_or_default();
    let mut books = Books::default();
    let time = i64::try_from(now).unwrap_or(i64::MAX);
    let handled = redrive.handle(event.payload.get(), account, time, deadline, &mut books);
    let answer = AssertUnwindSafe(handled).catch_unwind().await;
    if answer.is_err() {
        books.summary.counts.panics += 1;
    }
    books.summary.counts.log_lines_omitted = log.begin();
    books.summary.log();
    write_out(format!("{}\n", redrive.metrics(&books, now)).as_bytes());
    let failed =
        |error_type: &str, error_message: String| Diagnostic { error_type: error_type.to_owned(), error_message };
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            error!(reason = %error, "event refused");
            Err(failed("EventRefused", error.to_string()))
        }
        Err(_) => Err(failed("Panic", "a fault of the function's own: the log says where".to_owned())),
    }
}
