//! API Gateway's execution logs: the lines of one request, wherever they stand, become one event.
//!
//! A REST or WebSocket API logs each phase of a request as a line of its own, `(request id) text`. The lines of
//! requests that run at once stand interleaved, and those of one request may lie in several Firehose records. A
//! [`Stitcher`] takes the lines of one invocation as they come and gives back one [`Request`] for each id.
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html>

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use memchr::memchr;
use thiserror::Error;

mod line;
mod object;
mod request;
mod trace;
pub mod vended;

pub use request::Request;

use self::vended::Vended;
use crate::head::{EXECUTION_LOG_GROUP, Head};

/// Longest request id that is taken for one, in bytes. Real ones have 36 (REST) or 16 (WebSocket); anything longer is a
/// text that happens to start with a parenthesis.
const MAX_ID_BYTES: usize = 128;

/// A line that does not start with a request id in parentheses, so that it belongs to no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no request id in parentheses at byte 0")]
pub struct NotExecutionLine;

/// Most bytes of memory that the lines of open requests take. Past it the oldest request leaves as it is.
///
/// A function of 256 MB also holds the event, its largest record and the bodies that are under way.
pub const MAX_HELD_BYTES: usize = 16 << 20;

/// The execution-log lines of one invocation, gathered by request.
///
/// Lines are copied: the caller may reuse its buffers. After each line the caller takes what is too much out with [`excess`](Self::excess), at the end the rest with [`pop`](Self::pop).
#[derive(Debug, Default)]
pub struct Stitcher {
    /// For each open request, by its key, how many requests began before it.
    places: HashMap<Rc<str>, usize>,
    /// The open requests, in the order of their first lines.
    requests: VecDeque<Request>,
    /// How many requests have left.
    left: usize,
    /// Bytes that the open requests take.
    held: usize,
    /// The key that is looked up: the log group, a line feed and the request id, which holds no white space.
    key: String,
}

impl Stitcher {
    /// Returns whether no request is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Takes one line, which the Firehose record at index `record` holds.
    ///
    /// The log group tells APIs and stages apart: equal ids in two groups are two requests.
    pub fn push(&mut self, record: usize, head: &Head<'_>, part: Part<'_>) {
        let new = || head.clone().into_owned();
        self.grow(head.origin.log_group(), part.request_id, new, |request| {
            request.credit(record, &head.id);
            request.add(part.text);
        });
    }

    /// Takes the lines of one vended execution record, which the Firehose record at index `record` holds. `part` is its payload's.
    ///
    /// The payload is a line, `(id) text`, or several of one request, each behind a line feed and with the same id. The
    /// record's own method and resource path hold where no line tells them; its keys that are not known are kept. However many
    /// lines it has, it is one log event.
    pub fn push_vended(&mut self, record: usize, head: &Head<'_>, vended: &Vended<'_>, part: Part<'_>) {
        // The name of the group into which API Gateway itself would have written the lines.
        let api = vended.api_id().unwrap_or_default();
        let group = format!("{EXECUTION_LOG_GROUP}{api}/{}", vended.stage().unwrap_or_default());
        let Part { request_id, text } = part;
        self.grow(
            &group,
            request_id,
            || vended.head(head),
            |request| {
                request.credit(record, &head.id);
                if memchr(b'\n', text.as_bytes()).is_some() {
                    text.split(&format!("\n({request_id}) ")).for_each(|text| request.add(text));
                } else {
                    request.add(text);
                }
                request.stand_in(vended.http_method(), vended.resource_path());
                if let Some(others) = vended.others() {
                    request.note(others);
                }
            },
        );
    }

    /// Takes the oldest request out, as it is, if the open ones take more memory than they may. Lines of it that come later
    /// begin another one.
    pub fn excess(&mut self) -> Option<Request> {
        if self.is_excessive() { self.pop() } else { None }
    }

    /// Returns whether the open requests take more memory than they may.
    #[must_use]
    pub fn is_excessive(&self) -> bool {
        self.held > MAX_HELD_BYTES
    }

    /// Takes the request out whose first line came first.
    pub fn pop(&mut self) -> Option<Request> {
        let request = self.requests.pop_front()?;
        self.left += 1;
        self.places.remove(request.key());
        // A line that was left half way, by a panic, may be held and not counted.
        self.held = self.held.saturating_sub(Self::weight(&request));
        Some(request.settled())
    }

    /// Adds to a request, which is begun if it is not open, and counts what it takes.
    fn grow(&mut self, group: &str, id: &str, head: impl FnOnce() -> Head<'static>, add: impl FnOnce(&mut Request)) {
        self.key.clear();
        self.key.extend([group, "\n", id]);
        let place = if let Some(&number) = self.places.get(self.key.as_str()) {
            number - self.left
        } else {
            let key: Rc<str> = self.key.as_str().into();
            let request = Request::new(Rc::clone(&key), id.len(), head());
            self.held += Self::weight(&request);
            self.places.insert(key, self.left + self.requests.len());
            self.requests.push_back(request);
            self.requests.len() - 1
        };
        let request = self.requests.get_mut(place).expect("a place is noted when its request is put there");
        let before = request.held_bytes();
        add(request);
        self.held += request.held_bytes() - before;
    }

    /// Returns the bytes of memory that a request takes, with its places in the two tables, which double as they grow.
    fn weight(request: &Request) -> usize {
        let places = 2 * (size_of::<Request>() + size_of::<(Rc<str>, usize)>());
        places + request.head.held_bytes() + request.held_bytes()
    }
}

/// A line of one request, `(1c9d-22) Method completed with status: 200`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The id of the request.
    pub request_id: &'a str,
    /// The text behind it.
    pub text: &'a str,
}

impl<'a> Part<'a> {
    /// Splits a line into the request's id and the text behind it.
    ///
    /// # Errors
    /// If the line starts with no id.
    pub fn read(line: &'a str) -> Result<Self, NotExecutionLine> {
        let (request_id, text) = split(line).ok_or(NotExecutionLine)?;
        Ok(Self { request_id, text })
    }
}

fn split(message: &str) -> Option<(&str, &str)> {
    let rest = message.strip_prefix('(')?;
    let end = memchr(b')', rest.as_bytes().get(..=MAX_ID_BYTES).unwrap_or(rest.as_bytes()))?;
    let (id, rest) = rest.split_at_checked(end)?;
    let text = rest.strip_prefix(')')?;
    // All at once, which is how most ids pass.
    let lowest = id.bytes().fold(u8::MAX, u8::min);
    if id.is_empty() || lowest <= b' ' && id.bytes().any(|byte| byte.is_ascii_whitespace()) {
        None
    } else if text.is_empty() {
        Some((id, text))
    } else {
        Some((id, text.strip_prefix(|space: char| space.is_ascii_whitespace())?))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::head::Origin;
    use crate::ids::id_of_lines;
    use crate::layout::Layout;
    use crate::redact::Redactor;

    const GROUP: &str = "API-Gateway-Execution-Logs_a1/prod";

    fn head(group: &str, id: &str, timestamp: usize) -> Head<'static> {
        let origin = Arc::new(Origin::new(&Layout::default(), "", group, ""));
        let timestamp = i64::try_from(timestamp).expect("a small number");
        Head { id: id.to_owned().into(), timestamp, origin, extracted_fields: None }
    }

    fn push(stitcher: &mut Stitcher, group: &str, id: &str, line: &str, at: usize) -> Result<(), NotExecutionLine> {
        stitcher.push(at, &head(group, id, at), Part::read(line)?);
        Ok(())
    }

    fn push_vended(stitcher: &mut Stitcher, json: &str, id: &str, at: usize) -> Result<(), NotExecutionLine> {
        let vended = vended::parse(json).expect("a vended record");
        stitcher.push_vended(at, &head(GROUP, id, at), &vended, vended.part()?);
        Ok(())
    }

    fn number(request: &Request) -> i64 {
        request.head.timestamp
    }

    fn written(request: &Request) -> String {
        let mut out = Vec::new();
        request.write(&Redactor::off(), &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    fn all(mut stitcher: Stitcher) -> Vec<Request> {
        std::iter::from_fn(|| stitcher.pop()).collect()
    }

    fn lines(request: &Request) -> usize {
        request.shares.iter().map(|share| share.lines).sum()
    }

    fn records(request: &Request) -> Vec<usize> {
        request.shares.iter().map(|share| share.record).collect()
    }

    /// Stitches lines of one group, each in the record at its own index.
    fn stitched<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Request> {
        let mut stitcher = Stitcher::default();
        for (at, line) in lines.into_iter().enumerate() {
            push(&mut stitcher, GROUP, &format!("e{at}"), line, at).expect("an execution line");
        }
        all(stitcher)
    }

    #[track_caller]
    fn splits(message: &str, expected: Option<(&str, &str)>) {
        assert_eq!(split(message), expected, "{message:?}");
    }

    #[test]
    fn the_id_is_what_stands_in_parentheses() {
        splits("(273f155e-0000-4000-8000-000000000001) Text", Some(("273f155e-0000-4000-8000-000000000001", "Text")));
        splits("(Abc12EXAMPLE=) Text (x) y", Some(("Abc12EXAMPLE=", "Text (x) y")));
        splits("(r\u{1}1) Text", Some(("r\u{1}1", "Text")));
        splits("(r-1)  Text\n", Some(("r-1", " Text\n")));
        splits("(r-1) ", Some(("r-1", "")));
        splits("(r-1)", Some(("r-1", "")));
        splits("(r-1)\n", Some(("r-1", "")));
    }

    #[test]
    fn a_line_without_an_id_is_no_execution_line() {
        for message in [
            "",
            "()",
            "() Text",
            "(r-1",
            "(r-1)Text",
            "(r 1) Text",
            "(r\u{c}1) Text",
            " (r-1) Text",
            "Sat Nov 21 18:59:00 UTC 2026 : Starting execution for request: r-1",
        ] {
            splits(message, None);
            assert_eq!(Part::read(message), Err(NotExecutionLine), "{message:?}");
        }
    }

    #[test]
    fn an_id_has_a_length() {
        for (length, is_id) in [(127, true), (128, true), (129, false), (1280, false)] {
            let message = format!("({}) Text", "i".repeat(length));
            assert_eq!(split(&message).is_some(), is_id, "{length}");
        }
    }

    #[test]
    fn four_interleaved_requests_become_four_events() {
        let requests = stitched([
            "(r-1) Extended Request Id: e1=",
            "(r-2) Extended Request Id: e2=",
            "(r-3) Method completed with status: 429",
            "(r-2) Method completed with status: 202",
            "(r-4) News",
            "(r-1) Method completed with status: 201",
        ]);
        let events: Vec<_> =
            requests.iter().map(|request| (number(request), records(request), written(request))).collect();
        let expect = |number, records, event: &str| (number, records, event.to_owned());
        assert_eq!(
            events,
            [
                expect(0, vec![0, 5], r#"{"requestId":"r-1","extendedRequestId":"e1=","complete":true,"status":201}"#),
                expect(1, vec![1, 3], r#"{"requestId":"r-2","extendedRequestId":"e2=","complete":true,"status":202}"#),
                expect(2, vec![2], r#"{"requestId":"r-3","complete":false,"status":429}"#),
                expect(4, vec![4], r#"{"requestId":"r-4","complete":false,"other":["News"]}"#),
            ]
        );
    }

    #[test]
    fn equal_ids_in_two_groups_are_two_requests() {
        let mut stitcher = Stitcher::default();
        for group in ["a", "b", "a"] {
            assert_eq!(push(&mut stitcher, group, "e", "(r-1) Text", 0), Ok(()));
        }
        let group = |request: &Request| request.head.origin.log_group().to_string();
        let requests: Vec<_> = all(stitcher).iter().map(|request| (group(request), lines(request))).collect();
        assert_eq!(requests, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    }

    #[test]
    fn a_request_knows_the_ids_of_its_lines() {
        let requests = stitched(["(r-1) a", "(r-2) b", "(r-1) c"]);
        let ids: Vec<_> = requests.iter().map(|request| request.head.id.as_ref()).collect();
        assert_eq!(ids, [id_of_lines(["e0", "e2"].into_iter()), id_of_lines(["e1"].into_iter())]);
    }

    #[test]
    fn a_stitcher_is_empty_until_it_takes_a_line() {
        let mut stitcher = Stitcher::default();
        assert_eq!(push(&mut stitcher, GROUP, "e", "Text", 0), Err(NotExecutionLine));
        assert!(stitcher.is_empty());
        assert_eq!(push(&mut stitcher, GROUP, "e", "(r-1)", 0), Ok(()));
        assert!(!stitcher.is_empty());
    }

    /// Adds a line of so many bytes to a request of its own.
    fn add(stitcher: &mut Stitcher, number: usize, bytes: usize) {
        let line = format!("(r{number:07}) {}", "x".repeat(bytes));
        assert_eq!(push(stitcher, GROUP, "e", &line, number), Ok(()));
    }

    #[test]
    fn requests_are_held_to_the_limit_and_the_oldest_leaves_past_it() {
        let mut stitcher = Stitcher::default();
        add(&mut stitcher, 0, 10);
        let first = stitcher.held;
        add(&mut stitcher, 1, 10);
        let second = stitcher.held - first;
        // The third request takes what the second does, and its text.
        let room = MAX_HELD_BYTES - stitcher.held - (second - 10);
        add(&mut stitcher, 2, room);
        assert_eq!(stitcher.held, MAX_HELD_BYTES);
        assert!(stitcher.excess().is_none());
        add(&mut stitcher, 3, 0);
        assert_eq!(stitcher.excess().map(|request| number(&request)), Some(0));
        assert!(stitcher.excess().is_none());
        // What comes of it now is another request.
        add(&mut stitcher, 0, 10);
        let rest: Vec<_> = all(stitcher).iter().map(|request| (number(request), lines(request))).collect();
        assert_eq!(rest, [(1, 1), (2, 1), (3, 1), (0, 1)]);
    }

    #[test]
    fn a_request_larger_than_the_limit_leaves_at_once() {
        let mut stitcher = Stitcher::default();
        add(&mut stitcher, 0, 10);
        add(&mut stitcher, 1, MAX_HELD_BYTES + 1);
        assert_eq!(
            std::iter::from_fn(|| stitcher.excess()).map(|request| number(&request)).collect::<Vec<_>>(),
            [0, 1]
        );
        assert!(stitcher.is_empty());
        assert_eq!(stitcher.held, 0);
    }

    #[test]
    fn what_is_counted_is_what_is_held() {
        let mut stitcher = Stitcher::default();
        let id = "h".repeat(5_000);
        for number in 0..10_000 {
            assert_eq!(push(&mut stitcher, GROUP, &id, &format!("(r{number}) Text"), 0), Ok(()));
        }
        let heads: usize = stitcher.requests.iter().map(|request| request.head.held_bytes()).sum();
        let ids = 10_000 * id.len();
        let tables = stitcher.requests.capacity() * size_of::<Request>() + stitcher.places.capacity() * 24;
        assert!(stitcher.held > heads + ids + tables, "{} of {heads}, {ids} and {tables}", stitcher.held);
        assert!(stitcher.held < 2 * (heads + ids + tables));
    }

    fn vended(payload: &str) -> String {
        serde_json::json!({
            "api_id": "a1", "stage": "prod", "http_method": "GET", "resource_path": "/o", "payload": payload,
        })
        .to_string()
    }

    #[track_caller]
    fn vended_lines(payloads: &[&str], expected: &str) {
        let mut stitcher = Stitcher::default();
        for (at, payload) in payloads.iter().enumerate() {
            let json = vended(payload);
            assert_eq!(push_vended(&mut stitcher, &json, &format!("e{at}"), at), Ok(()), "{payload}");
        }
        let events: Vec<_> = all(stitcher).iter().map(written).collect();
        assert_eq!(events, [expected], "{payloads:?}");
    }

    #[test]
    fn a_vended_request_is_the_same_event_as_a_classic_one() {
        let lines = [
            "(r-1) Extended Request Id: e1=",
            "(r-1) HTTP Method: GET, Resource Path: /o",
            "(r-1) Endpoint response body before transformations: a\n(b) c\n",
            "(r-1) Method completed with status: 200",
        ];
        let classic = written(&stitched(lines)[0]);
        vended_lines(&lines, &classic.replace("c\\n", "c"));
        vended_lines(&[&lines.join("\n")], &classic);
        vended_lines(&[&format!("{}\n", lines.join("\n"))], &classic);
    }

    #[test]
    fn a_vended_records_own_method_and_path_stand_in() {
        vended_lines(
            &["(r-1) Method completed with status: 200"],
            r#"{"requestId":"r-1","complete":false,"method":"GET","resourcePath":"/o","status":200}"#,
        );
    }

    #[test]
    fn keys_of_vended_records_that_are_not_known_are_kept_once_for_each_that_differs() {
        let mut stitcher = Stitcher::default();
        for (key, payload) in [("2", "(r-1) Text"), ("1", "(r-1) News"), ("2", "(r-1) Text")] {
            let json = vended(payload).replace('{', &format!(r#"{{"zone": "{key}", "token":"s3cr3t","#));
            assert_eq!(push_vended(&mut stitcher, &json, "e", 0), Ok(()));
        }
        let request = stitcher.pop().expect("a request");
        let mut out = Vec::new();
        request.write(&Redactor::new(std::iter::empty::<&str>()), &mut out);
        let event: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        let noted = |zone| format!(r#"{{"zone":"{zone}","token":"[REDACTED]"}}"#);
        assert_eq!(event["other"], serde_json::json!(["Text", "News", "Text", noted(1), noted(2)]));
        assert_eq!(stitcher.held, 0);
    }

    #[test]
    fn a_vended_record_is_one_line_whatever_its_payload_holds() {
        let json = vended("(r-1) Text\n(r-1) Text");
        let mut stitcher = Stitcher::default();
        assert_eq!(push_vended(&mut stitcher, &json, "e", 7), Ok(()));
        let request = stitcher.pop().expect("a request");
        assert_eq!((records(&request), lines(&request)), (vec![7], 1));
        assert_eq!(request.head.id, id_of_lines(["e"].into_iter()));
        assert_eq!(written(&request).matches("Text").count(), 2);
    }

    #[test]
    fn a_vended_payload_without_an_id_is_not_taken() {
        let mut stitcher = Stitcher::default();
        for payload in ["Starting execution", "text\n(r-1) Text"] {
            let json = vended(payload);
            assert_eq!(push_vended(&mut stitcher, &json, "e", 0), Err(NotExecutionLine));
        }
        assert!(stitcher.is_empty());
    }

    #[test]
    fn many_requests_and_many_lines_take_no_more_than_their_share() {
        let many: Vec<_> = (0..100_000).map(|id| format!("({id}) Text")).collect();
        assert_eq!(stitched(many.iter().map(String::as_str)).len(), 100_000);
        let request = &stitched(std::iter::repeat_n("(r-1) Text", 100_000))[0];
        assert_eq!((lines(request), request.shares.len()), (100_000, 100_000));
        assert_eq!(written(request).matches("Text").count(), 100_000);
    }

    #[test]
    fn a_map_of_many_entries_takes_no_more_than_its_share() {
        let map = (0..100_000).map(|name| format!("n{}=v", name % 50_000)).collect::<Vec<_>>().join(", ");
        let line = format!("(r-1) Method request query string: {{{map}}}");
        assert_eq!(written(&stitched([line.as_str()])[0]).matches("v, v").count(), 50_000);
    }

    /// A text of each phrase, with a value that can be found again.
    fn phrase() -> impl Strategy<Value = (String, u32)> {
        const PHRASES: &[&str] = &[
            "Extended Request Id: @",
            "Verifying Usage Plan for request: r. API Key:  API Stage: @",
            "Starting execution for request: @",
            "HTTP Method: GET, Resource Path: /@",
            "Method request path: {a=@}",
            "Method request query string: {a=b, c=@}",
            "Method request headers: {A=b, C=@ [TRUNCATED]",
            "Method request headers: {A=@}",
            "Method request body before transformations: @\n",
            "Endpoint request URI: https://b.test/@",
            "Sending request to https://b.test/@",
            "Endpoint request headers: {@=a, @=b}",
            "Endpoint request body after transformations: {\"a\":@",
            "Received response. Status: @, Integration latency: 5 ms",
            "Received response. Integration latency: @ ms",
            "Endpoint response headers: @",
            "Endpoint response body before transformations: \"@\"",
            "Method response body after transformations:@",
            "Method response headers: {A=@, b, c, D=e}",
            "Successfully completed execution",
            "Method completed with status: @",
            "AWS Integration Endpoint RequestId : @",
            "X-ray Tracing ID : @",
            "Execution failed due to configuration error: @",
            "Unauthorized request: @",
            "Starting authorizer: a@ for request: r",
            "Incoming identity: @",
            "Authorizer result body before parsing: @",
            "Using valid authorizer policy for principal: @",
            "Successfully completed authorizer execution",
            "Gateway response headers: {A=@}",
            "@ [TRUNCATED]",
        ];
        (prop::sample::select(PHRASES), 100_000_u32..1_000_000)
            .prop_map(|(phrase, mark)| (phrase.replace('@', &mark.to_string()), mark))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        #[test]
        fn no_more_is_held_than_the_limit_and_every_line_leaves_once(
            turns in prop::collection::vec((0_usize..12, 0_usize..8_000_000), 1..12),
        ) {
            let mut stitcher = Stitcher::default();
            let mut given = 0;
            for (number, bytes) in &turns {
                add(&mut stitcher, *number, *bytes);
                while let Some(request) = stitcher.excess() {
                    given += lines(&request);
                }
                prop_assert!(stitcher.held <= MAX_HELD_BYTES);
                prop_assert_eq!(stitcher.places.len(), stitcher.requests.len());
                let weights: usize = stitcher.requests.iter().map(Stitcher::weight).sum();
                prop_assert_eq!(stitcher.held, weights);
            }
            given += all(stitcher).iter().map(lines).sum::<usize>();
            prop_assert_eq!(given, turns.len());
        }
    }

    proptest! {
        #[test]
        fn no_lines_value_is_lost(phrases in prop::collection::vec(phrase(), 1..24)) {
            let lines: Vec<_> = phrases.iter().map(|(text, _)| format!("(r) {text}")).collect();
            let event = written(&stitched(lines.iter().map(String::as_str))[0]);
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&event).is_ok(), "{}", event);
            for (text, mark) in &phrases {
                let mark = mark.to_string();
                prop_assert!(!text.contains(&mark) || event.contains(&mark), "{} {}", text, event);
            }
        }

        #[test]
        fn any_interleaving_gives_the_same_events(
            requests in prop::collection::vec(prop::collection::vec(phrase(), 1..12), 1..5),
            turns in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let lines: Vec<Vec<_>> = requests.iter().enumerate()
                .map(|(id, phrases)| phrases.iter().map(|(text, _)| format!("(r{id}) {text}")).collect())
                .collect();
            let mut left: Vec<_> = lines.iter().map(|lines| lines.iter()).collect();
            let mut mixed = Vec::new();
            for turn in turns {
                let at = turn.index(left.len());
                mixed.extend(left[at].next());
            }
            mixed.extend(left.into_iter().flatten());
            let event = |lines: Vec<&str>| {
                let mut events: Vec<_> = stitched(lines).iter().map(written).collect();
                events.sort();
                events
            };
            prop_assert_eq!(
                event(mixed.into_iter().map(String::as_str).collect()),
                event(lines.iter().flatten().map(String::as_str).collect())
            );
        }

        #[test]
        fn any_lines_give_valid_json(
            lines in prop::collection::vec((phrase(), 0..40_usize, "(?s).{0,20}"), 0..8),
            prefix in "(\\([a-z]{0,2}\\) ?)?",
        ) {
            let mut stitcher = Stitcher::default();
            let mut taken = 0;
            for ((phrase, _), length, tail) in &lines {
                let phrase = phrase.get(..*length).unwrap_or(phrase);
                taken += usize::from(push(&mut stitcher, GROUP, "e", &format!("{prefix}{phrase}{tail}"), 0).is_ok());
            }
            let mut given = 0;
            for request in all(stitcher) {
                given += self::lines(&request);
                let event = written(&request);
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&event).is_ok(), "{}", event);
            }
            prop_assert_eq!(taken, given);
        }
    }
}
