//! Ids of events that come without one: the same in a retry and in a replay.
//!
//! `sha256:9f86d081884c7d659a2feaa0c55ad015`: the first 32 hex digits of SHA-256 over what tells the event from all others.

use ring::digest::{Context, SHA256};

/// Makes ids for the lines of a record that come without one: the same in a retry and in a replay.
///
/// `sha256:` and the first 32 hex digits of SHA-256 over the record's bytes, a line feed and the line's position in decimal.
#[derive(Clone)]
pub struct Ids<'a> {
    bytes: &'a [u8],
    /// The hash of the bytes, once the first line has asked for it.
    hash: Option<Context>,
}

impl<'a> Ids<'a> {
    /// Starts with a record's bytes, base64 undone.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, hash: None }
    }

    /// Makes the id of the line at `position`, counted from 0.
    #[must_use]
    pub fn id(&mut self, position: usize) -> String {
        let bytes = self.bytes;
        let of_record = self.hash.get_or_insert_with(|| {
            let mut hash = Context::new(&SHA256);
            hash.update(bytes);
            hash
        });
        let mut hash = of_record.clone();
        hash.update(format!("\n{position}").as_bytes());
        made_id(hash)
    }
}

/// Makes the id of an event that several lines make, from the ids of those: `sha256:` and the first 32 hex digits of SHA-256
/// over them, sorted as text, each followed by a line feed.
///
/// In whatever order the lines come, from whichever records and however often: the same lines are the same event, and others
/// another one. So a receiver that drops what it knows keeps an event that has lines more than the one before it.
pub fn id_of_lines<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    // Firehose delivers at least once: a line that comes twice in one event makes it no other one.
    ids.dedup();
    // One text is hashed in half the time that its pieces take.
    let mut text = String::with_capacity(ids.iter().map(|id| id.len() + 1).sum());
    for id in ids {
        text.extend([id, "\n"]);
    }
    let mut hash = Context::new(&SHA256);
    hash.update(text.as_bytes());
    made_id(hash)
}

/// Writes a hash as an id that is none of CloudWatch's.
fn made_id(hash: Context) -> String {
    let mut id = String::with_capacity("sha256:".len() + 32);
    id.push_str("sha256:");
    id.push_str(&hex(hash.finish().as_ref(), 16));
    id
}

/// Returns the first `bytes` bytes of a digest in lowercase hex.
#[must_use]
pub fn hex(digest: &[u8], bytes: usize) -> String {
    let mut text = String::with_capacity(2 * bytes);
    for byte in digest.iter().take(bytes) {
        // Two hex digits are always there.
        text.extend([byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)));
    }
    text
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn an_id_is_made_of_the_record_and_the_position() {
        // printf 'abc\n0' | sha256sum
        let mut ids = Ids::new(b"abc");
        let expected = hex(&Sha256::digest(b"abc\n0"), 16);
        assert_eq!(ids.id(0), format!("sha256:{expected}"));
        assert_eq!(ids.id(12), format!("sha256:{}", hex(&Sha256::digest(b"abc\n12"), 16)));
        assert_eq!(ids.id(0).len(), "sha256:".len() + 32);
    }

    #[track_caller]
    fn is_of_lines(ids: &[&str], hashed: &[u8]) {
        let expected = hex(&Sha256::digest(hashed), 16);
        assert_eq!(id_of_lines(ids.iter().copied()), format!("sha256:{expected}"), "{ids:?}");
    }

    #[test]
    fn the_id_of_several_lines_is_made_of_theirs_in_whatever_order_and_however_often_they_come() {
        is_of_lines(&["7"], b"7\n");
        is_of_lines(&["9", "10", "7"], b"10\n7\n9\n");
        is_of_lines(&["7", "9", "10"], b"10\n7\n9\n");
        is_of_lines(&["7", "9", "7", "10", "9"], b"10\n7\n9\n");
        is_of_lines(&["7", "9"], b"7\n9\n");
    }
}
