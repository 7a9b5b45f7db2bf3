//! One request: its lines, where they came from, and the `execution` object that they make.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{line, trace};
use crate::derive::Facts;
use crate::head::{Head, Share};
use crate::ids::id_of_lines;
use crate::redact::Redactor;

/// The lines of one request. Its `Debug` shows none of them.
pub struct Request {
    /// The head of the line that came first; once no line follows, with the id of the event.
    pub head: Head<'static>,
    /// Which Firehose records gave how many log lines: ascending, none twice.
    pub shares: Vec<Share>,
    /// What tells the request from all others; the request id is the end of it.
    key: Rc<str>,
    /// Length of the request id.
    id_bytes: usize,
    text: String,
    /// Where each line ends in `text`.
    ends: Vec<usize>,
    /// The ids of the log lines, one behind the other.
    line_ids: String,
    /// Where each of them ends in `line_ids`.
    line_id_ends: Vec<usize>,
    truncated: bool,
    method: Option<Box<str>>,
    resource_path: Option<Box<str>>,
    /// What vended records tell that no field represents, each text once.
    notes: BTreeSet<String>,
    /// Bytes that those take.
    notes_bytes: usize,
}

impl Request {
    pub(super) fn new(key: Rc<str>, id_bytes: usize, head: Head<'static>) -> Self {
        Self {
            head,
            shares: Vec::new(),
            key,
            id_bytes,
            text: String::new(),
            ends: Vec::new(),
            line_ids: String::new(),
            line_id_ends: Vec::new(),
            truncated: false,
            method: None,
            resource_path: None,
            notes: BTreeSet::new(),
            notes_bytes: 0,
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Returns the bytes of memory that the request takes beside its own size and what its head points to.
    pub(super) fn held_bytes(&self) -> usize {
        let texts = self.text.capacity() + self.line_ids.capacity();
        let ends = (self.ends.capacity() + self.line_id_ends.capacity()) * size_of::<usize>();
        let names = [&self.method, &self.resource_path].into_iter().flatten().map(|name| name.len()).sum::<usize>();
        // A counted text begins with its two counters.
        let key = self.key.len() + 2 * size_of::<usize>();
        texts + ends + names + key + self.notes_bytes + self.shares.capacity() * size_of::<Share>()
    }

    /// Notes that the record at index `record` gave the log line with this id.
    pub(super) fn credit(&mut self, record: usize, line_id: &str) {
        self.line_ids.push_str(line_id);
        self.line_id_ends.push(self.line_ids.len());
        match self.shares.last_mut() {
            Some(share) if share.record == record => share.lines += 1,
            _ => self.shares.push(Share { record, lines: 1 }),
        }
    }

    /// Adds a line, without its `(id) ` prefix.
    pub(super) fn add(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
        self.truncated |= line::uncut(text).is_some();
    }

    /// Notes the method and the resource path that hold where no line tells them.
    pub(super) fn stand_in(&mut self, method: Option<&str>, resource_path: Option<&str>) {
        if self.method.is_none() {
            self.method = method.map(Box::from);
        }
        if self.resource_path.is_none() {
            self.resource_path = resource_path.map(Box::from);
        }
    }

    /// Keeps a text that no field represents, unless it is kept already: mostly each record of a request has the same.
    pub(super) fn note(&mut self, text: String) {
        // A node of the set holds up to eleven texts, and half as many at least.
        let bytes = text.len() + 3 * size_of::<String>();
        if self.notes.insert(text) {
            self.notes_bytes += bytes;
        }
    }

    /// Returns the request with its records in order and the id of its event: no line follows.
    pub(super) fn settled(mut self) -> Self {
        self.head.id = id_of_lines(parts(&self.line_ids, &self.line_id_ends)).into();
        self.shares.sort_unstable_by_key(|share| share.record);
        self.shares.dedup_by(|next, share| {
            let same = next.record == share.record;
            share.lines += if same { next.lines } else { 0 };
            same
        });
        self
    }

    /// Returns how many bytes of text the lines have.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.text.len() + self.notes_bytes
    }

    /// Returns whether API Gateway cut a line: it ends in ` [TRUNCATED]`.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// Writes what the lines say as a JSON object, the event's `execution`, credentials hidden.
    ///
    /// Shape, in this order: `requestId`, `extendedRequestId`, `complete`, `method`, `resourcePath`, `status`,
    /// `integrationLatency` (ms), `request{path, query, headers, body}`, `endpoint{uri, requestHeaders, requestBody,
    /// status, responseHeaders, responseBody, requestId}`, `response{headers, body}`, `authorizer{id, identity, uri,
    /// requestHeaders, requestBody, status, responseHeaders, responseBody, requestId, integrationLatency, result,
    /// principal, complete}`, `errors[]`, `other[]`. `requestId` and `complete` are always there, the rest where it has
    /// a value.
    ///
    /// `complete` says whether both a start and the end were seen; the authorizer's, whether it completed successfully.
    /// Status and latency are numbers. Maps of headers and parameters are objects of strings, in which the values of a
    /// name that comes again are joined by `, `. Bodies, among them the authorizer's `result`, are the text that was
    /// logged. A value that API Gateway cut ends where it was cut, without the mark. `errors` holds the texts that
    /// report a failure, `other` those that no field represents, as they came but for the `(id) ` prefix.
    ///
    /// Returns what is known of the request.
    pub fn write(&self, redactor: &Redactor, out: &mut Vec<u8>) -> Facts<'_> {
        let trace = self.trace();
        trace.write(redactor, out);
        trace.facts(redactor)
    }

    /// Says the request in a line for people, `GET /orders 200`: as much of it as is known.
    #[must_use]
    pub fn summary(&self) -> String {
        self.trace().summary()
    }

    fn trace(&self) -> trace::Trace<'_> {
        let id = self.key.get(self.key.len() - self.id_bytes..).expect("the key ends with the id");
        let trace = trace::Trace::read(id, parts(&self.text, &self.ends));
        let trace = trace.with(self.notes.iter().map(String::as_str));
        trace.or(self.method.as_deref(), self.resource_path.as_deref())
    }
}

/// Splits a text into parts that stand one behind the other, by where each ends.
fn parts<'a>(text: &'a str, ends: &'a [usize]) -> impl Iterator<Item = &'a str> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts
        .zip(ends)
        .map(|(start, &end)| text.get(start..end).expect("an end is noted when the text before it is added"))
}

impl std::fmt::Debug for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Request").field("lines", &self.ends.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[(&str, usize)]) -> Request {
        let mut request = Request::new("group\nr-1".into(), 3, Head::default());
        for &(text, record) in lines {
            request.credit(record, "");
            request.add(text);
        }
        request.settled()
    }

    #[test]
    fn a_record_is_named_once_in_whatever_order_the_lines_come() {
        let request = request(&[("a", 3), ("b", 3), ("c", 1), ("d", 3), ("e", 2), ("f", 1)]);
        let share = |record, lines| Share { record, lines };
        assert_eq!(request.shares, [share(1, 2), share(2, 1), share(3, 3)]);
    }

    #[test]
    fn one_cut_line_makes_a_request_truncated() {
        assert!(!request(&[("Method request headers: {A=b}", 0), ("Text [TRUNCATED] text", 0)]).truncated());
        assert!(request(&[("Text", 0), ("Method request headers: {A=b [TRUNCATED]", 0), ("Text", 0)]).truncated());
        assert!(request(&[("Text [TRUNCATED]\n", 0)]).truncated());
    }

    #[test]
    fn what_a_line_tells_comes_before_what_stands_in() {
        let mut request = request(&[("HTTP Method: GET, Resource Path: /o", 0)]);
        request.stand_in(Some("POST"), Some("/p"));
        let mut out = Vec::new();
        request.write(&Redactor::off(), &mut out);
        let expected = r#"{"requestId":"r-1","complete":false,"method":"GET","resourcePath":"/o"}"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn debug_output_holds_no_line() {
        assert!(!format!("{:?}", request(&[("hush", 0)])).contains("hush"));
    }
}
