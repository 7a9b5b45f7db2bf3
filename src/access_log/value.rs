//! A value as it stands in a line: borrowed, and decoded only by who needs its characters.

use std::borrow::Cow;

use crate::json::{Cursor, Str};

/// What a line holds for one variable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// The line was not read that far.
    Unseen,
    /// The line says that there is none, or something that is no value of a variable.
    Nothing,
    /// Characters as they stand.
    Plain(&'a str),
    /// Characters that stand in a JSON string as they are.
    Clean(&'a str),
    /// The same, and no credential under a name is among them: there is no `=`, `:` or `%`, or the variable holds none.
    Nameless(&'a str),
    /// The inside of a JSON string that has escapes.
    Escaped(Str<'a>),
    /// The same as it stands in an envelope, where the line is a JSON string itself; of a learned line also a list.
    Twice(Str<'a>),
}

impl<'a> Value<'a> {
    /// Takes what stands between two quotes for the inside of a JSON string if it is one, else for plain characters.
    ///
    /// `around` is the text with its quotes.
    pub(super) fn quoted(around: &'a str) -> Self {
        let mut cursor = Cursor::new(around);
        match cursor.string() {
            Ok(string) if cursor.rest().is_empty() => Self::json(string),
            _ => Self::Plain(around.get(1..around.len().saturating_sub(1)).unwrap_or_default()),
        }
    }

    /// Takes a JSON string.
    pub(super) fn json(string: Str<'a>) -> Self {
        if string.escaped() { Self::Escaped(string) } else { Self::Clean(string.raw()) }
    }

    /// Takes off the dollar sign that stands before the value.
    pub(super) fn without_dollar(self) -> Self {
        let strip = |text: &'a str| text.strip_prefix('$').unwrap_or(text);
        match self {
            Self::Unseen | Self::Nothing => self,
            Self::Plain(text) => Self::Plain(strip(text)),
            Self::Clean(text) => Self::Clean(strip(text)),
            Self::Nameless(text) => Self::Nameless(strip(text)),
            Self::Escaped(string) => Self::Escaped(string.without_prefix('$')),
            Self::Twice(string) => Self::Twice(string.without_prefix('$')),
        }
    }

    /// Returns the characters; none where there is nothing.
    pub(super) fn characters(self) -> Cow<'a, str> {
        match self {
            Self::Unseen | Self::Nothing => Cow::Borrowed(""),
            Self::Plain(text) | Self::Clean(text) | Self::Nameless(text) => Cow::Borrowed(text),
            Self::Escaped(string) => string.decode(),
            Self::Twice(string) => Cow::Owned(string.decode_twice()),
        }
    }

    /// Returns the characters, `None` where there is no value: nothing, an empty text or `-`.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        let text = self.characters();
        if is_nothing(&text) { None } else { Some(text) }
    }
}

/// Returns whether a text says that there is no value: API Gateway writes `-`.
pub(super) fn is_nothing(text: &str) -> bool {
    matches!(text.as_bytes(), [] | [b'-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_where_they_are_json() {
        assert_eq!(Value::quoted(r#""a\"b""#).text().as_deref(), Some("a\"b"));
        assert_eq!(Value::quoted(r#""a"b""#).text().as_deref(), Some("a\"b"));
        assert_eq!(Value::quoted(r#""a\xb""#).text().as_deref(), Some(r"a\xb"));
    }

    #[test]
    fn a_dash_and_an_empty_text_are_no_value() {
        assert_eq!(Value::Plain("-").text(), None);
        assert_eq!(Value::Plain("").text(), None);
        assert_eq!(Value::quoted("\"-\"").text(), None);
        assert_eq!(Value::Plain("--").text().as_deref(), Some("--"));
    }
}
