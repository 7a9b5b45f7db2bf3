//! The records of one invocation taken in: from their lines to bodies that are ready to be sent.
//!
//! Nothing here waits. [`Intake::fill`] goes on until a body is full and hands that over, so that whoever sends it decides when
//! to go on; what is in memory is one record and one open body, not an event.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::vec;

use crate::access_log::{AccessLog, Learned};
use crate::archive::Archives;
use crate::batch::{Batch, Limits, Packer, Share};
use crate::config::{Archive, DeliverySettings, Settings};
use crate::event::{self, Head, Ids, Origin};
use crate::execution_log::{Request, Stitcher, vended};
use crate::firehose::{FirehoseEvent, FirehoseResponse, Record};
use crate::json::Str;
use crate::ledger::{Ledger, Totals};
use crate::subscription::{self, Buffers, Content, Envelope, Events, Lines};

/// What an invocation has taken in, and its books.
pub struct Intake<'a> {
    settings: &'a Settings,
    /// The invocation's books: whoever sends a body enters there what was accepted.
    pub ledger: Ledger,
    packer: Packer,
    stitcher: Stitcher<Head<'static>>,
    /// Lines that the stitcher has taken.
    stitched: usize,
    archives: Option<Archives>,
    /// The message of the event that is read, its escapes undone.
    message: String,
    /// What JSON lines without a format have taught.
    learned: Learned,
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
    Envelopes { origin: Arc<Origin>, events: Events<'a>, envelopes: vec::IntoIter<Envelope<'a>> },
}

/// A log line as it stands in a record.
#[derive(Clone, Copy)]
enum Line<'a> {
    Bare(&'a str),
    /// The message of a log event: the inside of a JSON string.
    Message(Str<'a>),
}

impl<'a> Intake<'a> {
    /// Opens the books for so many records.
    #[must_use]
    pub fn new(settings: &'a Settings, records: usize) -> Self {
        let DeliverySettings { format, max_batch_bytes, max_batch_events, .. } = settings.delivery;
        let limits = Limits { format, max_bytes: max_batch_bytes, max_events: max_batch_events };
        Self {
            settings,
            ledger: Ledger::open(records),
            packer: Packer::new(limits),
            stitcher: Stitcher::new(Head::held_bytes),
            stitched: 0,
            archives: (settings.archive == Archive::Structured).then(|| Archives::new(records)),
            message: String::new(),
            learned: Learned::default(),
        }
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
        let decoded = subscription::decode(record, self.settings.max_record_bytes, buffers);
        let content = decoded.and_then(|decoded| Ok((decoded, subscription::read(decoded.text)?)));
        let (decoded, content) = content.map_err(|error| self.ledger.unreadable(index, &record.id, &error)).ok()?;
        self.ledger.decoded(decoded.bytes.len(), decoded.text.len());
        let origin = Arc::new(Origin::default());
        let rest = match content {
            Content::Lines(text) => Rest::Lines { origin, lines: subscription::lines(text) },
            Content::Envelopes(envelopes) => {
                Rest::Envelopes { origin, events: Events::default(), envelopes: envelopes.into_iter() }
            }
        };
        let arrival = record.arrival.and_then(event::valid_timestamp).unwrap_or(now);
        let ids = Ids::new(decoded.bytes);
        Some(Reading { record: index, arrival, ids, position: 0, rest, stitched: self.stitched })
    }

    /// Takes lines of the record in until a body is full, which is returned; `None` once the record is read to its end.
    pub fn fill(&mut self, reading: &mut Reading<'_>) -> Option<Batch> {
        loop {
            while let Some(request) = self.stitcher.excess() {
                self.ledger.released_early();
                if let Some(full) = self.request(request) {
                    return Some(full);
                }
            }
            let Some((head, line)) = self.next(reading) else { break };
            if let Some(full) = self.line(reading.record, &head, line) {
                return Some(full);
            }
        }
        // Requests that are still open may yet give the record an event.
        if let Some(archives) = &mut self.archives
            && reading.stitched == self.stitched
        {
            archives.close(reading.record);
        }
        None
    }

    /// Enters that a record is not read to its end, because the invocation's time is over.
    pub fn leave(&mut self, reading: &Reading<'_>) {
        self.ledger.unread(reading.record);
    }

    /// Writes what is still open, when all records are read: call until it returns `None`.
    pub fn flush(&mut self) -> Option<Batch> {
        while let Some(request) = self.stitcher.pop() {
            if let Some(full) = self.request(request) {
                return Some(full);
            }
        }
        self.packer.finish()
    }

    /// Closes the books: a verdict for each record.
    pub fn settle(self, event: &FirehoseEvent<'_>) -> (FirehoseResponse, Totals) {
        let mut archives = self.archives;
        self.ledger.settle(event, |record| archives.as_mut().and_then(|archives| archives.take(record)))
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
                        timestamp: event.timestamp.and_then(event::valid_timestamp).unwrap_or(reading.arrival),
                        origin: Arc::clone(origin),
                        extracted_fields: event.extracted_fields.map(Cow::Borrowed),
                    };
                    return Some((head, Line::Message(event.message)));
                }
                let envelope = envelopes.next()?;
                if self.settings.own_log_group.as_deref() == Some(&envelope.log_group) {
                    self.ledger.own_envelope(reading.record);
                    reading.position += envelope.events.len();
                } else {
                    *origin = Arc::new(Origin::new(&envelope.owner, &envelope.log_group, &envelope.log_stream));
                    *events = envelope.events;
                }
            },
        }
    }

    /// Takes one log line: it becomes an event, or part of one.
    fn line(&mut self, record: usize, head: &Head<'_>, line: Line<'_>) -> Option<Batch> {
        self.ledger.line(record, head.timestamp);
        if head.origin.holds_execution_logs() {
            return self.with_text(line, |intake, line| intake.execution_line(record, head, line));
        }
        let Line::Message(raw) = line else {
            return self.with_text(line, |intake, line| intake.access_line(record, head, line, None));
        };
        let learned = std::mem::take(&mut self.learned);
        let log = self.settings.formats.parse_message(raw).or_else(|| learned.read(raw));
        let full = log.map(|log| self.access(record, head, &log));
        self.learned = learned;
        full.unwrap_or_else(|| self.with_text(line, |intake, line| intake.access_line(record, head, line, Some(raw))))
    }

    /// Has a line taken with its escapes undone.
    fn with_text(&mut self, line: Line<'_>, take: impl FnOnce(&mut Self, &str) -> Option<Batch>) -> Option<Batch> {
        match line {
            Line::Bare(line) => take(self, line),
            Line::Message(raw) => {
                let mut message = std::mem::take(&mut self.message);
                message.clear();
                raw.decode_into(&mut message);
                let full = take(self, &message);
                self.message = message;
                full
            }
        }
    }

    fn execution_line(&mut self, record: usize, head: &Head<'_>, line: &str) -> Option<Batch> {
        match head.stitch(line, record, &mut self.stitcher) {
            Ok(()) => {
                self.stitched += 1;
                None
            }
            Err(error) => self.text(record, head, line, &error),
        }
    }

    /// Takes a request that has left the stitcher.
    fn request(&mut self, mut request: Request<Head<'static>>) -> Option<Batch> {
        Head::identify(&mut request);
        let redactor = &self.settings.redactor;
        let write = |out: &mut Vec<u8>| Head::write_execution(&request, redactor, out);
        self.pack_shares(&request.head.id, &request.shares, write)
    }

    /// Takes a line that is most likely one of an access log. `raw` is the line as it stands in an envelope.
    fn access_line(&mut self, record: usize, head: &Head<'_>, line: &str, raw: Option<Str<'_>>) -> Option<Batch> {
        let settings = self.settings;
        let log = match settings.formats.parse(line) {
            Ok(log) => log,
            Err(error) => return self.text(record, head, line, &error),
        };
        // Whatever a format takes is an access log; other JSON may be a vended execution record.
        if log.format().is_none() {
            if let Some(vended) = vended::parse(line) {
                if head.stitch_vended(&vended, record, &mut self.stitcher).is_ok() {
                    self.stitched += 1;
                    return None;
                }
                // One without a request id belongs to no request, and still tells its API.
                return self.access(record, &head.of_vended(&vended), &log);
            }
            if let Some(raw) = raw {
                self.learned.learn(&settings.formats, &settings.redactor, raw, line);
            }
        }
        self.access(record, head, &log)
    }

    fn access(&mut self, record: usize, head: &Head<'_>, log: &AccessLog<'_>) -> Option<Batch> {
        let redactor = &self.settings.redactor;
        self.pack(record, head, |out| head.write_access(log, redactor, out))
    }

    fn text(&mut self, record: usize, head: &Head<'_>, line: &str, error: &dyn Display) -> Option<Batch> {
        self.ledger.unparsed();
        let redactor = &self.settings.redactor;
        self.pack(record, head, |out| head.write_text(line, error, redactor, out))
    }

    fn pack(&mut self, record: usize, head: &Head<'_>, write: impl FnOnce(&mut Vec<u8>)) -> Option<Batch> {
        self.pack_shares(&head.id, &[Share { record, lines: 1 }], write)
    }

    /// Puts an event into the open body. Returns the body before it, if that is full.
    fn pack_shares(&mut self, id: &str, shares: &[Share], write: impl FnOnce(&mut Vec<u8>)) -> Option<Batch> {
        match self.packer.push(id, shares, write) {
            Ok(full) => {
                if let (Some(archives), [first, ..]) = (&mut self.archives, shares) {
                    archives.add(first.record, self.packer.last_event());
                }
                full
            }
            Err(error) => {
                self.ledger.oversized(shares, &error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        let events: Vec<String> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| {
                format!(r#"{{"id":"{index}","timestamp":1795287540123,"message":{}}}"#, serde_json::json!(message))
            })
            .collect();
        let envelope = format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","logEvents":[{}]}}"#,
            events.join(",")
        );
        let data = base64_simd::STANDARD.encode_to_string(envelope);
        Record { id: Cow::Borrowed("r"), arrival: None, data: Some(Cow::Owned(data)) }
    }

    /// All bodies of a record, and whether each was handed over before the record was read to its end.
    fn bodies(settings: &Settings, record: &Record<'_>) -> Vec<(String, bool)> {
        let mut intake = Intake::new(settings, 1);
        let mut buffers = Buffers::default();
        let mut reading = intake.open(0, record, 0, &mut buffers).expect("readable");
        let mut bodies = Vec::new();
        let text = |batch: Batch| String::from_utf8(batch.body(&(0..batch.len())).to_vec()).expect("text");
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
        let origin = Arc::new(Origin::new("1", "g", "s"));
        let mut body = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            body.push(if index == 0 { b'[' } else { b',' });
            let head = Head {
                id: Cow::Owned(index.to_string()),
                timestamp: 1_795_287_540_123,
                origin: Arc::clone(&origin),
                extracted_fields: None,
            };
            match settings.formats.parse(message) {
                Ok(log) => head.write_access(&log, &settings.redactor, &mut body),
                Err(error) => head.write_text(message, &error, &settings.redactor, &mut body),
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
