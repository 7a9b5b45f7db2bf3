//! The format setting, explained: what each format reads and where that goes, or what is wrong with it.

use std::fmt::Write as _;
use std::num::NonZeroU64;

use apigw_log_forwarder::access_log::{FormatError, Formats, Holds, Kind, Outline, Part};
use apigw_log_forwarder::event::{Event, Writer};
use apigw_log_forwarder::head::Head;
use apigw_log_forwarder::layout::Layout;
use apigw_log_forwarder::redact::{REDACTED, Redactor};
use comfy_table::{Table, presets};
use serde_json::Value;

use crate::{caret, mistakes};

/// Writes every problem of a setting with a caret under its place, and what was probably meant.
pub(crate) fn problems(errors: &[FormatError], setting: &str) -> String {
    let mut page = String::new();
    for error in errors {
        let line = setting.lines().nth(error.line - 1).unwrap_or_default();
        let at = line.char_indices().nth(error.column - 1).map_or(line.len(), |(at, _)| at);
        // Writing to a string does not fail, here and below.
        writeln!(page, "invalid format, line {}, column {}:", error.line, error.column).unwrap_or_default();
        page += &caret::under(line, at, &error.kind.to_string());
        page += &mistakes::remarks(line);
    }
    page
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
    for name in names.clone().filter(|name| !mistakes::is_known(name)) {
        let suggestion = mistakes::suggestion(name);
        writeln!(
            page,
            "  note: AWS documents no $context.{name}: API Gateway writes - for what it does not know{suggestion}"
        )
        .unwrap_or_default();
    }
    page += &mistakes::remarks(outline.text());
    for [first, second] in touching(outline, parts) {
        writeln!(
            page,
            "  note: only a blank parts $context.{first} and $context.{second}, and both may hold one: where one ends is a guess; put quotes around them, or another separator between"
        )
        .unwrap_or_default();
    }
    for field in hidden(outline) {
        writeln!(
            page,
            "  note: {field} leaves as [REDACTED], whole or in part: something there has the name of a credential"
        )
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

/// Returns the pairs of values that nothing but white space parts, though both may hold that.
fn touching<'a>(outline: Outline<'a>, parts: &[Part<'a>]) -> Vec<[&'a str; 2]> {
    let mut pairs = Vec::new();
    let mut before: Option<&str> = None;
    let mut rest = outline.text();
    for part in parts {
        // A JSON object tells its values by their keys.
        let Holds::Variable { name, kind } = part.holds else { return pairs };
        let Some((between, behind)) = rest.split_once(name).filter(|_| part.path.is_empty()) else { return pairs };
        let between = between.trim_end_matches("context.").trim_end_matches(['$', '{']).trim_start_matches('}');
        let is_blank = !between.is_empty() && between.trim().is_empty();
        let is_free = matches!(kind, Kind::Text | Kind::RouteKey);
        if let Some(first) = before.filter(|_| is_free && is_blank) {
            pairs.push([first, name]);
        }
        before = Some(name).filter(|_| is_free);
        rest = behind;
    }
    pairs
}

/// Returns what leaves without its value: the function writes a line of digits, and shows it.
fn hidden(outline: Outline<'_>) -> Vec<String> {
    let line = without_variables(outline.text());
    let Ok(formats) = Formats::compile(outline.text()) else { return Vec::new() };
    let redactor = Redactor::new(std::iter::empty::<&str>());
    let Ok(log) = formats.parse(&line) else { return Vec::new() };
    let mut written = Vec::new();
    let writer = Writer { layout: &Layout::default(), redactor: &redactor };
    writer.write(&Head::default(), &Event::Access(&log, NonZeroU64::MIN), &mut written);
    let event: Value = serde_json::from_slice(&written).unwrap_or_default();
    let mut found = Vec::new();
    for member in ["context", "fields"] {
        redacted(event.get(member).unwrap_or(&Value::Null), member, &mut found);
    }
    found
}

/// Finds the values that are hidden. As deep as the format is nested.
fn redacted(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| redacted(value, &format!("{path}.{key}"), found));
        }
        Value::String(text) if text.contains(REDACTED) => found.push(path.to_owned()),
        _ => {}
    }
}

/// Puts as many digits where a variable stands: JSON inside quotes and outside.
pub(crate) fn without_variables(format: &str) -> String {
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
    fn values_that_only_a_blank_parts_are_noted() {
        let notes = |setting| page(setting).matches("only a blank parts").count();
        assert_eq!(notes("$context.requestId $context.error.message $context.integrationErrorMessage"), 1);
        assert_eq!(notes("$context.requestId $context.authorizer.a $context.authorizer.b $context.routeKey"), 2);
        assert_eq!(notes("$context.requestId \"$context.error.message\" \"$context.integrationErrorMessage\""), 0);
        assert_eq!(notes("$context.error.message $context.requestId $context.authorizer.b"), 0);
        assert_eq!(notes(r#"{"a":"$context.requestId $context.error.message $context.authorizer.b"}"#), 0);
    }

    #[test]
    fn a_field_that_is_hidden_is_noted() {
        let note = "fields.o.token leaves as [REDACTED]";
        assert!(page(r#"{"id":"$context.requestId","o":{"token":"$context.path $context.stage"}}"#).contains(note));
        let key = r#"{"id":"$context.requestId","k":"key=$context.identity.apiKey s=$context.status"}"#;
        assert!(page(key).contains("note: fields.k leaves"));
        assert!(!page(r#"{"id":"$context.requestId","k":"$context.path $context.stage"}"#).contains("REDACTED"));
    }

    #[test]
    fn what_is_likely_a_mistake_is_noted() {
        let page = page(r#"{"status:$context.status","x":"$context.sourceIp","p":"$context.authorizer.p"}"#);
        assert!(page.contains("AWS documents no $context.sourceIp"), "{page}");
        assert!(page.contains("; did you mean $context.identity.sourceIp?"), "{page}");
        assert!(page.contains("without $context.requestId or"), "{page}");
        let caret = page.lines().find(|line| line.contains('^')).unwrap();
        assert_eq!(caret.find('^'), Some(2 + r#"{"status:$context.status","#.len() - 1), "{page}");
        assert_eq!(page.matches("note:").count(), 3, "{page}");
    }
}
