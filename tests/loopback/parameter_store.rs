//! The Parameter Store: the four operations of AWS Systems Manager that deal with single parameters, in their own wire
//! protocol (AWS JSON 1.1).
//!
//! Source: <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Script};
use super::server::{Received, Server, Service, unknown};

/// Most bytes of a value in the Standard tier.
pub const STANDARD_VALUE_BYTES: usize = 4096;
/// Most bytes of a value in the Advanced tier, which Intelligent-Tiering chooses for values over the Standard cap.
pub const ADVANCED_VALUE_BYTES: usize = 8192;
/// Versions of one parameter that are kept.
const VERSIONS_KEPT: usize = 100;
/// Most levels of a name's hierarchy.
const NAME_LEVELS: usize = 15;
/// Most names in one `GetParameters`.
const NAMES_PER_GET: usize = 10;
const ARN_PREFIX: &str = "arn:aws:ssm:us-east-1:111122223333:parameter";

/// A Parameter Store on 127.0.0.1, empty at its start.
///
/// A request needs an `Authorization` header in the form of Signature Version 4; the signature is not checked.
#[derive(Debug)]
pub struct ParameterStore {
    server: Server,
    rules: Arc<Rules>,
}

/// An operation of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `GetParameter`
    Get,
    /// `GetParameters`
    GetSeveral,
    /// `PutParameter`
    Put,
    /// `DeleteParameter`
    Delete,
}

impl Operation {
    /// Returns the operation that a request asks for.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        match headers.get("x-amz-target")?.to_str().ok()?.strip_prefix("AmazonSSM.")? {
            "GetParameter" => Some(Self::Get),
            "GetParameters" => Some(Self::GetSeveral),
            "PutParameter" => Some(Self::Put),
            "DeleteParameter" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// The answer to a request beyond the account's rate.
#[must_use]
pub fn throttled() -> Answer {
    Answer::aws_error(400, "ThrottlingException", "Rate exceeded")
}

/// The answer to a request that the role does not allow.
#[must_use]
pub fn access_denied() -> Answer {
    Answer::aws_error(400, "AccessDeniedException", "User is not authorized to perform this action")
}

/// The answer to one of several writes of a parameter at once.
#[must_use]
pub fn too_many_updates() -> Answer {
    Answer::aws_error(400, "TooManyUpdates", "There are concurrent updates for a resource that supports one at a time")
}

/// The answer of a store that is out of order.
#[must_use]
pub fn internal_error() -> Answer {
    Answer::aws_error(500, "InternalServerError", "An error occurred on the server side")
}

impl ParameterStore {
    /// Starts an empty store.
    pub async fn start() -> Self {
        Self::start_at(0).await
    }

    /// The same at this port, unless that is taken.
    pub async fn start_at(port: u16) -> Self {
        let rules = Arc::new(Rules::default());
        Self { server: Server::start_at(port, Arc::clone(&rules), None).await, rules }
    }

    /// Returns the endpoint, as `AWS_ENDPOINT_URL_SSM` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.origin()
    }

    /// Writes a `SecureString`, as a new version if it is there already.
    pub fn put(&self, name: &str, value: &str) {
        let tier = if value.len() > STANDARD_VALUE_BYTES { Tier::Advanced } else { Tier::Standard };
        self.rules.with(|parameters| {
            let parameter = parameters.entry(name.to_owned()).or_insert_with(|| Parameter::new("SecureString", tier));
            parameter.tier = parameter.tier.max(tier);
            parameter.push(value.to_owned());
        });
    }

    /// Takes so many reads and so many writes in any second, and answers [`throttled`] to more.
    pub fn set_quotas(&self, reads: usize, writes: usize) {
        let window = |most| Window { most, admitted: VecDeque::new() };
        *self.rules.quotas.lock().unwrap_or_else(PoisonError::into_inner) = Some([window(reads), window(writes)]);
    }

    /// Lets reads see only what was written so long ago.
    pub fn set_read_delay(&self, delay: Duration) {
        *self.rules.read_delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }

    /// Returns the newest value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        self.rules.with(|parameters| Some(parameters.get(name)?.versions.last()?.value.clone()))
    }

    /// Returns the newest version's number, from 1.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<u64> {
        self.rules.with(|parameters| Some(parameters.get(name)?.versions.last()?.number))
    }

    /// Returns whether a parameter has come to the Advanced tier, which is charged for.
    #[must_use]
    pub fn is_advanced(&self, name: &str) -> bool {
        self.rules.with(|parameters| parameters.get(name).is_some_and(|parameter| parameter.tier == Tier::Advanced))
    }

    /// Returns the names of all parameters, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.rules.with(|parameters| parameters.keys().cloned().collect())
    }

    /// Deletes a parameter, if it is there.
    pub fn delete(&self, name: &str) {
        self.rules.with(|parameters| parameters.remove(name));
    }

    /// Plans the answers to the next requests for an operation, after those that are planned.
    pub fn script(&self, operation: Operation, answers: impl IntoIterator<Item = Answer>) {
        self.rules.script(operation).extend(answers);
    }

    /// Sets the answer to every request for an operation that its script does not cover, or goes back to the rules.
    pub fn otherwise(&self, operation: Operation, answer: Option<Answer>) {
        self.rules.script(operation).otherwise(answer);
    }

    /// Returns how many planned answers for an operation are left.
    #[must_use]
    pub fn unplayed(&self, operation: Operation) -> usize {
        self.rules.script(operation).unplayed()
    }

    /// Forgets all that is planned: from now on the rules hold.
    pub fn heal(&self) {
        self.rules.scripts.iter().for_each(Script::clear);
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

    /// Returns how many requests for an operation have come, whatever became of them.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.requests().iter().filter(|request| Operation::of(&request.headers) == Some(operation)).count()
    }

    /// Waits until so many requests have come whole.
    pub async fn received(&self, requests: usize) {
        self.server.received(requests).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    Standard,
    Advanced,
}

#[derive(Debug)]
struct Parameter {
    kind: String,
    tier: Tier,
    /// Oldest first, never empty once stored.
    versions: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    number: u64,
    value: String,
    /// What the value looks like undecrypted.
    cipher_text: String,
    modified: Timestamp,
}

impl Parameter {
    fn new(kind: &str, tier: Tier) -> Self {
        Self { kind: kind.to_owned(), tier, versions: Vec::new() }
    }

    fn push(&mut self, value: String) -> u64 {
        let number = self.versions.last().map_or(1, |last| last.number + 1);
        let noise: [u8; 96] = std::array::from_fn(|_| fastrand::u8(..));
        let cipher_text = base64_simd::STANDARD.encode_to_string(noise);
        self.versions.push(Version { number, value, cipher_text, modified: Timestamp::now() });
        if self.versions.len() > VERSIONS_KEPT {
            self.versions.remove(0);
        }
        number
    }

    fn as_json(&self, name: &str, version: &Version, decrypted: bool) -> Value {
        let secret = self.kind == "SecureString" && !decrypted;
        let slash = if name.starts_with('/') { "" } else { "/" };
        json!({
            "Name": name,
            "Type": self.kind,
            "Value": if secret { &version.cipher_text } else { &version.value },
            "Version": version.number,
            "LastModifiedDate": version.modified.as_millisecond() as f64 / 1000.0,
            "ARN": format!("{ARN_PREFIX}{slash}{name}"),
            "DataType": "text",
        })
    }
}

#[derive(Debug, Default)]
struct Rules {
    scripts: [Script; 4],
    parameters: Mutex<BTreeMap<String, Parameter>>,
    /// Of reads and of writes.
    quotas: Mutex<Option<[Window; 2]>>,
    read_delay: Mutex<Duration>,
}

/// How many requests are taken in a second.
#[derive(Debug)]
struct Window {
    most: usize,
    admitted: VecDeque<Instant>,
}

impl Window {
    fn admits(&mut self, now: Instant) -> bool {
        self.admitted.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
        let admits = self.admitted.len() < self.most;
        if admits {
            self.admitted.push_back(now);
        }
        admits
    }
}

/// An error's type and message.
type Refusal = (&'static str, String);

impl Rules {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Parameter>) -> T) -> T {
        act(&mut self.parameters.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn script(&self, operation: Operation) -> &Script {
        let [get, get_several, put, delete] = &self.scripts;
        match operation {
            Operation::Get => get,
            Operation::GetSeveral => get_several,
            Operation::Put => put,
            Operation::Delete => delete,
        }
    }

    fn admits(&self, operation: Operation) -> bool {
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        let Some([reads, writes]) = &mut *quotas else { return true };
        match operation {
            Operation::Get | Operation::GetSeveral => reads.admits(Instant::now()),
            Operation::Put | Operation::Delete => writes.admits(Instant::now()),
        }
    }

    fn perform(&self, operation: Operation, input: &Value) -> Result<Value, Refusal> {
        let seen = Timestamp::now() - *self.read_delay.lock().unwrap_or_else(PoisonError::into_inner);
        self.with(|parameters| match operation {
            Operation::Get => {
                let parameter = find(parameters, text(input, "Name")?, decrypts(input), seen)?;
                Ok(json!({"Parameter": parameter}))
            }
            Operation::GetSeveral => find_several(parameters, input, seen),
            Operation::Put => put(parameters, input),
            Operation::Delete => match parameters.remove(text(input, "Name")?) {
                Some(_) => Ok(json!({})),
                None => Err(("ParameterNotFound", String::new())),
            },
        })
    }
}

impl Service for Rules {
    fn planned(&self, _: &Method, _: &str, headers: &HeaderMap) -> Option<Answer> {
        self.script(Operation::of(headers)?).next()
    }

    async fn answer(&self, request: &Received) -> Answer {
        if request.method != Method::POST || request.path != "/" {
            return unknown();
        }
        if !is_signed(request) {
            let message = "Request is missing Authentication Token";
            return Answer::aws_error(400, "MissingAuthenticationTokenException", message);
        }
        if request.header("content-type") != Some("application/x-amz-json-1.1") {
            return Answer::aws_error(400, "SerializationException", "");
        }
        let Some(operation) = Operation::of(&request.headers) else {
            return Answer::aws_error(400, "UnknownOperationException", "");
        };
        if !self.admits(operation) {
            return throttled();
        }
        match self.perform(operation, &request.json()) {
            Ok(output) => {
                Answer::status(200).header("content-type", "application/x-amz-json-1.1").body(output.to_string())
            }
            Err((kind, message)) => Answer::aws_error(400, kind, &message),
        }
    }
}

fn is_signed(request: &Received) -> bool {
    request.header("x-amz-date").is_some()
        && request.header("authorization").is_some_and(|value| {
            value.starts_with("AWS4-HMAC-SHA256 Credential=")
                && ["/ssm/aws4_request", "SignedHeaders=", "Signature="].iter().all(|part| value.contains(part))
        })
}

fn text<'a>(input: &'a Value, member: &str) -> Result<&'a str, Refusal> {
    input.get(member).and_then(Value::as_str).ok_or_else(|| invalid(format!("{member} must not be null")))
}

fn flag(input: &Value, member: &str) -> bool {
    input.get(member).and_then(Value::as_bool).unwrap_or(false)
}

fn decrypts(input: &Value) -> bool {
    flag(input, "WithDecryption")
}

fn invalid(message: impl Into<String>) -> Refusal {
    ("ValidationException", message.into())
}

/// Finds `name` or `name:version`, as far as it was written by then.
fn find(
    parameters: &BTreeMap<String, Parameter>,
    asked: &str,
    decrypted: bool,
    seen: Timestamp,
) -> Result<Value, Refusal> {
    let (name, selector) = asked.split_once(':').map_or((asked, None), |(name, version)| (name, Some(version)));
    let parameter = parameters.get(name).ok_or(("ParameterNotFound", String::new()))?;
    let version = match selector {
        None => match parameter.versions.iter().rev().find(|version| version.modified <= seen) {
            Some(version) => Some(version),
            None => return Err(("ParameterNotFound", String::new())),
        },
        Some(wanted) => parameter.versions.iter().find(|version| wanted.parse() == Ok(version.number)),
    };
    let version = version.ok_or(("ParameterVersionNotFound", String::new()))?;
    Ok(parameter.as_json(name, version, decrypted))
}

fn find_several(parameters: &BTreeMap<String, Parameter>, input: &Value, seen: Timestamp) -> Result<Value, Refusal> {
    let names = input.get("Names").and_then(Value::as_array).ok_or_else(|| invalid("Names must not be null"))?;
    if names.is_empty() || names.len() > NAMES_PER_GET {
        return Err(invalid("Names must have 1 to 10 members"));
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match find(parameters, name.as_str().unwrap_or_default(), decrypts(input), seen) {
            Ok(parameter) => found.push(parameter),
            Err(_) => missing.push(name),
        }
    }
    Ok(json!({"Parameters": found, "InvalidParameters": missing}))
}

fn put(parameters: &mut BTreeMap<String, Parameter>, input: &Value) -> Result<Value, Refusal> {
    let (name, value) = (text(input, "Name")?, text(input, "Value")?);
    check_name(name)?;
    if value.is_empty() {
        return Err(invalid("Value must have length greater than or equal to 1"));
    }
    let existing = parameters.get(name);
    let tier = tier(input, value, existing)?;
    let kind = match (input.get("Type").and_then(Value::as_str), existing) {
        (Some(kind @ ("String" | "StringList" | "SecureString")), _) => kind.to_owned(),
        (Some(_), _) => return Err(("UnsupportedParameterType", String::new())),
        (None, Some(existing)) => existing.kind.clone(),
        (None, None) => return Err(invalid("A parameter type is required when you create a parameter.")),
    };
    if existing.is_some() {
        if !flag(input, "Overwrite") {
            let message = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
            return Err(("ParameterAlreadyExists", message.to_owned()));
        }
        if input.get("Tags").is_some() {
            return Err(invalid("Invalid request: tags and overwrite can't be used together."));
        }
    }
    let parameter = parameters.entry(name.to_owned()).or_insert_with(|| Parameter::new(&kind, tier));
    (parameter.kind, parameter.tier) = (kind, tier);
    let version = parameter.push(value.to_owned());
    Ok(json!({"Version": version, "Tier": if tier == Tier::Advanced { "Advanced" } else { "Standard" }}))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    let is_path = name.starts_with('/');
    if name.is_empty() || !name.bytes().all(allowed) || (name.contains('/') && !is_path) {
        return Err(invalid("Parameter name: can't be prefixed with \"ssm\" (case-insensitive) and must be a path"));
    }
    let root = name.trim_start_matches('/').to_ascii_lowercase();
    if root.starts_with("aws") || root.starts_with("ssm") {
        return Err(invalid("Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive)."));
    }
    if name.matches('/').count() > NAME_LEVELS {
        return Err(("HierarchyLevelLimitExceededException", String::new()));
    }
    Ok(())
}

/// Chooses the tier. There is no way back from Advanced.
fn tier(input: &Value, value: &str, existing: Option<&Parameter>) -> Result<Tier, Refusal> {
    let present = existing.map_or(Tier::Standard, |existing| existing.tier);
    let tier = match input.get("Tier").and_then(Value::as_str) {
        Some("Standard") if present == Tier::Advanced => {
            return Err(invalid(
                "You can't downgrade a parameter from the advanced-parameter tier to the standard one.",
            ));
        }
        Some("Standard") => Tier::Standard,
        Some("Advanced") => Tier::Advanced,
        Some("Intelligent-Tiering") if value.len() > STANDARD_VALUE_BYTES => Tier::Advanced,
        None | Some("Intelligent-Tiering") => present,
        Some(_) => return Err(invalid("Tier must be Standard, Advanced or Intelligent-Tiering")),
    };
    match tier {
        Tier::Standard if value.len() > STANDARD_VALUE_BYTES => {
            Err(invalid("Standard tier parameters support a maximum parameter value of 4096 characters."))
        }
        Tier::Advanced if value.len() > ADVANCED_VALUE_BYTES => {
            Err(invalid("Advanced tier parameters support a maximum parameter value of 8192 characters."))
        }
        tier => Ok(tier),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tls::client;
    use super::*;

    async fn call(store: &ParameterStore, operation: &str, input: Value) -> (u16, Value) {
        let request = client(None)
            .post(store.url())
            .header("x-amz-target", format!("AmazonSSM.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-date", "20261121T120000Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/ssm/aws4_request, SignedHeaders=host, Signature=00",
            );
        let response = request.body(input.to_string()).send().await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers().get("x-amzn-errortype").map(|kind| kind.to_str().unwrap().to_owned());
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(kind.as_deref(), body["__type"].as_str());
        (status, body)
    }

    async fn refused(store: &ParameterStore, operation: &str, input: Value) -> String {
        let (status, body) = call(store, operation, input).await;
        assert_eq!(status, 400, "{body}");
        body["__type"].as_str().unwrap().to_owned()
    }

    fn secure(name: &str, value: &str) -> Value {
        json!({"Name": name, "Value": value, "Type": "SecureString"})
    }

    #[tokio::test]
    async fn a_name_is_created_once_and_overwritten_only_on_request() {
        let store = ParameterStore::start().await;
        let (status, created) = call(&store, "PutParameter", secure("/t/token", "one")).await;
        assert_eq!((status, created), (200, json!({"Version": 1, "Tier": "Standard"})));
        assert_eq!(refused(&store, "PutParameter", secure("/t/token", "two")).await, "ParameterAlreadyExists");
        let mut overwrite = secure("/t/token", "two");
        overwrite["Overwrite"] = true.into();
        assert_eq!(call(&store, "PutParameter", overwrite).await.1["Version"], 2);
        assert_eq!((store.value("/t/token").as_deref(), store.version("/t/token")), (Some("two"), Some(2)));
        assert_eq!(store.count(Operation::Put), 3);
    }

    #[tokio::test]
    async fn a_secure_string_shows_its_value_only_decrypted() {
        let store = ParameterStore::start().await;
        store.put("name", "plain");
        let (_, hidden) = call(&store, "GetParameter", json!({"Name": "name"})).await;
        assert!(!hidden.to_string().contains("plain"));
        let (_, shown) = call(&store, "GetParameter", json!({"Name": "name", "WithDecryption": true})).await;
        assert_eq!(shown["Parameter"]["Value"], "plain");
        assert_eq!(shown["Parameter"]["ARN"], format!("{ARN_PREFIX}/name"));
        assert!(shown["Parameter"]["LastModifiedDate"].is_f64());
    }

    #[tokio::test]
    async fn several_names_are_read_at_once_and_missing_ones_listed() {
        let store = ParameterStore::start().await;
        store.put("a", "1");
        let names = json!({"Names": ["a", "b"], "WithDecryption": true});
        let (status, answer) = call(&store, "GetParameters", names).await;
        assert_eq!((status, &answer["Parameters"][0]["Value"]), (200, &json!("1")));
        assert_eq!(answer["InvalidParameters"], json!(["b"]));
        let eleven: Vec<_> = (0..11).map(|n| n.to_string()).collect();
        assert_eq!(refused(&store, "GetParameters", json!({"Names": eleven})).await, "ValidationException");
    }

    #[tokio::test]
    async fn versions_are_kept_up_to_a_hundred() {
        let store = ParameterStore::start().await;
        (1..=101).for_each(|value| store.put("name", &value.to_string()));
        let get = async |selector: &str| {
            call(&store, "GetParameter", json!({"Name": format!("name:{selector}"), "WithDecryption": true})).await
        };
        assert_eq!(get("1").await.1["__type"], "ParameterVersionNotFound");
        assert_eq!(get("2").await.1["Parameter"]["Value"], "2");
        assert_eq!(get("101").await.1["Parameter"]["Version"], 101);
    }

    #[tokio::test]
    async fn a_value_of_more_than_4_kb_needs_another_tier() {
        let store = ParameterStore::start().await;
        let sized = |bytes: usize, tier: &str| {
            let mut input = secure("name", &"v".repeat(bytes));
            (input["Overwrite"], input["Tier"]) = (true.into(), tier.into());
            input
        };
        assert_eq!(call(&store, "PutParameter", sized(4096, "Intelligent-Tiering")).await.1["Tier"], "Standard");
        assert_eq!(refused(&store, "PutParameter", sized(4097, "Standard")).await, "ValidationException");
        assert_eq!(call(&store, "PutParameter", sized(4097, "Intelligent-Tiering")).await.1["Tier"], "Advanced");
        assert_eq!(call(&store, "PutParameter", sized(8192, "Intelligent-Tiering")).await.0, 200);
        assert_eq!(refused(&store, "PutParameter", sized(8193, "Intelligent-Tiering")).await, "ValidationException");
        assert!(store.is_advanced("name"));
    }

    #[tokio::test]
    async fn a_deleted_name_is_gone_and_starts_again_from_1() {
        let store = ParameterStore::start().await;
        store.put("name", "1");
        store.put("name", "2");
        assert_eq!(call(&store, "DeleteParameter", json!({"Name": "name"})).await, (200, json!({})));
        assert_eq!(refused(&store, "DeleteParameter", json!({"Name": "name"})).await, "ParameterNotFound");
        assert_eq!(refused(&store, "GetParameter", json!({"Name": "name"})).await, "ParameterNotFound");
        assert_eq!(call(&store, "PutParameter", secure("name", "3")).await.1["Version"], 1);
        assert_eq!(store.names(), ["name"]);
    }

    #[tokio::test]
    async fn requests_past_the_quota_are_throttled_and_late_reads_see_what_was() {
        let store = ParameterStore::start().await;
        store.set_quotas(2, 1);
        let get = async || call(&store, "GetParameter", json!({"Name": "name"})).await.1["__type"].clone();
        assert_eq!(
            [get().await, get().await, get().await],
            ["ParameterNotFound", "ParameterNotFound", "ThrottlingException"]
        );
        assert_eq!(call(&store, "PutParameter", secure("name", "1")).await.0, 200);
        assert_eq!(refused(&store, "DeleteParameter", json!({"Name": "name"})).await, "ThrottlingException");
        let store = ParameterStore::start().await;
        store.put("name", "1");
        store.set_read_delay(Duration::from_mins(1));
        assert_eq!(refused(&store, "GetParameter", json!({"Name": "name"})).await, "ParameterNotFound");
    }

    #[tokio::test]
    async fn faults_belong_to_one_operation() {
        let store = ParameterStore::start().await;
        store.script(Operation::Put, [throttled(), internal_error()]);
        assert_eq!(refused(&store, "GetParameter", json!({"Name": "name"})).await, "ParameterNotFound");
        assert_eq!(refused(&store, "PutParameter", secure("name", "1")).await, "ThrottlingException");
        assert_eq!(call(&store, "PutParameter", secure("name", "1")).await.0, 500);
        assert_eq!(store.version("name"), None);
        assert_eq!(store.unplayed(Operation::Put), 0);
    }

    #[tokio::test]
    async fn odd_names_and_unsigned_requests_are_refused() {
        let store = ParameterStore::start().await;
        for name in ["a/b", "a b", "aws-token", "/ssm/token", ""] {
            assert_eq!(refused(&store, "PutParameter", secure(name, "1")).await, "ValidationException", "{name}");
        }
        let deep = "/a".repeat(16);
        assert_eq!(refused(&store, "PutParameter", secure(&deep, "1")).await, "HierarchyLevelLimitExceededException");
        let unsigned = client(None).post(store.url()).send().await.unwrap();
        assert_eq!(unsigned.headers()["x-amzn-errortype"], "MissingAuthenticationTokenException");
    }
}
