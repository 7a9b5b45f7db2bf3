//! Events packed into bodies, to the byte: as many as fit under the cap, across records, in their order.
//!
//! A [`Batch`] remembers where each event stands in its body, the events' ids, and which lines of which records each event
//! carries. That is all that is needed to send a part of it again: a part is a slice between two events.

use std::num::NonZeroUsize;
use std::ops::Range;

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use thiserror::Error;

use crate::config::PayloadFormat;
use crate::event::hex;

/// The lines of one record that an event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Index of the record in its Firehose event.
    pub record: usize,
    /// How many of its lines.
    pub lines: usize,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How events are framed.
    pub format: PayloadFormat,
    /// Most bytes of a body, framing counted.
    pub max_bytes: usize,
    /// Most events of a body.
    pub max_events: Option<NonZeroUsize>,
}

/// An event that is larger than a body may be, alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an event of {bytes} bytes with its framing does not fit into a body of {cap} bytes (MAX_BATCH_BYTES)")]
pub struct Oversized {
    /// Size of the body that would hold the event alone.
    pub bytes: usize,
    /// The cap.
    pub cap: usize,
}

/// Fills bodies one after the other.
#[derive(Debug)]
pub struct Packer {
    limits: Limits,
    /// The open body: its events with what stands before and between them; never the end of its framing.
    body: Vec<u8>,
    ids: Vec<u8>,
    entries: Vec<Entry>,
}

impl Packer {
    /// Starts with an empty body.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, body: Vec::new(), ids: Vec::new(), entries: Vec::new() }
    }

    /// Adds the event that `write` writes. Returns the body before it, if the event did not fit into that any more.
    ///
    /// # Errors
    /// If the event fits into no body. It is left out; those before and behind it are not touched.
    pub fn push(
        &mut self,
        id: &str,
        shares: &[Share],
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Option<Batch>, Oversized> {
        let before = self.body.len();
        match (self.limits.format, self.entries.is_empty()) {
            (PayloadFormat::Json, true) => self.body.push(b'['),
            (PayloadFormat::Json, false) => self.body.push(b','),
            (PayloadFormat::Ndjson, _) => {}
        }
        let start = self.body.len();
        write(&mut self.body);
        // One byte ends the body: the closing bracket, or the event's own line feed.
        let full = self.limits.max_events.is_some_and(|max| self.entries.len() >= max.get());
        if !full && self.body.len() < self.limits.max_bytes {
            self.end(id, shares);
            return Ok(None);
        }
        let frame = match self.limits.format {
            PayloadFormat::Json => b"[".as_slice(),
            PayloadFormat::Ndjson => b"",
        };
        let alone = frame.len() + self.body.len() - start + 1;
        if alone > self.limits.max_bytes {
            self.body.truncate(before);
            return Err(Oversized { bytes: alone, cap: self.limits.max_bytes });
        }
        // What one body took is a good guess for the next.
        let mut next = Vec::with_capacity(self.body.len());
        next.extend_from_slice(frame);
        next.extend_from_slice(self.body.get(start..).unwrap_or_default());
        self.body.truncate(before);
        let batch = self.close(next);
        self.end(id, shares);
        Ok(batch)
    }

    /// Makes the event that was written part of the open body.
    fn end(&mut self, id: &str, shares: &[Share]) {
        let end = self.body.len();
        if self.limits.format == PayloadFormat::Ndjson {
            self.body.push(b'\n');
        }
        self.ids.extend_from_slice(id.as_bytes());
        self.ids.push(b'\n');
        let shares = match shares {
            [share] => Shares::One(*share),
            shares => Shares::Several(shares.into()),
        };
        self.entries.push(Entry { end, id_end: self.ids.len(), shares });
    }

    /// Closes the open body, if there is anything in it, and goes on with `next`.
    fn close(&mut self, next: Vec<u8>) -> Option<Batch> {
        let mut body = std::mem::replace(&mut self.body, next);
        let ids = std::mem::take(&mut self.ids);
        let entries = std::mem::take(&mut self.entries);
        if entries.is_empty() {
            return None;
        }
        if self.limits.format == PayloadFormat::Json {
            body.push(b']');
        }
        Some(Batch { format: self.limits.format, body: body.into(), ids, entries })
    }

    /// Returns the event that was added last, as it was written.
    #[must_use]
    pub fn last_event(&self) -> &[u8] {
        let Some(last) = self.entries.len().checked_sub(1) else { return &[] };
        self.body.get(bounds(self.limits.format, &self.entries, &(last..last + 1))).unwrap_or_default()
    }

    /// Returns the open body, if there is anything in it.
    #[must_use]
    pub fn finish(&mut self) -> Option<Batch> {
        self.close(Vec::new())
    }
}

/// Where the events of `range` stand in a body, framing around them left out.
fn bounds(format: PayloadFormat, entries: &[Entry], range: &Range<usize>) -> Range<usize> {
    let end_of = |index: usize| entries.get(index).map(|entry| entry.end);
    // One byte stands between two events: a comma, or the line feed of the first.
    let start = match (range.start.checked_sub(1).and_then(end_of), format) {
        (Some(before), _) => before + 1,
        (None, PayloadFormat::Json) => 1,
        (None, PayloadFormat::Ndjson) => 0,
    };
    start..range.end.checked_sub(1).and_then(end_of).unwrap_or(start)
}

/// A body that is ready to be sent, and what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    format: PayloadFormat,
    body: Bytes,
    /// The events' ids in order, each followed by a line feed.
    ids: Vec<u8>,
    entries: Vec<Entry>,
}

impl Batch {
    /// Returns how many events the batch has: at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns which lines of which records the events of `range` carry.
    pub fn shares(&self, range: Range<usize>) -> impl Iterator<Item = Share> {
        self.entries.get(range).unwrap_or_default().iter().flat_map(|entry| entry.shares.as_slice().iter().copied())
    }

    /// Returns the body that holds the events of `range`: the batch's own where that is all of them.
    #[must_use]
    pub fn body(&self, range: &Range<usize>) -> Bytes {
        if *range == (0..self.entries.len()) {
            return self.body.clone();
        }
        let events = bounds(self.format, &self.entries, range);
        match self.format {
            PayloadFormat::Json => {
                let events = self.body.get(events).unwrap_or_default();
                [b"[", events, b"]"].concat().into()
            }
            PayloadFormat::Ndjson => self.body.slice(events.start..=events.end),
        }
    }

    /// Returns the `Idempotency-Key` of the events of `range`: the same events give the same key.
    ///
    /// Lowercase hex of SHA-256 over their ids in order, each followed by a line feed.
    #[must_use]
    pub fn idempotency_key(&self, range: &Range<usize>) -> String {
        let end_of = |index: usize| self.entries.get(index).map_or(0, |entry| entry.id_end);
        let start = range.start.checked_sub(1).map_or(0, end_of);
        let end = range.end.checked_sub(1).map_or(0, end_of);
        hex(digest(&SHA256, self.ids.get(start..end).unwrap_or_default()).as_ref(), 32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    const SHARE: Share = Share { record: 0, lines: 1 };

    fn limits(format: PayloadFormat, max_bytes: usize) -> Limits {
        Limits { format, max_bytes, max_events: None }
    }

    /// Packs the events; an oversized one becomes its size.
    fn pack(limits: Limits, events: &[String]) -> (Vec<Batch>, Vec<usize>) {
        let mut packer = Packer::new(limits);
        let (mut batches, mut oversized) = (Vec::new(), Vec::new());
        for (index, event) in events.iter().enumerate() {
            match packer.push(&index.to_string(), &[SHARE], |out| out.extend_from_slice(event.as_bytes())) {
                Ok(batch) => {
                    assert_eq!(packer.last_event(), event.as_bytes());
                    batches.extend(batch);
                }
                Err(error) => oversized.push(error.bytes),
            }
        }
        batches.extend(packer.finish());
        (batches, oversized)
    }

    #[track_caller]
    fn packs(limits: Limits, events: &[&str], expected: &[&str]) {
        let events: Vec<String> = events.iter().map(ToString::to_string).collect();
        let (batches, oversized) = pack(limits, &events);
        let bodies: Vec<&[u8]> = batches.iter().map(|batch| batch.body.as_ref()).collect();
        let expected: Vec<&[u8]> = expected.iter().map(|body| body.as_bytes()).collect();
        assert_eq!(bodies, expected);
        assert!(oversized.is_empty());
    }

    #[test]
    fn an_array_that_fits_exactly_is_one_body_and_a_byte_less_makes_two() {
        // [11,22] is 7 bytes.
        packs(limits(PayloadFormat::Json, 8), &["11", "22"], &["[11,22]"]);
        packs(limits(PayloadFormat::Json, 7), &["11", "22"], &["[11,22]"]);
        packs(limits(PayloadFormat::Json, 6), &["11", "22"], &["[11]", "[22]"]);
    }

    #[test]
    fn the_line_feed_after_each_event_counts() {
        packs(limits(PayloadFormat::Ndjson, 7), &["11", "22"], &["11\n22\n"]);
        packs(limits(PayloadFormat::Ndjson, 6), &["11", "22"], &["11\n22\n"]);
        packs(limits(PayloadFormat::Ndjson, 5), &["11", "22"], &["11\n", "22\n"]);
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
        packs(limits, &["1", "2", "3", "4", "5"], &["[1,2]", "[3,4]", "[5]"]);
    }

    #[test]
    fn nothing_makes_no_body() {
        packs(limits(PayloadFormat::Json, 10), &[], &[]);
        packs(limits(PayloadFormat::Ndjson, 10), &[], &[]);
    }

    #[test]
    fn a_part_of_a_batch_is_a_body_with_a_key_of_its_own() {
        for format in [PayloadFormat::Json, PayloadFormat::Ndjson] {
            let events: Vec<String> = ["1", "22", "333"].map(str::to_owned).into();
            let (batches, _) = pack(limits(format, 100), &events);
            let [batch] = batches.as_slice() else { panic!("one batch") };
            let (tail, tail_alone) = (batch.body(&(1..3)), pack(limits(format, 100), &events[1..]).0);
            assert_eq!(tail, tail_alone[0].body);
            assert_eq!(batch.body(&(0..3)), batch.body);
            assert_eq!(batch.idempotency_key(&(1..3)), hex(&Sha256::digest(b"1\n2\n"), 32));
            assert_eq!(batch.idempotency_key(&(0..1)), hex(&Sha256::digest(b"0\n"), 32));
        }
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
            let limits = Limits { format, max_bytes, max_events: NonZeroUsize::new(max_events) };
            let (batches, oversized) = pack(limits, &events);

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
