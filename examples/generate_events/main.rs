//! Writes Firehose transformation events: the samples in `events/`, or one of any size.
//!
//! ```text
//! cargo run --example generate_events
//! cargo run --example generate_events -- --kind access-json --megabytes 3 --seed 7 -o event.json
//! ```

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

#[path = "events/mod.rs"]
pub mod events;

use events::bulk;
use events::samples::SAMPLES;

/// Writes Firehose transformation events of invented API Gateway logs. Without arguments: every sample in events/.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// What one larger event holds, instead of the samples
    #[arg(long)]
    kind: Option<Kind>,
    /// The most that its payload has, in millions of bytes
    #[arg(long, default_value_t = 3.0, requires = "kind", value_parser = megabytes)]
    megabytes: f64,
    /// The same seed makes the same event
    #[arg(long, default_value_t = 1, requires = "kind")]
    seed: u64,
    /// Where it goes, instead of standard output
    #[arg(short, long, value_name = "FILE", requires = "kind")]
    output: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  The samples again, after a change of the generator:
    cargo run --example generate_events
  An event of 3 MB, as large as Firehose makes them:
    cargo run --example generate_events -- --kind access-json -o event.json
    cargo run --example quickstart -- --event event.json";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Access logs, in a wide JSON format
    AccessJson,
    /// Access logs, in the documented common log format
    AccessClf,
    /// Execution logs, several requests interleaved
    Execution,
    /// All of it, in documented formats
    Mixed,
}

impl From<Kind> for bulk::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::AccessJson => Self::AccessJson,
            Kind::AccessClf => Self::AccessClf,
            Kind::Execution => Self::Execution,
            Kind::Mixed => Self::Mixed,
        }
    }
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let Some(kind) = arguments.kind else {
        return write_samples(&Path::new(env!("CARGO_MANIFEST_DIR")).join("events"));
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked when the argument was read")]
    let bytes = (arguments.megabytes * 1e6) as usize;
    let event = bulk::event(kind.into(), bytes, arguments.seed);
    let json = event.json() + "\n";
    let name = arguments.output.as_ref().map_or("standard output".into(), |file| file.to_string_lossy());
    let said = format!("{name}: an event of {} records, {} bytes", event.len(), json.len());
    match &arguments.output {
        Some(file) => fs::write(file, json)?,
        None => io::stdout().write_all(json.as_bytes())?,
    }
    writeln!(io::stderr(), "{said}")
}

fn write_samples(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut changed = 0;
    for sample in SAMPLES {
        let (file, text) = (folder.join(sample.name).with_extension("json"), sample.event().pretty());
        if !fs::read_to_string(&file).is_ok_and(|before| before == text) {
            writeln!(io::stderr(), "{}: new or changed", file.display())?;
            fs::write(&file, text)?;
            changed += 1;
        }
    }
    writeln!(io::stderr(), "{}: {} samples, {changed} of them new or changed", folder.display(), SAMPLES.len())
}

/// Reads the size of an event, up to a thousand megabytes.
fn megabytes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= 1000.0 => Ok(number),
        _ => Err("expected a number above 0 and up to 1000".to_owned()),
    }
}
