//! The formats in a piece of a source file: Terraform, YAML, JSON, a program. What such a file does to a text is undone.
//!
//! ```text
//! format = jsonencode({ id = "$context.requestId" })     {"id":"$context.requestId"}
//! Format: '{"id":"$context.requestId"}'                  {"id":"$context.requestId"}
//! "{\"id\":\"$context.requestId\"}"                      {"id":"$context.requestId"}
//! ```

use serde_json::{Map, Value};

/// What every format holds.
const VARIABLE: &str = "$context.";

/// A format as the stage has it, and what it stood in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undone {
    pub(crate) format: String,
    pub(crate) what: &'static str,
}

/// Finds the formats in a piece of a source file; none if the text is no such piece, but formats as they are.
pub(crate) fn undone(text: &str) -> Vec<Undone> {
    let text = text.trim();
    let named = named(text);
    // A key `format` in a format of its own leaves variables beside it.
    let all = text.matches(VARIABLE).count();
    let found: usize = named.iter().map(|undone| undone.format.matches(VARIABLE).count()).sum();
    if found > 0 && found == all {
        return named;
    }
    let is_json = is_json_format(text);
    let alone =
        literal(text, None).filter(|(_, _, rest)| !is_json && rest.trim_matches([',', ';', ')', ' ', '\n']).is_empty());
    let alone = alone.map(|(format, what, _)| Undone { format, what });
    let escaped = || {
        let format = text.replace("\\\"", "\"");
        (!is_json && format != text).then_some(Undone { format, what: "quotes are escaped as in a source file" })
    };
    alone
        .or_else(escaped)
        .filter(|undone| undone.format != text && undone.format.contains(VARIABLE))
        .into_iter()
        .collect()
}

/// Returns whether a text is a JSON object once its variables have values.
fn is_json_format(text: &str) -> bool {
    text.starts_with('{')
        && serde_json::from_str::<Map<String, Value>>(&crate::setting::without_variables(text)).is_ok()
}

/// Finds what stands behind each key or property whose name ends in `format`.
fn named(text: &str) -> Vec<Undone> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.to_ascii_lowercase().find("format")) {
        let end = from + at + "format".len();
        let line = text.get(..end).and_then(|before| before.lines().last()).unwrap_or_default();
        let indent = line.len() - line.trim_start().len();
        let (before, behind) = text.split_at(end);
        from = end;
        let value = behind.trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
        if before.contains(VARIABLE) && found.is_empty() {
            break;
        }
        if let Some(value) = value.strip_prefix(['=', ':'])
            && let Some((format, what, rest)) = literal(value.trim_start_matches([' ', '\t']), Some(indent))
            && format.contains(VARIABLE)
        {
            found.push(Undone { format, what });
            from = text.len() - rest.len();
        }
    }
    found
}

/// A format, what it stood in, and what is behind it.
type Literal<'a> = Option<(String, &'static str, &'a str)>;

/// Reads the value that a text starts with. `indent` is how far the line of its key is indented; `None` if it has no key.
fn literal(text: &str, indent: Option<usize>) -> Literal<'_> {
    let text = text.strip_prefix("!Sub").map_or(text, str::trim_start);
    if let Some(rest) = text.strip_prefix("<<") {
        return heredoc(rest);
    }
    if text.starts_with(['>', '|']) {
        return block(text, indent);
    }
    // `jsonencode(…)`, `AccessLogFormat.custom(JSON.stringify(…))`
    let is_of_call = |character: char| character.is_ascii_alphanumeric() || "._(".contains(character);
    let value = text.trim_start_matches(is_of_call);
    let call = text.get(..text.len() - value.len()).unwrap_or_default();
    let value = if call.ends_with('(') { value.trim_start() } else { text };
    if let Some(rest) = value.strip_prefix("<<") {
        return heredoc(rest);
    }
    match value.chars().next()? {
        '{' if indent.is_some() || !call.is_empty() => {
            let mut object = Loose { rest: value };
            let json = object.value()?;
            Some((json.to_string(), "an object of a source file", object.rest))
        }
        quote @ ('"' | '\'' | '`') => {
            let (format, rest) = quoted(value, quote)?;
            let what = if indent.is_some() { "a text of a source file" } else { "quotes around the whole format" };
            Some((format, what, rest))
        }
        '$' if indent.is_some() => {
            let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
            Some((line.trim().trim_end_matches([',', ';']).to_owned(), "a name before the format", rest))
        }
        _ => None,
    }
}

/// Reads a text in quotes, and those that are added to it: `'…' + '…'`.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut rest = text.strip_prefix(quote)?;
    loop {
        let mut characters = rest.chars();
        match characters.next()? {
            // YAML doubles the quote inside single ones.
            '\'' if quote == '\'' && characters.as_str().starts_with('\'') => {
                out.push('\'');
                characters.next();
            }
            '\\' if quote != '\'' || characters.as_str().starts_with(['\'', '\\']) => match characters.next()? {
                'n' => out.push_str("\\n"),
                other => out.push(other),
            },
            end if end == quote => {
                let behind = characters.as_str();
                match behind
                    .trim_start()
                    .strip_prefix('+')
                    .map(str::trim_start)
                    .and_then(|next| next.strip_prefix(quote))
                {
                    Some(next) => characters = next.chars(),
                    None => return Some((out, behind)),
                }
            }
            other => out.push(other),
        }
        rest = characters.as_str();
    }
}

/// Reads Terraform's text up to its mark: `EOF` of `<<EOF` and `<<-EOF`.
fn heredoc(text: &str) -> Literal<'_> {
    let (mark, body) = text.split_once('\n')?;
    let mark = mark.trim_start_matches('-').trim();
    let mut end = 0;
    for line in body.split_inclusive('\n') {
        if line.trim() == mark {
            let rest = body.get(end + line.len()..)?;
            return Some((joined(body.get(..end)?), "a text of Terraform", rest));
        }
        end += line.len();
    }
    Some((joined(body), "a text of Terraform", ""))
}

/// Reads a block of YAML: the lines that are indented further than their key.
fn block(text: &str, indent: Option<usize>) -> Literal<'_> {
    let (mark, body) = text.split_once('\n')?;
    if !mark.trim_end().chars().skip(1).all(|character| "+-0123456789".contains(character)) {
        return None;
    }
    let is_inside = |line: &str| {
        line.trim().is_empty() || indent.is_none_or(|indent| line.len() - line.trim_start().len() > indent)
    };
    let length: usize = body.split_inclusive('\n').take_while(|line| is_inside(line)).map(str::len).sum();
    let (body, rest) = body.split_at_checked(length)?;
    Some((joined(body), "a block of YAML", rest))
}

/// Joins the lines of a text: a stage's format has one.
fn joined(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

/// Reads an object as Terraform, JavaScript or Python write it, which is JSON but for its keys, quotes and commas.
struct Loose<'a> {
    rest: &'a str,
}

impl<'a> Loose<'a> {
    fn value(&mut self) -> Option<Value> {
        self.skip(&[]);
        match self.rest.chars().next()? {
            '{' => self.object(),
            '[' => self.list(),
            quote @ ('"' | '\'' | '`') => {
                let (text, rest) = quoted(self.rest, quote)?;
                self.rest = rest;
                Some(Value::String(text))
            }
            _ => {
                let word = self.word(|character| !",}]\n".contains(character))?.trim();
                Some(serde_json::from_str(word).unwrap_or_else(|_| Value::String(word.to_owned())))
            }
        }
    }

    fn object(&mut self) -> Option<Value> {
        let mut object = Map::new();
        self.rest = self.rest.strip_prefix('{')?;
        loop {
            self.skip(&[',']);
            if let Some(rest) = self.rest.strip_prefix('}') {
                self.rest = rest;
                return Some(Value::Object(object));
            }
            let key = match self.rest.chars().next()? {
                quote @ ('"' | '\'') => {
                    let (key, rest) = quoted(self.rest, quote)?;
                    self.rest = rest;
                    key
                }
                _ => self.word(|character| character.is_ascii_alphanumeric() || "_.-".contains(character))?.to_owned(),
            };
            self.skip(&[]);
            self.rest = self.rest.strip_prefix("=>").or_else(|| self.rest.strip_prefix(['=', ':']))?;
            object.insert(key, self.value()?);
        }
    }

    fn list(&mut self) -> Option<Value> {
        let mut list = Vec::new();
        self.rest = self.rest.strip_prefix('[')?;
        loop {
            self.skip(&[',']);
            if let Some(rest) = self.rest.strip_prefix(']') {
                self.rest = rest;
                return Some(Value::Array(list));
            }
            list.push(self.value()?);
        }
    }

    fn word(&mut self, is_of_word: impl Fn(char) -> bool) -> Option<&'a str> {
        let (word, rest) = self.rest.split_at(self.rest.find(|c| !is_of_word(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    /// Passes over white space, comments and these.
    fn skip(&mut self, separators: &[char]) {
        loop {
            let rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || separators.contains(&c));
            let is_comment = rest.starts_with('#') || rest.starts_with("//");
            self.rest = if is_comment { rest.split_once('\n').map_or("", |(_, behind)| behind) } else { rest };
            if !is_comment {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(text: &str, expected: &[&str]) {
        let undone = undone(text);
        let formats: Vec<_> = undone.iter().map(|undone| undone.format.as_str()).collect();
        assert_eq!(formats, expected, "{text}");
    }

    const FORMAT: &str = r#"{"id":"$context.requestId","status":"$context.status"}"#;

    #[test]
    fn formats_as_they_are_stay() {
        for format in [
            FORMAT,
            "$context.requestId $context.status",
            r#""$context.requestId","$context.status""#,
            r#"{"format":"$context.path","id":"$context.requestId"}"#,
            r#"{"say":"\"$context.requestId\""}"#,
            "format v1: $context.requestId",
            "| $context.requestId | $context.status |",
            "> $context.requestId",
            "{\n  \"id\": \"$context.requestId\"\n}",
            "no format",
            "$context.requestId\n$context.status",
            "",
        ] {
            is(format, &[]);
        }
    }

    #[test]
    fn escapes_quotes_and_names_are_undone() {
        let escaped = FORMAT.replace('"', "\\\"");
        for text in [
            escaped.clone(),
            format!("\"{escaped}\""),
            format!("'{FORMAT}',"),
            format!("`{FORMAT}`;"),
            format!("format = \"{escaped}\""),
            format!("Format: '{FORMAT}'"),
            format!("\"accessLogFormat\": \"{escaped}\","),
            format!("format: {FORMAT}"),
        ] {
            is(&text, &[FORMAT]);
        }
        is("access_log_format=$context.requestId", &["$context.requestId"]);
        is(r#"$context.requestId \"$context.path\""#, &[r#"$context.requestId "$context.path""#]);
    }

    #[test]
    fn snippets_of_terraform_are_undone() {
        let stage = |format: &str| {
            format!(
                "resource \"aws_api_gateway_stage\" \"s\" {{\n  access_log_settings {{\n    destination_arn = aws_cloudwatch_log_group.g.arn\n    format          = {format}\n  }}\n}}\n"
            )
        };
        let object =
            "jsonencode({\n      id = \"$context.requestId\" # the id\n      \"status\" : \"$context.status\",\n    })";
        is(&stage(object), &[FORMAT]);
        is(object, &[FORMAT]);
        is(&stage(&format!("<<-EOF\n      {FORMAT}\n    EOF")), &[FORMAT]);
        is(&stage(&format!("\"{}\"", FORMAT.replace('"', "\\\""))), &[FORMAT]);
        is(
            &stage("jsonencode({ a = { b = \"$context.path\", n = 1, l = [\"x\"], v = var.env } })"),
            &[r#"{"a":{"b":"$context.path","l":["x"],"n":1,"v":"var.env"}}"#],
        );
        is(&[stage(object), stage("\"$context.path\"")].concat(), &[FORMAT, "$context.path"]);
    }

    #[test]
    fn snippets_of_yaml_and_programs_are_undone() {
        let setting =
            |format: &str| format!("AccessLogSetting:\n  Format: {format}\n  DestinationArn: !GetAtt G.Arn\n");
        is(&setting(&format!("'{FORMAT}'")), &[FORMAT]);
        is(&setting("$context.requestId $context.status"), &["$context.requestId $context.status"]);
        is(&setting("!Sub '$context.requestId it''s'"), &["$context.requestId it's"]);
        let folded = "\n    {\"id\":\"$context.requestId\",\n    \"status\":\"$context.status\"}";
        let joined = r#"{"id":"$context.requestId", "status":"$context.status"}"#;
        for mark in [">-", ">", "|", "|-"] {
            is(&setting(&format!("{mark}{folded}")), &[joined]);
            is(&format!("{mark}{folded}"), &[joined]);
        }
        is(
            "format: apigateway.AccessLogFormat.custom(JSON.stringify({ id: '$context.requestId', status: '$context.status' })),",
            &[FORMAT],
        );
        is("format: '$context.requestId ' +\n  '$context.status'", &["$context.requestId $context.status"]);
    }
}
