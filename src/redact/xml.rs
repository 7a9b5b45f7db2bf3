//! XML: `<password>…</password>`, whatever its namespace. Attributes are pairs as elsewhere in a text.

use memchr::{memchr, memchr2};

use super::encoding::Encoding;
use super::form::is_form;
use super::names::Names;
use super::scan::Scan;

/// Bytes of a start tag, at most.
const LONGEST_TAG: usize = 4096;

/// Start tags without an end tag that the whole text is searched for. With so many it is not XML, and only a little is searched then.
const MAX_UNENDED: usize = 16;

/// What encloses text that is to be taken as it is.
const CDATA: &str = "<![CDATA[";

/// Returns whether the element that the `<` at `at` opens has a hidden name.
pub(super) fn opens_hidden(names: &Names, text: &str, at: usize) -> bool {
    local_name(text, at).is_some_and(|(_, name)| names.hide(name, false))
}

/// Reads the name of the element that the `<` at `at` opens, unless that is a `CDATA` section or comment: with its namespace's
/// prefix, and without.
fn local_name(text: &str, at: usize) -> Option<(&str, &str)> {
    /// Bytes of a name, at most.
    const LONGEST: usize = 256;
    let rest = text.get(at + 1..)?;
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/' | b'<' | b'"' | b'=' | b'\\');
    let name =
        rest.get(..rest.bytes().take(LONGEST).position(|byte| ends(&byte))?).filter(|name| !name.starts_with('!'))?;
    Some((name, name.rsplit(':').next().unwrap_or(name)))
}

impl Scan<'_> {
    /// Searches the text behind the tag at `at`, or that of a `CDATA` section there, if it is a form; returns where the search
    /// goes on.
    fn text_node(&mut self, at: usize) -> usize {
        let rest = self.rest(at);
        let start = if rest.starts_with(CDATA) {
            at + CDATA.len()
        } else {
            match memchr2(b'<', b'>', rest.as_bytes().get(1..).unwrap_or_default()) {
                Some(close) if rest.as_bytes().get(close + 1) == Some(&b'>') => at + close + 2,
                _ => return at + 1,
            }
        };
        let text = self.rest(start);
        let end = memchr2(b'<', b'\n', text.as_bytes()).unwrap_or(text.len());
        let end = text.get(..end).and_then(|node| node.find("]]>")).unwrap_or(end);
        let node = Encoding::Entities.decode(text.get(..end).unwrap_or_default());
        if is_form(&self.rules.names, &node, false) {
            self.inside(start..start + end, Encoding::Entities);
        }
        at + 1
    }

    /// Hides what is inside the element that the `<` at `at` opens, if it has a hidden name; returns where the search goes on.
    pub(super) fn element(&mut self, at: usize) -> usize {
        let text = self.text;
        let Some((name, _)) = local_name(text, at).filter(|(_, local)| self.rules.names.hide(local, false)) else {
            return self.text_node(at);
        };
        let tag = at + 1 + name.len();
        let Some(close) = tag_end(text.as_bytes(), tag) else { return at + 1 };
        if text.get(..close).is_some_and(|tag| tag.ends_with('/')) {
            return at + 1;
        }
        let start = close + 1;
        let content = text.get(start..).unwrap_or_default();
        let content = if self.unended_tags < MAX_UNENDED { content } else { head(content, LONGEST_TAG) };
        let end = match end_tag(content, name) {
            Some(end) => end,
            None if !is_prose(content) => content.len(),
            None => {
                self.unended_tags += 1;
                return at + 1;
            }
        };
        // The attributes are searched first.
        self.inside(tag..close, Encoding::Plain);
        self.hide(start..start + end)
    }
}

fn head(text: &str, length: usize) -> &str {
    text.get(..text.floor_char_boundary(length)).unwrap_or_default()
}

/// Returns whether what follows a start tag without an end tag is not content: `Bearer <token> is expected`, `/reset/<token>/`.
fn is_prose(content: &str) -> bool {
    let mut characters = content.chars();
    let next = |c: Option<char>| c.is_none_or(char::is_whitespace);
    match characters.next() {
        Some('<') => !characters.next().is_some_and(char::is_alphabetic),
        Some('/') => true,
        Some(c) if c.is_ascii_punctuation() => next(characters.next()),
        first => next(first),
    }
}

/// Returns where the start tag ends that goes on at `at`, past the quotes of its attributes.
fn tag_end(text: &[u8], at: usize) -> Option<usize> {
    let mut quote = None;
    let tag = text.get(at..)?.iter().take(LONGEST_TAG);
    let end = tag.enumerate().find_map(|(index, byte)| {
        match (quote, byte) {
            (Some(open), byte) if open == *byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(*byte),
            (None, b'>') => return Some(index),
            _ => {}
        }
        None
    });
    end.map(|end| at + end)
}

/// Returns where the end tag of the element is, in what follows its start tag; what is left of it where the text was cut.
fn end_tag(content: &str, name: &str) -> Option<usize> {
    let bytes = content.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(b'<', rest)).map(|found| at + found) {
        at = found + 1;
        let tag = content.get(at..).unwrap_or_default();
        let Some(tag) = tag.strip_prefix('/').or_else(|| tag.strip_prefix("\\/")) else {
            if tag.is_empty() && found > 0 {
                return Some(found);
            }
            continue;
        };
        let length = name.len().min(tag.len());
        let is_name =
            tag.get(..length).zip(name.get(..length)).is_some_and(|(tag, name)| tag.eq_ignore_ascii_case(name));
        let behind = tag.as_bytes().get(name.len());
        if is_name && behind.is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'>') {
            return Some(found);
        }
    }
    None
}
