//! The search of JSON, whole or cut.
//!
//! The walk takes whatever could be JSON so far, and stops without harm where it is none: a line that a template made, with a
//! quote that nobody escaped, is searched as plain text from there.

use memchr::memchr;

use super::encoding::Encoding;
use super::name::Quotes;
use super::names::is_query_map;
use super::quotes::{self, Quoted};
use super::scan::Scan;

impl Scan<'_> {
    /// Searches the JSON value that starts at `start`; returns where it ends or stops being JSON.
    pub(super) fn json(&mut self, start: usize) -> usize {
        let mut at = start;
        let mut depth = 0_usize;
        // The depth of the object whose members are query parameters.
        let mut query = None;
        let mut due = true;
        loop {
            at = self.after_space(at);
            let Some(byte) = self.byte(at) else { return at };
            match byte {
                b'{' | b'[' if due => {
                    depth += 1;
                    at += 1;
                    continue;
                }
                b'}' | b']' if depth > 0 => {
                    query = query.filter(|open| *open != depth);
                    depth -= 1;
                    at += 1;
                }
                b',' if !due && depth > 0 => {
                    due = true;
                    at += 1;
                    continue;
                }
                b'"' if due => {
                    let string = quotes::string(self.text, at + 1, b'"', 0);
                    let colon = self.after_space(string.next);
                    if depth > 0 && string.closed && self.byte(colon) == Some(b':') {
                        let value = self.after_space(colon + 1);
                        match self.member(&string, value, query.is_some()) {
                            Some(after) => at = after,
                            None if self.byte(value) == Some(b'"') && self.key_is(&string, is_query_map) => {
                                at = self.query_string(value);
                            }
                            None => {
                                at = value;
                                let opens = self.byte(at) == Some(b'{');
                                if opens && query.is_none() && self.key_is(&string, is_query_map) {
                                    query = Some(depth + 1);
                                }
                                continue;
                            }
                        }
                    } else {
                        at = string.next;
                        self.inside_string(string.content);
                    }
                }
                b'-' | b'0'..=b'9' | b'a'..=b'z' if due => at += self.scalar_length(at),
                _ => return at,
            }
            due = false;
            if depth == 0 {
                return at;
            }
        }
    }

    /// Hides the value at `value` if its key is hidden, and returns where it ends.
    fn member(&mut self, key: &Quoted, value: usize, in_query: bool) -> Option<usize> {
        let names = self.names;
        if !self.key_is(key, |key| if in_query { names.hide_in_query(key) } else { names.hide(key) }) {
            // A form that was taken for JSON ends up as a key.
            self.inside_string(key.content.clone());
            return None;
        }
        if self.byte(value) == Some(b'"') {
            let string = quotes::string(self.text, value + 1, b'"', 0);
            self.hide(string.content);
            Some(string.next)
        } else {
            Some(self.hide_json_value(value, Quotes::JSON))
        }
    }

    /// Searches the string at `start`, a query map in Java's notation or a query as it stood; returns where it ends.
    fn query_string(&mut self, start: usize) -> usize {
        let string = quotes::string(self.text, start + 1, b'"', 0);
        self.inside_query_string(string.content);
        string.next
    }

    fn key_is(&self, key: &Quoted, holds: impl Fn(&str) -> bool) -> bool {
        let raw = self.text.get(key.content.clone()).unwrap_or_default();
        if memchr(b'\\', raw.as_bytes()).is_none() { holds(raw) } else { holds(&Encoding::JsonString.decode(raw)) }
    }

    fn scalar_length(&self, at: usize) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')).count()
    }
}
