//! What a person reads: where things run, a row for each event, and whether all came out as it should.

use std::io::{self, Write};
use std::time::Duration;

use apigw_log_forwarder::firehose::Verdict;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use crate::input::Input;
use crate::invocation::Invocation;
use crate::units::{bytes, count, plural, time};
use crate::world::World;

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table whose columns after the first are numbers.
pub(crate) fn numbers<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
        if column.index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Says what runs where.
pub(crate) fn headline(world: &World, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "apigw-log-forwarder: API Gateway logs from Amazon Data Firehose to an analytics API\n")?;
    writeln!(out, "The function runs in this process, with real HTTP to the services, all of them on this machine:")?;
    let services = [
        ("analytics API", world.analytics.url(), "takes the events, asks for a bearer token"),
        ("token endpoint", world.endpoint.url(), "makes that token (OAuth 2.0 client credentials)"),
        ("Parameter Store", world.store.url(), "keeps it, and the client's credentials"),
    ];
    for (name, url, role) in services {
        writeln!(out, "  {name:<16} {url:<36} {role}")?;
    }
    writeln!(out)
}

/// One record that did not get the verdict that it was made for.
pub(crate) struct Surprise<'a> {
    input: &'a Input,
    /// Counted from 1.
    record: usize,
    found: Option<Verdict>,
    expected: Option<Verdict>,
}

/// Compares the verdicts with what the samples are made for.
pub(crate) fn surprises<'a>(inputs: &'a [Input], invocations: &[Invocation]) -> Vec<Surprise<'a>> {
    let mut surprises = Vec::new();
    for (input, invocation) in inputs.iter().zip(invocations) {
        let Some(expected) = &input.expected else { continue };
        for record in 0..expected.len().max(invocation.verdicts.len()) {
            let (found, expected) = (invocation.verdicts.get(record).copied(), expected.get(record).copied());
            if found != expected {
                surprises.push(Surprise { input, record: record + 1, found, expected });
            }
        }
    }
    surprises
}

/// Writes a row for each event.
pub(crate) fn table(inputs: &[Input], invocations: &[Invocation], out: &mut impl Write) -> io::Result<()> {
    let mut total = Row::default();
    let mut rows = Vec::with_capacity(inputs.len() + 1);
    for (input, invocation) in inputs.iter().zip(invocations) {
        let row = Row::of(input, invocation);
        let mark = match &input.expected {
            Some(expected) if *expected == invocation.verdicts => "✓",
            Some(_) => "✗",
            None => " ",
        };
        rows.push(row.cells(format!("{mark} {}", input.name)));
        total.add(&row);
    }
    if inputs.len() > 1 {
        rows.push(total.cells(format!("  all {}", inputs.len())));
    }
    let header = ["  Event", "Records", "Ok", "Dropped", "Failed", "Events", "POSTs", "In", "Decoded", "Sent", "Time"];
    writeln!(out, "It was invoked with these events, as Firehose would, one after the other:\n")?;
    writeln!(out, "{}\n", numbers(header, rows).trim_fmt())?;
    writeln!(out, "Dropped  done with: delivered, or nothing to deliver. Firehose has nothing left to keep.")?;
    writeln!(out, "Failed   ProcessingFailed: not delivered. Firehose keeps the record, whole, in its error prefix.")?;
    if total.ok > 0 {
        writeln!(out, "Ok       delivered, and Firehose is handed what it is to archive.")?;
    }
    writeln!(
        out,
        "In       the payload from Firehose; Decoded: base64 and gzip undone; Sent: the bodies of the POSTs.\n"
    )
}

#[derive(Default)]
struct Row {
    ok: usize,
    dropped: usize,
    failed: usize,
    events: usize,
    posts: usize,
    payload: usize,
    decoded: usize,
    sent: usize,
    took: Duration,
}

impl Row {
    fn of(input: &Input, invocation: &Invocation) -> Self {
        let counts = &invocation.summary.counts;
        Self {
            ok: counts.records_ok,
            dropped: counts.records_dropped,
            failed: counts.records_failed,
            events: counts.events_accepted,
            posts: counts.attempts,
            payload: input.payload.len(),
            decoded: counts.bytes_decoded,
            sent: counts.bytes_sent,
            took: invocation.took,
        }
    }

    fn add(&mut self, row: &Self) {
        self.ok += row.ok;
        self.dropped += row.dropped;
        self.failed += row.failed;
        self.events += row.events;
        self.posts += row.posts;
        self.payload += row.payload;
        self.decoded += row.decoded;
        self.sent += row.sent;
        self.took += row.took;
    }

    fn cells(&self, name: String) -> [String; 11] {
        [
            name,
            count(self.ok + self.dropped + self.failed),
            count(self.ok),
            count(self.dropped),
            count(self.failed),
            count(self.events),
            count(self.posts),
            bytes(self.payload),
            bytes(self.decoded),
            bytes(self.sent),
            time(self.took),
        ]
    }
}

/// Says whether every record got the verdict that it was made for, and which did not.
pub(crate) fn verdicts(inputs: &[Input], surprises: &[Surprise<'_>], out: &mut impl Write) -> io::Result<()> {
    let known: usize = inputs.iter().filter_map(|input| input.expected.as_ref()).map(Vec::len).sum();
    if known > 0 && surprises.is_empty() {
        writeln!(out, "✓ Each of the {} got the verdict that it was made to get.", plural(known, "record"))?;
    }
    let name = |verdict: Option<Verdict>| verdict.map_or("no answer".to_owned(), |verdict| format!("{verdict:?}"));
    for Surprise { input, record, found, expected } in surprises {
        writeln!(out, "✗ {}, record {record}: {}, not {}", input.name, name(*found), name(*expected))?;
    }
    Ok(())
}

/// Says what the token cost.
pub(crate) fn token(invocations: &[Invocation], out: &mut impl Write) -> io::Result<()> {
    let sum = |count: fn(&Invocation) -> usize| invocations.iter().map(count).sum::<usize>();
    let requests = sum(|invocation| invocation.summary.counts.token_requests);
    let reads = sum(|invocation| invocation.summary.counts.token_store_reads);
    writeln!(
        out,
        "The token cost {} to its endpoint and {} of the store, for {} and {}.",
        plural(requests, "request"),
        plural(reads, "read"),
        plural(invocations.len(), "invocation"),
        plural(sum(|invocation| invocation.summary.counts.attempts), "POST"),
    )
}

/// Says what to try next.
pub(crate) fn hints(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nNext:\n")?;
    let hints = [
        ("--event events/mixed.json --set MAX_BATCH_BYTES=4000", "one event, small bodies"),
        ("--set ARCHIVE=structured", "what Firehose archives"),
        ("--repeat 50 --kind access-json", "a load"),
        ("--serve", "for `cargo lambda watch`"),
    ];
    for (arguments, what) in hints {
        writeln!(out, "  cargo run --example quickstart -- {arguments:<52}  {what}")?;
    }
    Ok(())
}
