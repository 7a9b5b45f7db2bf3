//! The scans that most bytes go through: 16 or 64 of them at once.
//!
//! A log line is JSON inside JSON, with an escape every ten bytes: too dense for a search that has to be set up each time. So a
//! block is compared with what ends a run, and the answers are looked at as bits, the first byte's lowest.

use wide::u8x16;

/// Returns how many bytes from the start can stand in a JSON string as they are: up to a quote, a backslash or a control
/// character.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let ends = |block: &[u8; 16]| {
        let Marks { quotes, backslashes, controls } = Marks::of(block);
        quotes | backslashes | controls
    };
    let (blocks, tail) = bytes.as_chunks::<16>();
    for (index, block) in blocks.iter().enumerate() {
        let ends = ends(block);
        if ends != 0 {
            return index * 16 + ends.trailing_zeros() as usize;
        }
    }
    // The zeros behind the tail end the run.
    blocks.len() * 16 + ends(&padded(tail)).trailing_zeros() as usize
}

/// Returns how many bytes of what stands inside a JSON string are before its first escape, and whether one of them is a sign, as
/// [`has_secret_sign`] knows them.
#[inline]
pub(crate) fn unescaped_run(bytes: &[u8]) -> (usize, bool) {
    let mut signs = 0;
    let (blocks, tail) = bytes.as_chunks::<16>();
    let mut found = |index: usize, block: &[u8; 16]| {
        let block = u8x16::from(*block);
        let backslashes = block.simd_eq(u8x16::splat(b'\\')).to_bitmask();
        // All bits below the first backslash; all bits where there is none.
        let inside = (backslashes & backslashes.wrapping_neg()).wrapping_sub(1);
        signs |= secret_signs(block) & inside;
        (backslashes != 0).then(|| index * 16 + backslashes.trailing_zeros() as usize)
    };
    let end = blocks.iter().enumerate().find_map(|(index, block)| found(index, block));
    let end = end.or_else(|| found(blocks.len(), &padded(tail))).unwrap_or(bytes.len());
    (end, signs != 0)
}

/// Returns whether a text has one of the signs without which no credential stands in a string that has no escapes: `:`, `;`,
/// `<` or `=` are beside a name, `%` encodes one, `J` is in the beginning of every JSON Web Token and `V` in that of every
/// private key.
pub(crate) fn has_secret_sign(text: &str) -> bool {
    let (blocks, tail) = text.as_bytes().as_chunks::<16>();
    blocks.iter().chain([&padded(tail)]).any(|block| secret_signs(u8x16::from(*block)) != 0)
}

/// Returns whether `is_found` says so at any sign of a text, given by its place: what stands beside a name (`:`, `<`, `=`), what
/// encodes one (`%`, `&`), what JSON has around one (`"`, `\`), and the letters by which some credentials are recognised (`J`, `V`, `z`
/// in both cases).
pub(crate) fn any_sign(text: &[u8], mut is_found: impl FnMut(usize) -> bool) -> bool {
    let (blocks, tail) = text.as_chunks::<16>();
    let last = padded(tail);
    // The zeros behind the tail are not signs.
    blocks.iter().chain([&last]).enumerate().any(|(index, block)| {
        let mut signs = all_signs(u8x16::from(*block));
        while signs != 0 {
            if is_found(index * 16 + signs.trailing_zeros() as usize) {
                return true;
            }
            signs &= signs - 1;
        }
        false
    })
}

fn all_signs(block: u8x16) -> u32 {
    let is = |sign: u8| block.simd_eq(u8x16::splat(sign));
    let is_letter = (block | u8x16::splat(0x20)).simd_eq(u8x16::splat(b'z')) | is(b'J') | is(b'V');
    let is_quoting = is(b'"') | is(b'\\') | is(b'%') | is(b'&');
    (is_letter | is_quoting | is(b':') | is(b'<') | is(b'=')).to_bitmask()
}

fn secret_signs(block: u8x16) -> u32 {
    let is = |sign: u8| block.simd_eq(u8x16::splat(sign));
    // The four signs from `:` to `=` are next to each other.
    let from_colon = block - u8x16::splat(b':');
    let beside_names = from_colon.min(u8x16::splat(b'=' - b':')).simd_eq(from_colon);
    (beside_names | is(b'%') | is(b'J') | is(b'V')).to_bitmask()
}

/// Returns fewer than 16 bytes with zeros behind them. Two words that overlap take less time than a copy of any length.
fn padded(bytes: &[u8]) -> [u8; 16] {
    let length = bytes.len();
    let low_and_high = if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        let last = u128::from(u64::from_le_bytes(*last));
        u128::from(u64::from_le_bytes(*first)) | last << (8 * (length - 8))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        u128::from(u32::from_le_bytes(*first)) | u128::from(u32::from_le_bytes(*last)) << (8 * (length - 4))
    } else {
        bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u128::from(*byte))
    };
    low_and_high.to_le_bytes()
}

/// Returns how many bytes from the start are before the quote that ends a JSON string; `None` if they are not a valid string, or
/// end too soon to tell.
///
/// A log line is JSON inside JSON, with an escape every ten bytes: too many to stop at each. So 64 bytes are looked at in one
/// go, as bits, and only an escape that is neither that of a quote nor of a backslash is looked at by itself.
pub(super) fn string_end(bytes: &[u8]) -> Option<usize> {
    let (blocks, tail) = bytes.as_chunks::<64>();
    let mut padded = [b' '; 64];
    padded.get_mut(..tail.len())?.copy_from_slice(tail);
    // Whether the first byte of the block is escaped by the last one of the block before.
    let mut carry = 0;
    for (index, block) in blocks.iter().chain([&padded]).enumerate() {
        let Marks { quotes, backslashes, controls } = Marks::of_64(block);
        let escaped = escaped(backslashes, carry);
        let ends = quotes & !escaped;
        // All bits below the first end; all bits where there is none.
        let inside = (ends & ends.wrapping_neg()).wrapping_sub(1);
        if controls & inside != 0 {
            return None;
        }
        let mut others = escaped & inside & !(quotes | backslashes);
        while others != 0 {
            let at = index * 64 + others.trailing_zeros() as usize;
            if !is_escape(bytes.get(at..)?) {
                return None;
            }
            others &= others - 1;
        }
        if ends != 0 {
            return Some(index * 64 + ends.trailing_zeros() as usize);
        }
        carry = (backslashes & !escaped) >> 63;
    }
    None
}

/// Returns which bytes are escaped: each one behind a backslash that is not escaped itself. `carry` is 1 if the first one is.
fn escaped(backslashes: u64, carry: u64) -> u64 {
    let behind = backslashes << 1 | carry;
    if backslashes & behind == 0 {
        return behind;
    }
    // In a run of backslashes every other one is escaped.
    let mut escaped = carry;
    let mut rest = backslashes & !carry;
    while rest != 0 {
        let first = rest & rest.wrapping_neg();
        escaped |= first << 1;
        rest &= !(first | first << 1);
    }
    escaped
}

/// Returns whether `text`, which stands behind a backslash, is the rest of a valid escape.
fn is_escape(text: &[u8]) -> bool {
    match text {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => true,
        [b'u', digits @ ..] => digits.get(..4).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        _ => false,
    }
}

/// Where the bytes are that mean something in a JSON string: a bit for each byte of a block, the first byte lowest.
struct Marks {
    quotes: u64,
    backslashes: u64,
    controls: u64,
}

impl Marks {
    fn of(block: &[u8; 16]) -> Self {
        let block = u8x16::from(*block);
        let bits = |matching: u8x16| u64::from(matching.to_bitmask());
        Self {
            quotes: bits(block.simd_eq(u8x16::splat(b'"'))),
            backslashes: bits(block.simd_eq(u8x16::splat(b'\\'))),
            controls: bits(block.simd_eq(block.min(u8x16::splat(0x1F)))),
        }
    }

    fn of_64(block: &[u8; 64]) -> Self {
        let mut marks = Self { quotes: 0, backslashes: 0, controls: 0 };
        for (index, part) in block.as_chunks::<16>().0.iter().enumerate() {
            let part = Self::of(part);
            marks.quotes |= part.quotes << (16 * index);
            marks.backslashes |= part.backslashes << (16 * index);
            marks.controls |= part.controls << (16 * index);
        }
        marks
    }
}

/// Returns whether `text` starts with `start`. For a few dozen bytes, words in line are quicker than a call to compare memory.
#[inline]
pub(crate) fn starts_with(text: &[u8], start: &[u8]) -> bool {
    let Some(text) = text.get(..start.len()) else { return false };
    let (words, _) = text.as_chunks::<8>();
    let (expected, tail) = start.as_chunks::<8>();
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    words.iter().zip(expected).all(|(word_of_text, word_of_start)| word(word_of_text) == word(word_of_start))
        && (tail.is_empty() || ends_with(text, start))
}

/// Returns whether two texts of the same length have the same end: the last word, or all that there is.
fn ends_with(text: &[u8], start: &[u8]) -> bool {
    match (text.last_chunk::<8>(), start.last_chunk::<8>()) {
        (Some(text), Some(start)) => u64::from_le_bytes(*text) == u64::from_le_bytes(*start),
        _ => text.iter().eq(start),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_ends_at_the_first_escape_and_knows_the_signs_in_it(text in r"([a-z]{0,20}[=:;<%JV\\\\]?){0,3}") {
            let end = text.find('\\').unwrap_or(text.len());
            let signs = text[..end].contains(['=', ':', ';', '<', '%', 'J', 'V']);
            prop_assert_eq!(unescaped_run(text.as_bytes()), (end, signs));
            prop_assert_eq!(has_secret_sign(&text[..end]), signs);
        }

        #[test]
        fn each_sign_is_met_in_its_order(text in r"([ -~]{0,20}|é|\n){0,4}") {
            let is_sign = |byte: &u8| br#":<=%&"\JVzZ"#.contains(byte);
            let expected: Vec<_> = (0..text.len()).filter(|at| is_sign(&text.as_bytes()[*at])).collect();
            let mut met = Vec::new();
            let found = any_sign(text.as_bytes(), |at| {
                met.push(at);
                false
            });
            prop_assert_eq!((found, &met), (false, &expected));
            let last = expected.last().copied();
            prop_assert_eq!(any_sign(text.as_bytes(), |at| Some(at) == last), last.is_some());
        }

        #[test]
        fn a_text_starts_with_what_it_starts_with(text in "[ab]{0,30}", start in "[ab]{0,20}", own in 0_usize..30) {
            let own = &text[..own.min(text.len())];
            prop_assert!(starts_with(text.as_bytes(), own.as_bytes()));
            prop_assert_eq!(starts_with(text.as_bytes(), start.as_bytes()), text.starts_with(&start));
        }

        #[test]
        fn a_plain_run_ends_at_the_first_byte_that_needs_an_escape(bytes in any::<Vec<u8>>(), plain in 0_usize..40) {
            let bytes = [vec![b'x'; plain], bytes].concat();
            let expected = bytes.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
            prop_assert_eq!(plain_run(&bytes), expected.unwrap_or(bytes.len()));
        }
    }
}
