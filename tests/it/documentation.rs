//! What the documents say is what the code does: settings, metrics and tests by name; and every link leads somewhere.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use apigw_log_forwarder::check::Report;
use apigw_log_forwarder::destination::DESTINATIONS;
use apigw_log_forwarder::summary::Summary;
use apigw_log_forwarder::{redrive, subscriber};
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
fn the_table_of_settings_names_every_setting_and_no_other() {
    let is_variable = |character: char| character.is_ascii_uppercase() || character == '_';
    let page = text("docs/settings.md");
    let table: String = section(&page, "## Of the function")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .fold(String::new(), |all, name| all + "`" + name + "` ");
    let config = text("src/config/mod.rs");
    let code = config.split("#[cfg(test)]").next().expect("the code comes first");
    let code = code.to_owned() + &text("src/config/reader.rs");
    let read: BTreeSet<&str> = code
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|name| {
            name.len() > 3 && name.contains('_')
                || ["ARCHIVE", "AUTH", "DERIVE", "DESTINATION", "EXCLUDE", "REDACT"].contains(name)
        })
        .filter(|name| name.chars().all(is_variable))
        .filter(|name| !name.starts_with("AWS_") && *name != "SSL_CERT_FILE" && !name.starts_with("CARGO_"))
        .collect();
    assert_eq!(quoted(&table, is_variable), read);
}

#[test]
fn every_test_that_a_table_names_is_there() {
    let page = text("docs/delivery.md");
    let tables = [section(&page, "## What happens when"), section(&page, "## The token")].concat();
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
    let line: Value = serde_json::from_str(&summary.metrics("namespace", "function", 0, [])).expect("JSON");
    let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("a list");
    let mut written: Vec<(&str, &str)> = metrics
        .iter()
        .map(|metric| (metric["Name"].as_str().expect("a name"), metric["Unit"].as_str().expect("a unit")))
        .collect();
    let check = Report::default().metrics().into_iter();
    let redriven = redrive::Books::default();
    let of_others = redriven.metrics().chain(subscriber::Books::default().metrics()).chain(check);
    let of_others: Vec<_> = of_others.map(|(name, unit, _)| (name, format!("{unit:?}"))).collect();
    written.extend(of_others.iter().map(|(name, unit)| (*name, unit.as_str())));
    documented.sort_unstable();
    written.sort_unstable();
    assert_eq!(documented, written);
    assert!(written.len() > 30);
}

/// The files of a folder of `src` and of those in it, without what is compiled for tests only.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let owner = ["lib.rs", "mod.rs"].map(|name| folder.join(name)).into_iter().find(|path| path.exists());
    // That of the further binaries is no module.
    let owner = owner.map_or(String::new(), |owner| std::fs::read_to_string(owner).expect("text"));
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries
        .filter(|path| {
            let name = path.file_stem().and_then(OsStr::to_str).expect("a name");
            !owner.contains(&format!("#[cfg(test)]\nmod {name};"))
        })
        .partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

#[test]
fn a_module_uses_those_above_it_in_the_list_of_the_crate_and_none_below() {
    let list = text("src/lib.rs");
    let modules: Vec<&str> = list
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert!(modules.len() > 20);
    let place = |module: &str| modules.iter().position(|known| *known == module);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&root) {
        let name = file.strip_prefix(&root).expect("a file of src").iter().next().expect("a name");
        let Some(own) = place(Path::new(name).file_stem().and_then(OsStr::to_str).expect("a name")) else { continue };
        let code = std::fs::read_to_string(&file).expect("text");
        let code = code.split("#[cfg(test)]\nmod tests").next().expect("a part");
        for used in code.split("crate::").skip(1) {
            assert!(!used.starts_with('{'), "{}: one `use` for each module", file.display());
            let used: String = used.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
            assert!(place(&used).is_none_or(|used| used <= own), "{} uses {used}", file.display());
        }
    }
}

#[test]
fn template_and_documents_name_every_destination() {
    let names: Vec<&str> = DESTINATIONS.iter().map(|row| row.name).collect();
    let template = text("template.yaml");
    let parameter = template.split("\n  Destination:\n").nth(1).expect("the parameter");
    let allowed = parameter.split("AllowedValues: [").nth(1).and_then(|rest| rest.split(']').next()).expect("a list");
    assert_eq!(allowed.split(", ").collect::<Vec<_>>(), names);
    for document in ["docs/settings.md", "docs/destinations.md"] {
        let document = text(document);
        for name in &names {
            assert!(document.contains(&format!("`{name}`")), "{name}");
        }
    }
}

/// What a heading is linked by, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'));
    kept.map(|char| if char == ' ' { '-' } else { char.to_ascii_lowercase() }).collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root.join(name));
    let mut links = 0;
    for page in pages.chain(top).filter(|path| path.extension() == Some(OsStr::new("md"))) {
        let folder = page.parent().expect("a folder");
        let content = std::fs::read_to_string(&page).expect("text");
        let targets = content.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.contains(' ')) {
            let (file, part) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() { page.clone() } else { folder.join(file) };
            assert!(linked.exists(), "{}: {target}", page.display());
            links += 1;
            if !part.is_empty() {
                let linked = std::fs::read_to_string(&linked).expect("text");
                let headings =
                    linked.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
                let is_there = headings.map(|heading| anchor(heading.trim())).any(|anchor| anchor == part);
                assert!(is_there, "{}: {target}", page.display());
            }
        }
    }
    assert!(links > 50);
}
