//! JSON that every reader takes alike.
//!
//! RFC 8259 leaves open what an object is that has a key twice, a string with half a surrogate pair, a number that no double
//! holds. Some receivers refuse a whole body for one of them, and the record that it came from could never be delivered.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Cursor, JsonError, Kind, Str, write_string};

/// The longest number that leaves as a number.
pub(crate) const NUMBER_MAX_BYTES: usize = 64;

/// Returns a JSON value that says the same and is read alike everywhere: if a key is repeated the last value wins, half a
/// surrogate pair becomes U+FFFD, a number that is not a finite double or is longer than 64 characters becomes a string.
///
/// Text that is not JSON stays as it is.
#[must_use]
pub fn sound(json: &str) -> Cow<'_, str> {
    if is_sound(json) {
        return Cow::Borrowed(json);
    }
    let mut out = Vec::with_capacity(json.len());
    let written = write_sound(&mut Cursor::new(json), &mut out).ok().and_then(|()| String::from_utf8(out).ok());
    written.map_or(Cow::Borrowed(json), Cow::Owned)
}

/// Returns whether [`sound`] leaves a text as it is.
#[must_use]
pub fn is_sound(json: &str) -> bool {
    is_sound_value(&mut Cursor::new(json)).unwrap_or(true)
}

/// Returns whether every reader takes a number as a number.
#[must_use]
pub fn is_sound_number(number: &str) -> bool {
    // Without an exponent, so few digits are far from the largest double. The shortest number that is not finite is `2e308`.
    let has_exponent = || number.len() > 4 && number.bytes().any(|byte| byte | 0x20 == b'e');
    number.len() <= NUMBER_MAX_BYTES && (!has_exponent() || number.parse::<f64>().is_ok_and(f64::is_finite))
}

impl Str<'_> {
    /// Returns whether the string holds half a surrogate pair.
    #[must_use]
    pub fn has_lone_surrogate(self) -> bool {
        self.escaped() && has_surrogate(self.raw()) && self.decode().contains(char::REPLACEMENT_CHARACTER)
    }
}

/// Returns whether a string's text holds what may be an escaped surrogate.
fn has_surrogate(raw: &str) -> bool {
    let is_surrogate = |at: usize| {
        let digits = raw.as_bytes().get(at + 1..at + 4);
        matches!(digits, Some([b'u' | b'U', b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F']))
    };
    memchr::memchr_iter(b'\\', raw.as_bytes()).any(is_surrogate)
}

/// Reads the value at the cursor. No deeper than JSON is read.
fn is_sound_value(cursor: &mut Cursor<'_>) -> Result<bool, JsonError> {
    let mut first = true;
    let mut sound = true;
    match cursor.kind()? {
        Kind::Object => {
            cursor.open()?;
            let mut keys = Vec::new();
            while let Some(key) = cursor.next_key(&mut first)? {
                sound = sound && !key.has_lone_surrogate() && is_sound_value(cursor)?;
                if !sound {
                    return Ok(false);
                }
                keys.push(key.decode());
            }
            keys.sort_unstable();
            return Ok(keys.windows(2).all(|pair| matches!(pair, [one, other] if one != other)));
        }
        Kind::Array => {
            cursor.open()?;
            while sound && cursor.next_element(&mut first)? {
                sound = is_sound_value(cursor)?;
            }
        }
        Kind::String => sound = !cursor.string()?.has_lone_surrogate(),
        Kind::Number => sound = is_sound_number(cursor.value()?),
        Kind::Bool | Kind::Null => drop(cursor.value()?),
    }
    Ok(sound)
}

fn write_sound(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), JsonError> {
    let mut first = true;
    match cursor.kind()? {
        Kind::Object => {
            cursor.open()?;
            let mut entries = Vec::new();
            let mut last = HashMap::new();
            while let Some(key) = cursor.next_key(&mut first)? {
                let key = key.decode();
                last.insert(key.clone(), entries.len());
                entries.push((key, cursor.value()?));
            }
            out.push(b'{');
            let mut opened = false;
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if last.get(&key) == Some(&index) {
                    if std::mem::replace(&mut opened, true) {
                        out.push(b',');
                    }
                    write_string(out, &key);
                    out.push(b':');
                    write_sound(&mut Cursor::new(value), out)?;
                }
            }
            out.push(b'}');
        }
        Kind::Array => {
            cursor.open()?;
            out.push(b'[');
            let mut opened = false;
            while cursor.next_element(&mut first)? {
                if std::mem::replace(&mut opened, true) {
                    out.push(b',');
                }
                write_sound(cursor, out)?;
            }
            out.push(b']');
        }
        Kind::String => {
            let string = cursor.string()?;
            write_string(out, &string.decode());
        }
        Kind::Number => {
            let number = cursor.value()?;
            if is_sound_number(number) { out.extend_from_slice(number.as_bytes()) } else { write_string(out, number) }
        }
        Kind::Bool | Kind::Null => out.extend_from_slice(cursor.value()?.as_bytes()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(json: &str, expected: &str) {
        assert_eq!(sound(json), expected, "{json}");
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_value_counts() {
        becomes(r#"{"a":1,"b":[{"c":"x","d":2,"c":"y"}],"a":{"e":3}}"#, r#"{"b":[{"d":2,"c":"y"}],"a":{"e":3}}"#);
        becomes(r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#);
        becomes(r#"{"a":1,"A":2}"#, r#"{"a":1,"A":2}"#);
    }

    #[test]
    fn half_a_surrogate_pair_is_a_replacement_character() {
        becomes(r#"{"a \ud83d b":["x \uDE00","\ud83d\ude00"]}"#, "{\"a \u{fffd} b\":[\"x \u{fffd}\",\"\u{1f600}\"]}");
        becomes(r#"["\ud83d\ude00","\\ud83d","�"]"#, r#"["\ud83d\ude00","\\ud83d","�"]"#);
    }

    #[test]
    fn a_number_that_readers_refuse_is_a_string() {
        let (limit, beyond) = ("9".repeat(64), "9".repeat(65));
        becomes(&format!("[{limit},-1.5e3,1e308]"), &format!("[{limit},-1.5e3,1e308]"));
        becomes(&format!("[{beyond},1e309,-1E999]"), &format!("[\"{beyond}\",\"1e309\",\"-1E999\"]"));
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        becomes(r#"{"a":1,"a":}"#, r#"{"a":1,"a":}"#);
        becomes("", "");
    }
}
