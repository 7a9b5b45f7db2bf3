//! What in a format was most likely meant to be another: `$Context.status`, `$context.staus`, `.status` of which a shell took the
//! rest.

use std::fmt::Write as _;

use apigw_log_forwarder::access_log::documented_variables;
use strsim::damerau_levenshtein as distance;

use crate::caret;

/// Variables under which an API's owner chooses the name.
const OPEN_FAMILIES: [&str; 3] = ["authorizer.", "requestOverride.", "responseOverride.header."];

/// Says, with a caret, where a format's text has a misspelt `$context`, and where one was lost.
pub(crate) fn remarks(text: &str) -> String {
    let mut page = String::new();
    for (at, _) in text.match_indices('$') {
        let behind = text.get(at + 1..).unwrap_or_default();
        let braced = behind.strip_prefix('{');
        let behind = braced.unwrap_or(behind);
        let word = behind.get(..length(behind)).unwrap_or_default();
        let is_followed = behind.get(word.len()..).is_some_and(|rest| rest.starts_with('.'));
        if is_followed && !matches!(word, "" | "context") {
            let is_near = distance(&word.to_ascii_lowercase(), "context") <= 2;
            let remark =
                if is_near { "did you mean $context?" } else { "access logs have no variables but those of $context" };
            page += &caret::under(text, at, remark);
        } else if is_followed && braced.is_some() && word == "context" {
            page +=
                &caret::under(text, at, "AWS documents no braces: $context.NAME; the template's own are undone before");
        }
    }
    if !text.contains("$context") && page.is_empty() {
        page += &lost(text).unwrap_or_default();
        let is_path = !text.contains(char::is_whitespace) && text.contains(['/', '.']);
        if is_path && page.is_empty() {
            writeln!(page, "  a file? @{text} reads it").unwrap_or_default();
        }
    }
    page
}

/// Says where a text has the name of a variable without what stands before it.
fn lost(text: &str) -> Option<String> {
    text.match_indices('.').find_map(|(at, _)| {
        let name = text.get(at + 1..)?;
        let is_of_name = |character: char| character.is_ascii_alphanumeric() || character == '.';
        let name = name.get(..name.find(|character| !is_of_name(character)).unwrap_or(name.len()))?;
        let before = text.get(..at)?;
        let start = before.len() - before.chars().rev().take_while(char::is_ascii_alphanumeric).count();
        if !is_known(name) {
            return None;
        }
        match before.get(start..)? {
            "" => Some(caret::under(
                text,
                at,
                "no $context: between double quotes a shell takes it away; use single quotes, or @FILE",
            )),
            "context" => Some(caret::under(text, start, "the dollar sign is missing: $context")),
            _ => None,
        }
    })
}

/// Returns whether AWS documents a variable, or leaves its name to the API's owner.
pub(crate) fn is_known(name: &str) -> bool {
    OPEN_FAMILIES.iter().any(|family| name.starts_with(family))
        || documented_variables().any(|(known, _)| known == name)
}

/// Writes what a variable that AWS does not document may have been meant to be.
pub(crate) fn suggestion(name: &str) -> String {
    let plain = name.to_ascii_lowercase();
    let found = documented_variables()
        .map(|(known, _)| {
            let lowercase = known.to_ascii_lowercase();
            // Half of the name left out is nearer than two letters wrong.
            let is_end = lowercase.strip_suffix(&plain).is_some_and(|before| before.ends_with('.'));
            (if is_end { 1 } else { distance(&lowercase, &plain) }, known)
        })
        .min()
        .filter(|(distance, _)| *distance <= 2 && *distance < name.len() / 2);
    let mut text = String::new();
    if let Some((_, known)) = found {
        // Writing to a string does not fail.
        write!(text, "; did you mean $context.{known}?").unwrap_or_default();
    }
    text
}

/// Length of the word at the start of a text.
fn length(text: &str) -> usize {
    text.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_context_has_a_caret() {
        assert_eq!(remarks("$context.status $$context.path ${stage} $default 5$. $.x"), "");
        assert!(remarks("${context.status}").contains("\n  ^ AWS documents no braces"));
        for text in ["$Context.status", "$contex.status", "$contxet.status", "${Context.status}"] {
            assert_eq!(remarks(text), format!("  {text}\n  ^ did you mean $context?\n"));
        }
        assert_eq!(
            remarks("$context.path $stageVariables.x"),
            "  $context.path $stageVariables.x\n                ^ access logs have no variables but those of $context\n"
        );
    }

    #[test]
    fn what_a_shell_took_is_told() {
        assert!(remarks("{id:.requestId}").contains("\n      ^ no $context: between double quotes"));
        assert!(remarks("a .status").contains("shell"));
        assert!(remarks("context.requestId").contains("\n  ^ the dollar sign is missing"));
        assert_eq!(remarks("a.status b"), "");
        assert_eq!(remarks("logs/format.txt"), "  a file? @logs/format.txt reads it\n");
    }

    #[test]
    fn a_variable_that_there_is_none_of_may_be_another() {
        let suggests = |name, expected| assert_eq!(suggestion(name), format!("; did you mean $context.{expected}?"));
        suggests("staus", "status");
        suggests("requestid", "requestId");
        suggests("sourceIp", "identity.sourceIp");
        suggests("identity.sourceip", "identity.sourceIp");
        suggests("integration.latancy", "integration.latency");
        for name in ["x", "tenant", "foo.bar"] {
            assert_eq!(suggestion(name), "");
        }
    }
}
