//! The figures between the marks of docs/performance.md again.
//!
//! ```text
//! cargo build --release && cargo run --release --example measure -- --markdown
//! ```
//!
//! The built function runs under a Lambda Runtime API on loopback, with an analytics API that discards what comes. In turn with it
//! run Lambda's own runtime with a handler that drops the event, and the naive implementation of `benches/naive`: on a machine
//! that is shared, only figures of one run are to be compared.

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

#[path = "../../benches/cases/mod.rs"]
pub mod cases;
#[path = "../generate_events/events/mod.rs"]
pub mod events;
#[path = "../../tests/loopback/mod.rs"]
pub mod loopback;
#[path = "../../benches/naive/mod.rs"]
pub mod naive;

mod cold_start;
mod encodings;
mod environment;
mod functions;
mod in_process;
mod machine;
mod memory;
mod sink;
mod tables;
mod throughput;

use cases::{Case, SEEDS, SHAPES, Shape, each_body, settings};
use environment::{Candidate, World};
use machine::Machine;
use tables::{Page, number};

/// Measures the built function beside the bare runtime and a naive implementation.
///
/// It takes about three minutes, and a machine with nothing else to do: figures of different runs do not compare.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// The function, instead of the one that `cargo build --release` makes
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The size of an event's payload, in millions of bytes
    #[arg(long, default_value_t = 3.0)]
    megabytes: f64,
    /// Invocations with each event that count
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Cold starts
    #[arg(long, default_value_t = 40)]
    cold_starts: usize,
    /// Invocations of one environment, to see whether its memory grows
    #[arg(long, default_value_t = 10_000)]
    invocations: usize,
    /// Time that the analytics API takes to answer where POSTs are to overlap with reading, in ms
    #[arg(long, default_value_t = 50)]
    api_ms: u64,
    /// Tables in Markdown, for docs/performance.md
    #[arg(long)]
    markdown: bool,
}

const EXAMPLES: &str = "Examples:
  All figures, of the function that was built before:
    cargo build --release && cargo run --release --example measure
  A quick look:
    cargo run --release --example measure -- --rounds 3 --cold-starts 5 --invocations 200";

fn main() -> ExitCode {
    if let Some(code) = functions::play(&functions::environment("_HANDLER")) {
        return code;
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "error: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let binary = arguments.binary.clone().map_or_else(built_function, Ok)?;
    let mut out = io::stdout();
    let size = std::fs::metadata(&binary)?.len();
    writeln!(out, "Machine: {}", Machine::this())?;
    writeln!(out, "Function: {} MB of binary", number(size as f64 / 1e6))?;
    let out = &mut Page::new(out, arguments.markdown);

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size; a negative one is none")]
    let bytes = (arguments.megabytes * 1e6) as usize;
    in_process(bytes, arguments, out)?;
    let [seed, ..] = SEEDS;
    let cases = SHAPES.map(|shape| Measured::new(Case::new(shape, bytes, seed)));
    let world = World::start(binary).await?;
    for encoding in ["identity", "gzip"] {
        whole_functions(&world, &cases, encoding, arguments, out).await?;
    }
    if let Some(first) = cases.first() {
        encodings(&first.case, arguments, out)?;
        overlap(&world, &first.case, arguments, out).await?;
    }
    cold_starts(&world, arguments, out).await?;
    memory(&world, arguments, out).await
}

/// A case, and its decoded size in MB.
struct Measured {
    case: Case,
    decoded_mb: f64,
}

impl Measured {
    fn new(case: Case) -> Self {
        Self { decoded_mb: case.decoded_bytes() as f64 / 1e6, case }
    }
}

/// Finds the function beside this program.
fn built_function() -> Result<PathBuf, Box<dyn Error>> {
    let this = std::env::current_exe()?;
    let folder = this.parent().and_then(Path::parent).ok_or("this program is in no target folder")?;
    let binary = folder.join(env!("CARGO_PKG_NAME"));
    if cfg!(debug_assertions) {
        return Err("a debug build says nothing: cargo run --release --example measure".into());
    }
    if !binary.exists() {
        return Err(format!("{} is not there: cargo build --release", binary.display()).into());
    }
    Ok(binary)
}

/// Times each shape, the events of all seeds together.
fn in_process(bytes: usize, arguments: &Arguments, out: &mut Page<impl Write>) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::with_capacity(SHAPES.len());
    for shape in SHAPES {
        let cases = SEEDS.map(|seed| Case::new(shape, bytes / SEEDS.len(), seed));
        let decoded_mb = cases.iter().map(Case::decoded_bytes).sum::<usize>() as f64 / 1e6;
        let times = in_process::time(&cases, arguments.rounds)?;
        let [gunzip, pipeline, naive] = [times.gunzip, times.pipeline, times.naive].map(|time| time.as_secs_f64());
        rows.push([
            shape.name.to_owned(),
            number(decoded_mb),
            number(decoded_mb / pipeline),
            number(gunzip * 1e3 / decoded_mb),
            number(pipeline * 1e3 / decoded_mb),
            number(pipeline / gunzip),
            number(naive / gunzip),
            number(pipeline / naive),
        ]);
    }
    let header =
        ["Event", "decoded MB", "MB/s", "gunzip ms/MB", "bodies ms/MB", "× gunzip", "naive × gunzip", "× naive"];
    let title = "From event to bodies in process, and libdeflate's gunzip alone; MB are decoded";
    Ok(out.table(title, header, rows)?)
}

/// Shows how the encoding of bodies was chosen: on the first body of a case.
fn encodings(case: &Case, arguments: &Arguments, out: &mut Page<impl Write>) -> Result<(), Box<dyn Error>> {
    let mut first = None;
    each_body(&case.payload, &settings(&case.format), |body| {
        first.get_or_insert(body);
    });
    let body = first.ok_or("an event without a body")?;
    let megabytes = body.len() as f64 / 1e6;
    let rows = encodings::time(&body, arguments.rounds)?.into_iter().map(|encoding| {
        let time = encoding.time.as_secs_f64() * 1e3 / megabytes;
        [encoding.name, number(time), number(encoding.ratio)]
    });
    let title = format!("Gzip of a body of {} MB, {}", number(megabytes), case.name);
    Ok(out.table(&title, ["", "ms / MB of body", "times smaller"], rows)?)
}

async fn whole_functions(
    world: &World,
    cases: &[Measured],
    encoding: &str,
    arguments: &Arguments,
    out: &mut Page<impl Write>,
) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::with_capacity(cases.len() * Candidate::ALL.len());
    for Measured { case, decoded_mb } in cases {
        let all = throughput::measure(world, Candidate::ALL, case, &[("PAYLOAD_ENCODING", encoding)], arguments.rounds)
            .await?;
        for (candidate, figures) in Candidate::ALL.into_iter().zip(all) {
            rows.push([
                format!("{}: {}", case.name, candidate.name()),
                milliseconds(figures.wall),
                milliseconds(figures.cpu),
                number(figures.cpu.as_secs_f64() * 1e3 / decoded_mb),
                number(figures.peak_bytes as f64 / 1e6),
                number(figures.sent_bytes as f64 / 1e6),
            ]);
        }
    }
    let title = format!("An event of {} MB, {encoding} bodies", number(arguments.megabytes));
    let header = ["Event", "wall ms", "CPU ms", "CPU ms / decoded MB", "peak MB", "sent MB"];
    Ok(out.table(&title, header, rows)?)
}

async fn overlap(
    world: &World,
    case: &Case,
    arguments: &Arguments,
    out: &mut Page<impl Write>,
) -> Result<(), Box<dyn Error>> {
    world.sink.set_delay(Duration::from_millis(arguments.api_ms));
    let mut rows = Vec::new();
    for at_once in ["4", "8", "16"] {
        let settings = [("DELIVERY_CONCURRENCY", at_once)];
        let [figures] = throughput::measure(world, [Candidate::Function], case, &settings, arguments.rounds).await?;
        rows.push((format!("function, {at_once} at once"), figures));
    }
    let [figures] = throughput::measure(world, [Candidate::Naive], case, &[], arguments.rounds).await?;
    rows.push((Candidate::Naive.name().to_owned(), figures));
    world.sink.set_delay(Duration::ZERO);
    let rows = rows.into_iter().map(|(name, figures)| [name, milliseconds(figures.wall), milliseconds(figures.cpu)]);
    let title = format!("{}, an API that takes {} ms to answer", case.name, arguments.api_ms);
    Ok(out.table(&title, ["", "wall ms", "CPU ms"], rows)?)
}

async fn cold_starts(world: &World, arguments: &Arguments, out: &mut Page<impl Write>) -> Result<(), Box<dyn Error>> {
    let starts = cold_start::measure(world, Candidate::ALL, arguments.cold_starts).await;
    let bare = starts.first().map_or(0.0, Duration::as_secs_f64);
    let rows = Candidate::ALL.into_iter().zip(starts).map(|(candidate, start)| {
        [candidate.name().to_owned(), milliseconds(start), number(start.as_secs_f64() / bare)]
    });
    Ok(out.table(
        "Cold start: from the start of the process to its first request",
        ["", "ms", "× runtime alone"],
        rows,
    )?)
}

async fn memory(world: &World, arguments: &Arguments, out: &mut Page<impl Write>) -> Result<(), Box<dyn Error>> {
    let largest = Measured::new(Case::largest_record());
    let [identity, gzip] = memory::peaks(world, &largest.case).await?;
    // One record: what there is to keep is small, so that many invocations take little time.
    let small = Measured::new(Case::new(Shape::named("flat-by-setting"), 1, 7));
    let mut rows = vec![
        [format!("peak, a record of {} MB", number(largest.decoded_mb)), number(identity as f64 / 1e6)],
        ["peak, the same with gzip bodies".to_owned(), number(gzip as f64 / 1e6)],
    ];
    for held in memory::over_time(world, &small.case, arguments.invocations).await? {
        let name = format!("held after {} invocations of {} MB decoded", held.invocations, number(small.decoded_mb));
        rows.push([name, number(held.bytes as f64 / 1e6)]);
    }
    Ok(out.table("Memory of the function", ["", "MB"], rows)?)
}

fn milliseconds(duration: Duration) -> String {
    number(duration.as_secs_f64() * 1e3)
}
