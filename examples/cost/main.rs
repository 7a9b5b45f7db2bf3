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
mod quotas;
#[path = "../measure/tables.rs"]
mod tables;
mod workload;

use bill::{Bill, Prices};
use function::{Function, Work};
use quotas::Quotas;
use tables::{Page, number};
use workload::{DAY, Day, Workload};

/// What the forwarder costs a month, and which quota gives way first.
///
/// Prices, quotas and measured figures are arguments. Their defaults are no promise: check them.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
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
    /// Tables in Markdown, for docs/performance.md
    #[arg(long)]
    markdown: bool,
}

const EXAMPLES: &str = "Examples:
  A hundred thousand and ten million calls a day:
    cost --calls-per-day 1e5,1e7
  Quiet streams, whose records hold few events, and a larger function:
    cost --calls-per-day 1e7 --events-per-record 3 --memory-mb 512
  Prices of another Region:
    cost --firehose-gb 0.035 --logs-gb 0.63 --transfer-gb 0.114";

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let out = &mut Page::new(io::stdout(), arguments.markdown);
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
fn sizes(arguments: &Arguments, out: &mut Page<impl Write>) -> io::Result<()> {
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
        "A buffer of {} MB ({} MB decoded, {} events, {} POSTs), by the function's size",
        number(workload.buffer_mb),
        number(day.decoded_mb),
        number(day.events),
        number(day.posts)
    );
    let header = ["Memory MB", "ms", "events/s, one environment", "$ a decoded TB, arm64", "x86_64"];
    out.table(&title, header, rows)
}

/// A row of a table that has a column for each number of calls.
fn row<T>(name: &str, days: &[T], value: impl Fn(&T) -> String) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(days.iter().map(value)).collect()
}

fn header(days: &[(Day, Work)]) -> Vec<String> {
    row("Calls a day", days, |(day, _)| format!("{:.0e}", day.calls))
}

fn requests(days: &[(Day, Work)], out: &mut Page<impl Write>) -> io::Result<()> {
    type Count = (&'static str, fn(&Day, &Work) -> f64);
    const COUNTS: [Count; 7] = [
        ("calls a second", |day, _| day.calls / DAY),
        ("records into Firehose", |day, _| day.records),
        ("invocations", |day, _| day.invocations),
        ("POSTs", |_, work| work.posts),
        ("Parameter Store requests", |_, work| work.store_requests),
        ("ms an invocation", |_, work| work.ms),
        ("environments at once", |_, work| work.at_once),
    ];
    let rows = COUNTS.map(|(name, count)| row(name, days, |(day, work)| number(count(day, work))));
    out.table("Requests a day", header(days), rows)
}

fn bills(arguments: &Arguments, days: &[(Day, Work)], out: &mut Page<impl Write>) -> io::Result<()> {
    type Part = (&'static str, fn(&Bill) -> f64);
    const PARTS: [Part; 15] = [
        ("Firehose", |bill| bill.firehose),
        ("Lambda, time", |bill| bill.lambda_time),
        ("Lambda, requests", |bill| bill.lambda_requests),
        ("function's own log", |bill| bill.own_log),
        ("alarms", |bill| bill.alarms),
        ("custom metrics", |bill| bill.custom_metrics),
        ("request metrics of the bucket", |bill| bill.request_metrics),
        ("dashboard", |bill| bill.dashboard),
        ("out of AWS, gzip bodies", |bill| bill.transfer_gzip),
        ("TOTAL", Bill::total),
        ("more with plain bodies", |bill| bill.transfer - bill.transfer_gzip),
        ("more if S3 keeps originals", |bill| bill.originals),
        ("the API's own logs, there anyway", |bill| bill.api_logs),
        ("TOTAL with those logs", |bill| bill.total() + bill.api_logs),
        ("TOTAL without them, API Gateway to the stream", |bill| bill.total() - bill.firehose + bill.firehose_direct),
    ];
    let bills: Vec<Bill> =
        days.iter().map(|(day, work)| arguments.prices.month(day, work, arguments.workload.body_compression)).collect();
    let rows = PARTS.map(|(name, part)| row(name, &bills, |bill| number(part(bill))));
    let memory = number(arguments.function.memory_mb);
    out.table(&format!("US dollars a month, with {memory} MB of memory on arm64"), header(days), rows)
}

fn quotas(arguments: &Arguments, day: &Day, work: &Work, out: &mut Page<impl Write>) -> io::Result<()> {
    let uses = arguments.quotas.uses(&arguments.workload, day, work, arguments.peak);
    let rows = uses.iter().map(|one| {
        [one.name.to_owned(), number(one.used), number(one.quota), format!("{} %", number(one.share() * 100.0))]
    });
    let title = format!("Quotas at {:.0e} calls a day, {} times the average", day.calls, number(arguments.peak));
    out.table(&title, ["Quota", "asked for", "default", "share"], rows)
}
