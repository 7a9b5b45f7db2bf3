//! The examples of docs/formats.md, run: what the document says that a line becomes is what the function delivers.

use serde_json::Value;

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
