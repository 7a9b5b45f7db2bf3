//! A law: what is decidable comes back. Random formats of the grammar, random values of each variable's kind, with dashes and
//! with text that looks like the format's own; what was put in is what is read.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::Formats;
use super::tests::written;
use crate::redact::Redactor;

/// The notations that formats are written in.
#[derive(Debug, Clone, Copy)]
enum Notation {
    Json,
    Nested,
    Xml,
    Pairs,
    Separated(&'static str),
}

/// Variables and what their values may be. Those of [`FREE`] may be anything, of which a text has one.
const TYPED: [&str; 12] = [
    "requestId",
    "status",
    "identity.sourceIp",
    "requestTime",
    "httpMethod",
    "path",
    "routeKey",
    "protocol",
    "requestTimeEpoch",
    "stage",
    "extendedRequestId",
    "integration.latency",
];
const FREE: [&str; 4] = ["identity.userAgent", "error.message", "authorizer.claims.sub", "authorizer.tenant"];

fn notation() -> impl Strategy<Value = Notation> {
    prop_oneof![
        Just(Notation::Json),
        Just(Notation::Nested),
        Just(Notation::Xml),
        Just(Notation::Pairs),
        prop_oneof![Just(","), Just(" | "), Just("|"), Just("; "), Just("\t")].prop_map(Notation::Separated),
    ]
}

fn typed(name: &'static str) -> BoxedStrategy<String> {
    let value = match name {
        "status" => "[1-5][0-9]{2}".boxed(),
        "requestTimeEpoch" => "17[0-9]{11}".boxed(),
        "integration.latency" => "[1-9][0-9]{0,4}".boxed(),
        "identity.sourceIp" => any::<std::net::IpAddr>().prop_map(|address| address.to_string()).boxed(),
        "requestTime" => "[0-2][0-9]/Sep/2026:[0-2][0-9]:[0-5][0-9]:00 \\+0000".boxed(),
        "httpMethod" => "(GET|POST|DELETE)".boxed(),
        "path" => "/[a-z0-9%._-]{0,9}".boxed(),
        "routeKey" => "(\\$default|\\$connect|(GET|ANY) /[a-z]{0,9}|ANY /\\{proxy\\+\\})".boxed(),
        "protocol" => Just("HTTP/1.1".to_owned()).boxed(),
        "stage" => "(\\$default|prod|v1-beta)".boxed(),
        "extendedRequestId" => "[A-Za-z0-9]{15}=".boxed(),
        _ => "[a-f0-9]{8}-[a-f0-9]{4}".boxed(),
    };
    prop_oneof![4 => value, 1 => Just("-".to_owned())].boxed()
}

/// Text that is hard to read back: quotes, separators, brackets, escapes, what looks like the next value or key.
fn free() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("-".to_owned()),
        "Mozilla/5.0 \\(X11; [a-z]{3}\\) \\(KHTML, like Gecko\\)",
        "[a-z ,;|=:<>{}\\[\\]\"\\\\%1-9é-]{1,24}",
        Just("200".to_owned()),
        Just("x\",\"status\":\"500".to_owned()),
        Just("</status>".to_owned()),
        Just("no \"such\" [thing] | {\"a\":1}, status=404 [TRUNCATED]".to_owned()),
        "(a, b \\| c; ){100}d",
    ]
    // White space at the end of a line is passed over, whosever it was.
    .prop_map(|text| text.trim_ascii().to_owned())
}

/// Distinct variables with values, at most one of which may be anything, in any order.
fn values() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let typed = prop::sample::subsequence(TYPED.to_vec(), 2..9).prop_flat_map(|names| {
        names.into_iter().map(|name| typed(name).prop_map(move |value| (name, value))).collect::<Vec<_>>()
    });
    let free = (prop::sample::select(FREE.to_vec()), free());
    (typed, prop::option::of(free))
        .prop_map(|(typed, free)| typed.into_iter().chain(free).collect::<Vec<_>>())
        .prop_shuffle()
}

/// Writes a format, or with `value` a line of it.
fn render(notation: Notation, values: &[(&str, String)], value: impl Fn(&str, &str) -> String) -> String {
    let each = |write: &dyn Fn(usize, &str, &str) -> String, separator: &str| {
        let written = values.iter().enumerate().map(|(index, (name, text))| write(index, name, &value(name, text)));
        written.collect::<Vec<_>>().join(separator)
    };
    match notation {
        Notation::Json => format!("{{{}}}", each(&|index, _, value| format!("\"k{index}\":\"{value}\""), ",")),
        Notation::Nested => {
            format!(
                "{{ \"env\": \"prod\", \"in\": {{{}}} }}",
                each(&|index, _, value| format!("\"k{index}\": \"{value}\""), ", ")
            )
        }
        Notation::Xml => format!("<r>{}</r>", each(&|index, _, value| format!("<k{index}>{value}</k{index}>"), " ")),
        Notation::Pairs => each(&|index, _, value| format!("k{index}={value}"), " "),
        Notation::Separated(separator) => each(&|_, _, value| value.to_owned(), separator),
    }
}

fn format_of(notation: Notation, values: &[(&str, String)]) -> String {
    render(notation, values, |name, _| format!("$context.{name}"))
}

fn line_of(notation: Notation, values: &[(&str, String)], is_escaped: bool) -> String {
    let is_json = matches!(notation, Notation::Json | Notation::Nested) && is_escaped;
    render(notation, values, |_, value| {
        let quoted = serde_json::to_string(value).unwrap();
        if is_json { quoted[1..quoted.len() - 1].to_owned() } else { value.to_owned() }
    })
}

/// The values of an object by their paths, numbers as text.
fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                leaves(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
            }
        }
        Value::Null => {}
        Value::String(text) => drop(found.insert(path.to_owned(), text.clone())),
        other => drop(found.insert(path.to_owned(), other.to_string())),
    }
}

fn context(formats: &Formats, line: &str) -> Option<BTreeMap<String, String>> {
    let log = formats.parse(line).ok()?;
    let event: Value = serde_json::from_str(&format!("{{\"k\":0{}}}", written(&log, &Redactor::off()))).unwrap();
    let mut found = BTreeMap::new();
    leaves(&event["context"], "", &mut found);
    Some(found)
}

fn expected(values: &[(&str, String)]) -> BTreeMap<String, String> {
    values
        .iter()
        .filter(|(_, value)| !super::value::is_nothing(value))
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

/// Whether the free text could be told from its neighbours: a text is decidable where no part of it could be one of their values
/// with the separator between. What is between quotes of JSON that is escaped always is.
fn is_decidable(notation: Notation, values: &[(&str, String)]) -> bool {
    let free = values.iter().find(|(name, _)| FREE.contains(name));
    match (notation, free) {
        (Notation::Json | Notation::Nested, _) | (_, None) => true,
        (Notation::Xml, Some((_, text))) => !text.contains("</k"),
        (Notation::Pairs, Some((_, text))) => !text.contains('='),
        (Notation::Separated(separator), Some((_, text))) => !text.contains(separator.trim()),
    }
}

proptest! {
    #[test]
    fn what_is_decidable_comes_back(notation in notation(), values in values()) {
        prop_assume!(is_decidable(notation, &values));
        let formats = Formats::compile(&format_of(notation, &values)).unwrap();
        let line = line_of(notation, &values, true);
        prop_assert_eq!(context(&formats, &line), Some(expected(&values)), "{}", line);
    }

    #[test]
    fn a_free_text_may_hold_the_separator_where_its_neighbours_are_typed(
        separator in prop_oneof![Just(","), Just("|"), Just(" | ")],
        before in "[a-f0-9]{8}-[a-f0-9]{4}",
        text in "[a-z,| ().]{1,30}[a-z]",
        status in "[1-5][0-9]{2}",
    ) {
        prop_assume!(text != "-");
        let values = [("requestId", before), ("identity.userAgent", text), ("status", status)];
        let notation = Notation::Separated(separator);
        let formats = Formats::compile(&format_of(notation, &values)).unwrap();
        let line = line_of(notation, &values, true);
        prop_assert_eq!(context(&formats, &line), Some(expected(&values)), "{}", line);
    }

    #[test]
    fn several_formats_at_once_read_what_each_reads_alone(
        stages in proptest::collection::vec((notation(), values()), 2..6),
        which in any::<prop::sample::Index>(),
    ) {
        let texts: Vec<_> = stages.iter().map(|(notation, values)| format_of(*notation, values)).collect();
        let (notation, values) = which.get(&stages);
        prop_assume!(is_decidable(*notation, values));
        let line = line_of(*notation, values, true);
        let formats = Formats::compile(&texts.join("\n")).unwrap();
        // Another format that takes the line with every value valid, and has as much text, may be its format as well.
        let rivals = texts.iter().filter(|text| {
            let other = Formats::compile(text).unwrap();
            context(&other, &line).is_some_and(|found| !found.is_empty())
        });
        prop_assume!(rivals.count() == 1);
        prop_assert_eq!(context(&formats, &line), Some(expected(values)), "{}", line);
    }

    #[test]
    fn a_guess_is_right_or_none(notation in notation(), values in values(), is_escaped in any::<bool>()) {
        let line = line_of(notation, &values, is_escaped);
        let expected = expected(&values);
        for (name, value) in context(&Formats::documented(), &line).unwrap_or_default() {
            prop_assert_eq!(Some(&value), expected.get(&name), "{} {}", name, line);
        }
    }

    #[test]
    fn json_that_values_broke_becomes_no_text(values in values()) {
        let line = line_of(Notation::Json, &values, false);
        let told = super::mended(&line, true).is_some() || crate::json::Cursor::new(&line).value().is_ok();
        // Whether a text that holds the end of a text and a key is one or two, nobody can tell.
        prop_assert!(told || values.iter().any(|(_, value)| value.ends_with('\\') || value.contains("\",")), "{}", line);
    }
}
