//! SQS: what is put into the queue, and when a message comes again.
//!
//! Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html>

use std::time::Duration;

use aws_config::SdkConfig;
use http::{HeaderValue, Method, Uri};
use serde_json::{Value, json};
use url::Url;

use super::endpoint::{self, Service};
use super::{Aws, AwsError, Call};
use crate::retry::Deadline;

const SQS: Service = Service { id: "SQS", host: "sqs" };

/// Most messages of one request.
pub(crate) const MAX_BATCH: usize = 10;

/// Longest time for which a message can be hidden.
const MAX_VISIBILITY: Duration = Duration::from_hours(12);

const MAX_ANSWER: usize = 1 << 20;

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    aws: Aws,
    uri: Uri,
    url: String,
}

impl Queue {
    /// The queue of this URL. It is asked where the environment says that SQS is, else at the Region's endpoint if that is to be one
    /// for FIPS or dual stack, else where its URL is.
    ///
    /// # Errors
    /// If it is not known where that is.
    pub async fn new(aws: Aws, sdk: &SdkConfig, url: &str) -> Result<Self, String> {
        let own = Url::parse(url).map_err(|error| error.to_string())?;
        let is_special = sdk.use_fips().unwrap_or(false) || sdk.use_dual_stack().unwrap_or(false);
        let mut endpoint = match endpoint::configured(sdk, &SQS)? {
            Some(endpoint) => endpoint,
            None if is_special => endpoint::of_region(sdk, &SQS).await.ok_or("AWS_REGION is not set")?,
            None => own,
        };
        endpoint.set_path("/");
        endpoint.set_query(None);
        let uri = Uri::try_from(endpoint.as_str()).map_err(|error| error.to_string())?;
        Ok(Self { aws, uri, url: url.to_owned() })
    }

    fn call(&self, action: &'static str, operation: &'static str, input: &Value) -> Call {
        Call {
            action,
            service: "sqs",
            method: Method::POST,
            uri: self.uri.clone(),
            headers: vec![
                ("content-type", HeaderValue::from_static("application/x-amz-json-1.0")),
                ("x-amz-target", HeaderValue::from_static(operation)),
            ],
            body: input.to_string().into(),
        }
    }

    /// Hides a message for so long from now on.
    ///
    /// # Errors
    /// If it may come earlier.
    pub async fn hide(&self, receipt_handle: &str, pause: Duration, deadline: Deadline) -> Result<(), AwsError> {
        let seconds = pause.min(MAX_VISIBILITY).as_secs();
        let input = json!({"QueueUrl": self.url, "ReceiptHandle": receipt_handle, "VisibilityTimeout": seconds});
        let call = self.call("sqs:ChangeMessageVisibility", "AmazonSQS.ChangeMessageVisibility", &input);
        self.aws.fetch(&call, MAX_ANSWER, deadline).await.map(drop)
    }

    /// Puts up to ten messages into the queue, to be received at once.
    ///
    /// # Errors
    /// If one of them may not be there.
    pub async fn send(&self, bodies: &[String], deadline: Deadline) -> Result<(), AwsError> {
        debug_assert!(bodies.len() <= MAX_BATCH, "a request has at most ten messages");
        let action = "sqs:SendMessage";
        let entries: Vec<Value> = bodies
            .iter()
            .enumerate()
            .map(|(index, body)| json!({"Id": index.to_string(), "MessageBody": body, "DelaySeconds": 0}))
            .collect();
        let call = self.call(action, "AmazonSQS.SendMessageBatch", &json!({"QueueUrl": self.url, "Entries": entries}));
        self.aws
            .retried(action, deadline, async || {
                let body = self.aws.fetch_once(&call, MAX_ANSWER, deadline).await?;
                let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
                let failed = answer.get("Failed").and_then(Value::as_array).map_or(0, Vec::len);
                let sent = answer.get("Successful").and_then(Value::as_array).map_or(0, Vec::len);
                if failed == 0 && sent == bodies.len() {
                    return Ok(());
                }
                // Those that are there come twice, which is harmless.
                Err(AwsError::Unreadable { action, reason: format!("{} messages were not taken", bodies.len() - sent) })
            })
            .await
    }
}
