//! A JSON object being written: fields without a value are left out, and every value passes the redactor.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::line;
use crate::header_map::{self, Names};
use crate::json;
use crate::redact::{REDACTED, Redactor, is_missing};

/// An object whose `{` is written and whose `}` is not. Names are those of this crate and need no escapes.
pub(super) struct Object<'w> {
    out: &'w mut Vec<u8>,
    redactor: &'w Redactor,
    empty: bool,
}

impl<'w> Object<'w> {
    /// Writes an object with what `fields` adds to it, even if that is nothing.
    pub(super) fn write(out: &'w mut Vec<u8>, redactor: &'w Redactor, fields: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        fields(&mut Object { out, redactor, empty: true });
        out.push(b'}');
    }

    /// Adds an object with what `fields` adds to it, unless that is nothing.
    pub(super) fn object(&mut self, name: &str, fields: impl FnOnce(&mut Object<'_>)) {
        let before = (self.out.len(), self.empty);
        self.name(name);
        self.out.push(b'{');
        let mut inner = Object { out: &mut *self.out, redactor: self.redactor, empty: true };
        fields(&mut inner);
        if inner.empty {
            self.out.truncate(before.0);
            self.empty = before.1;
        } else {
            self.out.push(b'}');
        }
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.name(name);
            json::write_string(self.out, &self.redactor.text(text));
        }
    }

    /// Adds the value of `authorizationToken`: hidden with that name.
    pub(super) fn identity(&mut self, name: &str, token: Option<&str>) {
        let hidden = self.redactor.hides("authorizationToken");
        self.text(name, token.map(|token| if hidden && !is_missing(token) { REDACTED } else { token }));
    }

    /// Adds a number.
    pub(super) fn number(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.name(name);
            self.out.extend_from_slice(number.to_string().as_bytes());
        }
    }

    /// Adds `true` or `false`.
    pub(super) fn truth(&mut self, name: &str, truth: bool) {
        self.name(name);
        self.out.extend_from_slice(if truth { b"true" } else { b"false" });
    }

    /// Adds a list of lines' texts, unless it is empty. The credentials that API Gateway's own phrases tell are hidden in them.
    pub(super) fn list(&mut self, name: &str, texts: &[&str]) {
        if texts.is_empty() {
            return;
        }
        self.name(name);
        for (at, text) in texts.iter().enumerate() {
            self.out.push(if at == 0 { b'[' } else { b',' });
            let text = match line::credential(text) {
                Some((name, before, behind)) if self.redactor.hides(name) => {
                    Cow::Owned(format!("{before}{REDACTED}{behind}"))
                }
                _ => Cow::Borrowed(*text),
            };
            let text = match line::body(&text) {
                Some((label, body)) => Cow::Owned(format!("{label}{}", self.redactor.text(body))),
                None => self.redactor.text(&text),
            };
            json::write_string(self.out, &text);
        }
        self.out.push(b']');
    }

    /// Adds a map of texts, given as [`header_map::inside`] returns it. The values of a name that comes again are
    /// joined by `, `, where it came first.
    pub(super) fn map(&mut self, name: &str, map: Option<&str>, names: Names) {
        let Some(map) = map else { return };
        let redactor = self.redactor;
        let mut entries: Vec<(&str, Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        // A map of headers is so small that comparing takes less time than hashing.
        let mut places = BTreeMap::new();
        for (key, value) in header_map::entries(map, names) {
            // Names may become one by what is hidden in them.
            let shown = redactor.text(key);
            let place = *places.entry(shown.clone()).or_insert(entries.len());
            match entries.get_mut(place) {
                Some((_, _, values)) => {
                    let values = values.to_mut();
                    values.push_str(", ");
                    values.push_str(value);
                }
                None => entries.push((key, shown, Cow::Borrowed(value))),
            }
        }
        self.object(name, |object| {
            for (key, shown, value) in &entries {
                let hidden = match names {
                    Names::Headers | Names::Path => redactor.hides(key),
                    Names::Query => redactor.hides_in_query(key),
                };
                object.comma();
                json::write_string(object.out, shown);
                object.out.push(b':');
                let hidden = hidden && !is_missing(value);
                let value = if hidden { Cow::Borrowed(REDACTED) } else { redactor.text(value) };
                json::write_string(object.out, &value);
            }
        });
    }

    fn name(&mut self, name: &str) {
        self.comma();
        json::write_string(self.out, name);
        self.out.push(b':');
    }

    fn comma(&mut self) {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::ValueKind;

    #[track_caller]
    fn writes(fields: impl FnOnce(&mut Object<'_>), expected: &str) {
        let mut out = b"before ".to_vec();
        Object::write(&mut out, &Redactor::off(), fields);
        assert_eq!(String::from_utf8_lossy(&out), format!("before {expected}"));
    }

    #[test]
    fn fields_without_a_value_are_left_out() {
        writes(
            |object| {
                object.text("a", None);
                object.number("b", None);
                object.list("c", &[]);
                object.map("d", None, Names::Headers);
                object.map("e", Some(""), Names::Headers);
                object.object("f", |inner| inner.object("g", |inner| inner.text("h", None)));
            },
            "{}",
        );
    }

    #[test]
    fn an_object_left_out_leaves_no_comma() {
        writes(
            |object| {
                object.object("a", |_| ());
                object.truth("b", true);
                object.object("c", |_| ());
                object.object("d", |inner| inner.number("e", Some(7)));
                object.list("f", &["x", "\"\n"]);
            },
            r#"{"b":true,"d":{"e":7},"f":["x","\"\n"]}"#,
        );
    }

    #[test]
    fn a_name_that_comes_again_is_one_key() {
        writes(
            |object| object.map("m", Some("A=1, B=2, A=3, a=4, A="), Names::Headers),
            r#"{"m":{"A":"1, 3, ","B":"2","a":"4"}}"#,
        );
    }

    #[test]
    fn what_is_hidden_in_a_name_is_hidden_in_a_map_and_the_key_is_one() {
        let redactor = Redactor::new(std::iter::empty::<&str>()).with_values(&[ValueKind::Ip]);
        let mut out = Vec::new();
        let map = "192.0.2.7=1, A=2, 192.0.2.8=3";
        Object::write(&mut out, &redactor, |object| object.map("m", Some(map), Names::Headers));
        assert_eq!(String::from_utf8_lossy(&out), r#"{"m":{"[REDACTED]":"1, 3","A":"2"}}"#);
    }
}
