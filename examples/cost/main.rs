//! What the forwarder costs, and which quota gives way first: the arithmetic of docs/performance.md.
//!
//! ```text
//! cargo run --example cost
//! cargo run --example cost -- --calls-per-day 1e9 --memory-mb 512 --cpu-ms-per-mb 3.4
//! ```
//!
//! Prices, quotas and measured figures are arguments. Their defaults are no promise: check them.

use std::io::{self, Write};

use clap::Parser;

mod bill;
mod function;
#[path = "../measure/markdown.rs"]
mod markdown;
mod quotas;
mod workload;

use bill::{Bill, Prices};
use function::{Function, Work};
use markdown::{number, table};
use quotas::Quotas;
use workload::{DAY, Day, Workload};

/// What the forwarder costs a day, and which quota gives way first.
#[derive(Debug, Parser)]
struct Arguments {
    /// API calls a day, a log event each; several are possible
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1e6, 1e9, 1e11])]
    calls_per_day: Vec<f64>,
    /// How much busier the busiest second is than the average
    #[arg(long, default_value_t = 3.0)]
    peak: f64,
    #[command(flatten)]
    workload: Workload,
    #[command(flatten)]
    function: Function,
    #[command(flatten)]
    prices: Prices,
    #[command(flatten)]
    quotas: Quotas,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let out = &mut io::stdout();
    sizes(&arguments, out)?;
    let days: Vec<(Day, Work)> = arguments
        .calls_per_day
        .iter()
        .map(|calls| {
            let day = arguments.workload.day(*calls);
            (day, arguments.function.work(&day))
        })
        .collect();
    requests(&days, out)?;
    bills(&arguments, &days, out)?;
    for (day, work) in &days {
        quotas(&arguments, day, work, out)?;
    }
    Ok(())
}

/// The size of the function with the least cost, for a full buffer.
fn sizes(arguments: &Arguments, out: &mut impl Write) -> io::Result<()> {
    let Arguments { workload, function, prices, .. } = arguments;
    // A call a millisecond fills any buffer before it is old.
    let day = workload.day(DAY * 1e6);
    let gb = day.decoded_mb * day.invocations / 1e3;
    let rows = [128.0, 256.0, 512.0, 1_024.0, 1_769.0, 3_008.0].map(|memory| {
        let work = function.of_size(memory).work(&day);
        [
            number(memory),
            number(work.ms),
            number(work.events_per_second),
            number(work.gb_seconds * prices.lambda_gb_second / gb * 1e3),
            number(work.gb_seconds * prices.lambda_x86_gb_second / gb * 1e3),
        ]
    });
    let title = format!(
        "A full buffer of {} MB ({} MB decoded, {} events, {} POSTs), by the size of the function",
        number(workload.buffer_mb),
        number(day.decoded_mb),
        number(day.events),
        number(day.posts)
    );
    let header = ["Memory MB", "ms", "events/s, one environment", "$ / decoded TB, arm64", "the same, x86_64"];
    table(out, &title, header, rows)
}

fn requests(days: &[(Day, Work)], out: &mut impl Write) -> io::Result<()> {
    let rows = days.iter().map(|(day, work)| {
        [
            format!("{:.0e}", day.calls),
            number(day.calls / DAY),
            number(day.records),
            number(day.invocations),
            number(work.posts),
            number(work.store_requests),
            number(work.ms),
            number(work.at_once),
        ]
    });
    let header = [
        "Calls a day",
        "calls/s",
        "records into Firehose",
        "invocations",
        "POSTs",
        "Parameter Store requests",
        "ms an invocation",
        "environments at once",
    ];
    table(out, "Requests a day", header, rows)
}

fn bills(arguments: &Arguments, days: &[(Day, Work)], out: &mut impl Write) -> io::Result<()> {
    type Part = (&'static str, fn(&Bill) -> f64);
    const PARTS: [Part; 8] = [
        ("API's own logs (there anyway)", |bill| bill.api_logs),
        ("Firehose", |bill| bill.firehose),
        ("Lambda, time", |bill| bill.lambda_time),
        ("Lambda, requests", |bill| bill.lambda_requests),
        ("function's own log", |bill| bill.own_log),
        ("out of AWS, plain", |bill| bill.transfer),
        ("out of AWS, gzip", |bill| bill.transfer_gzip),
        ("S3, originals", |bill| bill.originals),
    ];
    let rows = days.iter().map(|(day, work)| {
        let bill = arguments.prices.bill(day, work, arguments.workload.body_compression);
        let mut row: [String; 9] = std::array::from_fn(|index| {
            index
                .checked_sub(1)
                .and_then(|part| PARTS.get(part))
                .map(|(_, part)| number(part(&bill)))
                .unwrap_or_default()
        });
        if let Some(first) = row.first_mut() {
            *first = format!("{:.0e}", day.calls);
        }
        row
    });
    let header = std::array::from_fn(|index| {
        index.checked_sub(1).and_then(|part| PARTS.get(part)).map_or("Calls a day", |(name, _)| name)
    });
    let title = format!("US dollars a day, with {} MB of memory on arm64", number(arguments.function.memory_mb));
    table(out, &title, header, rows)
}

fn quotas(arguments: &Arguments, day: &Day, work: &Work, out: &mut impl Write) -> io::Result<()> {
    let uses = arguments.quotas.uses(&arguments.workload, day, work, arguments.peak);
    let rows = uses.iter().map(|one| {
        [one.name.to_owned(), number(one.used), number(one.quota), format!("{} %", number(one.share() * 100.0))]
    });
    let title = format!("Quotas at {:.0e} calls a day, {} times the average", day.calls, number(arguments.peak));
    table(out, &title, ["Quota", "asked for", "default", "share"], rows)
}
