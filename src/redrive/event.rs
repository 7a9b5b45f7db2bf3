//! What the second function is invoked with: messages of its queue, or an operator's request.
//!
//! ```text
//! {"Records":[{"messageId":"…","receiptHandle":"…","eventSource":"aws:sqs","attributes":{"ApproximateReceiveCount":"1",…},
//!   "body":"{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{…},\"object\":{\"key\":\"failed/a%2Bb+c\"}}}]}"}]}
//! {"replay":{"prefix":"failed/processing-failed/2026/11/21/","from":"failed/processing-failed/2026/11/21/18/…"}}
//! {"backfill":{"logGroup":"/aws/apigateway/orders","from":"2026-11-21T18:00:00Z","to":"2026-11-21T19:00:00Z"}}
//! ```
//!
//! Sources: <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use crate::aws::decode_key;

/// Why an invocation is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventError {
    /// It is none of the three.
    #[error("neither messages of the queue nor {{\"replay\":…}} nor {{\"backfill\":…}}: {0}")]
    Unknown(String),
    /// The prefix of a replay is not one of ours.
    #[error("`prefix` is neither within {failed} nor within {parked}: nothing is queued")]
    Prefix {
        /// `FAILED_PREFIX`.
        failed: String,
        /// `PARKED_PREFIX`.
        parked: String,
    },
    /// The times of a backfill are none.
    #[error("`from` and `to` of a backfill are times such as 2026-11-21T18:59:00Z, the first not after the second")]
    Times,
    /// The log group of a backfill is one of a forwarder's own.
    #[error("that is the log group of this function: a log that feeds itself never ends")]
    OwnLogGroup,
}

/// An invocation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Event {
    #[serde(rename = "Records")]
    Messages(Vec<Message>),
    Replay(Replay),
    Backfill(Backfill),
}

impl Event {
    pub(super) fn parse(payload: &str) -> Result<Self, EventError> {
        serde_json::from_str(payload).map_err(|error| EventError::Unknown(error.to_string()))
    }
}

/// Which objects are to be put into the queue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replay {
    pub(super) prefix: String,
    /// The key after which it goes on.
    pub(super) from: Option<String>,
}

/// Which events are to be taken from a log group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Backfill {
    pub(super) log_group: String,
    pub(super) from: String,
    pub(super) to: String,
    /// As in a subscription: which events.
    pub(super) filter_pattern: Option<String>,
}

/// A message of the queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    #[serde(rename = "messageId")]
    pub(super) id: String,
    #[serde(default)]
    pub(super) receipt_handle: String,
    #[serde(default)]
    pub(super) body: String,
    #[serde(default)]
    pub(super) attributes: Attributes,
}

/// What the queue says of a message: numbers, as text.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attributes {
    approximate_receive_count: Option<String>,
    sent_timestamp: Option<String>,
}

impl Message {
    /// How often it was received, this time counted.
    pub(super) fn receives(&self) -> u32 {
        let count = self.attributes.approximate_receive_count.as_deref();
        count.and_then(|count| count.parse().ok()).unwrap_or(1)
    }

    /// When it was put into the queue, in milliseconds since the Unix epoch.
    pub(super) fn sent(&self) -> Option<i64> {
        self.attributes.sent_timestamp.as_deref()?.parse().ok()
    }

    /// Returns the keys of the objects that were made in the bucket. None where S3 only tries the queue.
    ///
    /// # Errors
    /// If the message is none of S3's, or tells of another bucket.
    pub(super) fn keys(&self, bucket: &str) -> Result<Vec<String>, &'static str> {
        let notification: Notification =
            serde_json::from_str(&self.body).map_err(|_| "the message is no notification of S3")?;
        let Some(records) = notification.records else {
            let is_test = notification.event.as_deref() == Some("s3:TestEvent");
            return if is_test { Ok(Vec::new()) } else { Err("the message is no notification of S3") };
        };
        let made = records.iter().filter(|record| record.event_name.contains("ObjectCreated:"));
        made.map(|record| {
            let is_ours = record.s3.bucket.name == bucket;
            is_ours
                .then(|| decode_key(&record.s3.object.key))
                .ok_or("the message tells of another bucket than FAILED_BUCKET")
        })
        .collect()
    }
}

#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "Records")]
    records: Option<Vec<Created>>,
    #[serde(rename = "Event")]
    event: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    event_name: String,
    s3: Place,
}

#[derive(Deserialize)]
struct Place {
    bucket: Named,
    object: Keyed,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Keyed {
    key: String,
}

/// Writes the notification of an object, as S3 does.
pub(super) fn notification(bucket: &str, key: &str) -> String {
    let key = url::form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>();
    let object = json!({"bucket": {"name": bucket}, "object": {"key": key}});
    let record =
        json!({"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Replay", "s3": object});
    json!({"Records": [record]}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Message {
        Message { id: "m".into(), receipt_handle: "r".into(), body: body.into(), attributes: Attributes::default() }
    }

    #[test]
    fn a_notification_tells_the_keys_that_it_holds() {
        for key in ["failed/a b+c/\u{fc}&=%41", "failed/2026/11/21/18/stream-1-x"] {
            assert_eq!(message(&notification("b", key)).keys("b"), Ok(vec![key.to_owned()]));
        }
        let removed = notification("b", "k").replace("ObjectCreated:Replay", "ObjectRemoved:Delete");
        assert_eq!(message(&removed).keys("b"), Ok(vec![]));
        assert_eq!(message(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#).keys("b"), Ok(vec![]));
        assert!(message(&notification("other", "k")).keys("b").is_err());
        for body in ["", "{}", "[]", "hello", r#"{"Records":[{}]}"#] {
            assert!(message(body).keys("b").is_err(), "{body}");
        }
    }

    #[test]
    fn an_invocation_is_one_of_three() {
        let event = r#"{"Records":[{"messageId":"m","receiptHandle":"r","body":"{}","eventSource":"aws:sqs",
            "attributes":{"ApproximateReceiveCount":"7","SentTimestamp":"1795287540123"}}]}"#;
        let Ok(Event::Messages(messages)) = Event::parse(event) else { panic!("messages") };
        assert_eq!((messages[0].receives(), messages[0].sent()), (7, Some(1_795_287_540_123)));
        assert!(matches!(Event::parse(r#"{"replay":{"prefix":"failed/"}}"#), Ok(Event::Replay(_))));
        let backfill = r#"{"backfill":{"logGroup":"g","from":"a","to":"b"}}"#;
        assert!(matches!(Event::parse(backfill), Ok(Event::Backfill(_))));
        for event in ["{}", "[]", r#"{"records":[]}"#, r#"{"replay":{}}"#, r#"{"replay":{"prefix":"x","form":"y"}}"#] {
            assert!(Event::parse(event).is_err(), "{event}");
        }
    }
}
