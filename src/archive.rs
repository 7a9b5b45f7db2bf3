//! What Firehose is handed back for delivered records, where that is wanted: each record's events as NDJSON, one gzip member.
//!
//! Objects in S3 are then concatenated members, which is valid gzip. A record is compressed as soon as no further event can be
//! its own, so that only one record at a time is kept as text.

use crate::compress::gzip;

/// Most bytes of text that wait to be compressed. Only requests of execution logs wait, as a later record may yet give a record
/// an event. An archive that does not fit is left out: it is a copy less, not a record less.
const MAX_OPEN_BYTES: usize = 32 << 20;

/// What Firehose is handed back for a delivered record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// Nothing.
    None,
    /// Its events as NDJSON, one gzip member.
    Structured,
}

/// The events of one record.
#[derive(Debug, Clone)]
enum Kept {
    /// NDJSON, to which events can be added.
    Open(Vec<u8>),
    /// One gzip member.
    Closed(Vec<u8>),
    /// Nothing: there was too much.
    Omitted,
}

/// The archives of an invocation's records.
#[derive(Debug)]
pub struct Archives {
    records: Vec<Kept>,
    /// Bytes of all that is open.
    open_bytes: usize,
    omitted: usize,
}

impl Archives {
    /// Starts with nothing in the archives of so many records.
    #[must_use]
    pub fn new(records: usize) -> Self {
        Self { records: vec![Kept::Open(Vec::new()); records], open_bytes: 0, omitted: 0 }
    }

    /// Returns how many archives were left out.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Adds an event to the archive of a record.
    pub fn add(&mut self, record: usize, event: &[u8]) {
        let kept = self.records.get_mut(record).expect("every record has an archive");
        let Kept::Open(lines) = kept else { return };
        self.open_bytes += event.len() + 1;
        if self.open_bytes > MAX_OPEN_BYTES {
            self.open_bytes -= event.len() + 1 + lines.len();
            self.omitted += 1;
            *kept = Kept::Omitted;
        } else {
            lines.extend_from_slice(event);
            lines.push(b'\n');
        }
    }

    /// Closes the archive of a record: no further event is its own.
    pub fn close(&mut self, record: usize) {
        let kept = self.records.get_mut(record).expect("every record has an archive");
        if let Kept::Open(lines) = kept {
            self.open_bytes -= lines.len();
            *kept = Kept::Closed(gzip(lines));
        }
    }

    /// Takes the archive of a record out.
    pub fn take(&mut self, record: usize) -> Option<Vec<u8>> {
        self.close(record);
        let kept = self.records.get_mut(record).expect("every record has an archive");
        match std::mem::replace(kept, Kept::Omitted) {
            Kept::Closed(member) => Some(member),
            Kept::Open(_) | Kept::Omitted => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::bufread::MultiGzDecoder;

    use super::*;

    #[test]
    fn archives_of_several_records_are_one_gzip_when_concatenated() {
        let mut archives = Archives::new(3);
        archives.add(0, b"{\"id\":\"1\"}");
        archives.close(0);
        archives.add(2, b"{\"id\":\"2\"}");
        archives.add(2, b"{\"id\":\"3\"}");
        let object: Vec<u8> = (0..3).flat_map(|record| archives.take(record).expect("an archive")).collect();
        let mut text = String::new();
        MultiGzDecoder::new(object.as_slice()).read_to_string(&mut text).expect("gzip of text");
        assert_eq!(text, "{\"id\":\"1\"}\n{\"id\":\"2\"}\n{\"id\":\"3\"}\n");
    }

    #[test]
    fn text_that_waits_is_bounded_and_an_archive_that_does_not_fit_is_left_out() {
        let half = vec![b'x'; MAX_OPEN_BYTES / 2 - 1];
        let mut archives = Archives::new(4);
        archives.add(0, &half);
        archives.add(1, &half);
        assert_eq!((archives.open_bytes, archives.omitted()), (MAX_OPEN_BYTES, 0));
        archives.add(1, b"");
        assert_eq!((archives.open_bytes, archives.omitted()), (MAX_OPEN_BYTES / 2, 1));
        archives.add(1, b"x");
        archives.add(2, b"x");
        archives.close(0);
        assert_eq!((archives.open_bytes, archives.omitted()), (2, 1));
        assert_eq!([0, 1, 2].map(|record| archives.take(record).is_some()), [true, false, true]);
    }
}
