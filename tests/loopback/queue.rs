//! A standard queue of SQS, in its wire protocol (AWS JSON 1.0), with its dead-letter queue, on a clock that the test
//! moves; and Lambda's event source mapping, which takes messages from it for a function.
//!
//! Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::{HeaderMap, Method};
use serde_json::{Value, json};

use super::answer::{Answer, Scripts};
use super::messages::{ARN, Attributes, Message, Messages, Refusal, START, digest, invalid};
use super::runtime_api::Outcome;
use super::server::{Received, Server, Service, unknown};
use super::signature;

/// Most bytes of a message, and of all messages of one batch.
pub const MESSAGE_BYTES: usize = 1_048_576;
/// Most messages of one batch.
const BATCH_ENTRIES: usize = 10;
/// The longest delay of a message.
const LONGEST_DELAY: Duration = Duration::from_mins(15);
const PATH: &str = "/111122223333/redrive";

/// A queue on 127.0.0.1, empty at its start. Its clock stands still until it is moved.
#[derive(Debug)]
pub struct Queue {
    server: Server,
    rules: Arc<Rules>,
}

/// An operation of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `SendMessage`
    Send,
    /// `SendMessageBatch`
    SendBatch,
    /// `ChangeMessageVisibility`
    ChangeVisibility,
    /// `DeleteMessage`
    Delete,
    /// `ReceiveMessage`
    Receive,
    /// `GetQueueAttributes`
    Attributes,
}

impl Operation {
    /// Returns the operation that a request asks for.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        match headers.get("x-amz-target")?.to_str().ok()?.strip_prefix("AmazonSQS.")? {
            "SendMessage" => Some(Self::Send),
            "SendMessageBatch" => Some(Self::SendBatch),
            "ChangeMessageVisibility" => Some(Self::ChangeVisibility),
            "DeleteMessage" => Some(Self::Delete),
            "ReceiveMessage" => Some(Self::Receive),
            "GetQueueAttributes" => Some(Self::Attributes),
            _ => None,
        }
    }
}

/// Messages that the mapping has received for one invocation.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The function's event.
    pub event: Value,
    /// The ids of the messages and the handles of this receipt.
    messages: Vec<(String, String)>,
}

/// An error as SQS tells it.
#[must_use]
pub fn error(status: u16, code: &'static str, message: &str) -> Answer {
    let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message});
    Answer::status(status)
        .header("x-amzn-query-error", &format!("{code};{}", if status < 500 { "Sender" } else { "Receiver" }))
        .header("content-type", "application/x-amz-json-1.0")
        .body(body.to_string())
}

/// The answer to a request beyond the account's rate.
#[must_use]
pub fn throttled() -> Answer {
    error(400, "RequestThrottled", "The request was denied due to request throttling.")
}

/// The answer to a request that the role does not allow.
#[must_use]
pub fn access_denied() -> Answer {
    error(403, "AccessDeniedException", "User is not authorized to perform this action")
}

impl Queue {
    /// Starts an empty queue.
    pub async fn start(attributes: Attributes) -> Self {
        let rules = Arc::new(Rules {
            attributes,
            scripts: Scripts::default(),
            messages: Mutex::default(),
            failing: AtomicUsize::default(),
        });
        Self { server: Server::start(Arc::clone(&rules), None).await, rules }
    }

    /// Returns the endpoint, as `AWS_ENDPOINT_URL_SQS` takes it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.origin()
    }

    /// Returns the queue's own URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{PATH}", self.server.origin())
    }

    /// Returns what sends a message, as S3 does, with the queue's delay.
    pub fn sender(&self) -> impl Fn(String) + Send + Sync + 'static {
        let rules = Arc::clone(&self.rules);
        move |body| drop(rules.with(|messages| messages.send(&rules.attributes, body, rules.attributes.delay)))
    }

    /// Sends a message with the queue's delay.
    pub fn send(&self, body: impl Into<String>) {
        self.sender()(body.into());
    }

    /// Moves the clock.
    pub fn advance(&self, time: Duration) {
        self.rules.with(|messages| messages.now += time);
    }

    /// Moves the clock to when the next message can be received. Nothing is moved, and `None` returned, if there is no
    /// message.
    #[must_use]
    pub fn advance_to_next(&self) -> Option<Duration> {
        self.rules.with(|messages| {
            let next = messages.kept.values().map(|message| message.visible).min()?;
            let step = next.saturating_sub(messages.now);
            messages.now += step;
            Some(step)
        })
    }

    /// Returns how long the clock has been moved.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.rules.with(|messages| messages.now).saturating_sub(START)
    }

    /// Receives up to so many messages for a function, as its event source mapping does. Nothing if none can be received.
    #[must_use]
    pub fn take(&self, most: usize) -> Option<Delivery> {
        let received = self
            .rules
            .with(|messages| messages.receive(&self.rules.attributes, most, self.rules.attributes.visibility));
        if received.is_empty() {
            return None;
        }
        let messages = received.iter().map(|message| (message.id.clone(), message.handle())).collect();
        let records: Vec<Value> = received.iter().map(Message::as_record).collect();
        Some(Delivery { event: json!({"Records": records}), messages })
    }

    /// Does what the mapping does with a function's answer, and returns how many messages it deletes: those that the
    /// answer does not name as failed. None after anything but such an answer.
    pub fn settle(&self, delivery: &Delivery, outcome: &Outcome) -> usize {
        let Some(failed) = failures(outcome) else { return 0 };
        let known = |failed: &String| delivery.messages.iter().any(|(id, _)| id == failed);
        if !failed.iter().all(known) {
            return 0;
        }
        let done = delivery.messages.iter().filter(|(id, _)| !failed.contains(id));
        done.filter(|(_, handle)| self.rules.with(|messages| messages.delete(handle))).count()
    }

    /// Returns the bodies of all messages that are kept.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.rules.with(|messages| {
            messages.forget_old(&self.rules.attributes);
            messages.kept.values().map(|message| message.body.clone()).collect()
        })
    }

    /// Returns for each message how often it was received, and how long it stays hidden.
    #[must_use]
    pub fn waiting(&self) -> Vec<(u32, Duration)> {
        self.rules.with(|messages| {
            let kept = messages.kept.values();
            kept.map(|message| (message.receipts, message.visible.saturating_sub(messages.now))).collect()
        })
    }

    /// Returns the bodies in the dead-letter queue.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<String> {
        self.rules.with(|messages| messages.dead.clone())
    }

    /// Fails so many entries of the next batches, one in each, while the batch itself succeeds.
    pub fn fail_entries(&self, entries: usize) {
        self.rules.failing.store(entries, Ordering::Relaxed);
    }

    /// Plans the answers to the next requests for an operation, after those that are planned.
    pub fn script(&self, operation: Operation, answers: impl IntoIterator<Item = Answer>) {
        self.rules.scripts.extend(Some(operation), answers);
    }

    /// Plans the answers to the next requests, whatever their operation.
    pub fn script_any(&self, answers: impl IntoIterator<Item = Answer>) {
        self.rules.scripts.extend(None, answers);
    }

    /// Sets the answer to every request for an operation that no script covers, or goes back to the rules.
    pub fn otherwise(&self, operation: Operation, answer: Option<Answer>) {
        self.rules.scripts.otherwise(operation, answer);
    }

    /// Forgets all that is planned: from now on the rules hold.
    pub fn heal(&self) {
        self.rules.scripts.clear();
        self.rules.failing.store(0, Ordering::Relaxed);
        self.server.set_down(false);
    }

    /// Breaks every connection and refuses new ones, or ends that.
    pub fn set_down(&self, down: bool) {
        self.server.set_down(down);
    }

    /// Returns every request in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.server.requests()
    }

    /// Returns the bodies of the requests for an operation.
    #[must_use]
    pub fn asked(&self, operation: Operation) -> Vec<Value> {
        let requests = self.requests();
        let asked = requests.iter().filter(|request| Operation::of(&request.headers) == Some(operation));
        asked.map(Received::json).collect()
    }

    /// Waits until so many requests have come whole.
    pub async fn received(&self, requests: usize) {
        self.server.received(requests).await;
    }
}

/// The ids that an answer says have failed. Nothing if it says nothing that Lambda understands: then all have.
fn failures(outcome: &Outcome) -> Option<BTreeSet<String>> {
    let Outcome::Response(answer) = outcome else { return None };
    match serde_json::from_slice::<Value>(answer).ok()? {
        Value::Null => Some(BTreeSet::new()),
        Value::Object(answer) => match answer.get("batchItemFailures") {
            None | Some(Value::Null) => Some(BTreeSet::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| Some(item.get("itemIdentifier")?.as_str().filter(|id| !id.is_empty())?.to_owned()))
                .collect(),
            Some(_) => None,
        },
        _ => None,
    }
}

#[derive(Debug)]
struct Rules {
    attributes: Attributes,
    scripts: Scripts<Operation>,
    messages: Mutex<Messages>,
    /// How many batches are still to fail with one entry.
    failing: AtomicUsize,
}

impl Rules {
    fn with<T>(&self, act: impl FnOnce(&mut Messages) -> T) -> T {
        act(&mut self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn perform(&self, operation: Operation, input: &Value) -> Result<Value, Refusal> {
        if !text(input, "QueueUrl")?.ends_with(PATH) {
            return Err(("QueueDoesNotExist", "The specified queue does not exist.".to_owned()));
        }
        match operation {
            Operation::Send => {
                let (id, digest) = self.send(input)?;
                Ok(json!({"MessageId": id, "MD5OfMessageBody": digest}))
            }
            Operation::SendBatch => self.send_batch(input),
            Operation::ChangeVisibility => {
                let time =
                    seconds(input, "VisibilityTimeout")?.ok_or_else(|| invalid("VisibilityTimeout is missing"))?;
                self.with(|messages| messages.hide(text(input, "ReceiptHandle")?, time)).map(|()| json!({}))
            }
            Operation::Delete => {
                let handle = text(input, "ReceiptHandle")?;
                if !handle.starts_with("handle-") {
                    return Err(("ReceiptHandleIsInvalid", "The receipt handle is invalid.".to_owned()));
                }
                self.with(|messages| messages.delete(handle));
                Ok(json!({}))
            }
            Operation::Receive => {
                let most = input.get("MaxNumberOfMessages").and_then(Value::as_u64).unwrap_or(1);
                let hidden = seconds(input, "VisibilityTimeout")?.unwrap_or(self.attributes.visibility);
                let most = usize::try_from(most).unwrap_or(BATCH_ENTRIES).min(BATCH_ENTRIES);
                let received = self.with(|messages| messages.receive(&self.attributes, most, hidden));
                Ok(json!({"Messages": received.iter().map(as_message).collect::<Vec<_>>()}))
            }
            Operation::Attributes => Ok(json!({"Attributes": self.counts()})),
        }
    }

    /// Returns the message's id and the digest of its body.
    fn send(&self, input: &Value) -> Result<(String, String), Refusal> {
        let body = text(input, "MessageBody")?;
        if body.is_empty() || body.len() > MESSAGE_BYTES {
            return Err(invalid(
                "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
            ));
        }
        let delay = seconds(input, "DelaySeconds")?.unwrap_or(self.attributes.delay);
        if delay > LONGEST_DELAY {
            return Err(invalid("DelaySeconds must be between 0 and 900"));
        }
        let message = self.with(|messages| messages.send(&self.attributes, body.to_owned(), delay));
        Ok((message.id, digest(body)))
    }

    fn send_batch(&self, input: &Value) -> Result<Value, Refusal> {
        let entries = input.get("Entries").and_then(Value::as_array).ok_or_else(|| invalid("Entries is missing"))?;
        if entries.is_empty() {
            return Err(("EmptyBatchRequest", "There should be at least one entry.".to_owned()));
        }
        if entries.len() > BATCH_ENTRIES {
            return Err(("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10.".to_owned()));
        }
        let ids = entries.iter().map(|entry| text(entry, "Id")).collect::<Result<BTreeSet<_>, _>>()?;
        if ids.len() < entries.len() {
            return Err(("BatchEntryIdsNotDistinct", "Id is repeated.".to_owned()));
        }
        let bytes: usize = entries.iter().filter_map(|entry| entry.get("MessageBody")?.as_str()).map(str::len).sum();
        if bytes > MESSAGE_BYTES {
            return Err(("BatchRequestTooLong", "Batch requests cannot be longer than 1048576 bytes.".to_owned()));
        }
        let failing = self.failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let mut fails = failing.is_ok();
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            let id = text(entry, "Id")?;
            if std::mem::take(&mut fails) {
                failed.push(json!({"Id": id, "SenderFault": false, "Code": "InternalError", "Message": "Try again."}));
                continue;
            }
            match self.send(entry) {
                Ok((message, digest)) => {
                    successful.push(json!({"Id": id, "MessageId": message, "MD5OfMessageBody": digest}));
                }
                Err((code, message)) => {
                    failed.push(json!({"Id": id, "SenderFault": true, "Code": code, "Message": message}));
                }
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }

    fn counts(&self) -> Value {
        self.with(|messages| {
            messages.forget_old(&self.attributes);
            let count = |is_so: &dyn Fn(&Message) -> bool| {
                messages.kept.values().filter(|message| is_so(message)).count().to_string()
            };
            let hidden = |message: &Message| message.visible > messages.now;
            json!({
                "QueueArn": ARN,
                "ApproximateNumberOfMessages": count(&|message| !hidden(message)),
                "ApproximateNumberOfMessagesNotVisible": count(&|message| hidden(message) && message.receipts > 0),
                "ApproximateNumberOfMessagesDelayed": count(&|message| hidden(message) && message.receipts == 0),
                "VisibilityTimeout": self.attributes.visibility.as_secs().to_string(),
                "DelaySeconds": self.attributes.delay.as_secs().to_string(),
                "MessageRetentionPeriod": self.attributes.retention.as_secs().to_string(),
            })
        })
    }
}

impl Service for Rules {
    fn planned(&self, _: &Method, _: &str, headers: &HeaderMap) -> Option<Answer> {
        self.scripts.next(Operation::of(headers)?)
    }

    async fn answer(&self, request: &Received) -> Answer {
        if request.method != Method::POST {
            return unknown();
        }
        if let Err((code, message)) = signature::check(request, "sqs") {
            return error(403, code, message);
        }
        if request.header("content-type") != Some("application/x-amz-json-1.0") {
            return error(400, "SerializationException", "");
        }
        let Some(operation) = Operation::of(&request.headers) else {
            return error(400, "UnknownOperationException", "");
        };
        match self.perform(operation, &request.json()) {
            Ok(output) => {
                Answer::status(200).header("content-type", "application/x-amz-json-1.0").body(output.to_string())
            }
            Err((code, message)) => error(400, code, &message),
        }
    }
}

fn as_message(message: &Message) -> Value {
    json!({
        "MessageId": message.id,
        "ReceiptHandle": message.handle(),
        "Body": message.body,
        "MD5OfBody": digest(&message.body),
        "Attributes": message.attributes(),
    })
}

fn text<'a>(input: &'a Value, member: &str) -> Result<&'a str, Refusal> {
    input
        .get(member)
        .and_then(Value::as_str)
        .ok_or_else(|| ("MissingParameter", format!("The request must contain the parameter {member}.")))
}

/// Reads a member that is a number of seconds: a number, as JSON 1.0 has it.
fn seconds(input: &Value, member: &str) -> Result<Option<Duration>, Refusal> {
    match input.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let seconds = value.as_u64().ok_or_else(|| invalid(format!("{member} is no number of seconds")))?;
            Ok(Some(Duration::from_secs(seconds)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::signature::tests::send;
    use super::*;

    async fn call(queue: &Queue, operation: &str, mut input: Value) -> (u16, Value) {
        input["QueueUrl"] = json!(queue.url());
        let target = format!("AmazonSQS.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target.as_str())];
        let url = format!("{}/", queue.endpoint());
        let (status, _, body) = send("sqs", Method::POST, &url, &headers, &input.to_string()).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn response(answer: &Value) -> Outcome {
        Outcome::Response(answer.to_string().into())
    }

    #[tokio::test]
    async fn a_message_is_delayed_delivered_and_deleted() {
        let queue = Queue::start(Attributes::default()).await;
        let (status, sent) = call(&queue, "SendMessage", json!({"MessageBody": "x"})).await;
        assert_eq!((status, &sent["MD5OfMessageBody"]), (200, &json!("9dd4e461268c8034f5c8564e155c67a6")));
        assert!(queue.take(1).is_none());
        assert_eq!(queue.advance_to_next(), Some(Duration::from_mins(5)));
        let delivery = queue.take(10).unwrap();
        let record = &delivery.event["Records"][0];
        assert_eq!((&record["messageId"], &record["body"]), (&sent["MessageId"], &json!("x")));
        assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
        assert_eq!(record["attributes"]["SentTimestamp"], "1795287540000");
        assert_eq!(record["attributes"]["ApproximateFirstReceiveTimestamp"], "1795287840000");
        assert_eq!(queue.settle(&delivery, &response(&json!({"batchItemFailures": []}))), 1);
        assert_eq!((queue.bodies().len(), queue.advance_to_next()), (0, None));
    }

    #[tokio::test]
    async fn what_an_answer_does_not_clear_comes_again() {
        let queue = Queue::start(Attributes { delay: Duration::ZERO, ..Attributes::default() }).await;
        queue.send("x");
        queue.send("y");
        for bad in [
            response(&json!({"batchItemFailures": [{"itemIdentifier": "unknown"}]})),
            response(&json!({"batchItemFailures": [{"itemIdentifier": ""}]})),
            response(&json!("text")),
            Outcome::Error(json!({})),
            Outcome::TimedOut,
        ] {
            let delivery = queue.take(10).unwrap();
            assert_eq!(queue.settle(&delivery, &bad), 0, "{bad:?}");
            assert!(queue.take(10).is_none());
            queue.advance(Duration::from_mins(30));
        }
        let delivery = queue.take(10).unwrap();
        let failed = delivery.event["Records"][0]["messageId"].clone();
        let answer = response(&json!({"batchItemFailures": [{"itemIdentifier": failed}]}));
        assert_eq!((queue.settle(&delivery, &answer), queue.bodies()), (1, vec!["x".to_owned()]));
    }

    #[tokio::test]
    async fn a_message_can_be_hidden_up_to_twelve_hours_from_its_receipt() {
        let queue = Queue::start(Attributes { delay: Duration::ZERO, ..Attributes::default() }).await;
        queue.send("x");
        let stale = queue.take(1).unwrap().event["Records"][0]["receiptHandle"].clone();
        let hide = |handle: &Value, seconds: u64| json!({"ReceiptHandle": handle, "VisibilityTimeout": seconds});
        assert_eq!(call(&queue, "ChangeMessageVisibility", hide(&stale, 43_200)).await.0, 200);
        assert_eq!(call(&queue, "ChangeMessageVisibility", hide(&stale, 43_201)).await.0, 400);
        queue.advance(Duration::from_secs(1));
        assert_eq!(call(&queue, "ChangeMessageVisibility", hide(&stale, 43_200)).await.0, 400);
        assert_eq!(call(&queue, "ChangeMessageVisibility", hide(&stale, 10)).await.0, 200);
        queue.advance(Duration::from_secs(10));
        let fresh = queue.take(1).unwrap().event["Records"][0]["receiptHandle"].clone();
        assert_eq!(call(&queue, "ChangeMessageVisibility", hide(&stale, 10)).await.0, 400);
        assert_eq!(call(&queue, "DeleteMessage", json!({"ReceiptHandle": stale})).await.0, 200);
        assert_eq!(queue.waiting(), [(2, Duration::from_mins(30))]);
        assert_eq!(call(&queue, "DeleteMessage", json!({"ReceiptHandle": fresh})).await.0, 200);
        assert_eq!(queue.waiting(), []);
    }

    #[tokio::test]
    async fn a_batch_can_fail_in_part() {
        let queue = Queue::start(Attributes::default()).await;
        let entries = |ids: &[&str]| {
            let entry = |id: &&str| json!({"Id": id, "MessageBody": id, "DelaySeconds": 0});
            json!({"Entries": ids.iter().map(entry).collect::<Vec<_>>()})
        };
        queue.fail_entries(1);
        let (status, answer) = call(&queue, "SendMessageBatch", entries(&["a", "b"])).await;
        assert_eq!(
            (status, &answer["Failed"][0]["Id"], &answer["Successful"][0]["Id"]),
            (200, &json!("a"), &json!("b"))
        );
        assert_eq!(call(&queue, "SendMessageBatch", entries(&["a", "a"])).await.0, 400);
        assert_eq!(call(&queue, "SendMessageBatch", entries(&["x"; 11])).await.0, 400);
        assert_eq!(call(&queue, "SendMessageBatch", json!({"Entries": []})).await.0, 400);
        let (_, received) = call(&queue, "ReceiveMessage", json!({"MaxNumberOfMessages": 10})).await;
        assert_eq!((received["Messages"][0]["Body"].clone(), queue.bodies().len()), (json!("b"), 1));
        let (_, counts) = call(&queue, "GetQueueAttributes", json!({"AttributeNames": ["All"]})).await;
        assert_eq!(counts["Attributes"]["ApproximateNumberOfMessagesNotVisible"], "1");
    }

    #[tokio::test]
    async fn a_fault_is_planned_for_one_operation() {
        let queue = Queue::start(Attributes::default()).await;
        queue.script(Operation::SendBatch, [throttled()]);
        let (status, error) = call(&queue, "SendMessage", json!({"MessageBody": "x", "QueueUrl": ""})).await;
        assert_eq!((status, &error["__type"]), (200, &Value::Null));
        let (status, error) = call(&queue, "SendMessageBatch", json!({})).await;
        assert_eq!((status, &error["__type"]), (400, &json!("com.amazonaws.sqs#RequestThrottled")));
    }
}
