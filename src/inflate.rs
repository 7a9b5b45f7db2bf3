//! Gzip undone: most of the unavoidable time.
//!
//! CloudWatch Logs sends one member whose trailer tells how large the content is. Such a record is inflated in one call by
//! libdeflate, which is faster than any streaming decoder as it has the whole output before it. Whatever else there is
//! (several members, a wrong trailer, a header with more in it, whatever libdeflate does not take) is left to a streaming decoder,
//! whose word on it counts.
//!
//! The crate's only unsafe code is here: the call of libdeflate's C function, which says what no safe wrapper does: how much
//! of the input it has read. Without that, a second member would go unseen.

#![expect(unsafe_code, reason = "libdeflate is a C library")]

use std::io::{self, Read};
use std::ptr::NonNull;

use flate2::bufread::MultiGzDecoder;
use libdeflate_sys::{
    libdeflate_alloc_decompressor, libdeflate_decompressor, libdeflate_free_decompressor,
    libdeflate_gzip_decompress_ex, libdeflate_result_LIBDEFLATE_SUCCESS as SUCCESS,
};

/// Most bytes that one byte of deflate can stand for: 258 for a code of two bits.
const MAX_RATIO: usize = 1032;

/// Why gzip cannot be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateError {
    /// It is damaged or cut short, or something stands behind it.
    Damaged,
    /// The content is larger than the cap.
    TooLarge,
}

/// Undoes gzip. Holds the tables that libdeflate builds, for one record after the other.
#[derive(Debug)]
pub struct Inflater {
    /// Owned; `None` if there was no memory for it.
    decompressor: Option<NonNull<libdeflate_decompressor>>,
}

impl Default for Inflater {
    fn default() -> Self {
        // SAFETY: takes nothing, and returns null or a decompressor that is the caller's.
        Self { decompressor: NonNull::new(unsafe { libdeflate_alloc_decompressor() }) }
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        if let Some(decompressor) = self.decompressor {
            // SAFETY: allocated in `default`, freed only here.
            unsafe { libdeflate_free_decompressor(decompressor.as_ptr()) }
        }
    }
}

impl Inflater {
    /// Inflates gzip of any number of members into `out`, in place of what was there.
    ///
    /// # Errors
    /// Damage anywhere, and content of more than `cap` bytes: it fails rather than truncate.
    pub fn inflate(&mut self, gzip: &[u8], cap: usize, out: &mut Vec<u8>) -> Result<(), InflateError> {
        // The last four bytes tell the size of the last member, unless they lie.
        let told = gzip.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize);
        // A header with optional fields has checks that libdeflate does not make.
        let is_plain = gzip.get(3) == Some(&0);
        let is_likely = is_plain && told <= cap && told <= gzip.len().saturating_mul(MAX_RATIO);
        if is_likely && self.whole(gzip, told, out) {
            return Ok(());
        }
        stream(gzip, cap, out)
    }

    /// Inflates gzip of one member with so many bytes of content; `false` if it is anything else.
    fn whole(&mut self, gzip: &[u8], size: usize, out: &mut Vec<u8>) -> bool {
        let Some(decompressor) = self.decompressor else { return false };
        out.clear();
        out.reserve(size);
        let (mut read, mut written) = (0, 0);
        // SAFETY: the decompressor is ours. The input is a slice. The output is the vector's spare capacity, of `size` bytes at
        // least, of which the function only writes; the last two are written on success.
        let result = unsafe {
            libdeflate_gzip_decompress_ex(
                decompressor.as_ptr(),
                gzip.as_ptr().cast(),
                gzip.len(),
                out.spare_capacity_mut().as_mut_ptr().cast(),
                size,
                &raw mut read,
                &raw mut written,
            )
        };
        if result != SUCCESS || read != gzip.len() || written > size {
            return false;
        }
        // SAFETY: on success the first `written` bytes are initialized, and there is capacity for `size`.
        unsafe { out.set_len(written) };
        true
    }
}

/// Inflates the start of gzip that may be cut short: as much as is there, and `cap` bytes at most.
#[must_use]
pub fn start(gzip: &[u8], cap: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let limit = u64::try_from(cap).unwrap_or(u64::MAX);
    // What came before the damage is in the buffer.
    MultiGzDecoder::new(gzip).take(limit).read_to_end(&mut out).ok();
    out
}

/// Inflates gzip of any number of members, as far as the cap allows.
fn stream(gzip: &[u8], cap: usize, out: &mut Vec<u8>) -> Result<(), InflateError> {
    out.clear();
    let limit = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    let read: io::Result<usize> = MultiGzDecoder::new(gzip).take(limit).read_to_end(out);
    read.map_err(|_| InflateError::Damaged)?;
    if out.len() > cap { Err(InflateError::TooLarge) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(content: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(content).expect("memory");
        encoder.finish().expect("memory")
    }

    fn inflated(gzip: &[u8], cap: usize) -> Result<Vec<u8>, InflateError> {
        let mut out = b"from before".to_vec();
        Inflater::default().inflate(gzip, cap, &mut out).map(|()| out)
    }

    #[test]
    fn one_member_takes_the_fast_way_and_several_the_other() {
        let mut inflater = Inflater::default();
        let mut out = Vec::new();
        let one = gzip(b"one and one", 6);
        assert!(inflater.whole(&one, 11, &mut out));
        assert_eq!(out, b"one and one");
        // The same member twice: the trailer is right, and yet half of the content would be missing.
        let twice = [one.as_slice(), &one].concat();
        assert!(!inflater.whole(&twice, 11, &mut out));
        assert_eq!(inflated(&twice, 100), Ok(b"one and oneone and one".to_vec()));
        assert!(!inflater.whole(&one, 10, &mut out));
        assert!(!inflater.whole(&[], 0, &mut out));
    }

    #[test]
    fn a_damaged_header_is_damage_even_if_the_content_is_whole() {
        let plain = gzip(b"content", 6);
        // FHCRC, and a wrong CRC-16 behind the fixed header.
        let mut checked = plain.clone();
        checked.splice(3..4, [2]);
        checked.splice(10..10, [0, 0]);
        assert_eq!(inflated(&checked, 100), Err(InflateError::Damaged));
    }

    #[test]
    fn the_cap_is_on_the_content_that_comes() {
        let content = vec![7; 1000];
        for member in [gzip(&content, 6), [gzip(&content[..999], 6), gzip(&content[999..], 6)].concat()] {
            assert_eq!(inflated(&member, 999), Err(InflateError::TooLarge));
            assert_eq!(inflated(&member, 1000).as_deref(), Ok(content.as_slice()));
            assert_eq!(inflated(&member, 1001).as_deref(), Ok(content.as_slice()));
        }
    }

    #[test]
    fn a_trailer_that_tells_gigabytes_is_not_believed() {
        let mut small = gzip(b"small", 6);
        small.splice(small.len() - 4.., [0xff; 4]);
        let mut out = Vec::new();
        assert_eq!(Inflater::default().inflate(&small, usize::MAX, &mut out), Err(InflateError::Damaged));
        assert!(out.capacity() < 1 << 20);
    }

    proptest! {
        #[test]
        fn what_is_inflated_is_what_the_streaming_decoder_inflates(
            contents in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..300), 0..4),
            level in 0_u32..=9,
            cap in 0_usize..1000,
            garbage in prop::option::weighted(0.2, any::<u8>()),
            flip in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
            cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        ) {
            let mut bytes: Vec<u8> = contents.iter().flat_map(|content| gzip(content, level)).chain(garbage).collect();
            if let Some((at, with)) = flip
                && !bytes.is_empty()
            {
                let at = at.index(bytes.len());
                bytes[at] = with;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            let mut expected = Vec::new();
            let clear = stream(&bytes, cap, &mut expected).map(|()| expected);
            let fast = inflated(&bytes, cap);
            prop_assert_eq!(fast, clear);
        }
    }
}
