//! The way out: the values of a line under `context`, the rest of a JSON line under `fields`.

use std::borrow::Cow;
use std::cell::Cell;

use super::format::{Branch, Format, Slot};
use super::kind::{Fit, Kind, is_number};
use super::shape::{Node, Shape};
use super::value::{Value, is_nothing};
use super::variables::{Name, Variable};
use crate::json::{self, Cursor, JsonError, Str};
use crate::redact::{REDACTED, Redactor, is_missing, is_name_key, is_query_map, is_value_key};

/// Writes the values as an object nested by the variables' names. Returns whether there was any; if not, nothing is written.
pub(super) fn context(format: &Format, values: &[Value<'_>], redactor: &Redactor, out: &mut Vec<u8>) -> bool {
    branches(&format.tree, &Context { format, values, redactor }, out)
}

struct Context<'a> {
    format: &'a Format,
    values: &'a [Value<'a>],
    redactor: &'a Redactor,
}

/// Writes these branches as an object, without those that have no value.
fn branches(level: &[Branch], context: &Context<'_>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    for branch in level {
        let before = out.len();
        out.extend_from_slice(branch.key.as_bytes());
        // A name that is also a part of other names gives way to them.
        let written = (!branch.children.is_empty() && branches(&branch.children, context, out))
            || branch.slots.iter().any(|&slot| leaf(slot, context, out));
        if !written {
            out.truncate(before);
        }
    }
    // Each key brings a comma; the first one's is the brace.
    match out.get_mut(start) {
        Some(separator) => {
            *separator = b'{';
            out.push(b'}');
            true
        }
        None => false,
    }
}

/// Writes the value of a slot, if it has one.
fn leaf(index: usize, context: &Context<'_>, out: &mut Vec<u8>) -> bool {
    let (Some(slot), Some(&value)) = (context.format.pattern.slots.get(index), context.values.get(index)) else {
        return false;
    };
    match value {
        Value::Unseen | Value::Nothing => false,
        Value::Plain(text) | Value::Clean(text) | Value::Nameless(text) => {
            typed(slot, value, text, context.redactor, out)
        }
        Value::Escaped(_) | Value::Twice(_) => typed(slot, value, &value.characters(), context.redactor, out),
    }
}

/// Writes a value of these characters as what its variable is, unless they say that there is none.
fn typed(slot: &Slot, value: Value<'_>, characters: &str, redactor: &Redactor, out: &mut Vec<u8>) -> bool {
    let kind = slot.variable.kind;
    let text = if kind == Kind::Quoted { unquoted(characters) } else { Cow::Borrowed(characters) };
    let text = text.as_ref();
    if is_nothing(text) {
        return false;
    }
    // What API Gateway makes itself is never one of the kinds of values that can be hidden.
    let is_made = matches!(
        kind,
        Kind::Number | Kind::Bool | Kind::Time | Kind::Method | Kind::Protocol | Kind::EventType | Kind::Id
    );
    let hides_values = || redactor.hides_values() && !(is_made && kind.fit(text) == Fit::Valid);
    match kind {
        _ if hides(&slot.variable, redactor) => json::write_string(out, REDACTED),
        Kind::Number if is_number(text) => out.extend_from_slice(text.as_bytes()),
        Kind::Bool if matches!(text, "true" | "false") => out.extend_from_slice(text.as_bytes()),
        Kind::Scalar if matches!(value, Value::Plain(_)) && is_scalar(text) => out.extend_from_slice(text.as_bytes()),
        _ if matches!(value, Value::Nameless(_)) && !hides_values() => quoted(text, out),
        Kind::Quoted => json::write_string(out, &redactor.text(text)),
        _ => {
            let is_clean = |text: &str| !hides_values() && kind.is_closed() && kind.fit(text) == Fit::Valid;
            free_text(value, text, is_clean, redactor, out);
        }
    }
    true
}

/// Returns whether the values of a variable are hidden: for its own name, or for what a format calls it.
pub(super) fn hides(variable: &Variable, redactor: &Redactor) -> bool {
    let hidden = |name: &Name| {
        redactor.may_hide(name.ending)
            && if name.in_query { redactor.hides_in_query(&name.text) } else { redactor.hides(&name.text) }
    };
    variable.names.iter().any(hidden)
}

/// Returns whether a text is a number that every JSON reader takes, or a boolean.
fn is_scalar(text: &str) -> bool {
    matches!(text, "true" | "false") || is_number(text)
}

/// Takes away the quotes of a text that brings its own, and the escapes with them: also where those quotes are escaped.
pub(super) fn unquoted(text: &str) -> Cow<'_, str> {
    if text.len() > 1 && text.starts_with('"') && text.ends_with('"') {
        Value::quoted(text).characters()
    } else if text.len() > 3 && text.starts_with("\\\"") && text.ends_with("\\\"") {
        let around = format!("\"{text}\"");
        let text = Value::quoted(&around).characters();
        Cow::Owned(Value::quoted(&text).characters().into_owned())
    } else {
        Cow::Borrowed(text)
    }
}

/// Returns whether a text with colons in it is one of the two that have them and no names, and nothing else is looked for.
fn is_clean(text: &str, redactor: &Redactor) -> bool {
    !redactor.hides_values() && (Kind::Time.fit(text) == Fit::Valid || Kind::Ip.fit(text) == Fit::Valid)
}

/// Writes a value of any kind as a JSON string, without the credentials in it.
pub(super) fn any_text(value: Value<'_>, redactor: &Redactor, out: &mut Vec<u8>) {
    free_text(value, &value.characters(), |text| is_clean(text, redactor), redactor, out);
}

/// Writes a value of these characters as a JSON string, without the credentials in it.
///
/// `is_clean` is asked about characters that look as if there could be one.
fn free_text(
    value: Value<'_>,
    characters: &str,
    is_clean: impl FnOnce(&str) -> bool,
    redactor: &Redactor,
    out: &mut Vec<u8>,
) {
    match without_secrets(value, characters, is_clean, redactor) {
        Some(shown) => json::write_string(out, &shown),
        None => string(value, out),
    }
}

/// Returns a value of these characters without the credentials in it; `None` if there are none.
fn without_secrets(
    value: Value<'_>,
    characters: &str,
    is_clean: impl FnOnce(&str) -> bool,
    redactor: &Redactor,
) -> Option<String> {
    // A list of a name and its value has quotes, which a string without escapes has not.
    let may_list = || !matches!(value, Value::Clean(_) | Value::Nameless(_)) && characters.contains('[');
    let is_suspect = json::has_secret_sign(characters) || redactor.hides_values() || may_list();
    if !is_suspect || is_clean(characters) {
        return None;
    }
    match redactor.text(characters) {
        Cow::Owned(shown) => Some(shown),
        Cow::Borrowed(_) => None,
    }
}

/// Writes what stands in a JSON string as it stands there, without the credentials in it.
pub(super) fn inside(value: Value<'_>, redactor: &Redactor, out: &mut Vec<u8>) {
    let characters = value.characters();
    match (without_secrets(value, &characters, |text| is_clean(text, redactor), redactor), value) {
        (Some(shown), _) => json::write_escaped(out, &shown),
        (None, Value::Twice(string)) => out.extend_from_slice(string.decode().as_bytes()),
        (None, _) => out.extend_from_slice(characters.as_bytes()),
    }
}

/// Writes a value as a JSON string: as it stands in the line where it stands in one.
pub(super) fn string(value: Value<'_>, out: &mut Vec<u8>) {
    let inside = match value {
        Value::Unseen | Value::Nothing => "",
        Value::Plain(text) => return json::write_string(out, text),
        Value::Clean(text) | Value::Nameless(text) => text,
        Value::Escaped(string) if string.has_lone_surrogate() => return json::write_string(out, &string.decode()),
        Value::Escaped(string) => string.raw(),
        Value::Twice(string) => return quoted(&string.decode(), out),
    };
    quoted(inside, out);
}

/// Writes what needs no escape as a JSON string.
#[inline]
pub(super) fn quoted(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Writes what a JSON line holds besides the variables of a format, or all of it where there is no format: keys and values as
/// they were given. Returns whether there was any; if not, nothing is written.
///
/// # Errors
/// If the line is not a JSON object; then too, nothing is written.
pub(super) fn fields_of_line(
    format: Option<&Format>,
    line: &str,
    redactor: &Redactor,
    out: &mut Vec<u8>,
) -> Result<bool, JsonError> {
    let before = out.len();
    let fields = Fields { format, redactor, has_hidden_keys: Cell::new(false) };
    let written = fields.object(format.and_then(|format| format.shape.as_ref()), false, &mut Cursor::new(line), out);
    if written.is_err() {
        out.truncate(before);
    }
    if fields.has_hidden_keys.get() {
        let object = String::from_utf8(out.split_off(before)).expect("what is written is text");
        out.extend_from_slice(json::sound(&object).as_bytes());
    }
    written
}

struct Fields<'a> {
    format: Option<&'a Format>,
    redactor: &'a Redactor,
    /// Whether something was hidden in a key: then two keys may have become one.
    has_hidden_keys: Cell<bool>,
}

impl Fields<'_> {
    /// Writes the object at the cursor without the variables of its shape. No deeper than the shape.
    fn object(
        &self,
        shape: Option<&Shape>,
        in_query: bool,
        cursor: &mut Cursor<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, JsonError> {
        let whole = cursor.clone();
        cursor.open()?;
        let mut opened = false;
        let mut first = true;
        while let Some(key) = cursor.next_key(&mut first)? {
            let before = out.len();
            out.extend_from_slice(if opened { b",\"" } else { b"{\"" });
            self.key(key, out);
            out.extend_from_slice(b"\":");
            let kind = cursor.kind()?;
            let written = match shape.and_then(|shape| shape.get(key)) {
                Some(Node::Variable(_)) if !matches!(kind, json::Kind::Array | json::Kind::Object) => {
                    cursor.value()?;
                    false
                }
                node => {
                    let key = key.decode();
                    match node {
                        Some(Node::Object(inner)) if kind == json::Kind::Object && !self.hides_key(&key, in_query) => {
                            self.object(Some(inner), in_query || is_query_map(&key), cursor, out)?
                        }
                        _ => {
                            let raw = cursor.value()?;
                            if is_value_key(&key) && self.is_named_secret(whole.clone(), in_query) {
                                hidden(raw, out);
                            } else {
                                self.value(&key, node, in_query, raw, out);
                            }
                            true
                        }
                    }
                }
            };
            if written {
                opened = true;
            } else {
                out.truncate(before);
            }
        }
        if opened {
            out.push(b'}');
        }
        Ok(opened)
    }

    /// Writes a key without the credentials that are recognised by their form: a key can be anything, also a token.
    fn key(&self, key: Str<'_>, out: &mut Vec<u8>) {
        let may_hold = || key.escaped() || json::has_secret_sign(key.raw()) || self.redactor.hides_values();
        if may_hold()
            && let Cow::Owned(shown) = self.redactor.text(&key.decode())
        {
            json::write_escaped(out, &shown);
            self.has_hidden_keys.set(true);
        } else {
            out.extend_from_slice(key.raw().as_bytes());
        }
    }

    /// Returns whether the object at the cursor is a pair whose name is hidden: `{"name":"Cookie","value":"a=b"}`.
    fn is_named_secret(&self, mut cursor: Cursor<'_>, in_query: bool) -> bool {
        let mut first = true;
        if cursor.open().is_err() {
            return false;
        }
        while let Ok(Some(key)) = cursor.next_key(&mut first) {
            let Ok(value) = cursor.value() else { return false };
            if is_name_key(&key.decode())
                && let Ok(name) = Cursor::new(value).string()
                && self.hides_key(&name.decode(), in_query)
            {
                return true;
            }
        }
        false
    }

    /// Writes the JSON value of a field.
    fn value(&self, key: &str, node: Option<&Node>, in_query: bool, raw: &str, out: &mut Vec<u8>) {
        // A line of no format may be one of a format that has changed, and lacks a key: what that calls a credential is one.
        if self.redactor.hides_member(key, raw, in_query)
            || self.format.is_none() && self.redactor.of_unparsed().hides(key)
            || self.slot(node).is_some_and(|slot| hides(&slot.variable, self.redactor))
        {
            return hidden(raw, out);
        }
        if in_query || is_query_map(key) {
            return self.redactor.write_query_json(raw, out);
        }
        let parts = self.slot(node).and_then(|slot| slot.parts.as_ref());
        match Cursor::new(raw).string() {
            Ok(string) => {
                let value = Value::json(string);
                match parts.and_then(|parts| parts.without_secrets(&value.characters(), self.redactor)) {
                    Some(shown) => any_text(Value::Plain(&shown), self.redactor, out),
                    None => any_text(value, self.redactor, out),
                }
            }
            Err(_) if parts.is_some_and(|parts| parts.has_secret(self.redactor)) => hidden(raw, out),
            Err(_) => self.redactor.write_json(raw, out),
        }
    }

    /// Returns the slot of the format that a key's value is.
    fn slot(&self, node: Option<&Node>) -> Option<&Slot> {
        let (Node::Variable(slot) | Node::Composite(slot)) = node? else { return None };
        self.format?.pattern.slots.get(*slot)
    }

    fn hides_key(&self, key: &str, in_query: bool) -> bool {
        if in_query { self.redactor.hides_in_query(key) } else { self.redactor.hides(key) }
    }
}

/// Writes what a hidden JSON value becomes. One that says that there is none is none.
fn hidden(raw: &str, out: &mut Vec<u8>) {
    if is_missing(raw) { out.extend_from_slice(raw.as_bytes()) } else { json::write_string(out, REDACTED) }
}

/// Writes what a format that is a JSON object holds besides its variables, for a line that is not JSON. Returns whether there was
/// any; if not, nothing is written.
pub(super) fn fields_of_format(format: &Format, values: &[Value<'_>], redactor: &Redactor, out: &mut Vec<u8>) -> bool {
    let fields = Fields { format: Some(format), redactor, has_hidden_keys: Cell::new(false) };
    format.shape.as_ref().is_some_and(|shape| fields.shape(shape, false, values, out))
}

impl Fields<'_> {
    fn shape(&self, shape: &Shape, in_query: bool, values: &[Value<'_>], out: &mut Vec<u8>) -> bool {
        let mut opened = false;
        for (key, node) in &shape.keys {
            let before = out.len();
            out.push(if opened { b',' } else { b'{' });
            json::write_string(out, key);
            out.push(b':');
            let written = match node {
                Node::Variable(_) => false,
                Node::Object(_) if self.hides_key(key, in_query) => {
                    json::write_string(out, REDACTED);
                    true
                }
                Node::Object(inner) => self.shape(inner, in_query || is_query_map(key), values, out),
                Node::Constant(raw) => {
                    self.value(key, Some(node), in_query, raw, out);
                    true
                }
                Node::Composite(slot) => self.composite(key, node, in_query, values.get(*slot), out),
            };
            if written {
                opened = true;
            } else {
                out.truncate(before);
            }
        }
        if opened {
            out.push(b'}');
        }
        opened
    }

    /// Writes a text with variables: a string, or outside quotes what JSON it is.
    fn composite(&self, key: &str, node: &Node, in_query: bool, value: Option<&Value<'_>>, out: &mut Vec<u8>) -> bool {
        let Some(value) = value else { return false };
        match value {
            Value::Plain(raw) if is_json(raw) => self.value(key, Some(node), in_query, raw, out),
            _ => {
                let mut json = Vec::new();
                string(*value, &mut json);
                self.value(key, Some(node), in_query, &String::from_utf8_lossy(&json), out);
            }
        }
        true
    }
}

/// Returns whether a text is one JSON value.
fn is_json(text: &str) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.value().is_ok() && cursor.at_end()
}

#[cfg(test)]
mod tests {
    use super::super::Formats;
    use super::super::tests::{set, written};
    use super::*;

    #[track_caller]
    fn hidden(setting: &str, line: &str, expected: &str) {
        let formats = Formats::compile(setting).unwrap();
        let log = formats.parse(line).unwrap();
        assert_eq!(written(&log, &Redactor::new(["x-pin"])), expected, "{line}");
    }

    #[test]
    fn what_api_gateway_makes_is_shown_only_if_it_is_as_documented() {
        let redactor = Redactor::new(["x-pin"]).with_values(&[crate::redact::ValueKind::Email]);
        let formats = Formats::compile(r#"{"id":"$context.requestId"}"#).unwrap();
        for (id, shown) in [("1c9d-22", "1c9d-22"), ("jane@example.com", REDACTED)] {
            let message = serde_json::to_string(&format!("{{\"id\":\"{id}\"}}")).unwrap();
            let message = Cursor::new(&message).string().unwrap();
            let log = formats.parse_message(message).unwrap();
            assert_eq!(written(&log, &redactor), format!(",\"context\":{{\"requestId\":\"{shown}\"}}"));
        }
    }

    #[test]
    fn the_message_string_loses_its_quotes_and_escapes() {
        let setting = r#"{"msg":$context.error.messageString,"id":"$context.requestId"}"#;
        let expected = r#","context":{"error":{"messageString":"no \"x\" here"},"requestId":"1c9d-22"}"#;
        set(setting, r#"{"msg":"no \"x\" here","id":"1c9d-22"}"#, expected);
        set("$context.error.messageString,$context.requestId", r#""no \"x\" here",1c9d-22"#, expected);
        set(
            "$context.error.messageString,$context.requestId",
            r#""a, b",1c9d-22"#,
            r#","context":{"error":{"messageString":"a, b"},"requestId":"1c9d-22"}"#,
        );
        set(setting, r#"{"msg":-,"id":"1c9d-22"}"#, r#","context":{"requestId":"1c9d-22"}"#);
        set(setting, r#"{"msg":"-","id":"1c9d-22"}"#, r#","context":{"requestId":"1c9d-22"}"#);
    }

    #[test]
    fn a_credential_that_is_a_key_is_hidden_and_no_key_stands_twice_by_that() {
        let setting = r#"{"id":"$context.requestId"}"#;
        let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2VjcmV0";
        let shown = r#","context":{"requestId":"r"},"fields":"#;
        for key in [token, r"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0\u002ec2VjcmV0"] {
            hidden(setting, &format!(r#"{{"id":"r","{key}":1}}"#), &format!(r#"{shown}{{"[REDACTED]":1}}"#));
        }
        hidden(
            setting,
            r#"{"id":"r","https://u:s3cr3t@h/a":{"b":1}}"#,
            &format!(r#"{shown}{{"https://u:[REDACTED]@h/a":{{"b":1}}}}"#),
        );
        let line = format!(r#"{{"id":"r","{token}a":1,"o":{{"{token}":2,"{token}a":3}},"{token}":4}}"#);
        hidden(setting, &line, &format!(r#"{shown}{{"o":{{"[REDACTED]":3}},"[REDACTED]":4}}"#));
        let key = "a-JV;<%:=";
        hidden(setting, &format!(r#"{{"id":"r","{key}":1}}"#), &format!(r#"{shown}{{"{key}":1}}"#));
    }

    #[test]
    fn numbers_are_numbers_where_documented_and_else_what_they_were() {
        let setting = r#"{"s":"$context.status","a":$context.accountId,"e":"$context.requestTimeEpoch","c":"$context.isCanaryRequest","p":"$context.authorizer.n"}"#;
        set(
            setting,
            r#"{"s":"200","a":111122223333,"e":"1790328030389","c":"true","p":"1"}"#,
            r#","context":{"status":200,"accountId":"111122223333","requestTimeEpoch":1790328030389,"isCanaryRequest":true,"authorizer":{"n":"1"}}"#,
        );
        set(
            setting,
            r#"{"s":"abc","a":null,"e":"","c":"maybe","p":true}"#,
            r#","context":{"status":"abc","isCanaryRequest":"maybe","authorizer":{"n":"true"}}"#,
        );
        set(
            "$context.status $context.requestId $context.responseLength",
            "007 1c9d-22 99999999999999999999",
            r#","context":{"status":"007","requestId":"1c9d-22","responseLength":"99999999999999999999"}"#,
        );
    }

    #[test]
    fn names_that_are_parts_of_other_names_give_way_to_them() {
        let setting = "$context.authorizer.a|$context.authorizer.a.b|$context.requestId|$context.requestId";
        set(setting, "x|y|1c9d-22|2", r#","context":{"authorizer":{"a":{"b":"y"}},"requestId":"1c9d-22"}"#);
        set(setting, "x|-|-|2", r#","context":{"authorizer":{"a":"x"},"requestId":"2"}"#);
    }

    #[test]
    fn credentials_are_hidden_where_they_stand() {
        hidden(
            r#"{"k":"$context.identity.apiKey","both":"$context.identity.apiKey $context.status","h":"$context.requestOverride.header.X-Pin","t":"$context.authorizer.token"}"#,
            r#"{"k":"s3cr3t","both":"s3cr3t 200","h":"1234","t":"eyJ","password":"p","nested":{"token":"t"}}"#,
            concat!(
                r#","context":{"identity":{"apiKey":"[REDACTED]"},"requestOverride":{"header":{"X-Pin":"[REDACTED]"}},"#,
                r#""authorizer":{"token":"[REDACTED]"}},"#,
                r#""fields":{"both":"[REDACTED] 200","password":"[REDACTED]","nested":{"token":"[REDACTED]"}}"#
            ),
        );
        hidden(
            r#"$context.path "$context.identity.userAgent" $context.requestId"#,
            r#"/a "x password=hunter2" token="#,
            r#","context":{"path":"/a","identity":{"userAgent":"x password=[REDACTED]"},"requestId":"token="}"#,
        );
    }

    #[test]
    fn a_variable_is_hidden_with_whatever_its_format_calls_it() {
        hidden(
            r#"{"token":"$context.authorizer.a","Cookie":{"a":"$context.path","b":"x"},"id":"$context.requestId"}"#,
            r#"{"token":"s3cr3t","Cookie":{"a":"s3cr3t","b":"s3cr3t"},"id":"1c9d-22"}"#,
            concat!(
                r#","context":{"authorizer":{"a":"[REDACTED]"},"path":"[REDACTED]","requestId":"1c9d-22"},"#,
                r#""fields":{"Cookie":"[REDACTED]"}"#
            ),
        );
        hidden(
            "token=$context.authorizer.a <x-pin>$context.authorizer.b</x-pin> ?code=$context.path code=$context.stage",
            "token=s3cr3t <x-pin>s3cr3t</x-pin> ?code=/s3cr3t code=prod",
            r#","context":{"authorizer":{"a":"[REDACTED]","b":"[REDACTED]"},"path":"[REDACTED]","stage":"prod"}"#,
        );
        // A format that is JSON, and a line that is not.
        hidden(
            r#"{"Cookie":{"a":"$context.path","b":"x"},"s":$context.status}"#,
            r#"{"Cookie":{"a":"s3cr3t","b":"x"},"s":-}"#,
            r#","context":{"path":"[REDACTED]"},"fields":{"Cookie":"[REDACTED]"}"#,
        );
    }

    #[test]
    fn a_query_map_is_searched_as_one_however_its_line_is_read() {
        let setting = r#"{"id":"$context.requestId","queryString":"{$context.authorizer.a}"}"#;
        let expected = r#","context":{"requestId":"1c9d"},"fields":{"queryString":"{code=[REDACTED], p=a}"}"#;
        let line = r#"{"id":"1c9d","queryString":"{code=s3cr3t, p=a}"}"#;
        hidden(setting, line, expected);
        let formats = Formats::compile(setting).unwrap();
        let message = serde_json::to_string(line).unwrap();
        let log = formats.parse_message(Cursor::new(&message).string().unwrap()).unwrap();
        assert_eq!(written(&log, &Redactor::new(["x-pin"])), expected);
        // A line that is not JSON.
        hidden(
            setting,
            r#"{"id":"1c9d","queryString":"{code=s3cr3t, p="a"}"}"#,
            r#","context":{"requestId":"1c9d"},"fields":{"queryString":"{code=[REDACTED], p=\"a\"}"}"#,
        );
    }

    #[test]
    fn a_documented_variable_is_hidden_where_the_operator_names_it() {
        let formats = Formats::compile("$context.identity.sourceIp $context.identity.userAgent").unwrap();
        let log = formats.parse("192.0.2.7 curl").unwrap();
        assert_eq!(
            written(&log, &Redactor::new(["SourceIP"])),
            r#","context":{"identity":{"sourceIp":"[REDACTED]","userAgent":"curl"}}"#
        );
    }

    #[test]
    fn of_a_text_of_several_variables_the_secret_ones_are_hidden() {
        hidden(
            r#"{"both":"$context.requestOverride.header.X-Pin/$context.path","id":"$context.requestId"}"#,
            r#"{"both":"1234//a","id":"1c9d-22"}"#,
            r#","context":{"requestId":"1c9d-22"},"fields":{"both":"[REDACTED]/a"}"#,
        );
    }

    #[test]
    fn a_missing_value_stays_what_it_is() {
        hidden(
            r#"{"id":"$context.requestId","k":"$context.identity.apiKey","d":"k $context.identity.apiKey"}"#,
            r#"{"id":"1c9d-22","k":"-","d":"k -","api_key":"-","token":"","password":null,"cookie":[]}"#,
            concat!(
                r#","context":{"requestId":"1c9d-22"},"#,
                r#""fields":{"d":"k -","api_key":"-","token":"","password":null,"cookie":[]}"#
            ),
        );
    }

    #[test]
    fn a_pair_of_a_line_and_its_cookies_are_hidden() {
        hidden(
            r#"{"id":"$context.requestId"}"#,
            r#"{"id":"1c9d-22","value":"s3cr3t","Name":"Authorization","cookies":["sid=s3cr3t"],"list":[["token","s3cr3t"]]}"#,
            concat!(
                r#","context":{"requestId":"1c9d-22"},"#,
                r#""fields":{"value":"[REDACTED]","Name":"Authorization","cookies":"[REDACTED]","list":[["token","[REDACTED]"]]}"#
            ),
        );
    }

    #[test]
    fn the_members_of_a_query_map_are_query_parameters() {
        hidden(
            r#"{"id":"$context.requestId"}"#,
            r#"{"id":"1c9d-22","querystring":"{code=s3cr3t, p=a}","queryString":"key=s3cr3t&p=a"}"#,
            concat!(
                r#","context":{"requestId":"1c9d-22"},"#,
                r#""fields":{"querystring":"{code=[REDACTED], p=a}","queryString":"key=[REDACTED]&p=a"}"#
            ),
        );
        hidden(
            r#"{"id":"$context.requestId"}"#,
            r#"{"id":"1c9d-22","queryStringParameters":{"code":"s3cr3t","p":"a"},"code":200,"multiValueQueryStringParameters":{"key":["s3cr3t"]}}"#,
            concat!(
                r#","context":{"requestId":"1c9d-22"},"fields":{"queryStringParameters":{"code":"[REDACTED]","p":"a"},"#,
                r#""code":200,"multiValueQueryStringParameters":{"key":"[REDACTED]"}}"#
            ),
        );
        hidden(
            r#"{"queryString":{"sig":"$context.authorizer.sig","key":"$context.stage $context.path","v":{"code":1}}}"#,
            r#"{"queryString":{"sig":"s3cr3t","key":"s3cr3t","v":{"code":1}}}"#,
            concat!(
                r#","context":{"authorizer":{"sig":"[REDACTED]"}},"#,
                r#""fields":{"queryString":{"key":"[REDACTED]","v":{"code":"[REDACTED]"}}}"#
            ),
        );
    }
}
