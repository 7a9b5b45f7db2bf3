//! The third function's process: log groups are subscribed. The library does the work.

use std::process::ExitCode;
use std::time::Instant;

use apigw_log_forwarder::config::SubscriberSettings;
use apigw_log_forwarder::log::Log;
use apigw_log_forwarder::process::{StartError, environment, epoch_milliseconds, serve, start_log, write_out};
use apigw_log_forwarder::retry::{self, Deadline};
use apigw_log_forwarder::subscriber::Subscriber;
use aws_config::BehaviorVersion;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = SubscriberSettings::read(environment);
    let log = start_log(settings.as_ref().ok().and_then(|settings| settings.log_level));
    let started = Box::pin(start(settings.map_err(StartError::Settings))).await;
    Box::pin(serve(started, async |subscriber, event| handle(subscriber, &log, event).await)).await
}

async fn start(settings: Result<SubscriberSettings, StartError>) -> Result<Subscriber, StartError> {
    Box::pin(Subscriber::from_settings(settings?, aws_config::defaults(BehaviorVersion::latest()))).await
}

async fn handle(subscriber: &Subscriber, log: &Log, event: LambdaEvent<Box<RawValue>>) -> Result<Value, Diagnostic> {
    log.begin();
    let now = epoch_milliseconds();
    let deadline = Deadline::of_invocation(retry::time_left(event.context.deadline, now), Instant::now());
    let time = i64::try_from(now).unwrap_or(i64::MAX);
    match subscriber.handle(event.payload.get(), time, deadline).await {
        Ok((answer, books)) => {
            write_out(format!("{}\n", subscriber.metrics(&books, now)).as_bytes());
            Ok(answer)
        }
        Err(error) => {
            error!(reason = %error, "event refused");
            Err(Diagnostic { error_type: "EventRefused".to_owned(), error_message: error.to_string() })
        }
    }
}
