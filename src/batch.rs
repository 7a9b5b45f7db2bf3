//! Events packed into bodies, to the byte: as many as fit under the cap, across records, in their order.
//!
//! A [`Batch`] remembers where each event stands in its body, the events' ids, and which lines of which records each event
//! carries. That is all that is needed to send a part of it again: a part is a slice between two events.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ring::digest::{Context, SHA256};
use thiserror::Error;

use crate::head::{Origin, Share};
use crate::ids::hex;
use crate::otlp;

/// How the events of a batch are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadFormat {
    /// One JSON array.
    Json,
    /// One JSON object a line, each with its line feed.
    Ndjson,
    /// One behind the other.
    Joined,
    /// Log records of the OpenTelemetry protocol.
    Otlp,
}

impl PayloadFormat {
    /// Returns the media type of a body.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Joined => "application/json",
            Self::Ndjson => "application/x-ndjson",
            // Without a parameter: some receivers take no other.
            Self::Otlp => "application/x-protobuf",
        }
    }
}

/// What stands around and between the events of a body: `[` `,` `]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framing {
    open: Box<[u8]>,
    between: &'static [u8],
    close: Box<[u8]>,
    /// For log records, which stand in groups of one origin: the region.
    groups: Option<Box<str>>,
}

impl Framing {
    /// Makes the framing of a format, in what a template has before and behind the events.
    #[must_use]
    pub fn new(format: PayloadFormat, [before, behind]: [&str; 2], region: &str) -> Self {
        let (open, between, close) = match format {
            PayloadFormat::Json => ("[", b",".as_slice(), "]"),
            PayloadFormat::Ndjson => ("", b"\n".as_slice(), "\n"),
            PayloadFormat::Joined | PayloadFormat::Otlp => ("", b"".as_slice(), ""),
        };
        Self {
            open: [before, open].concat().into_bytes().into(),
            between,
            close: [close, behind].concat().into_bytes().into(),
            groups: (format == PayloadFormat::Otlp).then(|| region.into()),
        }
    }
}

/// One event of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Where the event ends in the body.
    end: usize,
    /// Where its id, with the line feed behind it, ends in the ids.
    id_end: usize,
    /// Which lines it carries; boxed where they come from several records, which is rare.
    shares: Shares,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shares {
    One(Share),
    Several(Box<[Share]>),
}

impl Shares {
    fn as_slice(&self) -> &[Share] {
        match self {
            Self::One(share) => std::slice::from_ref(share),
            Self::Several(shares) => shares,
        }
    }
}

/// Limits and framing of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How events are framed.
    pub framing: Arc<Framing>,
    /// Most bytes of a body, framing counted.
    pub max_bytes: usize,
    /// Most bytes of one event.
    pub max_event_bytes: usize,
    /// Most events of a body.
    pub max_events: Option<NonZeroUsize>,
}

/// An event that is larger than a body may be, alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Oversized {
    /// The event was written and does not fit.
    #[error("an event of {bytes} bytes with its framing does not fit into a body of {cap} bytes (MAX_BATCH_BYTES)")]
    Event {
        /// Size of the body that would hold the event alone.
        bytes: usize,
        /// The cap.
        cap: usize,
    },
    /// The event was written and is larger than one may be, alone or not.
    #[error("an event of {bytes} bytes is larger than the destination takes ({cap} bytes)")]
    Alone {
        /// Size of the event.
        bytes: usize,
        /// The cap.
        cap: usize,
    },
    /// The event was not written: it would be larger by far.
    #[error("an event of {bytes} bytes of text is far from fitting into a body of {cap} bytes (MAX_BATCH_BYTES)")]
    Text {
        /// Size of the text that the event would be made of.
        bytes: usize,
        /// The cap.
        cap: usize,
    },
}

/// Fills bodies one after the other.
#[derive(Debug)]
pub struct Packer {
    limits: Limits,
    /// The open body: its events with what stands before and between them; never the end of its framing.
    body: Vec<u8>,
    ids: Vec<u8>,
    entries: Vec<Entry>,
    origins: Origins,
    /// Bytes that the groups of the open body take beside its events.
    group_bytes: usize,
}

impl Packer {
    /// Starts with an empty body.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            body: Vec::new(),
            ids: Vec::new(),
            entries: Vec::new(),
            origins: Origins::default(),
            group_bytes: 0,
        }
    }

    /// Adds the event that `write` writes. Returns the body before it, if the event did not fit into that any more.
    ///
    /// # Errors
    /// If the event fits into no body. It is left out; those before and behind it are not touched.
    pub fn push(
        &mut self,
        id: &str,
        origin: &Arc<Origin>,
        shares: &[Share],
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Option<Batch>, Oversized> {
        let before = self.body.len();
        let Framing { open, between, close, groups } = self.limits.framing.as_ref();
        let a_group = groups.as_ref().map_or(0, |region| otlp::overhead(origin, region, self.limits.max_bytes));
        let further = if self.origins.is_last(origin) { 0 } else { a_group };
        self.body.extend_from_slice(if self.entries.is_empty() { open } else { between });
        let start = self.body.len();
        write(&mut self.body);
        let bytes = self.body.len() - start;
        let full = self.limits.max_events.is_some_and(|max| self.entries.len() >= max.get());
        let is_small = bytes <= self.limits.max_event_bytes;
        if is_small && !full && self.body.len() + close.len() + self.group_bytes + further <= self.limits.max_bytes {
            self.group_bytes += further;
            self.end(id, origin, shares);
            return Ok(None);
        }
        let alone = open.len() + bytes + close.len() + a_group;
        if !is_small || alone > self.limits.max_bytes {
            self.body.truncate(before);
            return Err(if is_small {
                Oversized::Event { bytes: alone, cap: self.limits.max_bytes }
            } else {
                Oversized::Alone { bytes, cap: self.limits.max_event_bytes }
            });
        }
        // What one body took is a good guess for the next.
        let mut next = Vec::with_capacity(self.body.len());
        next.extend_from_slice(open);
        next.extend_from_slice(self.body.get(start..).expect("the event was written behind what was there"));
        self.body.truncate(before);
        let batch = self.close(next);
        self.group_bytes = a_group;
        self.end(id, origin, shares);
        Ok(batch)
    }

    /// Makes the event that was written part of the open body.
    fn end(&mut self, id: &str, origin: &Arc<Origin>, shares: &[Share]) {
        let end = self.body.len();
        self.ids.extend_from_slice(id.as_bytes());
        self.ids.push(b'\n');
        let shares = match shares {
            [share] => Shares::One(*share),
            shares => Shares::Several(shares.into()),
        };
        self.origins.note(self.entries.len(), origin);
        self.entries.push(Entry { end, id_end: self.ids.len(), shares });
    }

    /// Takes away what stands behind the last whole event: an event whose writing has panicked.
    pub fn undo(&mut self) {
        let (end, id_end) = self.entries.last().map_or((0, 0), |last| (last.end, last.id_end));
        self.body.truncate(end);
        self.ids.truncate(id_end);
        self.origins.truncate(self.entries.len());
    }

    /// Closes the open body, if there is anything in it, and goes on with `next`.
    fn close(&mut self, next: Vec<u8>) -> Option<Batch> {
        let mut body = std::mem::replace(&mut self.body, next);
        let ids = std::mem::take(&mut self.ids);
        let entries = std::mem::take(&mut self.entries);
        let origins = std::mem::take(&mut self.origins);
        self.group_bytes = 0;
        if entries.is_empty() {
            return None;
        }
        body.extend_from_slice(&self.limits.framing.close);
        Some(Batch { framing: Arc::clone(&self.limits.framing), body: body.into(), ids, entries, origins })
    }

    /// Returns the event that was added last, as it was written.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn last_event(&self) -> &[u8] {
        let last = self.entries.len().checked_sub(1).expect("an event was added");
        let bounds = bounds(&self.limits.framing, &self.entries, &(last..last + 1));
        self.body.get(bounds).expect("an event's end is noted when it is written")
    }

    /// Returns the open body, if there is anything in it.
    #[must_use]
    pub fn finish(&mut self) -> Option<Batch> {
        self.close(Vec::new())
    }
}

/// Where the events of `range` stand in a body, framing around them left out.
fn bounds(framing: &Framing, entries: &[Entry], range: &Range<usize>) -> Range<usize> {
    let end_before = |index: usize| index.checked_sub(1).map(|last| entry(entries, last).end);
    let start = end_before(range.start).map_or(framing.open.len(), |before| before + framing.between.len());
    start..end_before(range.end).unwrap_or(start)
}

fn entry(entries: &[Entry], index: usize) -> &Entry {
    entries.get(index).expect("a range of a batch's events lies within the batch")
}

/// The origins of a body's events: each where it follows another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Origins(Vec<(usize, Arc<Origin>)>);

impl Origins {
    /// Returns whether the event that was noted last is of this origin.
    fn is_last(&self, origin: &Arc<Origin>) -> bool {
        self.0.last().is_some_and(|(_, last)| Arc::ptr_eq(last, origin) || last == origin)
    }

    /// Notes the origin of the event at `index`, which follows all that were noted.
    fn note(&mut self, index: usize, origin: &Arc<Origin>) {
        if !self.is_last(origin) {
            self.0.push((index, Arc::clone(origin)));
        }
    }

    /// Forgets the events from `index` on.
    fn truncate(&mut self, index: usize) {
        self.0.truncate(self.0.partition_point(|(first, _)| *first < index));
    }

    fn of(&self, index: usize) -> &Arc<Origin> {
        let behind = self.0.partition_point(|(first, _)| *first <= index);
        let (_, origin) = behind.checked_sub(1).and_then(|last| self.0.get(last)).expect("every event has one");
        origin
    }

    /// Divides a range of events where another origin begins.
    fn runs(&self, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let starts =
            self.0.iter().map(|(first, _)| *first).filter(|first| range.contains(first) && *first > range.start);
        let starts: Vec<usize> = std::iter::once(range.start).chain(starts).collect();
        let ends: Vec<usize> = starts.iter().skip(1).copied().chain([range.end]).collect();
        starts.into_iter().zip(ends).map(|(start, end)| start..end)
    }
}

/// A body that is ready to be sent, and what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    framing: Arc<Framing>,
    body: Bytes,
    /// The events' ids in order, each followed by a line feed.
    ids: Vec<u8>,
    entries: Vec<Entry>,
    origins: Origins,
}

impl Batch {
    /// Returns how many events the batch has: at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the id of the event at `index`.
    ///
    /// # Panics
    /// As all that follows: if there is no such event.
    #[must_use]
    pub fn id(&self, index: usize) -> &str {
        // A line feed ends each id.
        let id = self.ids_of(&(index..index + 1)).strip_suffix(b"\n");
        id.and_then(|id| std::str::from_utf8(id).ok()).expect("ids are text that a line feed ends")
    }

    /// Returns the name of the log group of the event at `index`; empty where it is not known.
    #[must_use]
    pub fn log_group(&self, index: usize) -> &str {
        assert!(index < self.len(), "an event of the batch");
        self.origins.of(index).log_group()
    }

    /// Returns which lines of which records the events of `range` carry.
    pub fn shares(&self, range: Range<usize>) -> impl Iterator<Item = Share> {
        let entries = self.entries.get(range).expect("a range of a batch's events lies within the batch");
        entries.iter().flat_map(|entry| entry.shares.as_slice().iter().copied())
    }

    /// Returns the body that holds all events.
    #[must_use]
    pub fn whole(&self) -> Bytes {
        let all = 0..self.entries.len();
        self.body(std::slice::from_ref(&all))
    }

    /// Returns the body that holds the events of these ranges: the batch's own where that is all of them.
    #[must_use]
    pub fn body(&self, ranges: &[Range<usize>]) -> Bytes {
        let Framing { open, between, close, groups } = self.framing.as_ref();
        let events = |range: &Range<usize>| {
            let events = self.body.get(bounds(&self.framing, &self.entries, range));
            events.expect("an event's end is noted when it is written")
        };
        if let Some(region) = groups {
            let mut body = Vec::with_capacity(self.body.len() + 1024);
            for run in ranges.iter().flat_map(|range| self.origins.runs(range)) {
                otlp::resource_logs(self.origins.of(run.start), region, events(&run), &mut body);
            }
            return body.into();
        }
        if let [range] = ranges
            && *range == (0..self.entries.len())
        {
            return self.body.clone();
        }
        let mut body = open.to_vec();
        for (index, range) in ranges.iter().enumerate() {
            body.extend_from_slice(if index == 0 { b"" } else { between });
            body.extend_from_slice(events(range));
        }
        body.extend_from_slice(close);
        body.into()
    }

    /// Returns the `Idempotency-Key` of the events of these ranges: the same events give the same key.
    ///
    /// Lowercase hex of SHA-256 over their ids in order, each followed by a line feed.
    #[must_use]
    pub fn idempotency_key(&self, ranges: &[Range<usize>]) -> String {
        let mut hash = Context::new(&SHA256);
        for range in ranges {
            hash.update(self.ids_of(range));
        }
        hex(hash.finish().as_ref(), 32)
    }

    /// Returns the ids of the events of `range`, a line feed behind each.
    fn ids_of(&self, range: &Range<usize>) -> &[u8] {
        let end_before = |index: usize| index.checked_sub(1).map_or(0, |last| entry(&self.entries, last).id_end);
        let ids = self.ids.get(end_before(range.start)..end_before(range.end));
        ids.expect("an id's end is noted when it is written")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::layout::Layout;

    const SHARE: Share = Share { record: 0, lines: 1 };

    fn one(range: Range<usize>) -> [Range<usize>; 1] {
        [range]
    }

    fn limits(format: PayloadFormat, max_bytes: usize) -> Limits {
        let framing = Arc::new(Framing::new(format, ["", ""], ""));
        Limits { framing, max_bytes, max_event_bytes: usize::MAX, max_events: None }
    }

    /// Packs the events; an oversized one becomes its size.
    fn pack(limits: Limits, events: &[String]) -> (Vec<Batch>, Vec<usize>) {
        let mut packer = Packer::new(limits);
        let groups = ["a", "b"].map(|group| Arc::new(Origin::new(&Layout::default(), "", group, "")));
        let (mut batches, mut oversized) = (Vec::new(), Vec::new());
        for (index, event) in events.iter().enumerate() {
            let log_group = if index % 3 == 2 { &groups[1] } else { &groups[0] };
            match packer.push(&index.to_string(), log_group, &[SHARE], |out| out.extend_from_slice(event.as_bytes())) {
                Ok(batch) => {
                    assert_eq!(packer.last_event(), event.as_bytes());
                    batches.extend(batch);
                }
                Err(
                    Oversized::Event { bytes, .. } | Oversized::Alone { bytes, .. } | Oversized::Text { bytes, .. },
                ) => oversized.push(bytes),
            }
        }
        batches.extend(packer.finish());
        (batches, oversized)
    }

    #[track_caller]
    fn packs(limits: &Limits, events: &[&str], expected: &[&str]) {
        let events: Vec<String> = events.iter().map(ToString::to_string).collect();
        let (batches, oversized) = pack(limits.clone(), &events);
        let bodies: Vec<&[u8]> = batches.iter().map(|batch| batch.body.as_ref()).collect();
        let expected: Vec<&[u8]> = expected.iter().map(|body| body.as_bytes()).collect();
        assert_eq!(bodies, expected);
        assert!(oversized.is_empty());
    }

    #[test]
    fn an_array_that_fits_exactly_is_one_body_and_a_byte_less_makes_two() {
        // [11,22] is 7 bytes.
        packs(&limits(PayloadFormat::Json, 8), &["11", "22"], &["[11,22]"]);
        packs(&limits(PayloadFormat::Json, 7), &["11", "22"], &["[11,22]"]);
        packs(&limits(PayloadFormat::Json, 6), &["11", "22"], &["[11]", "[22]"]);
    }

    #[test]
    fn the_line_feed_after_each_event_counts() {
        packs(&limits(PayloadFormat::Ndjson, 7), &["11", "22"], &["11\n22\n"]);
        packs(&limits(PayloadFormat::Ndjson, 6), &["11", "22"], &["11\n22\n"]);
        packs(&limits(PayloadFormat::Ndjson, 5), &["11", "22"], &["11\n", "22\n"]);
    }

    #[test]
    fn an_event_alone_may_have_the_cap_and_not_a_byte_more() {
        for (format, event) in [(PayloadFormat::Json, "12345"), (PayloadFormat::Ndjson, "123456")] {
            assert_eq!(pack(limits(format, 8), &[event.to_owned()]).0.len(), 1);
            assert_eq!(pack(limits(format, 7), &[event.to_owned()]).0.len(), 1);
            assert_eq!(pack(limits(format, 6), &[event.to_owned()]), (vec![], vec![7]));
        }
    }

    #[test]
    fn an_oversized_event_leaves_its_neighbours() {
        let events: Vec<String> = ["1", "22222222", "3"].map(str::to_owned).into();
        for format in [PayloadFormat::Json, PayloadFormat::Ndjson] {
            let (batches, oversized) = pack(limits(format, 6), &events);
            assert_eq!(oversized.len(), 1);
            let expected: &[u8] = if format == PayloadFormat::Json { b"[1,3]" } else { b"1\n3\n" };
            assert_eq!(batches.iter().map(|batch| batch.body.as_ref()).collect::<Vec<_>>(), [expected]);
        }
    }

    #[test]
    fn a_body_has_at_most_so_many_events() {
        let limits = Limits { max_events: NonZeroUsize::new(2), ..limits(PayloadFormat::Json, 100) };
        packs(&limits, &["1", "2", "3", "4", "5"], &["[1,2]", "[3,4]", "[5]"]);
    }

    #[test]
    fn nothing_makes_no_body() {
        packs(&limits(PayloadFormat::Json, 10), &[], &[]);
        packs(&limits(PayloadFormat::Ndjson, 10), &[], &[]);
    }

    #[test]
    fn a_part_of_a_batch_is_a_body_with_a_key_of_its_own() {
        for format in [PayloadFormat::Json, PayloadFormat::Ndjson] {
            let events: Vec<String> = ["1", "22", "333"].map(str::to_owned).into();
            let (batches, _) = pack(limits(format, 100), &events);
            let [batch] = batches.as_slice() else { panic!("one batch") };
            let (tail, tail_alone) = (batch.body(&one(1..3)), pack(limits(format, 100), &events[1..]).0);
            assert_eq!(tail, tail_alone[0].body);
            assert_eq!(batch.body(&one(0..3)), batch.body);
            assert_eq!(batch.idempotency_key(&one(1..3)), hex(&Sha256::digest(b"1\n2\n"), 32));
            assert_eq!(batch.idempotency_key(&one(0..1)), hex(&Sha256::digest(b"0\n"), 32));
        }
    }

    #[test]
    fn a_batch_tells_the_id_the_log_group_and_the_record_of_each_event() {
        let events: Vec<String> = (0..5).map(|event| event.to_string()).collect();
        let limits = Limits { max_events: NonZeroUsize::new(3), ..limits(PayloadFormat::Json, 100) };
        let told: Vec<(String, String)> = pack(limits, &events)
            .0
            .iter()
            .flat_map(|batch| {
                (0..batch.len()).map(|index| (batch.id(index).to_owned(), batch.log_group(index).to_owned()))
            })
            .collect();
        let expected = [("0", "a"), ("1", "a"), ("2", "b"), ("3", "a"), ("4", "a")];
        assert_eq!(told, expected.map(|(id, group)| (id.to_owned(), group.to_owned())));
    }

    #[test]
    fn an_event_that_was_left_half_written_is_undone() {
        let [group, torn] = ["g", "torn"].map(|group| Arc::new(Origin::new(&Layout::default(), "", group, "")));
        for format in [PayloadFormat::Json, PayloadFormat::Ndjson] {
            let mut packer = Packer::new(limits(format, 100));
            let mut whole = Packer::new(limits(format, 100));
            for (index, event) in ["1", "22"].into_iter().enumerate() {
                let torn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    drop(packer.push("torn", &torn, &[SHARE], |out| {
                        out.extend_from_slice(b"half");
                        std::panic::resume_unwind(Box::new(()));
                    }));
                }));
                assert!(torn.is_err());
                packer.undo();
                for packer in [&mut packer, &mut whole] {
                    let write = |out: &mut Vec<u8>| out.extend_from_slice(event.as_bytes());
                    assert_eq!(packer.push(&index.to_string(), &group, &[SHARE], write), Ok(None));
                }
            }
            packer.undo();
            assert_eq!(packer.finish(), whole.finish());
        }
    }

    #[test]
    #[should_panic(expected = "within the batch")]
    fn a_range_beyond_the_batch_is_no_body() {
        let (batches, _) = pack(limits(PayloadFormat::Json, 100), &["1".to_owned(), "2".to_owned()]);
        drop(batches[0].body(&one(1..3)));
    }

    proptest! {
        #[test]
        fn every_event_that_fits_is_in_exactly_one_body_in_order(
            sizes in prop::collection::vec(1_usize..40, 0..60),
            max_bytes in 1_usize..60,
            max_events in 0_usize..8,
            json in any::<bool>(),
        ) {
            let format = if json { PayloadFormat::Json } else { PayloadFormat::Ndjson };
            let framing = if json { 2 } else { 1 };
            let events: Vec<String> = sizes.iter().map(|size| "7".repeat(*size)).collect();
            let limits = Limits { max_events: NonZeroUsize::new(max_events), ..limits(format, max_bytes) };
            let (batches, oversized) = pack(limits.clone(), &events);

            let fits = |event: &&String| event.len() + framing <= max_bytes;
            prop_assert_eq!(oversized.len(), events.iter().filter(|event| !fits(event)).count());
            let mut delivered = Vec::new();
            for batch in &batches {
                prop_assert!(batch.body.len() <= max_bytes);
                prop_assert!(batch.len() > 0 && limits.max_events.is_none_or(|max| batch.len() <= max.get()));
                let text = std::str::from_utf8(&batch.body)?;
                let texts: Vec<&str> = if json {
                    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or("?").split(',').collect()
                } else {
                    text.lines().collect()
                };
                prop_assert_eq!(texts.len(), batch.len());
                delivered.extend(texts.into_iter().map(str::to_owned));
            }
            prop_assert_eq!(delivered, events.iter().filter(fits).cloned().collect::<Vec<_>>());
            // No body could have taken the event behind it.
            for pair in batches.windows(2) {
                let next = pair[1].entries[0].end + usize::from(!json);
                prop_assert!(pair[0].body.len() + next > max_bytes || pair[0].len() >= max_events);
            }
        }
    }
}
