//! A text of several variables: `m=$context.httpMethod key=$context.identity.apiKey`.
//!
//! Such a text is not a value of any variable, and leaves as it came. Only where one of its variables is a credential are the
//! values told apart: what could be the credential's is hidden, the rest stays.

use std::ops::Range;

use super::format::name_before;
use super::shape::{PLACEHOLDER, Placed};
use super::value::{Value, is_nothing};
use super::variables::Variable;
use super::write;
use crate::redact::{REDACTED, Redactor};

/// The variables of a text, and the texts before, between and behind them.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    texts: Vec<Box<str>>,
    variables: Vec<Variable>,
    /// What the text before each variable calls it.
    names: Vec<Option<Box<str>>>,
}

impl Parts {
    /// Takes the variables that are placed in `text`, which starts at `start` of the format: the inside of a JSON string, or
    /// text outside quotes.
    pub(super) fn new(text: &str, quoted: bool, start: usize, placed: &[Placed]) -> Self {
        let mut parts = Self { texts: Vec::new(), variables: Vec::new(), names: Vec::new() };
        let piece = |range: Range<usize>| {
            let raw = text.get(range).unwrap_or_default();
            if quoted { Value::quoted(&format!("\"{raw}\"")).characters().into() } else { Box::from(raw) }
        };
        let mut rest = 0;
        for Placed { at, variable, .. } in placed {
            let before = piece(rest..at - start);
            let mut variable = variable.clone();
            let name = name_before(&before);
            if let Some((name, in_query)) = name {
                variable.is_called(name, in_query);
            }
            parts.names.push(name.map(|(name, _)| name.into()));
            parts.texts.push(before);
            parts.variables.push(variable);
            rest = at - start + PLACEHOLDER.len_utf8();
        }
        parts.texts.push(piece(rest..text.len()));
        parts
    }

    /// Returns whether one of the variables is a credential.
    pub(super) fn has_secret(&self, redactor: &Redactor) -> bool {
        self.variables.iter().any(|variable| write::hides(variable, redactor))
    }

    /// Returns the names under which credentials stand; none for one that only the whole text has a name for.
    pub(super) fn secret_names(&self, redactor: &Redactor) -> impl Iterator<Item = Option<&str>> {
        let secrets = self.variables.iter().zip(&self.names).filter(|(variable, _)| write::hides(variable, redactor));
        secrets.map(|(_, name)| name.as_deref())
    }

    /// Returns the text of a line without what could be a credential of it; `None` where there is none.
    ///
    /// A value may hold the text that stands behind it. So the first credential starts at the first place where it can, the
    /// last one ends at the last, and what is between two goes if it is not clear where they end.
    pub(super) fn without_secrets(&self, text: &str, redactor: &Redactor) -> Option<String> {
        let is_secret = |variable: &Variable| write::hides(variable, redactor);
        let first = self.variables.iter().position(is_secret)?;
        let last = self.variables.iter().rposition(is_secret)?;
        let whole = || if is_nothing(text) { None } else { Some(REDACTED.to_owned()) };
        let mut start = 0;
        for before in self.texts.get(..=first)? {
            let Some(at) = text.get(start..).and_then(|rest| rest.find(before.as_ref())) else { return whole() };
            start += at + before.len();
        }
        let mut end = text.len();
        for behind in self.texts.get(last + 1..)?.iter().rev() {
            let Some(at) = text.get(start..end).and_then(|rest| rest.rfind(behind.as_ref())) else { return whole() };
            end = start + at;
        }
        let (before, secret, behind) = (text.get(..start)?, text.get(start..end)?, text.get(end..)?);
        let mut shown = before.to_owned();
        self.hide_between(first, last, secret, redactor, &mut shown);
        shown.push_str(behind);
        (shown != text).then_some(shown)
    }

    /// Writes the values of the variables from `first` to `last`, and the texts between, with those of credentials hidden.
    fn hide_between(&self, first: usize, last: usize, text: &str, redactor: &Redactor, shown: &mut String) {
        let between = self.texts.get(first + 1..=last).unwrap_or_default();
        let is_clear = between.iter().all(|between| !between.is_empty() && text.matches(between.as_ref()).count() == 1);
        let mut rest = text;
        if is_clear {
            for (between, variable) in between.iter().zip(self.variables.iter().skip(first)) {
                let Some((value, behind)) = rest.split_once(between.as_ref()) else { break };
                let hidden = write::hides(variable, redactor) && !is_nothing(value);
                shown.push_str(if hidden { REDACTED } else { value });
                shown.push_str(between);
                rest = behind;
            }
        }
        shown.push_str(if is_nothing(rest) { rest } else { REDACTED });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Formats;
    use super::super::tests::written;
    use super::*;

    #[track_caller]
    fn shows(text: &str, value: &str, expected: &str) {
        let formats = Formats::compile(&format!("{{\"id\":\"$context.requestId\",\"d\":\"{text}\"}}")).unwrap();
        // As it is to the letter, and as it was written anew.
        for line in [format!("{{\"id\":\"r\",\"d\":\"{value}\"}}"), format!("{{ \"d\": \"{value}\", \"id\": \"r\" }}")]
        {
            let expected = format!(",\"context\":{{\"requestId\":\"r\"}},\"fields\":{{\"d\":\"{expected}\"}}");
            let log = formats.parse(&line).unwrap();
            assert_eq!(written(&log, &Redactor::new(std::iter::empty::<&str>())), expected, "{line}");
        }
    }

    #[test]
    fn only_the_credential_among_several_values_is_hidden() {
        let text = "m=$context.httpMethod key=$context.identity.apiKey s=$context.status";
        shows(text, "m=GET key=- s=200", "m=GET key=- s=200");
        shows(text, "m=GET key= s=200", "m=GET key= s=200");
        shows(text, "m=GET key=s3cr3t s=200", "m=GET key=[REDACTED] s=200");
        shows(text, "m=GET key=a key=b s=3 s=200", "m=GET key=[REDACTED] s=200");
        shows(text, "something else", "[REDACTED]");
        shows("$context.path token=$context.authorizer.a", "/a token=b", "/a token=[REDACTED]");
    }

    #[test]
    fn several_credentials_are_told_apart_where_that_is_clear() {
        let text = "$context.identity.apiKey/$context.stage/$context.authorizer.token!";
        shows(text, "a/prod/b!", "[REDACTED]!");
        let text = "$context.identity.apiKey, $context.stage; $context.authorizer.token!";
        shows(text, "a, prod; b!", "[REDACTED], prod; [REDACTED]!");
        shows(text, "-, prod; b!", "-, prod; [REDACTED]!");
        shows(text, "a, b, prod; c!", "[REDACTED]!");
    }
}
