//! One bucket of S3, by its REST API in path style: objects, conditions, ranges and lists, and word of what is created.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use jiff::Timestamp;
use md5::{Digest as _, Md5};

use super::answer::{Answer, Scripts};
use super::server::{Received, Server, Service};
use super::signature::{self, decoded, encoded, hex, parameters, sha256};

/// Most keys of one page of a list.
pub const KEYS_PER_PAGE: usize = 1000;
/// Most bytes of a key.
const KEY_BYTES: usize = 1024;

/// A bucket on 127.0.0.1, empty at its start.
///
/// A request must be signed with the key that a function's process is given; S3's own checks follow: the hash of the
/// payload, digests of it, conditions.
#[derive(Debug)]
pub struct ObjectStore {
    server: Server,
    rules: Arc<Rules>,
}

/// An operation on the bucket or one of its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `GetObject`
    Get,
    /// `HeadObject`
    Head,
    /// `PutObject`
    Put,
    /// `DeleteObject`
    Delete,
    /// `ListObjectsV2`
    List,
}

impl Operation {
    /// Returns the operation that a method and a path ask for.
    #[must_use]
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let has_key = path.trim_start_matches('/').split_once('/').is_some_and(|(_, key)| !key.is_empty());
        match (method.as_str(), has_key) {
            ("GET", true) => Some(Self::Get),
            ("HEAD", true) => Some(Self::Head),
            ("PUT", true) => Some(Self::Put),
            ("DELETE", true) => Some(Self::Delete),
            ("GET", false) => Some(Self::List),
            _ => None,
        }
    }
}

/// An object that has just been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The bucket's name.
    pub bucket: String,
    /// The key, not encoded.
    pub key: String,
    /// The length in bytes.
    pub size: usize,
    /// The MD5 of the bytes in hex digits, without quotes.
    pub etag: String,
    /// Orders the events of one key: hex digits.
    pub sequencer: String,
}

/// An error as S3 tells it.
#[must_use]
pub fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>4442587FB7D0A2F9</RequestId><HostId>loopback</HostId></Error>"
    );
    Answer::status(status).header("content-type", "application/xml").body(body)
}

/// The answer to requests that come too fast.
#[must_use]
pub fn slow_down() -> Answer {
    error(503, "SlowDown", "Please reduce your request rate.")
}

/// The answer to a request that the role does not allow.
#[must_use]
pub fn access_denied() -> Answer {
    error(403, "AccessDenied", "Access Denied")
}

/// The answer of a store that is out of order.
#[must_use]
pub fn internal_error() -> Answer {
    error(500, "InternalError", "We encountered an internal error. Please try again.")
}

impl ObjectStore {
    /// Starts an empty bucket of this name.
    pub async fn start(bucket: &str) -> Self {
        let rules = Arc::new(Rules {
            bucket: bucket.to_owned(),
            scripts: Scripts::default(),
            objects: Mutex::default(),
            hooks: Mutex::default(),
        });
        Self { server: Server::start(Arc::clone(&rules), None).await, rules }
    }

    /// Returns the endpoint, as `AWS_ENDPOINT_URL_S3` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.origin()
    }

    /// Returns the bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.rules.bucket
    }

    /// Calls this for each object written from now on whose key begins so, by whomever.
    pub fn notify(&self, prefix: &str, tell: impl Fn(&Created) + Send + Sync + 'static) {
        let hook = Hook { prefix: prefix.to_owned(), tell: Box::new(tell) };
        self.rules.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(hook);
    }

    /// Writes an object.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.rules.write(key, bytes.into());
    }

    /// Deletes an object, if it is there.
    pub fn delete(&self, key: &str) {
        self.rules.with(|objects| objects.kept.remove(key));
    }

    /// Returns an object's bytes.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Bytes> {
        self.rules.with(|objects| Some(objects.kept.get(key)?.bytes.clone()))
    }

    /// Returns the keys and bytes of the objects whose key begins so, in the order of their keys.
    #[must_use]
    pub fn objects(&self, prefix: &str) -> Vec<(String, Bytes)> {
        self.rules.with(|objects| {
            let kept = objects.kept.iter().filter(|(key, _)| key.starts_with(prefix));
            kept.map(|(key, object)| (key.clone(), object.bytes.clone())).collect()
        })
    }

    /// Returns the keys that begin so, in their order.
    #[must_use]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.objects(prefix).into_iter().map(|(key, _)| key).collect()
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

    /// Returns how many planned answers are left.
    #[must_use]
    pub fn unplayed(&self) -> usize {
        self.rules.scripts.unplayed()
    }

    /// Forgets all that is planned: from now on the rules hold.
    pub fn heal(&self) {
        self.rules.scripts.clear();
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

    /// Returns the operations and keys of all requests, in the order in which they came.
    #[must_use]
    pub fn calls(&self) -> Vec<(Operation, String)> {
        let requests = self.server.requests();
        requests
            .iter()
            .filter_map(|request| Some((Operation::of(&request.method, &request.path)?, key(request))))
            .collect()
    }

    /// Returns how many requests for an operation have come, whatever became of them.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.calls().iter().filter(|(called, _)| *called == operation).count()
    }

    /// Drops the bodies of the requests that have been answered.
    pub fn forget_bodies(&self) {
        self.server.forget_bodies();
    }

    /// Waits until so many requests have come whole.
    pub async fn received(&self, requests: usize) {
        self.server.received(requests).await;
    }
}

#[derive(Debug)]
struct Rules {
    bucket: String,
    scripts: Scripts<Operation>,
    objects: Mutex<Objects>,
    hooks: Mutex<Vec<Hook>>,
}

struct Hook {
    prefix: String,
    tell: Box<dyn Fn(&Created) + Send + Sync>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Objects {
    kept: BTreeMap<String, Object>,
    written: u64,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    /// In quotes.
    etag: String,
    modified: Timestamp,
}

/// A refusal's status, code and message.
type Refusal = (u16, &'static str, &'static str);

impl Rules {
    fn with<T>(&self, act: impl FnOnce(&mut Objects) -> T) -> T {
        act(&mut self.objects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, key: &str, bytes: Bytes) -> String {
        let (size, digest) = (bytes.len(), hex(&Md5::digest(&bytes)));
        let etag = format!("\"{digest}\"");
        let sequencer = self.with(|objects| {
            objects.written += 1;
            objects.kept.insert(key.to_owned(), Object { bytes, etag: etag.clone(), modified: Timestamp::now() });
            format!("0065{:012X}", objects.written)
        });
        let created = Created { bucket: self.bucket.clone(), key: key.to_owned(), size, etag: digest, sequencer };
        for hook in self.hooks.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if key.starts_with(&hook.prefix) {
                (hook.tell)(&created);
            }
        }
        etag
    }

    fn perform(&self, request: &Received) -> Result<Answer, Refusal> {
        signature::check(request, "s3").map_err(|(code, message)| (403, code, message))?;
        check_payload(request)?;
        let path = request.path.trim_start_matches('/');
        if decoded(path.split('/').next().unwrap_or_default()) != self.bucket {
            return Err((404, "NoSuchBucket", "The specified bucket does not exist"));
        }
        let key = key(request);
        if key.len() > KEY_BYTES {
            return Err((400, "KeyTooLongError", "Your key is too long"));
        }
        let not_allowed = || (405, "MethodNotAllowed", "The specified method is not allowed against this resource.");
        match Operation::of(&request.method, &request.path).ok_or_else(not_allowed)? {
            Operation::Get | Operation::Head => self.get(request, &key),
            Operation::Put => {
                self.check_conditions(request, &key)?;
                Ok(Answer::status(200).header("etag", &self.write(&key, request.body.clone())))
            }
            Operation::Delete => {
                self.check_conditions(request, &key)?;
                self.with(|objects| objects.kept.remove(&key));
                Ok(Answer::status(204))
            }
            Operation::List => self.list(request),
        }
    }

    fn find(&self, key: &str) -> Option<Object> {
        self.with(|objects| objects.kept.get(key).cloned())
    }

    fn check_conditions(&self, request: &Received, key: &str) -> Result<(), Refusal> {
        let unmet = || (412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
        let found = self.find(key);
        if request.header("if-none-match") == Some("*") && found.is_some() {
            return Err(unmet());
        }
        match (request.header("if-match"), found) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(no_such_key()),
            (Some(wanted), Some(object)) if wanted == "*" || wanted == object.etag => Ok(()),
            (Some(_), Some(_)) => Err(unmet()),
        }
    }

    fn get(&self, request: &Received, key: &str) -> Result<Answer, Refusal> {
        self.check_conditions(request, key)?;
        let object = self.find(key).ok_or_else(no_such_key)?;
        let answer = Answer::status(200);
        let (answer, bytes) = match request.header("range") {
            None => (answer, object.bytes.clone()),
            Some(range) => {
                let length = object.bytes.len();
                let range =
                    byte_range(range, length).ok_or((416, "InvalidRange", "The requested range is not satisfiable"))?;
                let told = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                (Answer::status(206).header("content-range", &told), object.bytes.slice(range))
            }
        };
        let modified = object.modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let answer = answer.header("etag", &object.etag).header("last-modified", &modified);
        Ok(answer.header("accept-ranges", "bytes").header("content-type", "application/octet-stream").body(bytes))
    }

    fn list(&self, request: &Received) -> Result<Answer, Refusal> {
        let parameters = parameters(&request.query);
        let value = |name: &str| {
            parameters
                .iter()
                .find(|(found, _)| found == name)
                .map(|(_, value)| value.as_str())
                .filter(|value| !value.is_empty())
        };
        if value("list-type") != Some("2") || value("delimiter").is_some() {
            return Err((501, "NotImplemented", "Only ListObjectsV2 without a delimiter"));
        }
        let invalid = |message| (400, "InvalidArgument", message);
        let after = match (value("continuation-token"), value("start-after")) {
            (Some(token), _) => {
                let last =
                    base64_simd::STANDARD.decode_to_vec(token).ok().and_then(|last| String::from_utf8(last).ok());
                last.ok_or_else(|| invalid("The continuation token provided is incorrect"))?
            }
            (None, after) => after.unwrap_or_default().to_owned(),
        };
        let most: usize = value("max-keys").unwrap_or("1000").parse().map_err(|_| invalid("max-keys is no number"))?;
        let most = most.min(KEYS_PER_PAGE);
        let (prefix, as_url) = (value("prefix").unwrap_or_default(), value("encoding-type") == Some("url"));
        let told = |key: &str| if as_url { encoded(key).replace("%2F", "/").replace("%20", "+") } else { escaped(key) };
        let (mut contents, mut last, mut more) = (Vec::new(), String::new(), false);
        self.with(|objects| {
            let behind = objects.kept.range::<str, _>((Bound::Excluded(after.as_str()), Bound::Unbounded));
            for (key, object) in behind.filter(|(key, _)| key.starts_with(prefix)) {
                more = contents.len() == most;
                if more {
                    break;
                }
                contents.push(format!(
                    "<Contents><Key>{}</Key><LastModified>{:.3}</LastModified><ETag>{}</ETag><Size>{}</Size>\
                     <StorageClass>STANDARD</StorageClass></Contents>",
                    told(key),
                    object.modified,
                    escaped(&object.etag),
                    object.bytes.len()
                ));
                last.clone_from(key);
            }
        });
        let token = base64_simd::STANDARD.encode_to_string(&last);
        let token = format!("<NextContinuationToken>{token}</NextContinuationToken>");
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
\
             <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{}</Name><Prefix>{}</Prefix>\
             <KeyCount>{}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{more}</IsTruncated>{}{}{}</ListBucketResult>",
            self.bucket,
            told(prefix),
            contents.len(),
            if as_url { "<EncodingType>url</EncodingType>" } else { "" },
            if more { &token } else { "" },
            contents.concat()
        );
        Ok(Answer::status(200).header("content-type", "application/xml").body(body))
    }
}

impl Service for Rules {
    fn planned(&self, method: &Method, path: &str, _: &HeaderMap) -> Option<Answer> {
        self.scripts.next(Operation::of(method, path)?)
    }

    async fn answer(&self, request: &Received) -> Answer {
        self.perform(request).unwrap_or_else(|(status, code, message)| error(status, code, message))
    }
}

fn no_such_key() -> Refusal {
    (404, "NoSuchKey", "The specified key does not exist.")
}

/// Compares the payload with what the headers say of it.
fn check_payload(request: &Received) -> Result<(), Refusal> {
    let told = request.header("x-amz-content-sha256");
    let told = told.ok_or((400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"))?;
    if told.starts_with("STREAMING-") {
        return Err((501, "NotImplemented", "A payload in signed chunks is not taken"));
    }
    if told != "UNSIGNED-PAYLOAD" && told != hex(&sha256(&request.body)) {
        return Err((
            400,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ));
    }
    let digests =
        [("content-md5", Md5::digest(&request.body).to_vec()), ("x-amz-checksum-sha256", sha256(&request.body))];
    for (header, digest) in digests {
        let right = base64_simd::STANDARD.encode_to_string(digest);
        if request.header(header).is_some_and(|told| told != right) {
            return Err((400, "BadDigest", "The digest that you specified did not match what the server received."));
        }
    }
    Ok(())
}

fn key(request: &Received) -> String {
    let path = request.path.trim_start_matches('/');
    decoded(path.split_once('/').unwrap_or_default().1)
}

/// Reads `bytes=1-2`, `bytes=1-` or `bytes=-2`.
fn byte_range(range: &str, length: usize) -> Option<Range<usize>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let range = if first.is_empty() {
        length.saturating_sub(last.parse().ok()?)..length
    } else {
        let last = if last.is_empty() { length } else { last.parse::<usize>().ok()?.saturating_add(1) };
        first.parse().ok()?..last.min(length)
    };
    (range.start < range.end).then_some(range)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::signature::tests::send;
    use super::super::tls::client;
    use super::*;

    async fn call(
        store: &ObjectStore,
        method: Method,
        target: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> (u16, HeaderMap, String) {
        let url = format!("{}/b{target}", store.url());
        let (status, headers, body) = send("s3", method, &url, headers, body).await.unwrap();
        (status, headers, String::from_utf8(body).unwrap())
    }

    #[tokio::test]
    async fn an_object_is_written_read_and_deleted() {
        let store = ObjectStore::start("b").await;
        let key = "/failed/a%20b%2Bc%26%3D1";
        let (status, headers, _) = call(&store, Method::PUT, key, &[], "0123456789").await;
        assert_eq!((status, headers["etag"].to_str().unwrap()), (200, "\"781e5e245d69b566979b86e28d23f2c7\""));
        assert_eq!(store.keys("failed/"), ["failed/a b+c&=1"]);
        for (range, expected, told) in [
            ("bytes=2-4", "234", "bytes 2-4/10"),
            ("bytes=8-", "89", "bytes 8-9/10"),
            ("bytes=-1", "9", "bytes 9-9/10"),
        ] {
            let (status, headers, body) = call(&store, Method::GET, key, &[("range", range)], "").await;
            assert_eq!((status, body.as_str(), headers["content-range"].to_str().unwrap()), (206, expected, told));
        }
        assert_eq!(call(&store, Method::GET, key, &[("range", "bytes=10-")], "").await.0, 416);
        let (status, headers, body) = call(&store, Method::HEAD, key, &[], "").await;
        assert_eq!((status, headers["content-length"].to_str().unwrap(), body.len()), (200, "10", 0));
        assert_eq!(call(&store, Method::GET, key, &[], "").await.2, "0123456789");
        assert_eq!(call(&store, Method::DELETE, key, &[], "").await.0, 204);
        let (status, _, body) = call(&store, Method::GET, key, &[], "").await;
        assert!(status == 404 && body.contains("<Code>NoSuchKey</Code>"), "{body}");
        assert_eq!(store.count(Operation::Get), 6);
    }

    #[tokio::test]
    async fn conditions_hold() {
        let store = ObjectStore::start("b").await;
        let once = [("if-none-match", "*")];
        assert_eq!(call(&store, Method::PUT, "/k", &once, "x").await.0, 200);
        assert_eq!(call(&store, Method::PUT, "/k", &once, "y").await.0, 412);
        let other = [("if-match", "\"0\"")];
        assert_eq!(call(&store, Method::GET, "/k", &other, "").await.0, 412);
        assert_eq!(call(&store, Method::DELETE, "/k", &other, "").await.0, 412);
        assert_eq!(call(&store, Method::DELETE, "/other", &other, "").await.0, 404);
        assert_eq!(
            call(&store, Method::DELETE, "/k", &[("if-match", "\"9dd4e461268c8034f5c8564e155c67a6\"")], "").await.0,
            204
        );
    }

    #[tokio::test]
    async fn a_list_comes_in_pages_in_the_order_of_keys() {
        let store = ObjectStore::start("b").await;
        for number in 0..5 {
            store.put(&format!("failed/<{number}>"), "x");
        }
        store.put("parked/1", "x");
        let list = |more: &str| format!("/?list-type=2&prefix=failed%2F&max-keys=2{more}");
        let (_, _, first) = call(&store, Method::GET, &list(""), &[], "").await;
        assert!(
            first.contains("<Key>failed/&lt;0&gt;</Key>") && first.contains("<IsTruncated>true</IsTruncated>"),
            "{first}"
        );
        let token = first.split_once("<NextContinuationToken>").unwrap().1.split_once('<').unwrap().0;
        let token = format!("&continuation-token={}", encoded(token));
        let (_, _, second) = call(&store, Method::GET, &list(&token), &[], "").await;
        assert!(second.contains("<KeyCount>2</KeyCount>") && second.contains("&lt;2&gt;"), "{second}");
        let (_, _, end) =
            call(&store, Method::GET, &list("&start-after=failed%2F%3C3%3E&encoding-type=url"), &[], "").await;
        assert!(end.contains("<Key>failed/%3C4%3E</Key>") && end.contains("<KeyCount>1</KeyCount>"), "{end}");
        assert!(end.contains("<IsTruncated>false</IsTruncated>"));
    }

    #[tokio::test]
    async fn what_is_not_signed_or_damaged_is_refused() {
        let store = ObjectStore::start("b").await;
        let code = |body: &str| body.split_once("<Code>").unwrap().1.split_once('<').unwrap().0.to_owned();
        let unsigned = client(None).get(format!("{}/b/k", store.url())).send().await.unwrap();
        assert_eq!(
            (unsigned.status().as_u16(), code(&unsigned.text().await.unwrap())),
            (403, "MissingAuthenticationToken".to_owned())
        );
        for (headers, expected) in
            [([("content-md5", "AAAA")], "BadDigest"), ([("x-amz-checksum-sha256", "AAAA")], "BadDigest")]
        {
            assert_eq!(code(&call(&store, Method::PUT, "/k", &headers, "x").await.2), expected);
        }
        let (status, _, body) = send("s3", Method::GET, &format!("{}/other/k", store.url()), &[], "").await.unwrap();
        assert_eq!((status, code(std::str::from_utf8(&body).unwrap())), (404, "NoSuchBucket".to_owned()));
        assert!(store.keys("").is_empty());
    }

    #[tokio::test]
    async fn word_goes_out_of_what_is_written_under_a_prefix() {
        let store = ObjectStore::start("b").await;
        let (tell, told) = std::sync::mpsc::channel();
        store.notify("failed/", move |created| tell.send(created.clone()).unwrap());
        store.put("parked/1", "x");
        store.put("failed/1", "x");
        assert_eq!(call(&store, Method::PUT, "/failed/1", &[], "xy").await.0, 200);
        let told: Vec<Created> = told.try_iter().collect();
        assert_eq!(
            told.iter().map(|created| (created.key.as_str(), created.size)).collect::<Vec<_>>(),
            [("failed/1", 1), ("failed/1", 2)]
        );
        assert!(told[0].sequencer < told[1].sequencer);
    }

    #[tokio::test]
    async fn a_request_can_fail_before_and_after_its_effect() {
        let store = ObjectStore::start("b").await;
        let url = |key: &str| format!("{}/b/{key}", store.url());
        store.script(Operation::Put, [slow_down(), Answer::closed_after_body(), Answer::status(200).cut_after(0)]);
        assert_eq!(call(&store, Method::PUT, "/1", &[], "x").await.0, 503);
        assert!(send("s3", Method::PUT, &url("2"), &[], "x").await.is_err());
        assert!(send("s3", Method::PUT, &url("3"), &[], "x").await.is_err());
        assert_eq!(store.keys(""), ["3"]);
        store.script_any([Answer::status(200).cut_after(300)]);
        store.put("4", vec![b'x'; 1000]);
        assert!(send("s3", Method::GET, &url("4"), &[], "").await.is_err());
        store.script(Operation::Get, [access_denied()]);
        store.heal();
        assert_eq!((call(&store, Method::GET, "/4", &[], "").await.0, store.unplayed()), (200, 0));
    }
}
