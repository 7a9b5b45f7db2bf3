//! The records of one invocation taken in: from their lines to bodies that are ready to be sent.
//!
//! Nothing here waits. [`Intake::fill`] goes on until a body is full and hands that over, so that whoever sends it decides when
//! to go on; what is in memory is one record, one open body and 16 MiB of requests, not an event.
//!
//! A fault of our own code costs what met it and nothing else. Firehose answers a function that fails with the whole batch
//! again; so a panic is caught around the reading of a record and around the writing of a request, what was half written is
//! undone, and the record is entered as failed like one that cannot be read.

use std::borrow::Cow;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::archive::{Archive, Archives};
use crate::batch::{Batch, Oversized, Packer};
use crate::config::Settings;
use crate::counts::Counts;
use crate::event::{Event, Writer};
use crate::execution_log::{Request, Stitcher};
use crate::firehose::{FirehoseEvent, FirehoseResponse, Record};
use crate::head::{Head, Origin, Share, valid_timestamp};
use crate::ids::Ids;
use crate::json::{self, Str};
use crate::ledger::{Ledger, Standings};
use crate::line::{Line, Read, Reader};
use crate::selection::Fate;
use crate::subscription::{self, Buffers, Content, Envelopes, Events, Lines};

/// Text of one event up to which it is read and written in any case: the memory for it is always there. A longer one is first
/// measured: if it cannot fit into a body, its millions of keys are not read at all.
const LONG_EVENT_BYTES: usize = 2 << 20;

/// Takes the records of an invocation in.
pub struct Intake<'a> {
    settings: &'a Settings,
    reader: Reader<'a>,
    taken: Taken<'a>,
}

/// What was taken in: the books, the open body, the open requests.
struct Taken<'a> {
    settings: &'a Settings,
    ledger: Ledger<'a>,
    packer: Packer,
    stitcher: Stitcher,
    /// Lines that the stitcher has taken.
    stitched: usize,
    archives: Option<Archives>,
}

/// A record that is being read: its content, and how far that has been taken in.
pub struct Reading<'a> {
    record: usize,
    /// Time of lines that come without one, in milliseconds since the Unix epoch.
    arrival: i64,
    ids: Ids<'a>,
    /// Position of the next event or line in the record.
    position: usize,
    rest: Rest<'a>,
    /// How many lines the stitcher had taken before this record.
    stitched: usize,
}

/// What is left of a record.
enum Rest<'a> {
    /// Lines that came without an envelope.
    Lines { origin: Arc<Origin>, lines: Lines<'a> },
    /// Envelopes, and the events of the one that is open.
    Envelopes { origin: Arc<Origin>, events: Events<'a>, envelopes: Envelopes<'a> },
}

/// Why the reading of a record has stopped.
enum Stop {
    /// A body is full.
    Full(Batch),
    /// Open requests take too much memory.
    Excess,
    /// The record is read to its end.
    End,
}

impl<'a> Intake<'a> {
    /// Opens the books for the records of an event.
    #[must_use]
    pub fn new(settings: &'a Settings, event: &'a FirehoseEvent<'a>) -> Self {
        let taken = Taken {
            settings,
            ledger: Ledger::open(event),
            packer: Packer::new(settings.limits.clone()),
            stitcher: Stitcher::default(),
            stitched: 0,
            archives: (settings.archive == Archive::Structured).then(|| Archives::new(event.records.len())),
        };
        Self { settings, reader: Reader::new(&settings.formats, &settings.redactor), taken }
    }

    /// Returns the invocation's books: whoever sends a body enters there what was accepted.
    pub fn ledger(&mut self) -> &mut Ledger<'a> {
        &mut self.taken.ledger
    }

    /// Decodes the record at this index of the event. `None` if it cannot be read, which is entered.
    ///
    /// `now` is the time of lines that come without any, in milliseconds since the Unix epoch.
    pub fn open<'r>(
        &mut self,
        index: usize,
        record: &Record<'_>,
        now: i64,
        buffers: &'r mut Buffers,
    ) -> Option<Reading<'r>> {
        let cap = self.settings.max_record_bytes;
        let opened = catch_unwind(AssertUnwindSafe(move || {
            // What is read borrows them for longer than this closure runs.
            let buffers = buffers;
            #[cfg(test)]
            tests::may_panic("open", record.id.as_bytes());
            let decoded = subscription::decode(record, cap, buffers)?;
            Ok((decoded, subscription::read(decoded.text)?))
        }));
        let (decoded, content) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => {
                self.taken.ledger.unreadable(index, &error);
                return None;
            }
            Err(_) => {
                self.taken.ledger.broken(index);
                return None;
            }
        };
        self.taken.ledger.decoded(decoded.bytes.len(), decoded.text.len());
        let origin = Arc::new(Origin::default());
        let rest = match content {
            Content::Lines(text) => Rest::Lines { origin, lines: subscription::lines(text) },
            Content::Envelopes(envelopes) => Rest::Envelopes { origin, events: Events::default(), envelopes },
        };
        let arrival = record.arrival.and_then(valid_timestamp).unwrap_or(now);
        let ids = Ids::new(decoded.bytes);
        Some(Reading { record: index, arrival, ids, position: 0, rest, stitched: self.taken.stitched })
    }

    /// Takes lines of the record in until a body is full, which is returned; `None` once the record is read to its end.
    pub fn fill(&mut self, reading: &mut Reading<'_>) -> Option<Batch> {
        loop {
            while let Some(request) = self.taken.stitcher.excess() {
                self.taken.ledger.released_early();
                if let Some(full) = self.taken.request(&request) {
                    return Some(full);
                }
            }
            match catch_unwind(AssertUnwindSafe(|| self.read_on(reading))) {
                Ok(Stop::Full(full)) => return Some(full),
                Ok(Stop::Excess) => {}
                Ok(Stop::End) => break,
                Err(_) => {
                    self.taken.packer.undo();
                    self.taken.ledger.broken(reading.record);
                    break;
                }
            }
        }
        // Requests that are still open may yet give the record an event.
        if let Some(archives) = &mut self.taken.archives
            && reading.stitched == self.taken.stitched
        {
            archives.close(reading.record);
        }
        None
    }

    fn read_on(&mut self, reading: &mut Reading<'_>) -> Stop {
        while let Some((head, line)) = self.next(reading) {
            if let Some(full) = self.line(reading.record, &head, line) {
                return Stop::Full(full);
            }
            if self.taken.stitcher.is_excessive() {
                return Stop::Excess;
            }
        }
        Stop::End
    }

    /// Enters that a record is not read to its end, because the invocation's time is over.
    pub fn leave(&mut self, reading: &Reading<'_>) {
        self.taken.ledger.unread(reading.record);
    }

    /// Writes what is still open, when all records are read: call until it returns `None`.
    pub fn flush(&mut self) -> Option<Batch> {
        while let Some(request) = self.taken.stitcher.pop() {
            if let Some(full) = self.taken.request(&request) {
                return Some(full);
            }
        }
        self.taken.packer.finish()
    }

    /// Closes the books where no answer has to be made: says how each record stands.
    #[must_use]
    pub fn standings(self) -> (Standings, Counts) {
        self.taken.ledger.standings()
    }

    /// Closes the books: a verdict for each record.
    pub fn settle(self, event: &FirehoseEvent<'_>) -> (FirehoseResponse, Counts) {
        let so_far = self.taken.ledger.counts();
        let mut archives = self.taken.archives;
        let settled = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            tests::may_panic("settle", event.records.first().map_or(b"", |record| record.id.as_bytes()));
            let omitted = archives.as_ref().map_or(0, Archives::omitted);
            let (response, mut counts) =
                self.taken.ledger.settle(|record| archives.as_mut().and_then(|archives| archives.take(record)));
            counts.archives_omitted += omitted;
            (response, counts)
        }));
        settled.unwrap_or_else(|_| {
            let (records_failed, lines_failed) = (so_far.records, so_far.lines);
            let counts = Counts { records_failed, lines_failed, panics: so_far.panics + 1, ..so_far };
            (FirehoseResponse::all_failed(event), counts)
        })
    }

    /// Moves to the record's next line.
    fn next<'r>(&mut self, reading: &mut Reading<'r>) -> Option<(Head<'r>, Line<'r>)> {
        match &mut reading.rest {
            Rest::Lines { origin, lines } => {
                let (position, line) = lines.next()?;
                let id = Cow::Owned(reading.ids.id(position));
                let origin = Arc::clone(origin);
                Some((Head { id, timestamp: reading.arrival, origin, extracted_fields: None }, Line::Bare(line)))
            }
            Rest::Envelopes { origin, events, envelopes } => loop {
                if let Some(event) = events.next() {
                    let position = reading.position;
                    reading.position += 1;
                    let head = Head {
                        id: event.id.map_or_else(|| Cow::Owned(reading.ids.id(position)), Str::decode),
                        timestamp: event.timestamp.and_then(valid_timestamp).unwrap_or(reading.arrival),
                        origin: Arc::clone(origin),
                        extracted_fields: event.extracted_fields.map(Cow::Borrowed),
                    };
                    return Some((head, Line::Message(event.message)));
                }
                let envelope = envelopes.next()?;
                if self.settings.own_log_group.as_deref() == Some(&envelope.log_group) {
                    self.taken.ledger.own_envelope(reading.record);
                    reading.position += envelope.events.len();
                } else {
                    *origin = Arc::new(Origin::new(
                        &self.settings.layout,
                        &envelope.owner,
                        &envelope.log_group,
                        &envelope.log_stream,
                    ));
                    *events = envelope.events;
                }
            },
        }
    }

    /// Takes one log line: it becomes an event, or part of one.
    fn line(&mut self, record: usize, head: &Head<'_>, line: Line<'_>) -> Option<Batch> {
        let Self { reader, taken, .. } = self;
        taken.ledger.line(record, head.timestamp);
        if head.text_bytes() + line.raw_bytes() > taken.longest()
            && let Err(error) = taken.measure(head, line)
        {
            taken.ledger.oversized(&head.id, head.origin.log_group(), &[Share { record, lines: 1 }], &error);
            return None;
        }
        reader.read(head, line, |head, read| taken.take(record, head, read))
    }
}

impl Taken<'_> {
    /// Text of an event that needs no measuring.
    fn longest(&self) -> usize {
        LONG_EVENT_BYTES.max(self.settings.limits.max_bytes)
    }

    /// Measures the text of a long event.
    ///
    /// # Errors
    /// If there is so much that the event would be far from fitting into a body, though a credential in it may vanish.
    fn measure(&self, head: &Head<'_>, line: Line<'_>) -> Result<(), Oversized> {
        let fields = head.extracted_fields.as_deref().map_or(0, |fields| fields.len() - json::compact_len(fields));
        let bytes = head.text_bytes() - fields + line.text_bytes();
        if bytes > self.longest() {
            return Err(Oversized::Text { bytes, cap: self.settings.limits.max_bytes });
        }
        Ok(())
    }

    /// Takes a line that was read. Returns the body that was open before it, if that is full.
    fn take(&mut self, record: usize, head: &Head<'_>, read: Read<'_>) -> Option<Batch> {
        let shares = [Share { record, lines: 1 }];
        match read {
            Read::Access(log) => match self.settings.selection.of(head, log) {
                Fate::Leaves(rate) => self.pack(head, &shares, &Event::Access(log, rate)),
                Fate::Excluded => {
                    self.ledger.excluded(record);
                    None
                }
                Fate::SampledOut => {
                    self.ledger.sampled_out(record);
                    None
                }
            },
            Read::Text(line, reason) => {
                self.ledger.unparsed();
                self.pack(head, &shares, &Event::Text(line, &reason))
            }
            Read::Execution(part) => {
                self.stitcher.push(record, head, part);
                self.stitched += 1;
                None
            }
            Read::Vended(vended, part) => {
                self.stitcher.push_vended(record, head, vended, part);
                self.stitched += 1;
                None
            }
        }
    }

    /// Takes a request that has left the stitcher.
    fn request(&mut self, request: &Request) -> Option<Batch> {
        let (bytes, cap) = (request.text_bytes(), self.settings.limits.max_bytes);
        if bytes > self.longest() {
            let error = Oversized::Text { bytes, cap };
            self.ledger.oversized(&request.head.id, request.head.origin.log_group(), &request.shares, &error);
            return None;
        }
        let packed =
            catch_unwind(AssertUnwindSafe(|| self.pack(&request.head, &request.shares, &Event::Execution(request))));
        packed.unwrap_or_else(|_| {
            self.packer.undo();
            self.ledger.broken_event(&request.shares);
            None
        })
    }

    /// Puts an event into the open body. Returns the body before it, if that is full.
    fn pack(&mut self, head: &Head<'_>, shares: &[Share], event: &Event<'_>) -> Option<Batch> {
        let Settings { layout, redactor, .. } = self.settings;
        let is_cut = Cell::new(false);
        let write = |out: &mut Vec<u8>| {
            let start = out.len();
            Writer { layout, redactor }.write(head, event, out);
            is_cut.set(layout.is_cut(out.get(start..).unwrap_or_default()));
        };
        #[cfg(test)]
        let write = tests::may_panic_behind(write);
        match self.packer.push(&head.id, &head.origin, shares, write) {
            Ok(full) => {
                if is_cut.get() {
                    self.ledger.cut(&head.id);
                }
                if let (Some(archives), [first, ..]) = (&mut self.archives, shares) {
                    let archived = &self.settings.archive_layout;
                    if layout == archived {
                        archives.add(first.record, self.packer.last_event());
                    } else {
                        let mut plain = Vec::new();
                        let head = Head { origin: Arc::new(head.origin.laid_out(archived)), ..head.clone() };
                        Writer { layout: archived, redactor }.write(&head, event, &mut plain);
                        archives.add(first.record, &plain);
                    }
                }
                full
            }
            Err(error) => {
                self.ledger.oversized(&head.id, head.origin.log_group(), shares, &error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use base64_simd::STANDARD as BASE64;
    use proptest::prelude::*;

    use super::*;
    use crate::config::MAX_BATCH_BYTES;
    use crate::firehose::Verdict;

    /// What makes the code panic in these tests: it stands for whatever fault there is.
    const FAULT: &str = "f-a-u-l-t";

    /// Panics if the text holds the fault of this place.
    pub(super) fn may_panic(place: &str, text: &[u8]) {
        let fault = format!("{FAULT} {place}");
        assert!(!text.windows(fault.len()).any(|window| window == fault.as_bytes()), "a fault of this test's own");
    }

    /// Panics behind an event that holds the fault, when it stands in the body and is not yet counted.
    pub(super) fn may_panic_behind(write: impl FnOnce(&mut Vec<u8>)) -> impl FnOnce(&mut Vec<u8>) {
        |out| {
            let before = out.len();
            write(out);
            may_panic("write", &out[before..]);
        }
    }

    fn settings(name: &str, value: &str) -> Settings {
        let read = |asked: &str| match asked {
            "ANALYTICS_URL" | "TOKEN_URL" => Some("http://127.0.0.1/".to_owned()),
            "TOKEN_PARAMETER" | "CREDENTIALS_PARAMETER" => Some(format!("/{asked}")),
            _ if asked == name => Some(value.to_owned()),
            _ => None,
        };
        Settings::read(read).expect("valid settings")
    }

    fn record(messages: &[String]) -> Record<'static> {
        record_of("r", "g", messages)
    }

    fn record_of(id: &str, group: &str, messages: &[String]) -> Record<'static> {
        let events: Vec<String> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| {
                format!(r#"{{"id":"{id}{index}","timestamp":1795287540123,"message":{}}}"#, serde_json::json!(message))
            })
            .collect();
        let envelope = format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"{group}","logStream":"s","logEvents":[{}]}}"#,
            events.join(",")
        );
        let data = base64_simd::STANDARD.encode_to_string(envelope);
        Record { id: Cow::Owned(id.to_owned()), arrival: None, data: Some(Cow::Owned(data)) }
    }

    /// Takes an event in with an API that accepts everything. Returns all bodies, the results and the counts.
    fn deliver(settings: &Settings, records: Vec<Record<'static>>) -> (Vec<String>, Vec<Verdict>, Counts) {
        let event = FirehoseEvent { records };
        let mut intake = Intake::new(settings, &event);
        let mut buffers = Buffers::default();
        let mut bodies = Vec::new();
        let mut accept = |intake: &mut Intake<'_>, batch: Batch| {
            bodies.push(String::from_utf8(batch.whole().to_vec()).expect("text"));
            intake.ledger().accepted(batch.shares(0..batch.len()));
        };
        for (index, record) in event.records.iter().enumerate() {
            let Some(mut reading) = intake.open(index, record, 0, &mut buffers) else { continue };
            while let Some(batch) = intake.fill(&mut reading) {
                accept(&mut intake, batch);
            }
        }
        while let Some(batch) = intake.flush() {
            accept(&mut intake, batch);
        }
        let (response, counts) = intake.settle(&event);
        assert!(response.records.iter().map(|answer| &answer.id).eq(event.records.iter().map(|record| &record.id)));
        (bodies, response.records.iter().map(|answer| answer.result).collect(), counts)
    }

    /// The messages of all events in bodies.
    fn messages(bodies: &[String]) -> Vec<String> {
        let events = bodies.iter().flat_map(|body| {
            let body: Vec<serde_json::Value> = serde_json::from_str(body).expect("a body is JSON");
            body
        });
        let text = |event: serde_json::Value| match &event["message"] {
            serde_json::Value::String(text) => text.clone(),
            _ => event["execution"].to_string(),
        };
        events.map(text).collect()
    }

    fn own(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    const EXECUTIONS: &str = "API-Gateway-Execution-Logs_a1/prod";

    /// All bodies of a record, and whether each was handed over before the record was read to its end.
    fn bodies(settings: &Settings, record: &Record<'_>) -> Vec<(String, bool)> {
        let event = FirehoseEvent { records: vec![record.clone()] };
        let mut intake = Intake::new(settings, &event);
        let mut buffers = Buffers::default();
        let mut reading = intake.open(0, record, 0, &mut buffers).expect("readable");
        let mut bodies = Vec::new();
        let text = |batch: Batch| String::from_utf8(batch.whole().to_vec()).expect("text");
        while let Some(batch) = intake.fill(&mut reading) {
            bodies.push((text(batch), true));
        }
        while let Some(batch) = intake.flush() {
            bodies.push((text(batch), false));
        }
        bodies
    }

    /// The body of a record whose lines are each decoded and parsed, whatever the lines before them were.
    fn clear_body(settings: &Settings, messages: &[String]) -> String {
        let origin = Arc::new(Origin::new(&settings.layout, "1", "g", "s"));
        let mut body = Vec::new();
        let writer = Writer { layout: &settings.layout, redactor: &settings.redactor };
        for (index, message) in messages.iter().enumerate() {
            body.push(if index == 0 { b'[' } else { b',' });
            let head = Head {
                id: Cow::Owned(format!("r{index}")),
                timestamp: 1_795_287_540_123,
                origin: Arc::clone(&origin),
                extracted_fields: None,
            };
            match settings.formats.parse(message) {
                Ok(log) => writer.write(&head, &Event::Access(&log, NonZeroU64::MIN), &mut body),
                Err(error) => writer.write(&head, &Event::Text(message, &error), &mut body),
            }
        }
        body.push(b']');
        String::from_utf8(body).expect("text")
    }

    #[test]
    fn a_body_is_handed_over_when_the_next_event_does_not_fit() {
        let messages = ["one", "two", "three"].map(str::to_owned);
        let all = bodies(&settings("MAX_BATCH_EVENTS", "2"), &record(&messages));
        assert_eq!(all.iter().map(|(_, early)| *early).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_panic_costs_the_record_that_met_it() {
        let fault = format!("{FAULT} write");
        let records = vec![
            record_of("1", "g", &own(&["a", "b"])),
            record_of("2", "g", &own(&["c", &fault, "never read"])),
            record_of(&format!("3{FAULT} open"), "g", &own(&["d"])),
            record_of("4", "g", &own(&["e"])),
        ];
        let (bodies, results, counts) = deliver(&settings("", ""), records);
        // What was read before the fault is delivered, as it may have been handed over already.
        assert_eq!(messages(&bodies), ["a", "b", "c", "e"]);
        let (ok, failed) = (Verdict::Dropped, Verdict::ProcessingFailed);
        assert_eq!(results, [ok, failed, failed, ok]);
        assert_eq!((counts.panics, counts.records_failed, 0), (2, 2, 0));
        assert_eq!(counts.lines, counts.lines_delivered + counts.lines_failed);
    }

    #[test]
    fn a_panic_in_the_writing_of_a_request_costs_the_records_that_gave_it_a_line() {
        let fault = format!("(r-1) {FAULT} write");
        let records = vec![
            record_of("1", EXECUTIONS, &own(&["(r-1) News", "(r-2) News"])),
            record_of("2", EXECUTIONS, &own(&["(r-2) Other news"])),
            record_of("3", EXECUTIONS, &own(&[&fault])),
            record_of("4", "g", &own(&["e"])),
        ];
        let (bodies, results, counts) = deliver(&settings("", ""), records);
        assert_eq!(messages(&bodies).len(), 2);
        let (ok, failed) = (Verdict::Dropped, Verdict::ProcessingFailed);
        assert_eq!(results, [failed, ok, failed, ok]);
        assert_eq!((counts.panics, counts.lines_failed), (1, 3));
    }

    #[test]
    fn a_request_keeps_the_lines_of_a_record_that_a_panic_has_cost() {
        let fault = format!("{FAULT} write");
        let mut torn = record_of("1", EXECUTIONS, &own(&["(r-1) First news"]));
        let data = |record: &Record<'_>| BASE64.decode_to_vec(record.data.as_deref().expect("data")).expect("base64");
        let both = [data(&torn), data(&record_of("1-", "g", &[fault]))].concat();
        torn.data = Some(Cow::Owned(BASE64.encode_to_string(both)));
        let records = vec![torn, record_of("2", EXECUTIONS, &own(&["(r-1) Second news"]))];
        let (bodies, results, _) = deliver(&settings("", ""), records);
        assert_eq!(messages(&bodies), [r#"{"complete":false,"other":["First news","Second news"],"requestId":"r-1"}"#]);
        assert_eq!(results, [Verdict::ProcessingFailed, Verdict::Dropped]);
    }

    #[test]
    fn a_panic_in_the_answer_fails_every_record() {
        let records = vec![record_of(&format!("{FAULT} settle"), "g", &own(&["a"])), record_of("2", "g", &own(&["b"]))];
        let (_, results, counts) = deliver(&settings("ARCHIVE", "structured"), records);
        assert_eq!(results, [Verdict::ProcessingFailed; 2]);
        assert_eq!((counts.panics, counts.records, counts.records_failed, counts.lines_failed), (1, 2, 2, 2));
    }

    #[test]
    fn a_long_event_that_cannot_fit_is_not_read_and_costs_its_record_alone() {
        let limit = LONG_EVENT_BYTES;
        let pairs = format!("{{{}}}", vec![r#""k":1"#; limit / 6].join(","));
        let nested = format!(r#"{{"a":[{}]}}"#, vec![r#"{"k":1}"#; limit / 8].join(","));
        for line in [&pairs, &nested, &"x".repeat(limit), &format!(r#"{{"a":"{}"}}"#, "x".repeat(limit))] {
            for group in ["g", EXECUTIONS] {
                let line = if group == "g" { line.clone() } else { format!("(r-1) {line}") };
                let records = vec![record_of("1", group, &own(&["a", &line, "b"])), record_of("2", "g", &own(&["c"]))];
                let (bodies, results, counts) = deliver(&settings("", ""), records);
                assert_eq!(messages(&bodies), ["a", "b", "c"]);
                assert_eq!(results, [Verdict::ProcessingFailed, Verdict::Dropped]);
                assert_eq!((counts.events_failed, counts.lines, counts.lines_failed), (1, 4, 3));
            }
        }
    }

    #[test]
    fn a_long_line_whose_event_fits_is_an_event() {
        let blanks = format!(r#"{{{}"k":1}}"#, " \n".repeat(LONG_EVENT_BYTES));
        let secret = format!(r#"{{"password":"{}"}}"#, "x".repeat(MAX_BATCH_BYTES + 1));
        let (bodies, results, _) = deliver(&settings("", ""), vec![record_of("1", "g", &[blanks, secret])]);
        assert_eq!(results, [Verdict::Dropped]);
        assert!(bodies[0].contains(r#""fields":{"k":1}"#) && bodies[0].contains("[REDACTED]"), "{}", bodies[0]);
        // Six bytes that stand for one.
        let text = "\\u0041".repeat(LONG_EVENT_BYTES / 6 + 1);
        let envelope = format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{{"message":"{text}"}}]}}"#);
        let record = Record { data: Some(Cow::Owned(BASE64.encode_to_string(envelope))), ..record_of("2", "g", &[]) };
        let (bodies, results, _) = deliver(&settings("", ""), vec![record]);
        assert_eq!((results, messages(&bodies)[0].len()), (vec![Verdict::Dropped], LONG_EVENT_BYTES / 6 + 1));
    }

    #[test]
    fn an_event_is_measured_with_all_that_stands_in_it() {
        let event = r#"{"id":"§id","timestamp":1,"message":"m","extractedFields":{"k":"§fields"}}"#;
        for (place, length, fits) in [
            ("§id", 10, true),
            ("§id", LONG_EVENT_BYTES, false),
            ("§fields", 10, true),
            ("§fields", LONG_EVENT_BYTES, false),
        ] {
            let envelope = format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{event}]}}"#);
            let data = BASE64.encode_to_string(envelope.replace(place, &"x".repeat(length)));
            let record = Record { data: Some(Cow::Owned(data)), ..record_of("1", "g", &[]) };
            let (_, results, counts) = deliver(&settings("", ""), vec![record]);
            assert_eq!(results == [Verdict::Dropped], fits, "{place} {length}");
            assert_eq!(counts.events_failed, usize::from(!fits));
        }
    }

    #[test]
    fn requests_leave_while_records_are_read_when_they_take_too_much_memory() {
        let lines: Vec<String> = (0..40)
            .map(|number| format!("(r-{number}) Method request body before transformations: {}", "x".repeat(900_000)))
            .collect();
        let records: Vec<_> =
            lines.chunks(10).zip(1..).map(|(lines, id)| record_of(&id.to_string(), EXECUTIONS, lines)).collect();
        let (bodies, results, counts) = deliver(&settings("", ""), records);
        assert_eq!((bodies.len(), results), (40, vec![Verdict::Dropped; 4]));
        assert!((20..30).contains(&counts.requests_released_early), "{}", counts.requests_released_early);
    }

    #[test]
    fn an_object_without_a_field_is_text() {
        let (bodies, ..) = deliver(&settings("", ""), vec![record(&own(&["{}", " { \n } ", "{\"a\":{}}", "{}"]))]);
        assert_eq!(bodies[0].matches("\"parseError\":\"a JSON object without any field\"").count(), 3);
        assert!(bodies[0].contains(r#""fields":{"a":{}}"#));
    }

    fn any_message() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            4 => "[a-z0-9./-]{0,9}".prop_map(|text| format!("\"{text}\"")),
            1 => r#"[a-z=:%\\"\n]{0,9}"#.prop_map(|text| serde_json::json!(text).to_string()),
            1 => Just("\"token=s3cr3t\"".to_owned()),
            1 => Just("25".to_owned()),
            1 => Just("null".to_owned()),
        ];
        let text = prop::sample::select(vec![
            r#"{"a":§,"b":§}"#,
            r#"{"a": §,"o":{"password":§,"x":§}}"#,
            r#"{"requestId":§,"status":§}"#,
            r#"{"id":§,"ip":§,"env":"prod"}"#,
            "§ §",
        ]);
        (text, prop::collection::vec(value, 3))
            .prop_map(|(text, values)| values.iter().fold(text.to_owned(), |line, value| line.replacen('§', value, 1)))
    }

    proptest! {
        #[test]
        fn the_books_balance_and_bodies_are_whole_whatever_panics(
            records in prop::collection::vec(
                (any::<bool>(), prop::bool::weighted(0.1), prop::collection::vec((0..5_u8, 0..9_u8), 0..8)),
                0..8,
            ),
            max_events in 1..5_usize,
            is_archived in any::<bool>(),
        ) {
            let mut settings = settings("MAX_BATCH_EVENTS", &max_events.to_string());
            settings.archive = if is_archived { Archive::Structured } else { Archive::None };
            let event: Vec<_> = records.iter().enumerate().map(|(index, (is_execution, is_torn, lines))| {
                let fault = if *is_torn { format!("{FAULT} open") } else { String::new() };
                let line = |(request, kind): &(u8, u8)| {
                    let text = if *kind == 0 { format!("{FAULT} write") } else { format!("text {kind}") };
                    if *is_execution { format!("(r-{request}) {text}") } else { text }
                };
                let group = if *is_execution { EXECUTIONS } else { "g" };
                record_of(&format!("{index}{fault}"), group, &lines.iter().map(line).collect::<Vec<_>>())
            }).collect();
            let (bodies, results, counts) = deliver(&settings, event);
            let told = messages(&bodies);
            prop_assert!(told.iter().all(|text| !text.contains(FAULT)));
            prop_assert_eq!(counts.lines, counts.lines_delivered + counts.lines_failed);
            prop_assert_eq!(counts.records, counts.records_ok + counts.records_dropped + counts.records_failed);
            // A request that one record's line has torn fails every record that gave it a line.
            let torn: Vec<u8> = records.iter().filter(|record| record.0 && !record.1)
                .flat_map(|record| &record.2).filter(|line| line.1 == 0).map(|line| line.0).collect();
            for ((is_execution, is_torn, lines), result) in records.iter().zip(results) {
                let fails = *is_torn || lines.iter().any(|(request, kind)| {
                    if *is_execution { torn.contains(request) } else { *kind == 0 }
                });
                prop_assert_eq!(result == Verdict::ProcessingFailed, fails);
            }
        }

        #[test]
        fn a_line_is_written_the_same_whatever_came_before(
            messages in prop::collection::vec(any_message(), 1..12),
            is_set in any::<bool>(),
        ) {
            let format = r#"{"id":"$context.requestId","ip":"$context.identity.sourceIp","env":"prod"}"#;
            let settings = settings(if is_set { "ACCESS_LOG_FORMAT" } else { "" }, format);
            let written = bodies(&settings, &record(&messages));
            prop_assert_eq!(written, [(clear_body(&settings, &messages), false)]);
        }
    }
}
