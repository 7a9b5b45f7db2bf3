//! The format setting: the formats of API stages as an operator writes them down, one a line.
//!
//! What is pasted is not always a format yet. One that vendors print over several lines is joined; one that still has the escapes,
//! the quotes or the name of the file that it was copied from is refused: it would never match a line, and nobody would know why.

use thiserror::Error;

use super::format::Format;

/// A problem of the format setting, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct FormatError {
    /// Line of the setting, from 1: each holds one format.
    pub line: usize,
    /// Characters from the start of the line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub kind: FormatErrorKind,
}

/// What is wrong with a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FormatErrorKind {
    /// Nothing in it says which part of a log line is a value.
    #[error("no $context variable in the format; copy the format of the API stage")]
    NoVariable,
    /// Where one value ends and the next begins could not be told.
    #[error("two variables with nothing between them; put a separator there")]
    Adjacent,
    /// A quote is written as in a string of a program.
    #[error("quotes are escaped as in a source file; write \" for each \\\"")]
    Escaped,
    /// The format is in quotes as a whole.
    #[error("quotes around the whole format, as in a source file; leave them out")]
    Quoted,
    /// The format has the name of its property before it.
    #[error("a name before the format, as in a source file; write the format alone")]
    Named,
    /// The format has what starts a text in YAML or Terraform before it.
    #[error("the start of a text in YAML or Terraform; write the format alone")]
    SourceText,
    /// A brace at the start of a line is not closed before the setting ends.
    #[error("a brace that is never closed; a format may stand over several lines until it is")]
    Unclosed,
}

/// Compiles the formats of a setting. Returns how many there are, and each in all the ways that it can be understood. They are
/// called `format 1` and so on, from the number behind `before`.
///
/// # Errors
/// Every problem, with line and column. At least one for a setting without any format.
pub(super) fn compile(setting: &str, before: usize) -> Result<(usize, Vec<Format>), Vec<FormatError>> {
    let mut formats = Vec::new();
    let mut problems = Vec::new();
    let entries = entries(setting);
    for (index, entry) in entries.iter().enumerate() {
        match compile_entry(entry, &format!("format {}", before + index + 1)) {
            Ok(readings) => formats.extend(readings),
            Err(found) => problems.extend(found.into_iter().map(|(at, kind)| entry.problem(at, kind))),
        }
    }
    if formats.is_empty() && problems.is_empty() {
        problems.push(FormatError { line: 1, column: 1, kind: FormatErrorKind::NoVariable });
    }
    if problems.is_empty() { Ok((entries.len(), formats)) } else { Err(problems) }
}

/// One format of a setting: a line, or several while a brace is open.
struct Entry<'a> {
    /// The text without the white space around it and without the `\n` that may end it; line feeds as they stood.
    text: String,
    /// The line that it starts in, from 1.
    line: usize,
    /// The lines as they stand in the setting.
    lines: Vec<&'a str>,
    /// Whether the brace that it starts with is open at the end of the setting.
    is_open: bool,
}

impl<'a> Entry<'a> {
    fn new(lines: &[&'a str], line: usize, is_open: bool) -> Self {
        let text = lines.join("\n");
        let text = text.trim_ascii();
        // API Gateway takes the characters `\n` at a format's end for a line feed.
        let text = text.strip_suffix("\\n").map_or(text, str::trim_ascii_end).to_owned();
        Self { text, line, lines: lines.to_vec(), is_open }
    }

    /// Places a problem at a byte of the text.
    fn problem(&self, at: usize, kind: FormatErrorKind) -> FormatError {
        let first = self.lines.first().copied().unwrap_or_default();
        let mut at = at + first.len() - first.trim_ascii_start().len();
        for (line, text) in (self.line..).zip(&self.lines) {
            if let Some(before) = text.get(..at) {
                return FormatError { line, column: before.chars().count() + 1, kind };
            }
            at -= (text.len() + 1).min(at);
        }
        FormatError { line: self.line, column: 1, kind }
    }
}

/// Finds the formats of a setting. Blank lines between them are passed over.
fn entries(setting: &str) -> Vec<Entry<'_>> {
    let lines: Vec<&str> = setting.lines().collect();
    let mut entries = Vec::new();
    let mut rest = lines.as_slice();
    while let Some((first, behind)) = rest.split_first() {
        let line = lines.len() - rest.len() + 1;
        let is_braced = first.trim_ascii_start().starts_with('{');
        let length = if is_braced { closing(rest) } else { Some(1) };
        let split = length.and_then(|length| rest.split_at_checked(length));
        let (entry, next) = split.unwrap_or((std::slice::from_ref(first), behind));
        if !first.trim_ascii().is_empty() {
            entries.push(Entry::new(entry, line, length.is_none()));
        }
        rest = next;
    }
    entries
}

/// Returns how many lines it takes until every brace is closed; `None` if they never are.
fn closing(lines: &[&str]) -> Option<usize> {
    let mut open = 0_isize;
    for (index, line) in lines.iter().enumerate() {
        for byte in line.bytes() {
            open += isize::from(byte == b'{') - isize::from(byte == b'}');
        }
        if open <= 0 {
            return Some(index + 1);
        }
    }
    None
}

fn compile_entry(entry: &Entry<'_>, label: &str) -> Result<Vec<Format>, Vec<(usize, FormatErrorKind)>> {
    let text = entry.text.as_str();
    if let Some(problem) = source_mark(text) {
        return Err(vec![problem]);
    }
    let mut formats = Format::readings(label, text).map_err(|mut problems| {
        for (_, kind) in problems.iter_mut().filter(|_| entry.is_open) {
            if *kind == FormatErrorKind::NoVariable {
                *kind = FormatErrorKind::Unclosed;
            }
        }
        problems
    })?;
    if let Some(at) = text.find("\\\"").filter(|_| formats.iter().all(|format| format.shape.is_none())) {
        return Err(vec![(at, FormatErrorKind::Escaped)]);
    }
    // Whoever gave the stage a format of several lines may have joined them there.
    if text.contains('\n') {
        let pieces = || text.split('\n');
        let joined = pieces().collect::<String>();
        let spaced = pieces().map(str::trim_ascii).collect::<Vec<_>>().join(" ");
        for text in [joined, spaced] {
            formats.extend(Format::readings(label, &text).into_iter().flatten());
        }
    }
    Ok(formats)
}

/// Finds what shows that a text is a piece of a source file, and no format yet.
fn source_mark(text: &str) -> Option<(usize, FormatErrorKind)> {
    const BLOCKS: [&str; 6] = [">-", ">+", "|-", "|+", "<<", "!Sub"];
    const QUOTES: [char; 3] = ['"', '\'', '`'];
    let starts_text = |text: &str| {
        BLOCKS.iter().any(|mark| text.starts_with(mark)) || matches!(text, ">" | "|") || text.starts_with("jsonencode(")
    };
    if starts_text(text) {
        return Some((0, FormatErrorKind::SourceText));
    }
    if let Some((name, value)) = text.split_once(['=', ':']) {
        let is_of_name = |character: &char| character.is_ascii_alphabetic();
        let letters: String = name.chars().filter(is_of_name).collect::<String>().to_ascii_lowercase();
        let is_name = |byte: u8| byte.is_ascii_alphabetic() || b"-_ \"'".contains(&byte);
        let value = value.trim_ascii_start();
        let is_value = value.starts_with(QUOTES) || value.starts_with(['{', '$']) || starts_text(value);
        if letters.ends_with("format") && name.bytes().all(is_name) && is_value {
            return Some((0, FormatErrorKind::Named));
        }
    }
    let inside = text.trim_end_matches([',', ';']);
    let quote = inside.chars().next().filter(|first| QUOTES.contains(first))?;
    let inside = inside.strip_prefix(quote)?.strip_suffix(quote)?;
    let is_escaped = quote == '"' && inside.contains("\\\"");
    (is_escaped || !inside.contains(quote)).then_some((0, FormatErrorKind::Quoted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fails(setting: &str, expected: &[(usize, usize, FormatErrorKind)]) {
        let problems = compile(setting, 0).map(drop).unwrap_err();
        let found: Vec<_> = problems.iter().map(|problem| (problem.line, problem.column, problem.kind)).collect();
        assert_eq!(found, expected, "{setting}");
    }

    #[track_caller]
    fn labels(setting: &str, expected: &[&str]) {
        let (_, formats) = compile(setting, 0).unwrap();
        let mut labels: Vec<_> = formats.iter().map(|format| format.label.as_ref()).collect();
        labels.dedup();
        assert_eq!(labels, expected, "{setting}");
    }

    #[test]
    fn every_problem_is_reported_with_its_place() {
        use FormatErrorKind::{Adjacent, NoVariable};
        fails("", &[(1, 1, NoVariable)]);
        fails("  \n\n", &[(1, 1, NoVariable)]);
        fails("hello", &[(1, 1, NoVariable)]);
        fails("{context.status} $context. $stage", &[(1, 1, NoVariable)]);
        fails("$context.status\n\n  é$context.status$context.path\nx", &[(3, 19, Adjacent), (4, 1, NoVariable)]);
    }

    #[test]
    fn an_error_says_what_to_do() {
        let problem = compile("$context.status$context.path", 0).map(drop).unwrap_err().remove(0);
        assert_eq!(
            problem.to_string(),
            "line 1, column 16: two variables with nothing between them; put a separator there"
        );
    }

    #[test]
    fn lines_are_joined_while_a_brace_is_open() {
        labels(
            "$context.status\n{\n  \"id\": \"$context.requestId\",\n\n  \"in\": {\"s\": $context.status}\n}\\n\n\n[$context.path]",
            &["format 1", "format 2", "format 3"],
        );
        labels("{ $context.status\n$context.path", &["format 1", "format 2"]);
        labels("$context.requestId {\n$context.path }", &["format 1", "format 2"]);
    }

    #[test]
    fn a_problem_in_a_format_of_several_lines_has_the_line_that_it_is_in() {
        fails(
            "x\n  {\n é $context.status$context.path\n}",
            &[(1, 1, FormatErrorKind::NoVariable), (3, 19, FormatErrorKind::Adjacent)],
        );
        fails("{\n\"id\":\"$context.requestId\"\n", &[(1, 1, FormatErrorKind::Unclosed)]);
    }

    #[test]
    fn what_is_a_piece_of_a_source_file_is_refused_and_says_what_it_is() {
        use FormatErrorKind::{Escaped, Named, NoVariable, Quoted, SourceText};
        for (setting, at, kind) in [
            (r#"{\"requestId\":\"$context.requestId\"}"#, 2, Escaped),
            (r#"$context.requestId \"$context.path\""#, 20, Escaped),
            (r#"<request id=\"$context.requestId\"/>"#, 13, Escaped),
            (r#""$context.requestId $context.status""#, 1, Quoted),
            (r#""{\"requestId\":\"$context.requestId\"}""#, 1, Quoted),
            (r#"'{"requestId":"$context.requestId"}',"#, 1, Quoted),
            ("`$context.requestId`", 1, Quoted),
            (r#"format = "$context.requestId""#, 1, Named),
            (r#"Format: '{"requestId":"$context.requestId"}'"#, 1, Named),
            (r#""accessLogFormat": "$context.requestId""#, 1, Named),
            ("access_log_format=$context.requestId", 1, Named),
            (">- $context.requestId", 1, SourceText),
            ("<<EOF", 1, SourceText),
            (r#"jsonencode({"a" = "$context.requestId"})"#, 1, SourceText),
            ("!Sub $context.requestId", 1, SourceText),
        ] {
            fails(setting, &[(1, at, kind)]);
        }
        fails("Format: >-\n  {\"id\":\"$context.requestId\"}", &[(1, 1, Named)]);
        fails(">-\n$context.requestId\nEOF", &[(1, 1, SourceText), (3, 1, NoVariable)]);
    }

    #[test]
    fn quotes_and_names_that_are_the_formats_own_are_taken() {
        for format in [
            r#""$context.requestId","$context.status""#,
            r#"{"say":"\"$context.requestId\""}"#,
            "requestId=$context.requestId status=$context.status",
            "format v1: $context.requestId",
            "| $context.requestId | $context.status |",
            "'$context.requestId' '$context.status'",
            "> $context.requestId",
        ] {
            labels(format, &["format 1"]);
        }
    }
}
