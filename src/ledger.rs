//! The books of one invocation: which lines came, which were delivered, and so which verdict each record gets.
//!
//! The ledger is the only thing that makes a verdict. It needs no path to remember a failure: a record counts as delivered only
//! if every line that was read from it has been entered as accepted, so whatever is forgotten on the way fails and is kept.

use base64_simd::STANDARD as BASE64;
use tracing::{error, warn};

use crate::batch::Oversized;
use crate::counts::Counts;
use crate::firehose::{Answer, FirehoseEvent, FirehoseResponse, MAX_RESPONSE_BYTES, Record, Verdict};
use crate::head::Share;
use crate::log::Brief;
use crate::subscription::DecodeError;

/// Events of a body that an API refuses one by one before the rest is given up: it refuses more than a poison event.
pub const MAX_POISON_EVENTS: usize = 16;

/// Failures of one kind that are logged one by one. The others are counted in one line.
const MAX_LOGGED: usize = 3;

/// The account of one record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Account {
    /// Lines that were read from the record and are to be delivered.
    read: usize,
    /// Lines of it that the API has accepted, or that are not wanted.
    accepted: usize,
    /// Of these, the ones that an operator excludes.
    excluded: usize,
    /// Of these, the ones that a sample leaves out.
    sampled_out: usize,
    /// Of the others, those that will not be accepted if they are sent again.
    hopeless: usize,
    /// The record cannot be read.
    unreadable: bool,
    /// The record was not read, or not to its end.
    unread: bool,
    /// Why the record cannot be delivered by being sent again.
    reason: Option<String>,
    /// The record holds events of the function's own log group.
    own: bool,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is done with: every event of it was accepted, or is not wanted.
    Done,
    /// It may be delivered if it is sent again.
    Open,
    /// It will not be delivered if it is sent again, and why.
    Hopeless(String),
}

/// How the records of an event stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standings {
    /// One for each record, in their order.
    pub records: Vec<Standing>,
    /// Lines that were delivered, whatever became of the others of their records.
    pub lines_delivered: usize,
}

/// The books of one invocation.
pub struct Ledger<'a> {
    records: &'a [Record<'a>],
    accounts: Vec<Account>,
    counts: Counts,
    /// The earliest time of a line, in milliseconds since the Unix epoch.
    oldest: Option<i64>,
    /// Records that cannot be read.
    unreadable: usize,
    /// Records that were not read, or not to their end, because the invocation's time was over.
    unread: usize,
    /// Events that are larger than a body may be.
    oversized: usize,
}

impl<'a> Ledger<'a> {
    /// Opens the books for the records of an event.
    #[must_use]
    pub fn open(event: &'a FirehoseEvent<'a>) -> Self {
        let records = event.records.as_slice();
        Self {
            records,
            accounts: vec![Account::default(); records.len()],
            counts: Counts { records: records.len(), ..Counts::default() },
            oldest: None,
            unreadable: 0,
            unread: 0,
            oversized: 0,
        }
    }

    /// Returns Firehose's name for the record at this index, as much of it as the log shows.
    #[must_use]
    pub fn record_id(&self, record: usize) -> Brief<'a> {
        Brief(self.records.get(record).map_or("", |record| record.id.as_ref()))
    }

    /// Enters the size of a record that was decoded: its bytes, and those of the text in it.
    pub fn decoded(&mut self, bytes: usize, text: usize) {
        self.counts.bytes_received += bytes;
        self.counts.bytes_decoded += text;
    }

    /// Enters a line that was read from a record, and its time.
    pub fn line(&mut self, record: usize, timestamp: i64) {
        self.counts.lines += 1;
        self.oldest = Some(self.oldest.map_or(timestamp, |oldest| oldest.min(timestamp)));
        self.account(record).read += 1;
    }

    /// Enters that no format took the line that was read last.
    pub fn unparsed(&mut self) {
        self.counts.lines_unparsed += 1;
    }

    /// Enters a request that leaves before all records are read, as open requests take too much memory.
    pub fn released_early(&mut self) {
        self.counts.requests_released_early += 1;
    }

    /// Enters an envelope of the function's own log group: nothing of it is to be delivered.
    pub fn own_envelope(&mut self, record: usize) {
        self.account(record).own = true;
    }

    /// Enters a record that cannot be read.
    pub fn unreadable(&mut self, record: usize, error: &DecodeError) {
        self.unreadable += 1;
        if self.unreadable <= MAX_LOGGED {
            error!(record, record_id = %self.record_id(record), reason = %error, "record kept: it cannot be read");
        }
        let account = self.account(record);
        account.unreadable = true;
        account.reason = Some(error.to_string());
    }

    /// Enters a record whose reading met a fault of the function's own.
    pub fn broken(&mut self, record: usize) {
        self.panicked(record);
        self.account(record).unread = true;
    }

    /// Enters an event whose writing met a fault of the function's own: its lines stay undelivered.
    pub fn broken_event(&mut self, shares: &[Share]) {
        self.panicked(shares.first().expect("every event carries a line").record);
    }

    fn panicked(&mut self, record: usize) {
        self.counts.panics += 1;
        if self.counts.panics <= MAX_LOGGED {
            error!(record, record_id = %self.record_id(record), "record kept: a fault of the function's own");
        }
    }

    /// Enters a record that is not read, because nothing can be read or delivered yet.
    pub fn not_ready(&mut self, record: usize) {
        self.account(record).unread = true;
    }

    /// Enters a record that is not read to its end, because the invocation's time is over.
    pub fn unread(&mut self, record: usize) {
        if self.unread == 0 {
            error!(record, "records kept from this one on: no time left");
        }
        self.unread += 1;
        self.account(record).unread = true;
    }

    /// Enters an event that fits into no body: its lines stay undelivered.
    pub fn oversized(&mut self, id: &str, log_group: &str, shares: &[Share], error: &Oversized) {
        self.oversized += 1;
        self.counts.events_failed += 1;
        if self.oversized <= MAX_LOGGED {
            let record = shares.first().expect("every event carries a line").record;
            error!(
                id = %Brief(id),
                log_group = %Brief(log_group),
                record,
                record_id = %self.record_id(record),
                reason = %error,
                "record kept: one of its events is too large"
            );
        }
        self.refused(shares.iter().copied(), &error.to_string());
    }

    /// Enters lines that will not be accepted if they are sent again, and why.
    pub fn refused(&mut self, shares: impl Iterator<Item = Share>, reason: &str) {
        for share in shares {
            let account = self.account(share.record);
            account.hopeless += share.lines;
            account.reason.get_or_insert_with(|| reason.to_owned());
        }
    }

    /// Enters lines that the API has accepted.
    pub fn accepted(&mut self, shares: impl Iterator<Item = Share>) {
        for share in shares {
            self.account(share.record).accepted += share.lines;
        }
    }

    /// Enters that the line that was read last is one that an operator excludes.
    pub fn excluded(&mut self, record: usize) {
        let account = self.account(record);
        account.accepted += 1;
        account.excluded += 1;
    }

    /// Enters that the line that was read last is left out by a sample.
    pub fn sampled_out(&mut self, record: usize) {
        let account = self.account(record);
        account.accepted += 1;
        account.sampled_out += 1;
    }

    /// Enters an event with a field that the API will cut.
    pub fn cut(&mut self, id: &str) {
        if self.counts.events_cut == 0 {
            warn!(id = %Brief(id), "an event has a field that the destination will cut: see docs/destinations.md");
        }
        self.counts.events_cut += 1;
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the earliest time of a line, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn oldest(&self) -> Option<i64> {
        self.oldest
    }

    fn account(&mut self, record: usize) -> &mut Account {
        self.accounts.get_mut(record).expect("the books are opened for every record of the event")
    }

    /// Says how many failures of each kind were not logged one by one.
    fn log_others(&self) {
        for (count, what) in [
            (self.unreadable, "they cannot be read"),
            (self.oversized, "events of them are too large"),
            (self.counts.panics, "faults of the function's own"),
        ] {
            if let others @ 1.. = count.saturating_sub(MAX_LOGGED) {
                error!(others, "further records kept: {what}");
            }
        }
    }

    /// Closes the books: one verdict for each record, and an answer that stays under its limit.
    ///
    /// `archive` returns what Firehose is to keep of a delivered record, if anything.
    pub fn settle(mut self, mut archive: impl FnMut(usize) -> Option<Vec<u8>>) -> (FirehoseResponse, Counts) {
        self.close();
        let mut room = Room::new();
        let mut answers = Vec::with_capacity(self.records.len());
        for (record, account) in self.records.iter().zip(&self.accounts) {
            let verdict = if account.is_done() { Verdict::Dropped } else { Verdict::ProcessingFailed };
            // Where not even the bare answers fit, Firehose keeps what is left unanswered, as it does what has failed.
            if room.take(Answer::frame_bytes(&record.id, verdict)) {
                answers.push(Answer { id: record.id.clone().into_owned(), result: verdict, data: None });
            }
        }
        // Originals come first: an archive that is left out is a copy less, not a record less.
        for (answer, record) in answers.iter_mut().zip(self.records) {
            if answer.result == Verdict::ProcessingFailed
                && let Some(data) = &record.data
            {
                if room.take(Answer::data_bytes(data.len())) {
                    answer.data = Some(data.clone().into_owned());
                } else {
                    self.counts.originals_omitted += 1;
                }
            }
        }
        for (index, (answer, account)) in answers.iter_mut().zip(&self.accounts).enumerate() {
            if answer.result == Verdict::Dropped
                && account.read > 0
                && let Some(data) = archive(index)
            {
                if room.take(Answer::data_bytes(BASE64.encoded_length(data.len()))) {
                    answer.result = Verdict::Ok;
                    answer.data = Some(BASE64.encode_to_string(&data));
                } else {
                    self.counts.archives_omitted += 1;
                }
            }
        }
        self.count(&answers);
        (FirehoseResponse { records: answers }, self.counts)
    }

    /// Closes the books where no answer has to be made: says how each record stands.
    #[must_use]
    pub fn standings(mut self) -> (Standings, Counts) {
        self.close();
        let delivered = |account: &Account| account.accepted - account.excluded - account.sampled_out;
        let lines_delivered = self.accounts.iter().map(delivered).sum();
        let standings: Vec<_> = self.accounts.into_iter().map(Account::standing).collect();
        self.counts.records_dropped = standings.iter().filter(|standing| **standing == Standing::Done).count();
        self.counts.records_failed = standings.len() - self.counts.records_dropped;
        (Standings { records: standings, lines_delivered }, self.counts)
    }

    /// Adds the lines up.
    fn close(&mut self) {
        self.log_others();
        for account in &self.accounts {
            debug_assert!(account.accepted <= account.read, "a line is accepted once");
            let counts = &mut self.counts;
            if account.is_done() {
                counts.lines_delivered += account.read - account.excluded - account.sampled_out;
                counts.lines_excluded += account.excluded;
                counts.lines_sampled_out += account.sampled_out;
            } else {
                // All of them come again.
                counts.lines_failed += account.read;
            }
            counts.records_own += usize::from(account.own);
        }
        let Counts { lines, lines_delivered, lines_failed, lines_excluded, lines_sampled_out, .. } = self.counts;
        debug_assert_eq!(lines, lines_delivered + lines_failed + lines_excluded + lines_sampled_out);
    }

    fn count(&mut self, answers: &[Answer]) {
        let of = |verdict| answers.iter().filter(|answer| answer.result == verdict).count();
        self.counts.records_ok = of(Verdict::Ok);
        self.counts.records_dropped = of(Verdict::Dropped);
        self.counts.records_failed = of(Verdict::ProcessingFailed);
        if answers.len() < self.counts.records {
            warn!(
                records = self.counts.records - answers.len(),
                "records kept: the answer has no room for their verdicts"
            );
            self.counts.records_failed += self.counts.records - answers.len();
        }
    }
}

impl Account {
    fn is_done(&self) -> bool {
        !self.unreadable && !self.unread && self.accepted == self.read
    }

    fn standing(self) -> Standing {
        if self.is_done() {
            return Standing::Done;
        }
        // Of one that holds more poison than is told one by one, the rest is never tried.
        let is_poison = self.hopeless >= MAX_POISON_EVENTS || self.accepted + self.hopeless == self.read;
        let is_hopeless = self.unreadable || !self.unread && is_poison;
        match self.reason {
            Some(reason) if is_hopeless => Standing::Hopeless(reason),
            _ => Standing::Open,
        }
    }
}

/// Counts an answer's bytes before it is built.
struct Room {
    used: usize,
}

impl Room {
    fn new() -> Self {
        Self { used: FirehoseResponse::FRAME_BYTES }
    }

    /// Takes so many bytes, if the answer stays under its limit with them.
    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.used + bytes < MAX_RESPONSE_BYTES;
        if fits {
            self.used += bytes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::firehose::Record;

    fn event(data: &[usize]) -> FirehoseEvent<'static> {
        let record = |(index, size): (usize, &usize)| Record {
            id: Cow::Owned(index.to_string()),
            arrival: None,
            data: Some(Cow::Owned("A".repeat(*size))),
        };
        FirehoseEvent { records: data.iter().enumerate().map(record).collect() }
    }

    fn results(response: &FirehoseResponse) -> Vec<Verdict> {
        response.records.iter().map(|answer| answer.result).collect()
    }

    fn size(response: &FirehoseResponse) -> usize {
        serde_json::to_vec(response).expect("JSON").len()
    }

    #[test]
    fn a_record_is_delivered_only_if_every_line_of_it_was_accepted() {
        let event = event(&[4, 4, 0]);
        let mut ledger = Ledger::open(&event);
        for record in [0, 0, 1, 1] {
            ledger.line(record, 0);
        }
        ledger.accepted([Share { record: 0, lines: 2 }, Share { record: 1, lines: 1 }].into_iter());
        let (response, counts) = ledger.settle(|_| None);
        assert_eq!(results(&response), [Verdict::Dropped, Verdict::ProcessingFailed, Verdict::Dropped]);
        assert_eq!(response.records[1].data.as_deref(), Some("AAAA"));
        assert_eq!((response.records[0].data.as_ref(), response.records[2].data.as_ref()), (None, None));
        assert_eq!((counts.lines, counts.lines_delivered, counts.lines_failed), (4, 2, 2));
    }

    #[test]
    fn a_record_is_hopeless_only_if_nothing_of_it_can_still_be_accepted() {
        let event = event(&[4; 7]);
        let mut ledger = Ledger::open(&event);
        let one = |record| std::iter::once(Share { record, lines: 1 });
        for record in [0, 1, 1, 2, 2, 3, 4] {
            ledger.line(record, 0);
        }
        ledger.accepted(one(0));
        for (record, reason) in [(1, "no"), (2, "no"), (2, "nor this"), (4, "no")] {
            ledger.refused(one(record), reason);
        }
        ledger.unread(4);
        ledger.unreadable(5, &DecodeError::Gzip);
        ledger.broken(6);
        let (Standings { records: standings, lines_delivered }, counts) = ledger.standings();
        let hopeless = |reason: &str| Standing::Hopeless(reason.to_owned());
        let unreadable = hopeless(&DecodeError::Gzip.to_string());
        let open = Standing::Open;
        let expected = [Standing::Done, open.clone(), hopeless("no"), open.clone(), open.clone(), unreadable, open];
        assert_eq!(standings, expected);
        assert_eq!((counts.records_dropped, counts.records_failed), (1, 6));
        assert_eq!((counts.lines_delivered, counts.lines_failed, lines_delivered), (1, 6, 1));
    }

    #[test]
    fn an_unreadable_record_fails_alone() {
        let event = event(&[4, 4]);
        let mut ledger = Ledger::open(&event);
        ledger.unreadable(0, &DecodeError::Gzip);
        let (response, counts) = ledger.settle(|_| None);
        assert_eq!(results(&response), [Verdict::ProcessingFailed, Verdict::Dropped]);
        assert_eq!((counts.records_failed, counts.records_dropped), (1, 1));
    }

    #[test]
    fn an_archive_makes_a_delivered_record_ok_and_an_empty_one_has_none() {
        let event = event(&[4, 0]);
        let mut ledger = Ledger::open(&event);
        ledger.line(0, 0);
        ledger.accepted(std::iter::once(Share { record: 0, lines: 1 }));
        let (response, _) = ledger.settle(|_| Some(b"abc".to_vec()));
        assert_eq!(results(&response), [Verdict::Ok, Verdict::Dropped]);
        assert_eq!(response.records[0].data.as_deref(), Some("YWJj"));
    }

    #[test]
    fn originals_that_do_not_fit_are_left_out_and_counted() {
        let event = event(&[4_000_000, 4_000_000, 2_000_000]);
        let mut ledger = Ledger::open(&event);
        (0..3).for_each(|record| ledger.unreadable(record, &DecodeError::Base64));
        let (response, counts) = ledger.settle(|_| None);
        assert_eq!(results(&response), [Verdict::ProcessingFailed; 3]);
        let kept: Vec<bool> = response.records.iter().map(|answer| answer.data.is_some()).collect();
        assert_eq!(kept, [true, false, true]);
        assert_eq!(counts.originals_omitted, 1);
    }

    #[test]
    fn an_original_may_fill_the_answer_to_the_last_byte_under_the_limit() {
        let kept = |data: usize| {
            let event = event(&[data]);
            let mut ledger = Ledger::open(&event);
            ledger.unreadable(0, &DecodeError::Base64);
            let (response, _) = ledger.settle(|_| None);
            (response.records[0].data.is_some(), size(&response))
        };
        let frame =
            FirehoseResponse::FRAME_BYTES + Answer::frame_bytes("0", Verdict::ProcessingFailed) + Answer::data_bytes(0);
        // The comma behind the last answer is counted and not there.
        assert_eq!(kept(MAX_RESPONSE_BYTES - 1 - frame), (true, MAX_RESPONSE_BYTES - 2));
        assert!(!kept(MAX_RESPONSE_BYTES - frame).0);
    }

    #[test]
    fn archives_yield_to_originals() {
        let event = event(&[0, 4_000_000]);
        let mut ledger = Ledger::open(&event);
        ledger.line(0, 0);
        ledger.accepted(std::iter::once(Share { record: 0, lines: 1 }));
        ledger.unreadable(1, &DecodeError::Base64);
        let (response, counts) = ledger.settle(|_| Some(vec![0; 2_000_000]));
        assert_eq!(results(&response), [Verdict::Dropped, Verdict::ProcessingFailed]);
        assert_eq!((counts.archives_omitted, counts.originals_omitted), (1, 0));
    }

    #[test]
    fn an_answer_stays_under_the_limit_even_without_data() {
        let records = 200_000;
        let event = event(&vec![0; records]);
        let (response, counts) = Ledger::open(&event).settle(|_| None);
        assert!(size(&response) < MAX_RESPONSE_BYTES);
        assert_eq!(counts.records_dropped + counts.records_failed, records);
    }

    proptest! {
        #[test]
        fn the_books_balance_and_every_record_has_its_verdict(
            accounts in prop::collection::vec((0_usize..4, 0_usize..4, any::<bool>(), 0_usize..2_000_000), 0..8),
            archive in 0_usize..3_000_000,
        ) {
            let event = event(&accounts.iter().map(|account| account.3).collect::<Vec<_>>());
            let mut ledger = Ledger::open(&event);
            for (record, (read, accepted, unreadable, _)) in accounts.iter().enumerate() {
                (0..*read).for_each(|_| ledger.line(record, 0));
                ledger.accepted(std::iter::once(Share { record, lines: *accepted.min(read) }));
                if *unreadable {
                    ledger.unreadable(record, &DecodeError::Base64);
                }
            }
            let (response, counts) = ledger.settle(|_| Some(vec![0; archive]));

            prop_assert!(size(&response) < MAX_RESPONSE_BYTES);
            prop_assert_eq!(counts.lines, counts.lines_delivered + counts.lines_failed);
            prop_assert_eq!(counts.records, counts.records_ok + counts.records_dropped + counts.records_failed);
            prop_assert_eq!(response.records.len(), accounts.len());
            for ((answer, record), (read, accepted, unreadable, _)) in response.records.iter().zip(&event.records).zip(&accounts) {
                prop_assert_eq!(&answer.id, &record.id);
                let failed = *unreadable || accepted < read;
                prop_assert_eq!(answer.result == Verdict::ProcessingFailed, failed);
            }
        }
    }
}
