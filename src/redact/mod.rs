//! What never leaves: credentials in headers, queries, URLs, forms, JSON and free text.
//!
//! A credential is told by the name of its value, never by how the value looks. Where the parts of a text are known, as in a
//! map of headers, [`Redactor::hides`] judges a name; [`Redactor::text`] finds names and values in a text by itself.

use std::borrow::Cow;

use self::encoding::Edit;
use self::names::Names;
pub(crate) use self::names::{NameEnding, is_query_map};

mod encoding;
mod form;
mod json;
mod name;
mod names;
mod quotes;
mod scan;
#[cfg(test)]
mod tests;
mod value;

/// What a hidden value becomes.
pub const REDACTED: &str = "[REDACTED]";

/// What API Gateway puts at the end of a text that it cut.
const TRUNCATED: &str = " [TRUNCATED]";

/// Most times that one text is searched: a value that is gone can make a form of what was none.
const MAX_PASSES: usize = 8;

/// Knows the names whose values are credentials, and finds them where they stand.
#[derive(Debug, Clone)]
pub struct Redactor {
    names: Option<Names>,
}

impl Redactor {
    /// Makes a redactor for the built-in names and `extra` ones, which count everywhere.
    pub fn new<I: IntoIterator<Item = S>, S: AsRef<str>>(extra: I) -> Self {
        Self { names: Some(Names::new(extra)) }
    }

    /// Makes a redactor that hides nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { names: None }
    }

    /// Returns whether the value of this header, body or field name is hidden.
    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        self.names.as_ref().is_some_and(|names| names.hide(name))
    }

    /// Returns whether the value of this name is hidden where it is a query or form parameter.
    #[must_use]
    pub fn hides_in_query(&self, name: &str) -> bool {
        self.names.as_ref().is_some_and(|names| names.hide_in_query(name))
    }

    /// Returns whether the value of a name that ends so may be hidden: quick, and wrong only in taking too many.
    pub(crate) fn may_hide(&self, ending: NameEnding) -> bool {
        self.names.as_ref().is_some_and(|names| names.may_be(ending))
    }

    /// Hides credentials in free text, a URL or a body (JSON, form or other), whole or cut.
    ///
    /// Out: the text, borrowed where nothing is hidden. All but the values stays as it stood; JSON stays JSON. A value that
    /// is empty or `null` stays. A second call changes nothing.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(names) = self.names.as_ref().filter(|names| scan::may_hide(names, text)) else { return text.into() };
        let whole = text.trim_end();
        let mark = if whole.ends_with(TRUNCATED) { whole.len() - TRUNCATED.len() } else { text.len() };
        let Some((kept, mark)) = text.split_at_checked(mark) else { return text.into() };
        let mut edits = scan::find(names, kept);
        if edits.is_empty() {
            return text.into();
        }
        let mut kept = apply(kept, &edits);
        for _ in 1..MAX_PASSES {
            edits = scan::find(names, &kept);
            if edits.is_empty() {
                break;
            }
            kept = apply(&kept, &edits);
        }
        kept.push_str(mark);
        kept.into()
    }

    /// Writes a valid JSON value without white space between its tokens, credentials hidden.
    pub fn write_json(&self, value: &str, out: &mut Vec<u8>) {
        minify(&self.text(value), out);
    }

    /// Writes a valid JSON value as [`write_json`](Self::write_json) does, its members' names being those of query parameters.
    pub fn write_query_json(&self, value: &str, out: &mut Vec<u8>) {
        // The search knows the names of queries by the name of the map that they stand in.
        const MAP: &str = r#"{"querystring":"#;
        let map = format!("{MAP}{value}}}");
        let shown = self.text(&map);
        minify(shown.strip_prefix(MAP).and_then(|shown| shown.strip_suffix('}')).unwrap_or_default(), out);
    }
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        out.push_str(text.get(at..edit.start).unwrap_or_default());
        out.push_str(&edit.with);
        at = edit.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// Writes JSON without the white space between its tokens.
fn minify(json: &str, out: &mut Vec<u8>) {
    let bytes = json.as_bytes();
    // What is written up to, and what is read up to.
    let (mut written, mut at) = (0, 0);
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let tokens = rest.iter().take_while(|byte| !matches!(byte, b'"' | b' ' | b'\t' | b'\n' | b'\r')).count();
        at += tokens;
        if bytes.get(at) == Some(&b'"') {
            at = quotes::string(json, at + 1, b'"', 0).next;
        } else {
            out.extend_from_slice(bytes.get(written..at).unwrap_or_default());
            at += 1;
            written = at;
        }
    }
    out.extend_from_slice(bytes.get(written..).unwrap_or_default());
}
