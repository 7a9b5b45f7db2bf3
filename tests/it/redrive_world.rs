//! The second function in its world: the built binary, the bucket and the queue that S3 tells of new objects, and the API.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::loopback::queue::Delivery;
use crate::loopback::{
    AnalyticsApi, Attributes, CLIENT_ID, CLIENT_SECRET, FunctionProcess, Invocation, LogGroups, ObjectStore,
    ParameterStore, Queue, RuntimeApi, TokenEndpoint, notification,
};
use crate::world::{CREDENTIALS_PARAMETER, TIMEOUT, credentials, environment};

pub(crate) const BUCKET: &str = "kept";
/// Where Firehose writes what a function failed.
pub(crate) const FOLDER: &str = "failed/processing-failed/2026/11/21/18/";

pub(crate) struct RedriveWorld {
    pub(crate) analytics: AnalyticsApi,
    pub(crate) endpoint: TokenEndpoint,
    pub(crate) store: ParameterStore,
    pub(crate) objects: ObjectStore,
    pub(crate) queue: Queue,
    pub(crate) groups: LogGroups,
    pub(crate) runtime: RuntimeApi,
    pub(crate) function: FunctionProcess,
    settings: BTreeMap<String, String>,
}

/// One message, taken by the function.
pub(crate) struct Taken {
    pub(crate) delivery: Delivery,
    pub(crate) invocation: Invocation,
    /// Whether its message is done with.
    pub(crate) is_done: bool,
}

impl RedriveWorld {
    /// Starts everything, with these settings beside the required ones.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let endpoint = TokenEndpoint::start().await;
        let analytics = AnalyticsApi::start_trusting(endpoint.valid()).await;
        let store = ParameterStore::start().await;
        store.put(CREDENTIALS_PARAMETER, &credentials(CLIENT_ID, CLIENT_SECRET));
        let (objects, queue) = (ObjectStore::start(BUCKET).await, Queue::start(Attributes::default()).await);
        let groups = LogGroups::start().await;
        let send = queue.sender();
        objects.notify("failed/", move |created| send(notification::created(created)));
        let mut settings = environment(&analytics, &endpoint, &store, settings);
        settings.extend(redrive_settings(&objects, &queue, &groups));
        let runtime = RuntimeApi::start().await;
        let function = FunctionProcess::spawn(redrive_binary(), &settings, &runtime);
        Self { analytics, endpoint, store, objects, queue, groups, runtime, function, settings }
    }

    /// Ends the function's process and starts another.
    pub(crate) async fn restart(&mut self) {
        self.runtime = RuntimeApi::start().await;
        self.function = FunctionProcess::spawn(redrive_binary(), &self.settings, &self.runtime);
    }

    /// Writes an object as Firehose does.
    pub(crate) fn keep(&self, name: &str, records: &[Vec<u8>]) -> String {
        let key = format!("{FOLDER}{name}");
        self.objects.put(&key, failed_object(records));
        key
    }

    /// Moves the clock to when the next message comes, and has the function take it. Nothing if there is no message.
    pub(crate) async fn take(&self) -> Option<Taken> {
        self.take_within(TIMEOUT).await
    }

    pub(crate) async fn take_within(&self, timeout: Duration) -> Option<Taken> {
        self.queue.advance_to_next()?;
        let delivery = self.queue.take(1)?;
        let invocation = self.runtime.invoke(delivery.event.to_string(), timeout).await;
        let is_done = self.queue.settle(&delivery, &invocation.outcome) == 1;
        Some(Taken { delivery, invocation, is_done })
    }

    /// Has the function take messages until there is none.
    pub(crate) async fn drain(&self) {
        for _ in 0..100 {
            if self.take().await.is_none() {
                return;
            }
        }
        panic!("messages are left: {:?}", self.queue.bodies());
    }

    /// Invokes the function by hand and returns its answer.
    pub(crate) async fn ask(&self, event: &Value) -> Value {
        self.runtime.invoke(event.to_string(), TIMEOUT).await.json()
    }

    /// The ids of the events that the API has accepted, sorted.
    pub(crate) fn delivered(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.analytics.accepted_events().iter().map(event_id).collect();
        ids.sort();
        ids
    }

    /// The lines under a prefix.
    pub(crate) fn lines(&self, prefix: &str) -> Vec<Value> {
        let objects = self.objects.objects(prefix);
        objects.iter().flat_map(|(_, bytes)| lines(bytes)).collect()
    }

    /// The sum of a metric over all invocations.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        metric(&self.function.lines(), name)
    }
}

pub(crate) fn redrive_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_apigw-log-redrive"))
}

/// What the second function is told beside the settings of the first.
pub(crate) fn redrive_settings(objects: &ObjectStore, queue: &Queue, groups: &LogGroups) -> [(String, String); 6] {
    [
        ("AWS_LAMBDA_FUNCTION_NAME", "redrive".to_owned()),
        ("AWS_ENDPOINT_URL_S3", objects.url()),
        ("AWS_ENDPOINT_URL_SQS", queue.endpoint()),
        ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", groups.url()),
        ("FAILED_BUCKET", objects.bucket().to_owned()),
        ("REDRIVE_QUEUE_URL", queue.url()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// A line as Firehose writes it for a record that a function failed.
pub(crate) fn failed_line(record: &[u8]) -> String {
    json!({
        "attemptsMade": 1,
        "arrivalTimestamp": 1_795_287_540_000_u64,
        "errorCode": "Lambda.ProcessingFailedStatus",
        "errorMessage": "ProcessingFailed status set for record",
        "attemptEndingTimestamp": 1_795_287_601_000_u64,
        "rawData": base64_simd::STANDARD.encode_to_string(record),
        "lambdaARN": "arn:aws:lambda:us-east-1:111122223333:function:forwarder:live",
    })
    .to_string()
}

/// An object as Firehose writes it.
pub(crate) fn failed_object(records: &[Vec<u8>]) -> Bytes {
    records.iter().map(|record| failed_line(record) + "\n").collect::<String>().into()
}

/// The lines of an object. What is no JSON is a text.
pub(crate) fn lines(object: &[u8]) -> Vec<Value> {
    let lines = object.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap_or_else(|_| String::from_utf8_lossy(line).into())).collect()
}

pub(crate) fn event_id(event: &Value) -> String {
    event["id"].as_str().expect("an id").to_owned()
}

/// The sum of a metric over the lines of a process.
pub(crate) fn metric(lines: &[String], name: &str) -> u64 {
    let lines = lines.iter().filter(|line| line.contains(r#""_aws":"#));
    lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()?.get(name)?.as_u64()).sum()
}
