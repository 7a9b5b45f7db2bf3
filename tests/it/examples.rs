//! The examples of docs/formats.md, run: what the document says that a line becomes is what the function delivers. And the
//! programs of examples/, run as people do, in a pipe.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::world::{World, envelope, gzip};

/// A fenced block: how the function is set, its lines, and the events that they become.
#[derive(Debug, Default)]
struct Example {
    formats: Vec<String>,
    group: Option<String>,
    lines: Vec<String>,
    events: Vec<String>,
}

impl Example {
    /// Reads a block: a keyword and a text a line; what is indented goes on with the text before it.
    fn read(block: &str) -> Self {
        let mut example = Self::default();
        let mut entries: Vec<(&str, String)> = Vec::new();
        for line in block.lines() {
            match line.split_once(' ') {
                Some(("", rest)) => entries.last_mut().expect("a keyword first").1 += rest.trim_start(),
                Some((keyword, text)) => entries.push((keyword, text.trim_start().to_owned())),
                None => panic!("no keyword and text: {line}"),
            }
        }
        for (keyword, text) in entries {
            match keyword {
                "format" => example.formats.push(text),
                "group" => example.group = Some(text),
                "line" => example.lines.push(text),
                "event" => example.events.push(text),
                other => panic!("unknown keyword: {other}"),
            }
        }
        example
    }

    /// Sends the lines through the function and compares the events, equal neighbours counting once.
    async fn holds(&self) {
        let world = World::start(&[("ACCESS_LOG_FORMAT", &self.formats.join("\n"))]).await;
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let group = self.group.as_deref().unwrap_or("/aws/apigateway/pets");
        assert_eq!(world.results(&[gzip(envelope(group, 0, &lines))]).await, ["Dropped"]);
        let mut found = world.analytics.accepted_events();
        for event in &mut found {
            let event = event.as_object_mut().expect("an object");
            event.retain(|key, _| !["id", "timestamp", "owner", "logGroup", "logStream"].contains(&key.as_str()));
        }
        found.dedup();
        let expected: Vec<Value> =
            self.events.iter().map(|event| serde_json::from_str(event).expect("an event is JSON")).collect();
        assert_eq!(found, expected, "{:#?}", self.lines);
    }
}

fn examples(document: &str) -> Vec<Example> {
    let blocks = document.split("```example\n").skip(1);
    blocks.map(|rest| Example::read(rest.split("\n```").next().unwrap_or_default())).collect()
}

#[tokio::test]
async fn every_example_of_the_formats_holds() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/formats.md");
    let examples = examples(&std::fs::read_to_string(path).expect("the document"));
    assert!(examples.len() > 15, "{}", examples.len());
    for example in examples {
        assert!(!example.lines.is_empty() && !example.events.is_empty(), "{example:?}");
        example.holds().await;
    }
}

/// Builds an example, which is there already after a whole `cargo test`, and returns its path.
fn built(example: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--offline", "--example", example]);
    // What Cargo tells a test of its package would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            cargo.env_remove(name);
        }
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo");
    assert!(status.success(), "{example}");
    let function = PathBuf::from(env!("CARGO_BIN_EXE_apigw-log-forwarder"));
    function.with_file_name("examples").join(example)
}

/// Runs a program with so much on its standard input.
fn run(program: &PathBuf, arguments: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program");
    let mut stdin = child.stdin.take().expect("piped");
    // One that needs no input may be over already.
    stdin.write_all(input.as_ref()).ok();
    drop(stdin);
    child.wait_with_output().expect("its output")
}

/// What a program said: its exit code, its standard output, its standard error.
fn said(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn explain_takes_what_people_paste() {
    let explain = built("explain");
    let event = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/events/mixed.json")).expect("a sample");
    let records: Value = serde_json::from_slice(&event).expect("JSON");
    let record = records["records"][0]["data"].as_str().expect("data");
    let failed = json!({"attemptsMade": 1, "errorCode": "Lambda.ProcessingFailedStatus", "rawData": record});
    let failed = format!("{failed}\n{failed}\n");
    let tail = "2026-11-21T18:59:00.123000+00:00 s (1c9d) Starting execution for request: 1c9d\n";
    let listed = json!({"events": [{"eventId": "7", "timestamp": 7, "message": "{\"a\":1}"}]}).to_string();
    for (input, expected) in [
        (event.as_slice(), "record 2 of"),
        (failed.as_bytes(), "record 2 of 2 that was not delivered, Lambda.ProcessingFailedStatus"),
        (record.as_bytes(), "base64, gzip"),
        (&gzip(failed.clone()), "record 1 of 2 that"),
        (json!({"awslogs": {"data": record}}).to_string().as_bytes(), "(awslogs), gzip"),
        (tail.as_bytes(), "aws logs tail"),
        (listed.as_bytes(), "as the AWS CLI lists them"),
    ] {
        let (_, events, notes) = said(run(&explain, &["-"], input));
        assert!(notes.contains(expected), "{notes}");
        let count = serde_json::Deserializer::from_str(&events).into_iter::<Value>().map(Result::unwrap).count();
        assert!(count > 0, "{events}");
    }
}

#[test]
fn explain_says_what_is_wrong_and_exits_with_1() {
    let explain = built("explain");
    let told = |arguments: &[&str], code, expected: &str| {
        let (found, out, notes) = said(run(&explain, arguments, ""));
        assert_eq!(found, Some(code), "{arguments:?}: {notes}");
        assert!(notes.contains(expected) || out.contains(expected), "{arguments:?}: {notes}{out}");
    };
    told(&["--version"], 0, env!("CARGO_PKG_VERSION"));
    told(&["--verison"], 2, "'--version'");
    told(&["--format", "@missing.txt", "a"], 1, "error: missing.txt: No such file");
    told(&["--format", "$context.requestId;$context.status", r#"{"a":1}"#], 1, "format 1 is not a JSON object");
    told(&["--format", r#"{\"id\":\"$context.requestId\"}"#, r#"{"id":"1c9d"}"#], 0, "quotes are escaped");
    told(&["--format", "format = jsonencode({ id = \"$context.requestId\" })"], 0, r#"{"id":"$context.requestId"}"#);
    told(&["--format", "$context.staus"], 0, "did you mean $context.status?");
    told(&["--format", ".requestId .status"], 1, "use single quotes");
    told(&["{\"a\":1}", "{\"b\":2}"], 0, "line 2: JSON of no format");
    told(&["- - x"], 1, "line 1: text");
    told(&["\u{feff}{\"a\":1}"], 0, "\"a\": 1");
}

#[test]
fn the_quick_start_fits_the_screen_and_ends_with_its_verdict() {
    let quickstart = built("quickstart");
    for columns in ["60", "80", "120"] {
        let mut command = Command::new(&quickstart);
        let output = command.env("COLUMNS", columns).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        let (code, out, errors) = said(output.expect("a program"));
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        let width: usize = columns.parse().unwrap();
        let wide: Vec<_> = out.lines().filter(|line| line.chars().count() > width).collect();
        assert!(wide.is_empty(), "{columns}: {wide:#?}");
        assert!(!out.contains('\u{1b}'), "no colour in a pipe");
        let last: Vec<&str> = out.lines().rev().take(2).collect();
        assert!(last.iter().any(|line| line.starts_with("✓ All 60 records")), "{out}");
    }
}

#[test]
fn the_quick_start_says_why_records_are_kept_and_what_it_does_not_know() {
    let quickstart = built("quickstart");
    let told = |arguments: &[&str]| said(run(&quickstart, arguments, ""));
    let (code, out, _) =
        told(&["--fail", "503", "--set", "MAX_ATTEMPTS=1", "--set", "ANALYTICS_URL=http://localhost:1/"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("http://localhost:1/ "), "the API that is really used: {out}");
    assert!(out.contains("kept: the API cannot be reached"), "{out}");
    let (code, _, errors) = told(&["--set", "MAX_BATCH_BITES=1"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        errors,
        "error: --set MAX_BATCH_BITES: the function has no such setting; did you mean MAX_BATCH_BYTES?\n"
    );
}

#[test]
fn the_quick_start_shows_an_outage_and_its_end() {
    let quickstart = built("quickstart");
    let told = |arguments: &[&str]| {
        let (code, out, _) = said(run(&quickstart, &[arguments, &["--set", "MAX_ATTEMPTS=1"]].concat(), ""));
        assert_eq!(code, Some(0), "{out}");
        out
    };
    let out = told(&["--fail", "503"]);
    assert!(out.contains("kept: the API answers 503"), "{out}");
    let (_, end) = out.split_once("the API is back").expect("an end");
    assert!(end.contains("✓ 29 events kept in the outage, 29 arrived since, 0 left in failed/"), "{end}");
    // Some of this can never be delivered.
    let out = told(&["--fail", "503", "--event", "events/corrupt-gzip.json"]);
    assert!(out.contains("● 6 events kept in the outage, 6 arrived since, 3 records in parked/"), "{out}");
}

#[test]
fn the_quick_start_asks_whether_the_function_is_well() {
    let quickstart = built("quickstart");
    let (code, out, _) = said(run(&quickstart, &["--check"], ""));
    assert!(code == Some(0) && out.contains("\n✓ It is well"), "{out}");
    let (code, out, _) = said(run(&quickstart, &["--check", "--fail", "503", "--set", "MAX_ATTEMPTS=1"], ""));
    assert!(code == Some(1) && out.contains("\n✗ delivery: the API answers 503"), "{out}");
}

#[test]
#[cfg(unix)]
fn a_load_that_is_stopped_shows_its_figures() {
    let mut command = Command::new(built("quickstart"));
    command.args(["--repeat", "1000000", "--event", "events/mixed.json"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a program");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    // The first run's verdict stands before the load.
    let mut line = String::new();
    while !line.starts_with('✓') {
        line.clear();
        assert!(out.read_line(&mut line).expect("text") > 0, "it has ended");
    }
    let stop = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    assert!(stop.success() && child.wait().expect("its end").success(), "{rest}");
    assert!(rest.contains("● Stopped after ") && rest.contains("p50"), "{rest}");
}
