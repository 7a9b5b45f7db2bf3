//! What S3 sends to a queue: word of an object that was created, and of a configuration that was set.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::object_store::Created;

/// Returns the message that S3 sends for an object that was created, its key form-encoded as S3 does it.
#[must_use]
pub fn created(created: &Created) -> String {
    const KEPT: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/').remove(b' ');
    let key = utf8_percent_encode(&created.key, KEPT).to_string().replace(' ', "+");
    let record = json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-21T18:59:00.123Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AROAEXAMPLE:firehose"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {"x-amz-request-id": "4442587FB7D0A2F9", "x-amz-id-2": "loopback"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "failed",
            "bucket": {
                "name": created.bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": format!("arn:aws:s3:::{}", created.bucket),
            },
            "object": {"key": key, "size": created.size, "eTag": created.etag, "sequencer": created.sequencer},
        },
    });
    json!({"Records": [record]}).to_string()
}

/// Returns the message that S3 sends when a bucket's notifications are set up: it has no records.
#[must_use]
pub fn set_up(bucket: &str) -> String {
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-11-21T18:59:00.123Z",
        "Bucket": bucket,
        "RequestId": "4442587FB7D0A2F9",
        "HostId": "loopback",
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_key_is_form_encoded() {
        let told = |key: &str| {
            let created = Created {
                bucket: "b".to_owned(),
                key: key.to_owned(),
                size: 1,
                etag: "e".to_owned(),
                sequencer: "0".to_owned(),
            };
            let body: Value = serde_json::from_str(&super::created(&created)).unwrap();
            body["Records"][0]["s3"]["object"]["key"].as_str().unwrap().to_owned()
        };
        assert_eq!(told("failed/2026/red flower+1=é.jpg"), "failed/2026/red+flower%2B1%3D%C3%A9.jpg");
    }
}
