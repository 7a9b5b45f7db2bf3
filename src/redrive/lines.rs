//! The lines of an object as it comes, a group at a time: what is in memory is a group, whatever the object's size.

use std::collections::VecDeque;
use std::io::Write;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use thiserror::Error;

use crate::aws::{AwsError, Object};
use crate::retry::Deadline;

/// What is inflated at once: whatever it is, 8 KiB of deflate are 8 MiB at most.
const INFLATED_AT_ONCE: usize = 8 << 10;

/// Longest line: one of Firehose is 1.4 MB at most, a record of 1,000 KiB in base64; parked, it may be several times that.
const MAX_LINE_BYTES: usize = 16 << 20;

/// What a longer one is cut into: it is none of Firehose's.
const PIECE_BYTES: usize = 1 << 20;

/// What a line takes in memory beside its bytes, about.
const LINE_OVERHEAD: usize = 256;

/// Why the lines of an object cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum LinesError {
    /// The object cannot be read.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The object is gzip, and damaged.
    #[error("the object's gzip data is damaged or cut short: mend it, or take it out of the way")]
    Gzip,
}

/// An object, line by line.
pub(super) struct Lines<'a> {
    object: Object<'a>,
    text: Text,
    is_ended: bool,
}

/// What has come of an object, and is not yet handed out.
#[derive(Default)]
struct Text {
    encoding: Encoding,
    /// What is not yet looked at.
    bytes: Bytes,
    lines: VecDeque<Vec<u8>>,
    /// The line that has no end yet.
    open: Vec<u8>,
}

/// How an object is encoded: Firehose compresses it or does not.
#[derive(Default)]
enum Encoding {
    /// Not enough has come to tell.
    #[default]
    Unknown,
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

impl<'a> Lines<'a> {
    pub(super) fn new(object: Object<'a>) -> Self {
        Self { object, text: Text::default(), is_ended: false }
    }

    /// Returns whether the object is gzip, by its first bytes.
    pub(super) async fn is_gzip(&mut self, deadline: Deadline) -> Result<bool, LinesError> {
        while let Encoding::Unknown = self.text.encoding {
            match self.object.next(deadline).await? {
                Some(bytes) => self.text.push(bytes),
                None => return Ok(false),
            }
        }
        Ok(matches!(self.text.encoding, Encoding::Gzip(_)))
    }

    /// Reads lines until they are so many bytes, or the object ends. Empty ones are left out.
    pub(super) async fn group(&mut self, bytes: usize, deadline: Deadline) -> Result<Vec<Vec<u8>>, LinesError> {
        let mut group = Vec::new();
        let mut size = 0;
        while size < bytes
            && let Some(line) = self.next(deadline).await?
        {
            size += line.len() + LINE_OVERHEAD;
            group.push(line);
        }
        Ok(group)
    }

    /// Returns whether all lines were handed out.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended && self.text.lines.is_empty()
    }

    async fn next(&mut self, deadline: Deadline) -> Result<Option<Vec<u8>>, LinesError> {
        loop {
            if let Some(line) = self.text.lines.pop_front() {
                return Ok(Some(line));
            }
            if self.text.read_on()? {
                continue;
            }
            if self.is_ended {
                return Ok(None);
            }
            if let Some(bytes) = self.object.next(deadline).await? {
                self.text.push(bytes);
            } else {
                self.is_ended = true;
                self.text.end()?;
            }
        }
    }
}

impl Text {
    /// Takes bytes that have come, when those before are read.
    fn push(&mut self, bytes: Bytes) {
        self.bytes = if self.bytes.is_empty() { bytes } else { [&self.bytes[..], &bytes].concat().into() };
        if let (Encoding::Unknown, [first, second, ..]) = (&self.encoding, &self.bytes[..]) {
            self.encoding = match [*first, *second] {
                [0x1f, 0x8b] => Encoding::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
                _ => Encoding::Plain,
            };
        }
    }

    /// Reads some of what has come; returns whether there was anything.
    fn read_on(&mut self) -> Result<bool, LinesError> {
        let bytes = std::mem::take(&mut self.bytes);
        match &mut self.encoding {
            _ if bytes.is_empty() => return Ok(false),
            Encoding::Unknown => {
                self.bytes = bytes;
                return Ok(false);
            }
            Encoding::Plain => self.split(&bytes),
            Encoding::Gzip(inflater) => {
                let mut rest = bytes;
                let part = rest.split_to(rest.len().min(INFLATED_AT_ONCE));
                inflater.write_all(&part).and_then(|()| inflater.flush()).map_err(|_| LinesError::Gzip)?;
                let text = std::mem::take(inflater.get_mut());
                self.bytes = rest;
                self.split(&text);
            }
        }
        Ok(true)
    }

    /// Cuts text into lines.
    fn split(&mut self, mut text: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', text) {
            let (line, rest) = text.split_at(end);
            self.open.extend_from_slice(line);
            self.close();
            text = rest.get(1..).unwrap_or_default();
        }
        self.open.extend_from_slice(text);
        if self.open.len() > MAX_LINE_BYTES {
            let long = std::mem::take(&mut self.open);
            self.lines.extend(long.chunks(PIECE_BYTES).map(<[u8]>::to_vec));
        }
    }

    fn close(&mut self) {
        let line = std::mem::take(&mut self.open);
        if !line.trim_ascii().is_empty() {
            self.lines.push_back(line);
        }
    }

    fn end(&mut self) -> Result<(), LinesError> {
        if let Encoding::Gzip(inflater) = &mut self.encoding {
            inflater.try_finish().map_err(|_| LinesError::Gzip)?;
            let text = std::mem::take(inflater.get_mut());
            self.split(&text);
        }
        let rest = std::mem::take(&mut self.bytes);
        self.split(&rest);
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compress::gzip;

    fn read(bytes: &[u8], at_once: usize) -> Result<Vec<Vec<u8>>, LinesError> {
        let mut text = Text::default();
        for part in bytes.chunks(at_once) {
            text.push(Bytes::copy_from_slice(part));
            while text.read_on()? {}
        }
        text.end()?;
        Ok(text.lines.into())
    }

    proptest! {
        #[test]
        fn lines_come_whole_however_they_arrive(lines in prop::collection::vec("[a-z]{1,9}", 0..9), at_once in 1_usize..9, members in 1_usize..3) {
            let plain = lines.join("\n");
            let expected: Vec<Vec<u8>> = lines.iter().map(|line| line.clone().into_bytes()).collect();
            prop_assert_eq!(read(plain.as_bytes(), at_once).expect("plain"), expected.clone());
            prop_assert_eq!(read(format!("{plain}\n\r\n \n").as_bytes(), at_once).expect("plain"), expected.clone());
            let (first, second) = plain.split_at(plain.len() / 2);
            let packed = if members == 1 { gzip(plain.as_bytes()) } else { [gzip(first.as_bytes()), gzip(second.as_bytes())].concat() };
            prop_assert_eq!(read(&packed, at_once).expect("gzip"), expected);
        }
    }

    #[test]
    fn damaged_gzip_is_told_and_an_endless_line_is_cut() {
        let packed = gzip(b"a\nb\n");
        assert_eq!(read(&packed[..packed.len() - 1], 7), Err(LinesError::Gzip));
        let pieces = read(&vec![b'x'; MAX_LINE_BYTES + 1], 1 << 20).expect("pieces");
        assert_eq!(pieces.concat().len(), MAX_LINE_BYTES + 1);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
    }
}
