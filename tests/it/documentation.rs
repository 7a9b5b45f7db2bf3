//! What the README says is what the code does: settings and tests by name.

use std::collections::BTreeSet;
use std::time::Duration;

use apigw_log_forwarder::summary::Summary;
use serde_json::Value;

fn text(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The part of a text from one heading to the next of its level or a higher one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let from = text.find(&format!("{heading}\n")).expect("the heading is there");
    let rest = &text[from + heading.len()..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

/// Names between backticks that are wholly of these characters.
fn quoted(text: &str, is_name: impl Fn(char) -> bool + Copy) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).filter(|name| name.len() > 3 && name.chars().all(is_name)).collect()
}

#[test]
fn the_readme_names_every_setting_and_no_other() {
    let is_variable = |character: char| character.is_ascii_uppercase() || character == '_';
    let readme = text("README.md");
    let table: String = section(&readme, "## Settings")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .fold(String::new(), |all, name| all + "`" + name + "` ");
    let config = text("src/config.rs");
    let code = config.split("#[cfg(test)]").next().expect("the code comes first");
    let read: BTreeSet<&str> = code
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|name| name.len() > 3 && name.contains('_') || *name == "ARCHIVE" || *name == "REDACT")
        .filter(|name| name.chars().all(is_variable))
        .filter(|name| !name.starts_with("AWS_LAMBDA_") && *name != "SSL_CERT_FILE" && !name.starts_with("CARGO_"))
        .collect();
    assert_eq!(quoted(&table, is_variable), read);
}

#[test]
fn every_test_that_the_readme_names_is_there() {
    let readme = text("README.md");
    let tables = [section(&readme, "## What happens when"), section(&readme, "## The token")].concat();
    let is_test = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || matches!(character, '_' | ':')
    };
    let named: Vec<(&str, &str)> =
        quoted(&tables, is_test).into_iter().filter_map(|name| name.split_once("::")).collect();
    assert!(named.len() >= 20);
    for (module, name) in named {
        let tests = text(&format!("tests/it/{module}.rs"));
        assert!(tests.contains(&format!("async fn {name}()")), "{module}::{name}");
    }
}

#[test]
fn the_table_of_metrics_names_every_metric_with_its_unit_and_no_other() {
    let table = text("docs/metrics.md");
    let mut documented: Vec<(&str, &str)> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(name, rest)| Some((name, rest.split_once(" |")?.0)))
        .collect();
    let summary = Summary { oldest_age: Some(Duration::ZERO), ..Summary::default() };
    let line: Value = serde_json::from_str(&summary.metrics("namespace", "function", 0)).expect("JSON");
    let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("a list");
    let mut written: Vec<(&str, &str)> = metrics
        .iter()
        .map(|metric| (metric["Name"].as_str().expect("a name"), metric["Unit"].as_str().expect("a unit")))
        .collect();
    documented.sort_unstable();
    written.sort_unstable();
    assert_eq!(documented, written);
    assert!(written.len() > 30);
}
