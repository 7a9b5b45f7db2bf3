//! The end of an outage: what was kept comes back by itself, through the second function, a bucket and a queue on loopback.
//!
//! Firehose's part is played here: it writes the records that were kept to an object under `failed/`. S3 tells the queue, whose
//! clock is moved to when a message comes, so that an outage of minutes takes seconds.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use apigw_log_forwarder::firehose::{FirehoseEvent, Verdict};
use apigw_log_forwarder::redrive::Books;
use apigw_log_forwarder::retry::Deadline;
use jiff::Timestamp;
use serde_json::json;

use crate::function_log::FunctionLog;
use crate::input::Input;
use crate::invocation::Invocation;
use crate::loopback::{Attributes, ObjectStore, Outcome, Queue, notification};
use crate::screen::wrapped;
use crate::units::plural;
use crate::world::{ACCOUNT, World};

const BUCKET: &str = "quickstart";
const OBJECT: &str = "failed/processing-failed/2026/11/21/18/quickstart-1";
/// Time that an invocation of the second function has.
const TIMEOUT: Duration = Duration::from_mins(5);
/// Tries before the API is back.
const TRIES_IN_VAIN: usize = 2;
/// Tries after which something is wrong: what was kept comes back at the first after the API does.
const MAX_TRIES: usize = 10;

/// Ends the outage and shows how what was kept arrives. Returns whether all of it did.
pub(crate) async fn end(
    world: &World,
    changes: &[(String, String)],
    (inputs, first): (&[Input], &[Invocation]),
    log: &FunctionLog,
    width: usize,
    out: &mut impl Write,
) -> Result<bool, Box<dyn Error>> {
    let (bucket, queue) = (ObjectStore::start(BUCKET).await, Queue::start(Attributes::default()).await);
    let send = queue.sender();
    bucket.notify("failed/", move |created| send(notification::created(created)));
    let redrive = Box::pin(world.redrive(changes, &bucket, &queue)).await?;

    let text = "Firehose writes what it has kept to S3, which tells a queue of it. From there it comes back by itself:";
    writeln!(out)?;
    wrapped("", text, width, out)?;
    writeln!(out)?;
    bucket.put(OBJECT, failed_object(inputs, first));
    let mut arrived = 0;
    let mut parked = 0;
    for tried in 0..MAX_TRIES {
        if queue.advance_to_next().is_none() {
            break;
        }
        let Some(delivery) = queue.take(1) else { break };
        let time = clock(queue.elapsed());
        let mut books = Books::default();
        let now = Timestamp::now().as_millisecond() + i64::try_from(queue.elapsed().as_millis()).unwrap_or(0);
        let deadline = Deadline::of_invocation(TIMEOUT, Instant::now());
        let answer = redrive.handle(&delivery.event.to_string(), ACCOUNT, now, deadline, &mut books).await?;
        let is_done = queue.settle(&delivery, &Outcome::Response(answer.to_string().into())) == 1;
        arrived += books.summary.counts.events_accepted;
        parked += metric(&books, "RecordsParked");
        let reasons = log.take_reasons().join("; ");
        let text = if is_done {
            format!("the object is taken: {} delivered", plural(books.summary.counts.events_accepted, "event"))
        } else {
            format!("the object stays: {reasons}")
        };
        wrapped(&format!("  {time}  "), &text, width, out)?;
        if tried + 1 == TRIES_IN_VAIN {
            world.analytics.otherwise(None);
            writeln!(out, "  {time}  the API is back")?;
        }
        out.flush()?;
    }
    // What the function says that it has delivered is what the API says that it got.
    let arrived = world.counted().map_or(arrived, |counted| counted.min(arrived));
    verdict(first, arrived, parked, bucket.keys("failed/").len(), width, out)
}

/// Closes the books: what was kept, what has arrived since, and what is left.
fn verdict(
    first: &[Invocation],
    arrived: usize,
    parked: usize,
    left: usize,
    width: usize,
    out: &mut impl Write,
) -> Result<bool, Box<dyn Error>> {
    let kept: usize = first.iter().map(|invocation| invocation.summary.counts.events_failed).sum();
    writeln!(out)?;
    let (mark, parked) = match parked {
        0 => ("✓ ", String::new()),
        _ => ("● ", format!("{} in parked/ with the reason, as they would fail again, ", plural(parked, "record"))),
    };
    let is_whole = left == 0 && (arrived == kept || mark == "● ");
    let end = if is_whole { "none lost." } else { "NOT all came back." };
    let kept = plural(kept, "event");
    let text = format!("{kept} kept in the outage, {arrived} arrived since, {parked}{left} left in failed/: {end}");
    wrapped(if is_whole { mark } else { "✗ " }, &text, width, out)?;
    Ok(is_whole)
}

/// Writes the records that are kept as Firehose does: a line each.
fn failed_object(inputs: &[Input], first: &[Invocation]) -> String {
    let lines = inputs.iter().zip(first).flat_map(|(input, invocation)| {
        // It was parsed when it was read.
        let records = FirehoseEvent::parse(&input.payload).map_or_else(|_| Vec::new(), |event| event.records);
        let settled = records.into_iter().zip(&invocation.verdicts);
        settled.filter(|(_, verdict)| **verdict == Verdict::ProcessingFailed).map(|(record, _)| {
            let line = json!({
                "attemptsMade": 1,
                "arrivalTimestamp": record.arrival,
                "errorCode": "Lambda.ProcessingFailedStatus",
                "errorMessage": "ProcessingFailed status set for record",
                "rawData": record.data,
            });
            format!("{line}\n")
        })
    });
    lines.collect()
}

fn metric(books: &Books, wanted: &str) -> usize {
    books.metrics().filter(|(name, ..)| *name == wanted).map(|(.., value)| value).sum()
}

/// Writes how long an outage has lasted.
fn clock(elapsed: Duration) -> String {
    format!("{:>3} min", elapsed.as_secs() / 60)
}
