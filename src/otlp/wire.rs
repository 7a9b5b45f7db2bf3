//! Protobuf, as far as it is written here.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>

/// Writes a varint.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Returns the bytes of a varint.
pub(super) fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    (bits as usize).div_ceil(7)
}

/// Writes a field of bytes.
pub(super) fn bytes(tag: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Writes a field of eight bytes.
pub(super) fn fixed64(tag: u8, value: u64, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Writes a message whose length is known only when it is written.
pub(super) fn message(tag: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let start = out.len();
    // Most are shorter than 128 bytes: then nothing moves.
    out.push(0);
    write(out);
    let length = out.len() - start - 1;
    let mut prefix = Vec::with_capacity(5);
    varint(length as u64, &mut prefix);
    out.splice(start..=start, prefix);
}
