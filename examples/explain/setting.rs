//! The format setting, explained: what each format reads and where that goes, or what is wrong with it.

use std::fmt::Write as _;

use apigw_log_forwarder::access_log::{
    FormatError, FormatErrorKind, Formats, Holds, Outline, Part, documented_variables,
};
use comfy_table::{Table, presets};

use crate::caret;

/// Variables under which an API's owner chooses the name.
const OPEN_FAMILIES: [&str; 3] = ["authorizer.", "requestOverride.", "responseOverride.header."];

/// Writes every problem of a setting with a caret under its place, and how to undo what a source file did to a format.
pub(crate) fn problems(errors: &[FormatError], setting: &str) -> String {
    let mut page = String::new();
    for error in errors {
        let line = setting.lines().nth(error.line - 1).unwrap_or_default();
        let at = line.char_indices().nth(error.column - 1).map_or(line.len(), |(at, _)| at);
        // Writing to a string does not fail, here and below.
        writeln!(page, "invalid format, line {}, column {}:", error.line, error.column).unwrap_or_default();
        page += &caret::under(line, at, &error.kind.to_string());
        if let Some(undone) = undone(line.trim_ascii(), error.kind) {
            writeln!(page, "  try: {undone}").unwrap_or_default();
        }
    }
    page
}

/// Returns a line without what shows that it is a piece of a source file. `None` where more than the line is to be changed.
fn undone(line: &str, kind: FormatErrorKind) -> Option<String> {
    let unquoted = |text: &str| text.trim_matches(['"', '\'', '`', ',', ';', ' ']).to_owned();
    match kind {
        FormatErrorKind::Escaped => Some(line.replace("\\\"", "\"")),
        FormatErrorKind::Quoted => Some(unquoted(line).replace("\\\"", "\"")),
        FormatErrorKind::Named => {
            let (_, value) = line.split_once(['=', ':'])?;
            Some(unquoted(value).replace("\\\"", "\"")).filter(|value| value.contains("$context."))
        }
        _ => None,
    }
}

/// Writes what each format of a valid setting was understood to be.
///
/// A text that can be understood in several ways is shown in each of them.
pub(crate) fn outline(formats: &Formats) -> String {
    let mut page = String::new();
    let mut before = None;
    for outline in formats.outlines() {
        let kind = if outline.is_json() { "a JSON object" } else { "text" };
        let parts = outline.parts();
        // Lines that were joined make no difference to what is read.
        if before.replace((outline.label(), parts.clone())) == Some((outline.label(), parts.clone())) {
            continue;
        }
        let variables = parts.iter().filter(|part| matches!(part.holds, Holds::Variable { .. })).count();
        writeln!(page, "{}: {kind}, {variables} variables", outline.label()).unwrap_or_default();
        writeln!(page, "{}", table(&parts).trim_fmt()).unwrap_or_default();
        page += &remarks(outline, &parts);
        page.push('\n');
    }
    page
}

fn table(parts: &[Part<'_>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for part in parts {
        let path = part.path.join(".");
        let (what, kind, place) = match part.holds {
            Holds::Variable { name, kind } => (format!("$context.{name}"), kind.to_string(), format!("context.{name}")),
            Holds::Composite => ("variables and text".to_owned(), "text".to_owned(), format!("fields.{path}")),
            Holds::Constant => ("constant".to_owned(), "JSON".to_owned(), format!("fields.{path}")),
        };
        table.add_row([path, what, kind, format!("→ {place}")]);
    }
    table
}

/// Says what is likely to be a mistake.
fn remarks(outline: Outline<'_>, parts: &[Part<'_>]) -> String {
    let mut page = String::new();
    let names = parts.iter().filter_map(|part| match part.holds {
        Holds::Variable { name, .. } => Some(name),
        Holds::Composite | Holds::Constant => None,
    });
    for name in names.clone().filter(|name| !is_known(name)) {
        writeln!(page, "  note: AWS documents no $context.{name}: API Gateway writes - for what it does not know")
            .unwrap_or_default();
    }
    if outline.has_dollars() {
        page +=
            "  note: two dollar signs before a name: one of them stands in the lines, and is taken off the values\n";
    }
    let text = outline.text();
    if !["context.requestId", "context.extendedRequestId"].iter().any(|required| text.contains(required)) {
        page += "  note: API Gateway takes no format without $context.requestId or $context.extendedRequestId\n";
    }
    if text.starts_with('{') && !outline.is_json() {
        page += "  note: it starts as a JSON object and is none: lines are read by its literal text alone\n";
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&without_variables(text)) {
            // Columns of this parser count bytes, from 1.
            let remark = error.to_string();
            let remark = remark.split(" at line").next().unwrap_or_default();
            page += &caret::under(text, error.column().saturating_sub(1), remark);
        }
    }
    page
}

fn is_known(name: &str) -> bool {
    OPEN_FAMILIES.iter().any(|family| name.starts_with(family))
        || documented_variables().any(|(known, _)| known == name)
}

/// Puts as many digits where a variable stands: JSON inside quotes and outside.
fn without_variables(format: &str) -> String {
    let mut plain = String::with_capacity(format.len());
    let mut rest = format;
    while let Some(at) = rest.find("$context.") {
        let (before, variable) = rest.split_at(at);
        let is_name = |character: char| character.is_ascii_alphanumeric() || "$._".contains(character);
        let (name, behind) = variable.split_at(variable.find(|c| !is_name(c)).unwrap_or(variable.len()));
        plain.push_str(before);
        plain.extend(std::iter::repeat_n('1', name.len()));
        rest = behind;
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn page(setting: &str) -> String {
        match Formats::compile(setting) {
            Ok(formats) => outline(&formats),
            Err(errors) => problems(&errors, setting),
        }
    }

    #[test]
    fn a_problem_has_a_caret_under_it() {
        assert_eq!(
            page("$context.requestId\n\n  é$context.status$context.path"),
            concat!(
                "invalid format, line 3, column 19:\n",
                "    é$context.status$context.path\n",
                "                    ^ two variables with nothing between them; put a separator there\n"
            )
        );
    }

    #[test]
    fn what_a_source_file_did_to_a_format_is_undone() {
        for (setting, expected) in [
            (r#"{\"id\":\"$context.requestId\"}"#, r#"{"id":"$context.requestId"}"#),
            (r#"'{"id":"$context.requestId"}',"#, r#"{"id":"$context.requestId"}"#),
            (r#"format = "{\"id\":\"$context.requestId\"}""#, r#"{"id":"$context.requestId"}"#),
        ] {
            assert!(page(setting).contains(&format!("\n  try: {expected}\n")), "{}", page(setting));
        }
        assert!(!page("Format: >-").contains("try:"));
    }

    #[test]
    fn a_text_is_shown_in_each_way_that_it_can_be_understood() {
        let page = page("$context.requestId $context.authorizer.tenant-id");
        assert_eq!(page.matches("format 1: text, 2 variables").count(), 2, "{page}");
        let page = self::page("{\n \"id\": \"$$context.requestId\"\n}");
        assert_eq!(page.matches("format 1: a JSON object, 1 variables").count(), 1, "{page}");
        assert!(page.contains("note: two dollar signs"), "{page}");
    }

    #[test]
    fn every_part_says_where_it_goes() {
        let page = page(
            r#"{"env":"prod","ip":"$context.identity.sourceIp","id":"$context.requestId","r":"$context.httpMethod $context.path"}"#,
        );
        assert!(page.starts_with("format 1: a JSON object, 2 variables\n"), "{page}");
        let rows: Vec<Vec<&str>> = page.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["env", "constant", "JSON", "→", "fields.env"]);
        assert_eq!(rows[1], ["ip", "$context.identity.sourceIp", "IP", "address", "→", "context.identity.sourceIp"]);
        assert_eq!(rows[3], ["r", "variables", "and", "text", "text", "→", "fields.r"]);
        assert!(!page.contains("note:"), "{page}");
    }

    #[test]
    fn what_is_likely_a_mistake_is_noted() {
        let page = page(r#"{"status:$context.status","x":"$context.sourceIp","p":"$context.authorizer.p"}"#);
        assert!(page.contains("AWS documents no $context.sourceIp"), "{page}");
        assert!(page.contains("without $context.requestId or"), "{page}");
        let caret = page.lines().find(|line| line.contains('^')).unwrap();
        assert_eq!(caret.find('^'), Some(2 + r#"{"status:$context.status","#.len() - 1), "{page}");
        assert_eq!(page.matches("note:").count(), 3, "{page}");
    }
}
