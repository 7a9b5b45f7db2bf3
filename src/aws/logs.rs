//! CloudWatch Logs: the events of a log group, page by page, with the ids that a subscription gives them.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>

use aws_config::SdkConfig;
use http::{HeaderValue, Method, Uri};
use serde::{Deserialize, Serialize};

use super::endpoint::{self, Service};
use super::{Aws, AwsError, Call};
use crate::retry::Deadline;

const LOGS: Service = Service { id: "CloudWatch Logs", host: "logs" };

/// Most of a page: a megabyte of events, escaped, and room.
const MAX_PAGE_BYTES: usize = 16 << 20;

/// CloudWatch Logs.
#[derive(Debug, Clone)]
pub struct LogGroups {
    aws: Aws,
    uri: Uri,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    log_group_name: &'a str,
    start_time: i64,
    end_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
}

/// Some events of a log group.
#[derive(Debug, Default, Deserialize)]
pub struct Page {
    /// The events, in the order of their time. A page without any may have others after it.
    #[serde(default)]
    pub events: Vec<LogEvent>,
    /// What the next page is asked for with.
    #[serde(rename = "nextToken")]
    pub next: Option<String>,
}

/// One event of a log group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEvent {
    /// The id, as in a subscription.
    pub event_id: String,
    /// The stream that it stands in.
    #[serde(default)]
    pub log_stream_name: String,
    /// When it was, in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The line.
    pub message: String,
}

impl LogGroups {
    /// CloudWatch Logs of the region.
    ///
    /// # Errors
    /// If it is not known where that is.
    pub async fn new(aws: Aws, sdk: &SdkConfig) -> Result<Self, String> {
        let url = match endpoint::configured(sdk, &LOGS) {
            Some(url) => url,
            None => endpoint::of_region(sdk, &LOGS).await.ok_or("AWS_REGION is not set")?,
        };
        let uri = Uri::try_from(url.as_str()).map_err(|error| error.to_string())?;
        Ok(Self { aws, uri })
    }

    /// Reads events from one time through another, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn page(
        &self,
        log_group: &str,
        [from, to]: [i64; 2],
        pattern: Option<&str>,
        token: Option<&str>,
        deadline: Deadline,
    ) -> Result<Page, AwsError> {
        let action = "logs:FilterLogEvents";
        let input = Input {
            log_group_name: log_group,
            start_time: from,
            end_time: to,
            filter_pattern: pattern,
            next_token: token,
        };
        let body = serde_json::to_vec(&input).expect("texts and numbers are JSON");
        let call = Call {
            action,
            service: "logs",
            method: Method::POST,
            uri: self.uri.clone(),
            headers: vec![
                ("content-type", HeaderValue::from_static("application/x-amz-json-1.1")),
                ("x-amz-target", HeaderValue::from_static("Logs_20140328.FilterLogEvents")),
            ],
            body: body.into(),
        };
        let body = self.aws.fetch(&call, MAX_PAGE_BYTES, deadline).await?;
        serde_json::from_slice(&body).map_err(|error| AwsError::Unreadable { action, reason: error.to_string() })
    }
}
