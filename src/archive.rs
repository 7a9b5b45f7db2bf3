//! What Firehose is handed back for delivered records, where that is wanted: each record's events as NDJSON, one gzip member.
//!
//! Objects in S3 are then concatenated members, which is valid gzip. A record is compressed as soon as no further event can be
//! its own, so that only one record at a time is kept as text.

use crate::delivery::gzip;

/// The events of one record.
#[derive(Debug, Clone)]
enum Kept {
    /// NDJSON, to which events can be added.
    Open(Vec<u8>),
    /// One gzip member.
    Closed(Vec<u8>),
}

/// The archives of an invocation's records.
#[derive(Debug)]
pub struct Archives {
    records: Vec<Kept>,
}

impl Archives {
    /// Starts with nothing in the archives of so many records.
    #[must_use]
    pub fn new(records: usize) -> Self {
        Self { records: vec![Kept::Open(Vec::new()); records] }
    }

    /// Adds an event to the archive of a record.
    pub fn add(&mut self, record: usize, event: &[u8]) {
        if let Some(Kept::Open(lines)) = self.records.get_mut(record) {
            lines.extend_from_slice(event);
            lines.push(b'\n');
        }
    }

    /// Closes the archive of a record: no further event is its own.
    pub fn close(&mut self, record: usize) {
        if let Some(kept) = self.records.get_mut(record)
            && let Kept::Open(lines) = kept
        {
            *kept = Kept::Closed(gzip(lines));
        }
    }

    /// Takes the archive of a record out.
    pub fn take(&mut self, record: usize) -> Option<Vec<u8>> {
        self.close(record);
        match std::mem::replace(self.records.get_mut(record)?, Kept::Open(Vec::new())) {
            Kept::Closed(member) => Some(member),
            Kept::Open(_) => None,
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
}
