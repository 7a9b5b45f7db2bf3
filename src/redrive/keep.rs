//! What is kept of an object after a try: lines written to new objects, a piece at a time.
//!
//! ```text
//! failed/2026/11/21/18/stream-1-2026-11-21-18-59-00-6f1c                        the object
//! failed/2026/11/21/18/stream-1-2026-11-21-18-59-00-6f1c-left-0123456789abcdef  what is to be tried again
//! parked/2026/11/21/18/stream-1-2026-11-21-18-59-00-6f1c-parked-fedcba98…       what would fail again
//! ```
//!
//! A piece is named by its content: written twice, after a crash, it is the same object.

use bytes::Bytes;
use ring::digest::{SHA256, digest};

use crate::aws::{AwsError, Bucket};
use crate::ids::hex;
use crate::retry::Deadline;

/// Size of a piece from which on it is written, in bytes.
const PIECE_BYTES: usize = 8 << 20;

/// Most of the name of an object that is kept: a key has 1,024 bytes at most, and folder, mark and digest take some.
const MAX_NAME_BYTES: usize = 900;

/// What a name of ours ends with before 16 hex digits.
const MARKS: [&str; 2] = ["-left-", "-parked-"];

/// Lines that are kept under one name.
pub(super) struct Keep<'a> {
    bucket: &'a Bucket,
    /// The key without what its content adds.
    stem: String,
    text: Vec<u8>,
    lines: usize,
}

impl<'a> Keep<'a> {
    /// Keeps what is to be tried again of the object of this key, which is under `from`.
    pub(super) fn left(bucket: &'a Bucket, key: &str, from: &str, to: &str) -> Self {
        Self::new(bucket, key, from, to, MARKS[0])
    }

    /// Keeps what would fail again.
    pub(super) fn parked(bucket: &'a Bucket, key: &str, from: &str, to: &str) -> Self {
        Self::new(bucket, key, from, to, MARKS[1])
    }

    fn new(bucket: &'a Bucket, key: &str, from: &str, to: &str, mark: &str) -> Self {
        let name = own_name(key.strip_prefix(from).unwrap_or(key));
        let name = name.get(..name.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or(name);
        Self { bucket, stem: format!("{to}{name}{mark}"), text: Vec::new(), lines: 0 }
    }

    pub(super) fn push(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        self.lines += 1;
    }

    /// Returns how many lines there are, written or not.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= PIECE_BYTES
    }

    /// Writes what is not yet written.
    pub(super) async fn write(&mut self, deadline: Deadline) -> Result<(), AwsError> {
        if self.text.is_empty() {
            return Ok(());
        }
        let text = Bytes::from(std::mem::take(&mut self.text));
        let digest = digest(&SHA256, &text);
        let key = format!("{}{}", self.stem, hex(digest.as_ref(), 8));
        self.bucket.put(&key, text, deadline).await
    }
}

/// Returns the name that Firehose has given.
fn own_name(name: &str) -> &str {
    let cut = name.len().saturating_sub(16);
    let Some((start, end)) = name.split_at_checked(cut) else { return name };
    if !end.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return name;
    }
    MARKS.iter().find_map(|mark| start.strip_suffix(mark)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_grow() {
        assert_eq!(own_name("2026/stream-1-6f1c-left-0123456789abcdef"), "2026/stream-1-6f1c");
        assert_eq!(own_name("2026/stream-1-6f1c-parked-0123456789abcdef"), "2026/stream-1-6f1c");
        for name in
            ["", "x", "2026/stream-1-6f1c", "a-left-0123456789abcdex", "0123456789abcdef", "\u{fc}23456789abcdef"]
        {
            assert_eq!(own_name(name), name);
        }
    }
}
