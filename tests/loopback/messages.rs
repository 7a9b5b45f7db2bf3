//! The messages of a standard queue of SQS: delay, visibility, receipts and their handles, retention, dead letters. Time
//! stands still until it is moved.
//!
//! Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>

use std::collections::BTreeMap;
use std::time::Duration;

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::signature::hex;

/// The queue's ARN.
pub(super) const ARN: &str = "arn:aws:sqs:us-east-1:111122223333:redrive";
/// When the queue's clock starts: 2026-11-21T18:59:00Z.
pub(super) const START: Duration = Duration::from_mins(29_921_459);
/// The longest time for which a message can be hidden, counted from its receipt.
const LONGEST_HIDDEN: Duration = Duration::from_hours(12);

/// How a queue was made.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    /// How long a message waits before it can be received.
    pub delay: Duration,
    /// How long a message is hidden after its receipt.
    pub visibility: Duration,
    /// How long a message is kept, received or not.
    pub retention: Duration,
    /// How often a message is received before it goes to the dead-letter queue.
    pub max_receive_count: u32,
}

impl Default for Attributes {
    /// A queue as the stack makes it.
    fn default() -> Self {
        Self {
            delay: Duration::from_mins(5),
            visibility: Duration::from_mins(30),
            retention: Duration::from_hours(14 * 24),
            max_receive_count: 330,
        }
    }
}

/// All messages of a queue, its clock, and its dead letters.
#[derive(Debug)]
pub(super) struct Messages {
    /// Since the Unix epoch.
    pub(super) now: Duration,
    /// By their number.
    pub(super) kept: BTreeMap<u64, Message>,
    pub(super) sent: u64,
    pub(super) dead: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) body: String,
    pub(super) sent: Duration,
    pub(super) visible: Duration,
    /// Of the latest and of the first receipt.
    pub(super) received: Option<(Duration, Duration)>,
    pub(super) receipts: u32,
}

impl Message {
    pub(super) fn handle(&self) -> String {
        format!("handle-{}-{}", self.number, self.receipts)
    }

    pub(super) fn attributes(&self) -> Value {
        let first = self.received.map_or(self.sent, |(_, first)| first);
        json!({
            "ApproximateReceiveCount": self.receipts.to_string(),
            "SentTimestamp": self.sent.as_millis().to_string(),
            "SenderId": "AIDAEXAMPLE",
            "ApproximateFirstReceiveTimestamp": first.as_millis().to_string(),
        })
    }

    pub(super) fn as_record(&self) -> Value {
        json!({
            "messageId": self.id,
            "receiptHandle": self.handle(),
            "body": self.body,
            "attributes": self.attributes(),
            "messageAttributes": {},
            "md5OfBody": digest(&self.body),
            "eventSource": "aws:sqs",
            "eventSourceARN": ARN,
            "awsRegion": "us-east-1",
        })
    }
}

/// A refusal's code and message.
pub(super) type Refusal = (&'static str, String);

impl Default for Messages {
    fn default() -> Self {
        Self { now: START, kept: BTreeMap::new(), sent: 0, dead: Vec::new() }
    }
}

impl Messages {
    pub(super) fn send(&mut self, attributes: &Attributes, body: String, delay: Duration) -> Message {
        self.forget_old(attributes);
        self.sent += 1;
        let message = Message {
            number: self.sent,
            id: format!("00000000-0000-4000-9000-{:012}", self.sent),
            body,
            sent: self.now,
            visible: self.now + delay,
            received: None,
            receipts: 0,
        };
        self.kept.insert(message.number, message.clone());
        message
    }

    pub(super) fn forget_old(&mut self, attributes: &Attributes) {
        let now = self.now;
        self.kept.retain(|_, message| now < message.sent + attributes.retention);
    }

    pub(super) fn receive(&mut self, attributes: &Attributes, most: usize, hidden: Duration) -> Vec<Message> {
        self.forget_old(attributes);
        let now = self.now;
        let spent = |message: &Message| message.visible <= now && message.receipts >= attributes.max_receive_count;
        self.dead.extend(self.kept.values().filter(|message| spent(message)).map(|message| message.body.clone()));
        self.kept.retain(|_, message| !spent(message));
        let visible = self.kept.values_mut().filter(|message| message.visible <= now).take(most);
        visible
            .map(|message| {
                message.receipts += 1;
                message.visible = now + hidden;
                message.received = Some((now, message.received.map_or(now, |(_, first)| first)));
                message.clone()
            })
            .collect()
    }

    /// Finds the message whose latest receipt has this handle.
    pub(super) fn held(&mut self, handle: &str) -> Option<&mut Message> {
        let (number, _) = handle.strip_prefix("handle-")?.split_once('-')?;
        self.kept.get_mut(&number.parse().ok()?).filter(|message| message.handle() == handle)
    }

    /// Deletes a message, unless it was received again since.
    pub(super) fn delete(&mut self, handle: &str) -> bool {
        let number = self.held(handle).map(|message| message.number);
        number.is_some_and(|number| self.kept.remove(&number).is_some())
    }

    pub(super) fn hide(&mut self, handle: &str, time: Duration) -> Result<(), Refusal> {
        let now = self.now;
        if time > LONGEST_HIDDEN {
            return Err(invalid("VisibilityTimeout must be between 0 and 43200"));
        }
        let gone = "The receipt handle is invalid. Reason: Message does not exist or is not available for visibility timeout change.";
        let message = self.held(handle).ok_or_else(|| invalid(gone))?;
        if message.visible <= now {
            return Err(("MessageNotInflight", gone.to_owned()));
        }
        let received = message.received.map_or(now, |(latest, _)| latest);
        if now + time > received + LONGEST_HIDDEN {
            return Err(invalid("Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"));
        }
        message.visible = now + time;
        Ok(())
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    ("InvalidParameterValue", message.into())
}

pub(super) fn digest(body: &str) -> String {
    hex(&Md5::digest(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_its_last_receipt_a_message_is_a_dead_letter() {
        let attributes = Attributes { delay: Duration::ZERO, max_receive_count: 2, ..Attributes::default() };
        let mut messages = Messages::default();
        drop(messages.send(&attributes, "x".to_owned(), Duration::ZERO));
        for receipts in 1..=2 {
            let received = messages.receive(&attributes, 1, Duration::from_secs(1));
            assert_eq!(received[0].receipts, receipts);
            assert!(messages.receive(&attributes, 1, Duration::from_secs(1)).is_empty());
            messages.now += Duration::from_secs(1);
        }
        assert!(messages.receive(&attributes, 1, Duration::from_secs(1)).is_empty());
        assert_eq!((messages.dead, messages.kept.len()), (vec!["x".to_owned()], 0));
    }

    #[test]
    fn a_message_is_gone_after_its_retention() {
        let attributes = Attributes::default();
        let mut messages = Messages::default();
        drop(messages.send(&attributes, "x".to_owned(), Duration::ZERO));
        messages.now += attributes.retention;
        assert!(messages.receive(&attributes, 1, Duration::ZERO).is_empty());
        assert!(messages.dead.is_empty() && messages.kept.is_empty());
    }
}
