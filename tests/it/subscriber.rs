//! Log groups, subscribed by what they are called or tagged: those that match and no other, at a pace that CloudWatch Logs takes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::loopback::{Answer, FunctionProcess, Invocation, LogGroups, Outcome, Received, RuntimeApi, log_groups};

const TIMEOUT: Duration = Duration::from_mins(1);
const FILTER: &str = "forwarder-stack";
const STREAM: &str = "arn:aws:firehose:us-east-1:111122223333:deliverystream/amazon-apigateway-stack";

struct World {
    groups: LogGroups,
    runtime: RuntimeApi,
    function: FunctionProcess,
}

impl World {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let groups = LogGroups::start().await;
        let runtime = RuntimeApi::start().await;
        let url = groups.url();
        let required = [
            ("FILTER_NAME", FILTER),
            ("DESTINATION_ARN", STREAM),
            ("ROLE_ARN", "arn:aws:iam::111122223333:role/subscription"),
            ("ACCESS_FILTER_PATTERN", "{$.status = 5*}"),
            ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", url.as_str()),
        ];
        let all = required.iter().chain(settings);
        let environment: BTreeMap<_, _> = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let binary = Path::new(env!("CARGO_BIN_EXE_apigw-log-subscriber"));
        let function = FunctionProcess::spawn(binary, &environment, &runtime);
        Self { groups, runtime, function }
    }

    async fn ask(&self, event: &Value) -> Invocation {
        self.runtime.invoke(event.to_string(), TIMEOUT).await
    }

    async fn sweep(&self) -> Value {
        self.ask(&json!({"detail-type": "Scheduled Event"})).await.json()
    }

    /// The groups that are subscribed by us.
    fn subscribed(&self) -> Vec<String> {
        let filters = self.groups.filters().into_iter();
        filters.filter(|(_, filter)| filter["filterName"] == FILTER).map(|(group, _)| group).collect()
    }

    /// How often an operation was asked for.
    fn asked(&self, operation: &str) -> usize {
        let target = format!("Logs_20140328.{operation}");
        let is = |request: &&Received| request.header("x-amz-target") == Some(&target);
        self.groups.requests().iter().filter(is).count()
    }
}

/// The place in a bucket to which CloudFormation wants its answer.
struct PresignedUrl {
    url: String,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl PresignedUrl {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/answer?X-Amz-Signature=0", listener.local_addr().expect("an address"));
        let taken = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = Vec::new();
                let body = loop {
                    connection.read_buf(&mut request).await.expect("a request");
                    let text = String::from_utf8_lossy(&request);
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    assert!(head.starts_with("PUT /answer?X-Amz-Signature=0 HTTP/1.1"), "{head}");
                    assert!(!head.to_ascii_lowercase().contains("content-type"), "the signature holds none: {head}");
                    if let Ok(body) = serde_json::from_str(body) {
                        break body;
                    }
                };
                answers.lock().expect("no panic").push(body);
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("an answer");
            }
        });
        Self { url, taken }
    }

    fn answers(&self) -> Vec<Value> {
        self.taken.lock().expect("no panic").clone()
    }
}

#[tokio::test]
async fn groups_are_subscribed_by_name_once_each_with_the_pattern_of_their_kind() {
    let patterns = "/aws/apigateway/*,API-Gateway-Execution-Logs_*";
    let world = World::start(&[("LOG_GROUP_PATTERNS", patterns), ("EXCLUDE_LOG_GROUPS", "*/debug")]).await;
    for group in ["/aws/apigateway/a", "/aws/apigateway/debug", "API-Gateway-Execution-Logs_x1/prod", "/aws/lambda/a"] {
        world.groups.make(group, &[]);
    }
    world.groups.make("/apigw-log-forwarder/stack/function", &[]);
    world.groups.subscribe("/aws/apigateway/a", "of-another-team");
    let report = world.sweep().await;
    assert_eq!(
        (&report["matched"], &report["added"], &report["failed"]),
        (&json!(2), &json!(2), &json!(0)),
        "{report}"
    );
    assert_eq!(world.subscribed(), ["/aws/apigateway/a", "API-Gateway-Execution-Logs_x1/prod"]);
    let filters: BTreeMap<_, _> =
        world.groups.filters().into_iter().filter(|(_, filter)| filter["filterName"] == FILTER).collect();
    let expected = json!({"filterName": FILTER, "filterPattern": "{$.status = 5*}", "destinationArn": STREAM,
        "roleArn": "arn:aws:iam::111122223333:role/subscription"});
    assert_eq!(filters["/aws/apigateway/a"], expected);
    assert_eq!(filters["API-Gateway-Execution-Logs_x1/prod"]["filterPattern"], "");
    let again = world.sweep().await;
    assert_eq!((&again["added"], world.asked("PutSubscriptionFilter")), (&json!(0), 2));
    let released = world.ask(&json!({"release": {}})).await.json();
    assert_eq!((&released["removed"], world.subscribed().len(), world.groups.filters().len()), (&json!(2), 0, 1));
}

#[tokio::test]
async fn groups_are_subscribed_by_tags_and_the_older_list_serves_where_the_newer_is_not_known() {
    let world = World::start(&[("LOG_GROUP_TAGS", "team=payments")]).await;
    world.groups.make("a", &[("team", "payments")]);
    world.groups.make("b", &[("team", "other")]);
    assert_eq!(world.sweep().await["added"], 1);
    assert_eq!(world.subscribed(), ["a"]);

    let old = World::start(&[("LOG_GROUP_PATTERNS", "*")]).await;
    old.groups.forget("ListLogGroups");
    (0..50).for_each(|number| old.groups.make(&format!("g{number:02}"), &[]));
    let report = old.ask(&json!({"sweep": {"dryRun": true}})).await.json();
    assert_eq!((&report["matched"], &report["added"], old.subscribed().len()), (&json!(50), &json!(50), 0));
}

#[tokio::test]
async fn a_group_that_is_full_throttled_or_gone_costs_no_other() {
    let world = World::start(&[("LOG_GROUP_PATTERNS", "*")]).await;
    for group in ["a", "b", "c"] {
        world.groups.make(group, &[]);
    }
    (0..5).for_each(|number| world.groups.subscribe("b", &format!("other-{number}")));
    world.groups.script([log_groups::throttled(), Answer::aws_error(400, "OperationAbortedException", "")]);
    let report = world.sweep().await;
    assert_eq!((&report["added"], &report["full"], &report["failed"]), (&json!(2), &json!(1), &json!(0)), "{report}");
    assert_eq!(world.subscribed(), ["a", "c"]);
    assert!(report["problems"][0].as_str().is_some_and(|problem| problem.starts_with("b: ")));
    let lines = world.function.lines();
    let metrics = lines.iter().find(|line| line.contains("\"GroupsFull\":1")).expect("metrics");
    assert!(metrics.contains("\"GroupsAdded\":2") && metrics.contains("CloudWatchMetrics"));
}

#[tokio::test]
async fn a_group_that_was_made_is_subscribed_at_once() {
    let world = World::start(&[("LOG_GROUP_PATTERNS", "/aws/apigateway/*")]).await;
    let made = |group: &str| {
        let detail = json!({"eventName": "CreateLogGroup", "requestParameters": {"logGroupName": group}});
        json!({"source": "aws.logs", "detail-type": "AWS API Call via CloudTrail", "detail": detail})
    };
    world.groups.make("/aws/apigateway/new", &[]);
    world.groups.make("/aws/lambda/new", &[]);
    world.ask(&made("/aws/apigateway/new")).await;
    world.ask(&made("/aws/lambda/new")).await;
    assert_eq!((world.subscribed(), world.asked("ListLogGroups")), (vec!["/aws/apigateway/new".to_owned()], 0));
}

#[tokio::test]
async fn silence_of_a_single_group_is_told() {
    let world = World::start(&[("LOG_GROUP_PATTERNS", "*"), ("SILENT_AFTER_SECONDS", "3600")]).await;
    #[expect(clippy::disallowed_methods, reason = "the function compares with the time")]
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).expect("a time");
    let now = u64::try_from(now.as_millis()).expect("milliseconds");
    let _id = world.groups.put("loud", "s", now - 60_000, "x");
    let _id = world.groups.put("quiet", "s", now - 7_200_000, "x");
    let _id = world.groups.put("asleep", "s", now - 90_000_000, "x");
    world.groups.make("new", &[]);
    world.sweep().await;
    let report = world.sweep().await;
    assert_eq!((&report["silent"], &report["failed"]), (&json!(1), &json!(0)));
    assert!(world.function.lines().iter().any(|line| line.contains("silent") && line.contains("quiet")));
}

#[tokio::test]
async fn cloudformation_is_answered_and_only_what_is_no_longer_wanted_is_released() {
    let world = World::start(&[("LOG_GROUP_PATTERNS", "/new/*")]).await;
    for group in ["/old/a", "/new/a", "/other"] {
        world.groups.make(group, &[]);
    }
    world.groups.subscribe("/old/a", FILTER);
    world.groups.subscribe("/other", FILTER);
    let bucket = PresignedUrl::start().await;
    let request = |kind: &str| {
        json!({"RequestType": kind, "ResponseURL": bucket.url, "StackId": "stack", "RequestId": "request",
            "LogicalResourceId": "Subscriptions", "PhysicalResourceId": "physical",
            "ResourceProperties": {"LogGroupPatterns": "/new/*"}, "OldResourceProperties": {"LogGroupPatterns": "/old/*"}})
    };
    world.ask(&request("Update")).await;
    assert_eq!(world.subscribed(), ["/new/a", "/other"], "what it was not asked about stays");
    world.ask(&request("Delete")).await;
    assert_eq!(world.subscribed(), ["/other"]);
    let answers = bucket.answers();
    assert_eq!(answers.len(), 2);
    for answer in &answers {
        let fields =
            ["Status", "PhysicalResourceId", "StackId", "RequestId", "LogicalResourceId"].map(|name| &answer[name]);
        assert_eq!(fields, ["SUCCESS", "physical", "stack", "request", "Subscriptions"]);
        assert!(answer.to_string().len() < 4096);
    }
    world.groups.otherwise(Some(Answer::aws_error(400, "ServiceUnavailableException", "")));
    world.ask(&request("Delete")).await;
    assert_eq!(bucket.answers()[2]["Status"], "FAILED", "filters that stay behind are a failure");
    // Where it may not delete a filter, it may not have put one: a stack must not hang on that.
    world.groups.otherwise(Some(Answer::aws_error(400, "AccessDeniedException", "")));
    world.ask(&request("Delete")).await;
    assert_eq!(bucket.answers()[3]["Status"], "SUCCESS");
}

#[tokio::test]
#[ignore = "takes as long as the quota of an account wants: more than a minute"]
async fn three_hundred_groups_are_subscribed_within_a_sweep() {
    let world = World::start(&[("LOG_GROUP_PATTERNS", "/api/*")]).await;
    (0..300).for_each(|number| world.groups.make(&format!("/api/{number}"), &[]));
    let event = json!({"sweep": {}}).to_string();
    let report = world.runtime.invoke(event, Duration::from_mins(5)).await.json();
    assert_eq!((&report["added"], &report["left"], world.subscribed().len()), (&json!(300), &json!(0), 300));
}

#[tokio::test]
async fn what_is_not_done_in_time_is_left_for_the_next_sweep() {
    let world = World::start(&[("LOG_GROUP_PATTERNS", "/api/*")]).await;
    (0..40).for_each(|number| world.groups.make(&format!("/api/{number}"), &[]));
    let report = world.runtime.invoke(json!({"sweep": {}}).to_string(), Duration::from_secs(13)).await.json();
    let (added, left) = (report["added"].as_u64().expect("a number"), report["left"].as_u64().expect("a number"));
    assert!(added > 0 && left > 0 && added + left == 40, "{report}");
    let refused = world.ask(&json!({"records": []})).await;
    assert!(matches!(refused.outcome, Outcome::Error(_)), "{refused:?}");
}
