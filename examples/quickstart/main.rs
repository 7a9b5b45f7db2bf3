//! The function at work on this machine: real HTTP on loopback, invented API Gateway logs, nothing to install or to set up.
//!
//! ```text
//! cargo run --example quickstart
//! cargo run --example quickstart -- --event events/mixed.json --set MAX_BATCH_BYTES=2000
//! cargo run --example quickstart -- --destination elastic
//! cargo run --example quickstart -- --fail 503
//! cargo run --example quickstart -- --check
//! cargo run --example quickstart -- --serve
//! cargo run --release --example quickstart -- --repeat 100 --kind access-json
//! ```

use std::error::Error;
use std::io::{self, Write as _};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use apigw_log_forwarder::check::Check;
use apigw_log_forwarder::destination::{DESTINATIONS, JSON};
use apigw_log_forwarder::forwarder::Forwarder;
use apigw_log_forwarder::retry::Deadline;
use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use futures_util::future::poll_immediate;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

#[path = "../generate_events/events/mod.rs"]
pub mod events;
#[path = "../../tests/loopback/mod.rs"]
pub mod loopback;

mod function_log;
mod input;
mod invocation;
mod load;
mod outage;
mod report;
mod sample_events;
mod screen;
mod serve;
mod units;
mod world;

use events::bulk::Kind;
use function_log::FunctionLog;
use input::Input;
use invocation::Invocation;
use load::Load;
use loopback::Answer;
use world::World;

/// Runs the function on this machine: services on loopback, real HTTP, the sample events in events/.
#[derive(Debug, Parser)]
struct Arguments {
    /// An event instead of every sample in events/; several are possible
    #[arg(long, value_name = "FILE")]
    event: Vec<PathBuf>,
    /// A larger, invented event instead
    #[arg(long, conflicts_with = "event", value_parser = PossibleValuesParser::new(KINDS.map(|(name, _)| name)).map(|name| kind(&name)))]
    kind: Option<(&'static str, Kind)>,
    /// The size of its payload, in millions of bytes
    #[arg(long, value_name = "N", default_value_t = 3, requires = "kind", value_parser = clap::value_parser!(u16).range(1..=100))]
    megabytes: u16,
    /// A load: the events so many times, and what that took. Ctrl-C ends it and shows the figures so far
    #[arg(long, value_name = "N")]
    repeat: Option<NonZeroU64>,
    /// Only the services, for the function as `cargo lambda watch` runs it
    #[arg(long, conflicts_with_all = ["event", "kind", "repeat", "set"])]
    serve: bool,
    /// What the analytics API is
    #[arg(long, value_name = "NAME", default_value = "json", value_parser = DESTINATIONS.map(|row| row.name))]
    destination: String,
    /// Ask the function whether it is well, as an operator does with {"check":{}}, instead of sending it events
    #[arg(long, conflicts_with_all = ["event", "kind", "repeat", "serve"])]
    check: bool,
    /// The API is down: it answers every request with this status. See what is kept, and how it comes back by itself
    #[arg(long, value_name = "STATUS", conflicts_with = "repeat", value_parser = clap::value_parser!(u16).range(300..=599))]
    fail: Option<u16>,
    /// A setting of the function; several are possible
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// How many events to show as the analytics API got them
    #[arg(long, value_name = "N", default_value_t = 1)]
    show: usize,
    /// Show the function's own warnings and errors
    #[arg(long)]
    verbose: bool,
}

const KINDS: [(&str, Kind); 4] = [
    ("access-json", Kind::AccessJson),
    ("access-clf", Kind::AccessClf),
    ("execution", Kind::Execution),
    ("mixed", Kind::Mixed),
];

/// Finds the kind of a name that the parser has let in.
fn kind(name: &str) -> (&'static str, Kind) {
    KINDS.into_iter().find(|(known, _)| *known == name).unwrap_or(("mixed", Kind::Mixed))
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(run(Arguments::parse())).await {
        Ok(code) => code,
        // `quickstart | head` is no fault.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "error: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Ports of the services where they outlast a run, unless they are taken: what was built with them goes on.
const PORTS: [u16; 3] = [9101, 9102, 9103];

async fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let (out, width) = (&mut io::stdout(), screen::width());
    let world = World::start(&arguments.destination, if arguments.serve { PORTS } else { [0; 3] }).await;
    if let Some(status) = arguments.fail {
        world.analytics.otherwise(Some(Answer::status(status).body("out of order")));
    }
    if arguments.serve {
        serve::serve(&world, arguments.show, width, out).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut inputs = inputs(&arguments)?;
    if !arguments.set.is_empty() || arguments.destination != JSON.name || arguments.fail.is_some() {
        // What is expected of the samples is expected of the default settings.
        for input in &mut inputs {
            input.expected = None;
        }
    }
    let settings = world.read(&arguments.set)?;
    let is_ours = settings.delivery.url.to_string() == world.analytics.url();
    report::headline(&world.services(&settings), width, out)?;
    let forwarder = Box::pin(world.forwarder(settings)).await?;
    if arguments.check {
        return Box::pin(check(&forwarder, width, out)).await;
    }
    let log = FunctionLog::start(arguments.verbose);
    let mut first = Vec::with_capacity(inputs.len());
    for input in &inputs {
        first.push(Invocation::run(&forwarder, &log, input).await?);
    }
    let surprises = report::surprises(&inputs, &first);
    if let Some(times) = arguments.repeat {
        let is_stopped = stopped().await;
        report::verdict(&first, &inputs, &surprises, width, out)?;
        let function = (&forwarder, &log);
        let load = Load::run(function, &world.analytics, &inputs, &first, times, is_stopped).await?;
        load.report(&inputs, width, out)?;
        if load.differing > 0 {
            return Ok(ExitCode::FAILURE);
        }
    } else {
        sample_events::show(&world.analytics.requests(), arguments.show, width, out)?;
        writeln!(out, "\nInvoked as Firehose does, one event after the other:\n")?;
        report::table(&inputs, &first, width, out)?;
        writeln!(out)?;
        report::legend(&first, width, out)?;
        if arguments.fail.is_some() && is_ours {
            let events = (&inputs[..], &first[..]);
            let is_whole = Box::pin(outage::end(&world, &arguments.set, events, &log, width, out)).await?;
            return Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        report::hints(width, out)?;
        writeln!(out)?;
        report::verdict(&first, &inputs, &surprises, width, out)?;
    }
    Ok(if surprises.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks the function whether it is well.
async fn check(forwarder: &Forwarder, width: usize, out: &mut impl io::Write) -> Result<ExitCode, Box<dyn Error>> {
    const PAYLOAD: &str = r#"{"check":{}}"#;
    let asked = Check::parse(PAYLOAD).ok_or("a check that is none")??;
    let deadline = Deadline::of_invocation(invocation::TIMEOUT, Instant::now());
    let (report, _) = forwarder.check(&asked, Timestamp::now().as_millisecond(), deadline).await;
    writeln!(out, "\nAsked with {PAYLOAD}, it answers:\n")?;
    let mut answer = serde_json::to_value(&report)?;
    // Without a setting, all formats that AWS documents.
    if let Some(Value::Array(formats)) = answer.get_mut("formats")
        && let others @ 1.. = formats.len().saturating_sub(1)
    {
        formats.truncate(1);
        formats.push(format!("… and {others} more").into());
    }
    sample_events::laid_out(&answer.to_string(), width, out)?;
    writeln!(out)?;
    for problem in &report.problems {
        screen::wrapped("✗ ", problem, width, out)?;
    }
    if report.ok {
        screen::wrapped("✓ ", "It is well: parameters, token and one marker event went their way.", width, out)?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Catches Ctrl-C from now on, and tells whether it has come.
async fn stopped() -> impl Fn() -> bool {
    let (tell, is_stopped) = watch::channel(false);
    let mut pressed = Box::pin(tokio::signal::ctrl_c());
    // The first look begins to catch it.
    let at_once = poll_immediate(&mut pressed).await;
    tokio::spawn(async move {
        if at_once.is_some() || pressed.await.is_ok() {
            tell.send_replace(true);
        }
    });
    move || *is_stopped.borrow()
}

fn inputs(arguments: &Arguments) -> Result<Vec<Input>, Box<dyn Error>> {
    if let Some((name, kind)) = arguments.kind {
        return Ok(vec![Input::bulk(name, kind, usize::from(arguments.megabytes) * 1_000_000)]);
    }
    if arguments.event.is_empty() {
        let mut samples = Input::samples()?;
        // Each one costs all attempts of a body, with their pauses.
        samples.retain(|sample| arguments.fail.is_none() || sample.name == "mixed");
        return Ok(samples);
    }
    arguments.event.iter().map(|file| Input::read(file)).collect()
}
