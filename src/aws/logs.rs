//! CloudWatch Logs: the events of a log group, page by page, with the ids that a subscription gives them; and which groups there
//! are, and who subscribes them.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html>

use aws_config::SdkConfig;
use http::{HeaderValue, Method, Uri};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::endpoint::{self, Service};
use super::{Aws, AwsError, Call};
use crate::retry::Deadline;

const LOGS: Service = Service { id: "CloudWatch Logs", host: "logs" };

/// Most of an answer: a megabyte of events, escaped, and room.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Groups of one answer, at most.
const GROUPS_A_PAGE: usize = 1000;

/// CloudWatch Logs.
#[derive(Debug, Clone)]
pub struct LogGroups {
    aws: Aws,
    uri: Uri,
}

/// Which events are read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Range<'a> {
    /// The log group.
    pub log_group_name: &'a str,
    /// The first time, in milliseconds since the Unix epoch.
    pub start_time: i64,
    /// The last time.
    pub end_time: i64,
    /// As in a subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_pattern: Option<&'a str>,
    /// What the page before has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<&'a str>,
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

/// A subscription filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// Its name, which is its own in the group.
    pub filter_name: String,
    /// Which events it takes.
    #[serde(default)]
    pub filter_pattern: String,
    /// Where they go.
    pub destination_arn: String,
    /// In whose name.
    pub role_arn: Option<String>,
}

impl LogGroups {
    /// CloudWatch Logs of the region.
    ///
    /// # Errors
    /// If it is not known where that is.
    pub async fn new(aws: Aws, sdk: &SdkConfig) -> Result<Self, String> {
        let url = match endpoint::configured(sdk, &LOGS)? {
            Some(url) => url,
            None => endpoint::of_region(sdk, &LOGS).await.ok_or("AWS_REGION is not set")?,
        };
        let uri = Uri::try_from(url.as_str()).map_err(|error| error.to_string())?;
        Ok(Self { aws, uri })
    }

    async fn call<T: DeserializeOwned>(
        &self,
        action: &'static str,
        target: &'static str,
        input: &impl Serialize,
        deadline: Deadline,
    ) -> Result<T, AwsError> {
        let body = serde_json::to_vec(input).expect("texts and numbers are JSON");
        let call = Call {
            action,
            service: "logs",
            method: Method::POST,
            uri: self.uri.clone(),
            headers: vec![
                ("content-type", HeaderValue::from_static("application/x-amz-json-1.1")),
                ("x-amz-target", HeaderValue::from_static(target)),
            ],
            body: body.into(),
        };
        let body = self.aws.fetch(&call, MAX_ANSWER_BYTES, deadline).await?;
        // Some operations answer with nothing.
        let body = if body.is_empty() { b"{}".as_slice() } else { &body };
        serde_json::from_slice(body).map_err(|error| AwsError::Unreadable { action, reason: error.to_string() })
    }

    /// Reads events of a log group.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn page(&self, range: &Range<'_>, deadline: Deadline) -> Result<Page, AwsError> {
        self.call("logs:FilterLogEvents", "Logs_20140328.FilterLogEvents", range, deadline).await
    }

    /// Returns the names of the log groups that have all of these tags and can be subscribed.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn names(&self, tags: &[(String, String)], deadline: Deadline) -> Result<Vec<String>, AwsError> {
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"key": key, "values": [value]})).collect();
        // A subscription needs the standard class.
        let mut input = json!({"logGroupClass": "STANDARD", "limit": GROUPS_A_PAGE});
        if !tags.is_empty() {
            merge(&mut input, "logGroupTags", tags.clone().into());
        }
        match self.all_names("logs:ListLogGroups", "Logs_20140328.ListLogGroups", input, deadline).await {
            // Not every partition has it; without tags the older operation tells the same, fifty at a time.
            Err(error) if tags.is_empty() && error.is_unknown_operation() => {
                let input = json!({"logGroupClass": "STANDARD"});
                self.all_names("logs:DescribeLogGroups", "Logs_20140328.DescribeLogGroups", input, deadline).await
            }
            names => names,
        }
    }

    async fn all_names(
        &self,
        action: &'static str,
        target: &'static str,
        mut input: Value,
        deadline: Deadline,
    ) -> Result<Vec<String>, AwsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Listed {
            log_groups: Vec<Group>,
            next_token: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Group {
            log_group_name: String,
        }
        let mut names = Vec::new();
        loop {
            let listed: Listed = self.call(action, target, &input, deadline).await?;
            names.extend(listed.log_groups.into_iter().map(|group| group.log_group_name));
            let Some(token) = listed.next_token else { return Ok(names) };
            merge(&mut input, "nextToken", token.into());
        }
    }

    /// Returns the filter of this name, if the group has it.
    ///
    /// # Errors
    /// If the group's filters cannot be read.
    pub async fn filter(&self, group: &str, name: &str, deadline: Deadline) -> Result<Option<Filter>, AwsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Described {
            subscription_filters: Vec<Filter>,
        }
        let input = json!({"logGroupName": group, "filterNamePrefix": name});
        let target = "Logs_20140328.DescribeSubscriptionFilters";
        let described: Described = self.call("logs:DescribeSubscriptionFilters", target, &input, deadline).await?;
        Ok(described.subscription_filters.into_iter().find(|filter| filter.filter_name == name))
    }

    /// Subscribes a group, or changes the filter of that name.
    ///
    /// # Errors
    /// If it may not be subscribed.
    pub async fn put_filter(&self, group: &str, filter: &Filter, deadline: Deadline) -> Result<(), AwsError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Input<'a> {
            log_group_name: &'a str,
            #[serde(flatten)]
            filter: &'a Filter,
        }
        let input = Input { log_group_name: group, filter };
        let target = "Logs_20140328.PutSubscriptionFilter";
        self.call::<Value>("logs:PutSubscriptionFilter", target, &input, deadline).await.map(drop)
    }

    /// Takes the filter of this name from a group; returns whether there was one.
    ///
    /// # Errors
    /// If it may still be there.
    pub async fn delete_filter(&self, group: &str, name: &str, deadline: Deadline) -> Result<bool, AwsError> {
        let input = json!({"logGroupName": group, "filterName": name});
        let target = "Logs_20140328.DeleteSubscriptionFilter";
        let answer = self.call::<Value>("logs:DeleteSubscriptionFilter", target, &input, deadline).await;
        match answer {
            Err(error) if error.is_code("ResourceNotFoundException") => Ok(false),
            answer => answer.map(|_| true),
        }
    }

    /// Returns when the group's youngest stream has last taken events, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// If that cannot be read.
    pub async fn last_event(&self, group: &str, deadline: Deadline) -> Result<Option<i64>, AwsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Described {
            log_streams: Vec<Stream>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Stream {
            last_event_timestamp: Option<i64>,
            last_ingestion_time: Option<i64>,
        }
        let input = json!({"logGroupName": group, "orderBy": "LastEventTime", "descending": true, "limit": 1});
        let target = "Logs_20140328.DescribeLogStreams";
        let described: Described = self.call("logs:DescribeLogStreams", target, &input, deadline).await?;
        let stream = described.log_streams.first();
        Ok(stream.and_then(|stream| stream.last_ingestion_time.max(stream.last_event_timestamp)))
    }
}

fn merge(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
