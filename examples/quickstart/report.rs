//! What a person reads: where things run, a row for each event, and at the end whether all came out as it should.

use std::io::{self, Write};
use std::time::Duration;

use apigw_log_forwarder::firehose::Verdict;

use crate::input::Input;
use crate::invocation::Invocation;
use crate::screen::{self, Column, bold, painted, quiet, wrapped};
use crate::units::{bytes, count, plural, time};
use crate::world::Service;

/// Says what runs where.
pub(crate) fn headline(services: &[Service], width: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", bold("apigw-log-forwarder: API Gateway's logs to an analytics API\n"))?;
    wrapped("", "The function runs in this process, over real HTTP:", width, out)?;
    for Service { name, url, role } in services {
        let line = format!("  {name:<16} {url}");
        let room = width.saturating_sub(line.chars().count() + 2);
        let role = if role.chars().count() <= room { quiet(&format!("  {role}")) } else { String::new() };
        writeln!(out, "{line}{role}")?;
    }
    Ok(())
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

/// Writes a row for each event, those with records that are kept last, so that they stay on the screen with their reasons.
pub(crate) fn table(
    inputs: &[Input],
    invocations: &[Invocation],
    width: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let (mut delivered, mut kept) = (Vec::new(), Vec::new());
    let mut total = Row::default();
    for (input, invocation) in inputs.iter().zip(invocations) {
        let row = Row::of(input, invocation);
        total.add(&row);
        let mark = match &input.expected {
            Some(expected) if *expected != invocation.verdicts => "✗",
            _ if row.kept > 0 => "●",
            _ => "✓",
        };
        let cells = row.cells(format!("{mark} {}", input.name));
        if row.kept == 0 { delivered.push((cells, &[][..])) } else { kept.push((cells, &invocation.reasons[..])) }
    }
    let (mut cells, mut reasons): (Vec<_>, Vec<_>) = delivered.into_iter().chain(kept).unzip();
    if inputs.len() > 1 {
        cells.push(total.cells(format!("  all {}", inputs.len())));
        reasons.push(&[]);
    }
    let columns = [
        ("  Event", 0),
        ("Records", 0),
        ("Delivered", 0),
        ("Kept", 0),
        ("Events", 2),
        ("POSTs", 3),
        ("In", 4),
        ("Decoded", 4),
        ("Sent", 4),
        ("Time", 1),
    ];
    let lines = screen::table(&columns.map(|(name, rank)| Column { name, rank }), &cells, width);
    // The header and the rule come first.
    let reasons = [&[][..]; 2].into_iter().chain(reasons);
    for (line, reasons) in lines.iter().zip(reasons) {
        writeln!(out, "{}", painted(line))?;
        for reason in reasons {
            wrapped("    kept: ", reason, width, out)?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Row {
    delivered: usize,
    kept: usize,
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
            delivered: counts.records_ok + counts.records_dropped,
            kept: counts.records_failed,
            events: counts.events_accepted,
            posts: counts.attempts,
            payload: input.payload.len(),
            decoded: counts.bytes_decoded,
            sent: counts.bytes_sent,
            took: invocation.took,
        }
    }

    fn add(&mut self, row: &Self) {
        self.delivered += row.delivered;
        self.kept += row.kept;
        self.events += row.events;
        self.posts += row.posts;
        self.payload += row.payload;
        self.decoded += row.decoded;
        self.sent += row.sent;
        self.took += row.took;
    }

    fn cells(&self, name: String) -> [String; 10] {
        [
            name,
            count(self.delivered + self.kept),
            count(self.delivered),
            count(self.kept),
            count(self.events),
            count(self.posts),
            bytes(self.payload),
            bytes(self.decoded),
            bytes(self.sent),
            time(self.took),
        ]
    }
}

/// Says what the words of the table mean, and what the token cost.
pub(crate) fn legend(invocations: &[Invocation], width: usize, out: &mut impl Write) -> io::Result<()> {
    let sum = |count: fn(&Invocation) -> usize| invocations.iter().map(count).sum::<usize>();
    let taken = "the API has taken every event of the record, or there was none in it.";
    wrapped("Delivered  ", taken, width, out)?;
    wrapped("Kept       ", "Firehose is told ProcessingFailed and keeps the record, whole, in S3.", width, out)?;
    if let archived @ 1.. = sum(|invocation| invocation.summary.counts.records_ok) {
        let text = format!("{} of those delivered come back as structured events.", plural(archived, "record"));
        wrapped("Archived   ", &text, width, out)?;
    }
    let requests = sum(|invocation| invocation.summary.counts.token_requests);
    let posts = sum(|invocation| invocation.summary.counts.attempts);
    if requests > 0 {
        let text = format!("{} for {}.", plural(requests, "request"), plural(posts, "POST"));
        wrapped("Token      ", &text, width, out)?;
    }
    Ok(())
}

/// Says what to try next.
pub(crate) fn hints(width: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nNext: cargo run --example quickstart -- …")?;
    let hints = [
        ("--event events/mixed.json --show 9", "one event, and what the API got"),
        ("--fail 503", "an outage, and its end"),
        ("--check", "whether the function is well"),
        ("--destination elastic", "another API"),
        ("--repeat 50 --kind access-json", "a load"),
        ("--serve", "for `cargo lambda watch`"),
    ];
    for (arguments, what) in hints {
        writeln!(out, "  {}", screen::cut(&format!("{arguments:<35} {what}"), width - 2))?;
    }
    Ok(())
}

/// Says, as the last thing, whether every record got the verdict that it was made for.
pub(crate) fn verdict(
    invocations: &[Invocation],
    inputs: &[Input],
    surprises: &[Surprise<'_>],
    width: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let name = |verdict: Option<Verdict>| match verdict {
        Some(Verdict::Ok | Verdict::Dropped) => "delivered",
        Some(Verdict::ProcessingFailed) => "kept",
        None => "not answered",
    };
    for Surprise { input, record, found, expected } in surprises {
        let text = format!("{}, record {record}: {}, not {}", input.name, name(*found), name(*expected));
        wrapped("✗ ", &text, width, out)?;
    }
    let sum = |count: fn(&Invocation) -> usize| invocations.iter().map(count).sum::<usize>();
    let kept = sum(|invocation| invocation.summary.counts.records_failed);
    let delivered = sum(|invocation| invocation.summary.counts.records) - kept;
    let known: usize = inputs.iter().filter_map(|input| input.expected.as_ref()).map(Vec::len).sum();
    let sums = format!("{delivered} delivered, {kept} kept, none lost.");
    let (mark, text) = match (known, surprises) {
        (1.., []) => ("✓ ", format!("All {} came out as made: {sums}", plural(known, "record"))),
        (_, []) => (if kept > 0 { "● " } else { "✓ " }, sums),
        _ => ("✗ ", format!("{} did not come out as made.", plural(surprises.len(), "record"))),
    };
    wrapped(mark, &text, width, out)
}
