//! What never leaves: credentials in headers, queries, URLs, forms, JSON, XML and free text.
//!
//! A credential is the value of a name: each notation knows where its pairs of both stand, in a file of its own, and one list
//! says which names count. A few credentials are recognised by their form, whatever their name: JSON Web Tokens, private keys, the
//! passwords of URLs, and the kinds of personal data that an operator asks for. Where the parts of a text are known, as in a map
//! of headers, [`Redactor::hides`] judges a name; [`Redactor::text`] finds names and values in a text by itself:
//!
//! ```text
//! {"body":"{\"headers\":[{\"name\":\"Cookie\",\"value\":\"a=b\"}]}"}      JSON in JSON, a list of pairs
//! {"body":"{\"headers\":[{\"name\":\"Cookie\",\"value\":\"[REDACTED]\"}]}"}
//! ```

use std::borrow::Cow;
use std::ops::Range;

use self::encoding::Edit;
use self::names::Names;
pub(crate) use self::names::{NameEnding, is_cookie_list, is_name_key, is_query_map, is_value_key};
pub use self::personal::ValueKind;
pub(crate) use self::scan::is_missing;

mod encoding;
mod form;
mod glance;
mod json;
mod looks;
mod map;
mod multipart;
mod name;
mod names;
mod personal;
mod quotes;
mod scan;
#[cfg(test)]
mod tests;
mod value;
mod xml;

/// What a hidden value becomes.
pub const REDACTED: &str = "[REDACTED]";

/// What API Gateway puts at the end of a text that it cut.
pub(crate) const TRUNCATED: &str = " [TRUNCATED]";

/// Most times that one text is searched: with a value gone, a text can have become a form.
const MAX_PASSES: usize = 8;

/// What is hidden: the values of names, and kinds of values.
#[derive(Debug, Clone)]
struct Rules {
    names: Names,
    values: Vec<ValueKind>,
}

impl Rules {
    fn new<I: IntoIterator<Item = S>, S: AsRef<str>>(extra: I) -> Self {
        Self { names: Names::new(extra), values: Vec::new() }
    }
}

/// Knows the names whose values are credentials, and finds them where they stand.
#[derive(Debug, Clone)]
pub struct Redactor {
    rules: Option<Rules>,
    /// For a line that no format took: with the names that its format would have given to credentials.
    unparsed: Option<Box<Redactor>>,
}

impl Redactor {
    /// Makes a redactor for the built-in names and `extra` ones, which count everywhere.
    pub fn new<I: IntoIterator<Item = S>, S: AsRef<str>>(extra: I) -> Self {
        Self { rules: Some(Rules::new(extra)), unparsed: None }
    }

    /// Makes a redactor that hides nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { rules: None, unparsed: None }
    }

    /// Adds kinds of values that are hidden wherever they stand.
    #[must_use]
    pub fn with_values(mut self, kinds: &[ValueKind]) -> Self {
        if let Some(rules) = &mut self.rules {
            rules.values = kinds.to_vec();
        }
        self.unparsed = self.unparsed.map(|unparsed| Box::new(unparsed.with_values(kinds)));
        self
    }

    /// Adds names that count in a line that no format took: what its format calls the credentials that it writes.
    #[must_use]
    pub fn with_format_names<I: IntoIterator<Item = S>, S: AsRef<str>>(&self, names: I) -> Self {
        let mut unparsed = Self { rules: self.rules.clone(), unparsed: None };
        if let Some(rules) = &mut unparsed.rules {
            rules.names.extend(names);
        }
        Self { rules: self.rules.clone(), unparsed: Some(Box::new(unparsed)) }
    }

    /// Returns whether the value of this header, body or field name is hidden.
    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.names.hide(name, false))
    }

    /// Returns whether the value of this name is hidden where it is a query or form parameter.
    #[must_use]
    pub fn hides_in_query(&self, name: &str) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.names.hide(name, true))
    }

    /// Returns whether the JSON `value` of a member of an object is hidden for its key, which names a query parameter or not.
    pub(crate) fn hides_member(&self, key: &str, value: &str, in_query: bool) -> bool {
        let Some(rules) = &self.rules else { return false };
        rules.names.hide(key, in_query) || names::is_cookie_list(key) && json::holds_cookies(value)
    }

    /// Returns whether the value of a name that ends so may be hidden: quick, and wrong only in taking too many.
    pub(crate) fn may_hide(&self, ending: NameEnding) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.names.may_be(ending))
    }

    /// Returns whether kinds of values are hidden: then no text is without one for what it lacks.
    pub(crate) fn hides_values(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| !rules.values.is_empty())
    }

    /// Hides credentials in free text, a URL or a body (JSON, form or other), whole or cut.
    ///
    /// Out: the text, borrowed where nothing is hidden. All but the values stays as it stood; JSON stays JSON. A value that
    /// is empty, `-` or `null` stays. A second call changes nothing.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        shown(self.rules.as_ref(), text, scan::find)
    }

    /// Returns whether [`text`](Self::text) would search a text: quick, and wrong only in taking too many.
    pub(crate) fn may_find(&self, text: &str) -> bool {
        self.rules.as_ref().is_some_and(|rules| glance::may_hide(rules, text))
    }

    /// Returns where credentials stand in free text, in order.
    pub(crate) fn finds(&self, text: &str) -> Vec<Range<usize>> {
        let searched = self.rules.as_ref().and_then(|rules| Some((rules, searched(rules, text)?.0)));
        let edits = searched.map(|(rules, kept)| scan::find(rules, kept));
        edits.into_iter().flatten().map(|edit| edit.start..edit.end).collect()
    }

    /// Returns the redactor for a text that no format took, and for the keys of such a JSON line.
    #[must_use]
    pub fn of_unparsed(&self) -> &Self {
        self.unparsed.as_deref().unwrap_or(self)
    }

    /// Writes a valid JSON value without white space between its tokens, credentials hidden. Of keys that have become one by
    /// that, the last value is written.
    pub fn write_json(&self, value: &str, out: &mut Vec<u8>) {
        match shown(self.rules.as_ref(), value, scan::find_in_json) {
            Cow::Owned(shown) => minify(&crate::json::sound(&shown), out),
            Cow::Borrowed(value) => minify(value, out),
        }
    }

    /// Writes a valid JSON value as [`write_json`](Self::write_json) does, its members' names being those of query parameters.
    pub fn write_query_json(&self, value: &str, out: &mut Vec<u8>) {
        // The search knows the names of queries by the name of the map that they stand in.
        const MAP: &str = r#"{"querystring":"#;
        let map = format!("{MAP}{value}}}");
        let shown = shown(self.rules.as_ref(), &map, scan::find_in_json);
        let value = shown.strip_prefix(MAP).and_then(|shown| shown.strip_suffix('}')).unwrap_or_default();
        match shown {
            Cow::Owned(_) => minify(&crate::json::sound(value), out),
            Cow::Borrowed(_) => minify(value, out),
        }
    }
}

/// Hides what `find` finds in `text`, until there is nothing more to find.
fn shown<'a>(rules: Option<&Rules>, text: &'a str, find: fn(&Rules, &str) -> Vec<Edit>) -> Cow<'a, str> {
    let Some(rules) = rules else { return text.into() };
    let Some((kept, mark)) = searched(rules, text) else { return text.into() };
    let mut edits = find(rules, kept);
    if edits.is_empty() {
        return text.into();
    }
    let mut kept = apply(kept, &edits);
    for _ in 1..MAX_PASSES {
        edits = find(rules, &kept);
        if edits.is_empty() {
            break;
        }
        kept = apply(&kept, &edits);
    }
    kept.push_str(mark);
    kept.into()
}

/// Returns the part of a text that has to be searched, and the mark of a cut behind it; `None` if there is nothing to find.
fn searched<'a>(rules: &Rules, text: &'a str) -> Option<(&'a str, &'a str)> {
    let whole = text.trim_end();
    let mark = if whole.ends_with(TRUNCATED) { whole.len() - TRUNCATED.len() } else { text.len() };
    text.split_at_checked(mark).filter(|(kept, _)| glance::may_hide(rules, kept))
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
