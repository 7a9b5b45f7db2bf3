//! CloudWatch Logs, as far as groups, their events and their subscriptions go, in its wire protocol (AWS JSON 1.1).
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::{HeaderMap, Method};
use serde_json::{Value, json};

use super::answer::{Answer, Script};
use super::server::{Received, Server, Service, unknown};
use super::signature;

/// Most events of one page, whatever is asked for.
pub const PAGE_EVENTS: usize = 10_000;
/// Most bytes of one page.
pub const PAGE_BYTES: usize = 1_048_576;

/// The log groups of an account on 127.0.0.1; none at its start.
#[derive(Debug)]
pub struct LogGroups {
    server: Server,
    rules: Arc<Rules>,
}

/// The answer to a request beyond the account's rate.
#[must_use]
pub fn throttled() -> Answer {
    Answer::aws_error(400, "ThrottlingException", "Rate exceeded")
}

/// Returns an event's id as CloudWatch Logs makes them: decimal digits of a number whose upper bits are the time.
#[must_use]
pub fn event_id(timestamp_ms: u64, number: u64) -> String {
    // Decimal digits, the lowest first: doubled 144 times, then added to.
    let mut digits: Vec<u64> = Vec::new();
    let mut add = |factor: u64, mut carry: u64, times: usize| {
        for _ in 0..times {
            for digit in &mut digits {
                carry += *digit * factor;
                *digit = carry % 10;
                carry /= 10;
            }
            while carry > 0 {
                digits.push(carry % 10);
                carry /= 10;
            }
        }
    };
    add(1, timestamp_ms, 1);
    add(2, 0, 144);
    add(1, number, 1);
    let text: String = digits.iter().rev().map(ToString::to_string).collect();
    format!("{text:0>56}")
}

impl LogGroups {
    /// Starts an account without log groups.
    pub async fn start() -> Self {
        let rules = Arc::new(Rules { script: Script::default(), state: Mutex::default() });
        Self { server: Server::start(Arc::clone(&rules), None).await, rules }
    }

    /// Returns the endpoint, as `AWS_ENDPOINT_URL_CLOUDWATCH_LOGS` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.origin()
    }

    /// Writes an event into a log group, which is made where it is not there, and returns the event's id.
    #[must_use]
    pub fn put(&self, group: &str, stream: &str, timestamp_ms: u64, message: &str) -> String {
        self.rules.with(|state| {
            state.written += 1;
            let id = event_id(timestamp_ms, state.written);
            let event = json!({
                "logStreamName": stream,
                "timestamp": timestamp_ms,
                "message": message,
                "ingestionTime": timestamp_ms + 20_000,
                "eventId": id,
            });
            state.groups.entry(group.to_owned()).or_default().insert((timestamp_ms, state.written), event);
            id
        })
    }

    /// Makes a log group with these tags.
    pub fn make(&self, group: &str, tags: &[(&str, &str)]) {
        self.rules.with(|state| {
            state.groups.entry(group.to_owned()).or_default();
            let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            state.tags.insert(group.to_owned(), tags);
        });
    }

    /// Deletes a log group.
    pub fn delete(&self, group: &str) {
        self.rules.with(|state| {
            state.groups.remove(group);
            state.filters.retain(|(of, _), _| of != group);
        });
    }

    /// Subscribes a group as somebody else.
    pub fn subscribe(&self, group: &str, filter: &str) {
        let name = filter.to_owned();
        let filter = json!({"filterName": filter, "filterPattern": "", "destinationArn": "arn:aws:firehose:::other"});
        self.rules.with(|state| state.filters.insert((group.to_owned(), name), filter));
    }

    /// Returns all subscription filters: the group, and the filter as it was put.
    #[must_use]
    pub fn filters(&self) -> Vec<(String, Value)> {
        self.rules.with(|state| state.filters.iter().map(|((of, _), filter)| (of.clone(), filter.clone())).collect())
    }

    /// Takes requests of this operation for one that is not known.
    pub fn forget(&self, operation: &'static str) {
        self.rules.with(|state| state.unknown.push(operation));
    }

    /// Ends a page after so many events, and lets a page without events, but with a token, come before each.
    pub fn set_pages(&self, events: usize) {
        self.rules.with(|state| state.page = Some(events));
    }

    /// Plans the answers to the next requests, after those that are planned.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.rules.script.extend(answers);
    }

    /// Sets the answer to every request that the script does not cover, or goes back to the rules.
    pub fn otherwise(&self, answer: Option<Answer>) {
        self.rules.script.otherwise(answer);
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
}

#[derive(Debug)]
struct Rules {
    script: Script,
    state: Mutex<State>,
}

/// Events by time, and by the order in which they were written.
type Events = BTreeMap<(u64, u64), Value>;

#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<String, Events>,
    written: u64,
    page: Option<usize>,
    tokens: BTreeMap<String, Token>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
    /// Subscription filters, by group and name.
    filters: BTreeMap<(String, String), Value>,
    unknown: Vec<&'static str>,
}

/// What a token stands for.
#[derive(Debug)]
struct Token {
    /// The request that it was given for.
    asked: Value,
    /// Where its page begins.
    at: (u64, u64),
    /// Whether it was given with a page without events.
    after_empty: bool,
}

/// An error's type and message.
type Refusal = (&'static str, &'static str);

impl State {
    fn filter(&mut self, input: &Value) -> Result<Value, Refusal> {
        let invalid = |message| ("InvalidParameterException", message);
        let named = |name: &str| input.get(name).and_then(Value::as_str);
        let ((Some(group), None) | (None, Some(group))) = (named("logGroupName"), named("logGroupIdentifier")) else {
            return Err(invalid("Exactly one of logGroupName and logGroupIdentifier must be given"));
        };
        let events =
            self.groups.get(group).ok_or(("ResourceNotFoundException", "The specified log group does not exist."))?;
        if named("filterPattern").is_some_and(|pattern| !pattern.is_empty()) {
            return Err(invalid("This account takes no filter pattern"));
        }
        let time = |name: &str| match input.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(invalid("A time is in milliseconds")),
        };
        let (from, to) = (time("startTime")?.unwrap_or(0), time("endTime")?.unwrap_or(u64::MAX));
        if from > to {
            return Err(invalid("startTime must not be later than endTime"));
        }
        let limit =
            input.get("limit").and_then(Value::as_u64).map_or(PAGE_EVENTS, |limit| usize::try_from(limit).unwrap_or(0));
        if limit == 0 || limit > PAGE_EVENTS {
            return Err(invalid("limit must be from 1 to 10000"));
        }
        let mut asked = input.clone();
        let token = asked.as_object_mut().and_then(|asked| asked.remove("nextToken"));
        let token = match token.as_ref().and_then(Value::as_str) {
            None => None,
            Some(token) => match self.tokens.get(token) {
                Some(token) if token.asked == asked => Some(token),
                Some(_) => return Err(invalid("The specified nextToken is for another request.")),
                None => return Err(invalid("The specified nextToken is invalid.")),
            },
        };
        let begins = token.map_or((from, 0), |token| token.at);
        let is_empty = self.page.is_some() && !token.is_some_and(|token| token.after_empty);
        let most = if is_empty { 0 } else { self.page.unwrap_or(limit).min(limit) };
        let (mut page, mut bytes, mut next) = (Vec::new(), 0, None);
        for (place, event) in events.range(begins..).take_while(|((at, _), _)| *at <= to) {
            bytes += event["message"].as_str().map_or(0, str::len) + 26;
            if page.len() == most || (bytes > PAGE_BYTES && !page.is_empty()) {
                next = Some(*place);
                break;
            }
            page.push(event.clone());
        }
        let Some(at) = next else { return Ok(json!({"events": page, "searchedLogStreams": []})) };
        let token = format!("Bxkq6kVGFtq2y/{:08}+{}", self.tokens.len(), at.0);
        self.tokens.insert(token.clone(), Token { asked, at, after_empty: is_empty });
        Ok(json!({"events": page, "searchedLogStreams": [], "nextToken": token}))
    }
}

impl State {
    fn group<'a>(&self, input: &'a Value) -> Result<&'a str, Refusal> {
        let group = input.get("logGroupName").and_then(Value::as_str).unwrap_or_default();
        let is_there = self.groups.contains_key(group);
        is_there.then_some(group).ok_or(("ResourceNotFoundException", "The specified log group does not exist."))
    }

    /// Groups by name, so many a page: real pages hold up to 1,000.
    fn list(&self, input: &Value, most: usize) -> Value {
        let wanted = input.get("logGroupTags").and_then(Value::as_array).cloned().unwrap_or_default();
        let has = |group: &String, tag: &Value| {
            let value = self.tags.get(group).and_then(|tags| tags.get(tag["key"].as_str()?));
            value.is_some_and(|value| tag["values"].as_array().is_some_and(|values| values.contains(&json!(value))))
        };
        let after = input.get("nextToken").and_then(Value::as_str).unwrap_or_default();
        let mut names = self.groups.keys().filter(|group| group.as_str() > after);
        let mut page = Vec::new();
        for name in names.by_ref().filter(|group| wanted.iter().all(|tag| has(group, tag))).take(most) {
            page.push(json!({"logGroupName": name, "logGroupClass": "STANDARD"}));
        }
        let last = page.last().map(|group| group["logGroupName"].clone());
        match last.filter(|_| names.next().is_some()) {
            Some(last) => json!({"logGroups": page, "nextToken": last}),
            None => json!({"logGroups": page}),
        }
    }

    fn streams(&self, input: &Value) -> Result<Value, Refusal> {
        let group = self.group(input)?;
        let last = self.groups.get(group).and_then(|events| events.last_key_value());
        let streams: Vec<_> =
            last.map(|((at, _), _)| json!({"logStreamName": "s", "lastEventTimestamp": at})).into_iter().collect();
        Ok(json!({"logStreams": streams}))
    }

    fn described(&self, input: &Value) -> Result<Value, Refusal> {
        let group = self.group(input)?;
        let prefix = input.get("filterNamePrefix").and_then(Value::as_str).unwrap_or_default();
        let filters = self.filters.iter().filter(|((of, name), _)| of == group && name.starts_with(prefix));
        Ok(json!({"subscriptionFilters": filters.map(|(_, filter)| filter).collect::<Vec<_>>()}))
    }

    fn put_filter(&mut self, input: &Value) -> Result<Value, Refusal> {
        let group = self.group(input)?.to_owned();
        let name = input["filterName"].as_str().unwrap_or_default().to_owned();
        let others = self.filters.keys().filter(|(of, other)| *of == group && *other != name).count();
        if others >= 5 {
            return Err(("LimitExceededException", "Resource limit exceeded."));
        }
        let mut filter = input.clone();
        filter.as_object_mut().and_then(|filter| filter.remove("logGroupName"));
        self.filters.insert((group, name), filter);
        Ok(Value::Null)
    }

    fn delete_filter(&mut self, input: &Value) -> Result<Value, Refusal> {
        let group = self.group(input)?.to_owned();
        let name = input["filterName"].as_str().unwrap_or_default().to_owned();
        let removed = self.filters.remove(&(group, name));
        removed
            .map(|_| Value::Null)
            .ok_or(("ResourceNotFoundException", "The specified subscription filter does not exist."))
    }
}

impl Rules {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Service for Rules {
    fn planned(&self, _: &Method, _: &str, _: &HeaderMap) -> Option<Answer> {
        self.script.next()
    }

    async fn answer(&self, request: &Received) -> Answer {
        if request.method != Method::POST || request.path != "/" {
            return unknown();
        }
        if let Err((code, message)) = signature::check(request, "logs") {
            return Answer::aws_error(400, code, message);
        }
        if request.header("content-type") != Some("application/x-amz-json-1.1") {
            return Answer::aws_error(400, "SerializationException", "");
        }
        let operation = request.header("x-amz-target").and_then(|target| target.strip_prefix("Logs_20140328."));
        let answered = self.with(|state| {
            let input = request.json();
            match operation.filter(|operation| !state.unknown.contains(operation)) {
                Some("FilterLogEvents") => state.filter(&input),
                Some("ListLogGroups") => Ok(state.list(&input, 40)),
                Some("DescribeLogGroups") => Ok(state.list(&input, 20)),
                Some("DescribeLogStreams") => state.streams(&input),
                Some("DescribeSubscriptionFilters") => state.described(&input),
                Some("PutSubscriptionFilter") => state.put_filter(&input),
                Some("DeleteSubscriptionFilter") => state.delete_filter(&input),
                _ => Err(("UnknownOperationException", "")),
            }
        });
        match answered {
            Ok(Value::Null) => Answer::status(200).header("content-type", "application/x-amz-json-1.1"),
            Ok(output) => {
                Answer::status(200).header("content-type", "application/x-amz-json-1.1").body(output.to_string())
            }
            Err((kind, message)) => Answer::aws_error(400, kind, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::signature::tests::send;
    use super::*;

    async fn filter(account: &LogGroups, input: &Value) -> (u16, Value) {
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "Logs_20140328.FilterLogEvents")];
        let url = format!("{}/", account.url());
        let (status, _, body) = send("logs", Method::POST, &url, &headers, &input.to_string()).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn an_id_carries_its_time_above_144_bits() {
        assert_eq!(event_id(1, 0), format!("{:0>56}", "22300745198530623141535718272648361505980416"));
        // As the first event of AWS's sample of a subscription, but for what its batch adds below.
        assert!(event_id(1_432_826_855_000, 2).starts_with("31953106606966983"));
        assert!(event_id(1_432_826_855_000, 2).ends_with("80002"));
    }

    #[tokio::test]
    async fn events_come_by_time_in_pages_of_which_some_are_empty() {
        let account = LogGroups::start().await;
        account.set_pages(2);
        let late = account.put("g", "s", 1005, "late");
        let ids: Vec<String> = (1000..1005).map(|time| account.put("g", "s", time, "x")).collect();
        let (mut found, mut sizes) = (Vec::new(), Vec::new());
        let mut input = json!({"logGroupName": "g", "startTime": 1001, "endTime": 1005});
        loop {
            let (status, page) = filter(&account, &input).await;
            assert_eq!(status, 200, "{page}");
            let events = page["events"].as_array().unwrap();
            sizes.push(events.len());
            found.extend(events.iter().map(|event| event["eventId"].as_str().unwrap().to_owned()));
            match page.get("nextToken") {
                Some(token) => input["nextToken"] = token.clone(),
                None => break,
            }
        }
        assert_eq!(found, [&ids[1..], &[late]].concat());
        assert_eq!(sizes, [0, 2, 0, 2, 0, 1]);
        input["startTime"] = json!(1000);
        assert_eq!(filter(&account, &input).await.0, 400, "a token is for its own request");
    }

    #[tokio::test]
    async fn what_is_wrong_is_refused() {
        let account = LogGroups::start().await;
        account.script([throttled()]);
        for kind in ["ThrottlingException", "ResourceNotFoundException"] {
            let (status, error) = filter(&account, &json!({"logGroupName": "g"})).await;
            assert_eq!((status, &error["__type"]), (400, &json!(kind)));
        }
    }
}
