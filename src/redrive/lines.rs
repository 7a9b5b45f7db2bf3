//! The lines of an object as it comes, a group at a time: what is in memory is a group, whatever the object's size.

use std::collections::VecDeque;
use std::io::Write;

use flate2::write::MultiGzDecoder;
use thiserror::Error;

use crate::aws::{AwsError, Object};
use crate::retry::Deadline;

/// What is inflated at once: whatever it is, 8 KiB of deflate are 8 MiB at most.
const INFLATED_AT_ONCE: usize = 8 << 10;

/// Longest line: one of Firehose is 1.4 MB at most, a record of 1,000 KiB in base64.
const MAX_LINE_BYTES: usize = 16 << 20;

/// Why the lines of an object cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum LinesError {
    /// The object cannot be read.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The object is gzip, and damaged.
    #[error("the object's gzip data is damaged or cut short")]
    Gzip,
    /// The object is none of Firehose's.
    #[error("a line of the object is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
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

    /// Reads lines until they are so many bytes, or the object ends. Empty ones are left out.
    pub(super) async fn group(&mut self, bytes: usize, deadline: Deadline) -> Result<Vec<Vec<u8>>, LinesError> {
        let mut group = Vec::new();
        let mut size = 0;
        while size < bytes
            && let Some(line) = self.next(deadline).await?
        {
            size += line.len();
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
            if self.is_ended {
                return Ok(None);
            }
            if let Some(bytes) = self.object.next(deadline).await? {
                self.text.push(&bytes)?;
            } else {
                self.is_ended = true;
                self.text.end()?;
            }
        }
    }
}

impl Text {
    fn push(&mut self, bytes: &[u8]) -> Result<(), LinesError> {
        if let Encoding::Unknown = self.encoding {
            self.open.extend_from_slice(bytes);
            if self.open.len() < 2 {
                return Ok(());
            }
            let start = std::mem::take(&mut self.open);
            self.encoding = if start.starts_with(&[0x1f, 0x8b]) {
                Encoding::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
            } else {
                Encoding::Plain
            };
            return self.push(&start);
        }
        if let Encoding::Gzip(_) = self.encoding {
            for part in bytes.chunks(INFLATED_AT_ONCE) {
                let Encoding::Gzip(inflater) = &mut self.encoding else { break };
                inflater.write_all(part).map_err(|_| LinesError::Gzip)?;
                inflater.flush().map_err(|_| LinesError::Gzip)?;
                let text = std::mem::take(inflater.get_mut());
                self.split(&text)?;
            }
            return Ok(());
        }
        self.split(bytes)
    }

    /// Cuts text into lines.
    fn split(&mut self, mut text: &[u8]) -> Result<(), LinesError> {
        while let Some(end) = memchr::memchr(b'\n', text) {
            let (line, rest) = text.split_at(end);
            self.open.extend_from_slice(line);
            self.close();
            text = rest.get(1..).unwrap_or_default();
        }
        self.open.extend_from_slice(text);
        if self.open.len() > MAX_LINE_BYTES { Err(LinesError::TooLong) } else { Ok(()) }
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
            self.split(&text)?;
        }
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
            text.push(part)?;
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
    fn damaged_gzip_and_endless_lines_are_told() {
        let packed = gzip(b"a\nb\n");
        assert_eq!(read(&packed[..packed.len() - 1], 7), Err(LinesError::Gzip));
        assert_eq!(read(&vec![b'x'; MAX_LINE_BYTES + 1], 1 << 20), Err(LinesError::TooLong));
    }
}
