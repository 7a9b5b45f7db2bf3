//! What must hold at the end of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value;

use super::faults::Faults;
use super::firehose::Firehose;
use super::lab::Lab;
use crate::redrive_world::{lines, metric};
use crate::world::id;

/// What was put in.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) records: Vec<Record>,
    pub(crate) events: usize,
    /// Lines of objects that are none of Firehose's.
    pub(crate) junk: Vec<String>,
}

/// A record, and what is in it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) bytes: Vec<u8>,
    /// The numbers of its events.
    pub(crate) events: Range<usize>,
    /// The event that the API never takes.
    pub(crate) poison: Option<usize>,
    /// Whether nothing of it can be read.
    pub(crate) is_damaged: bool,
}

/// A run, ended.
pub(crate) struct Run<'a> {
    pub(crate) faults: &'a Faults,
    pub(crate) lab: &'a Lab,
    pub(crate) firehose: &'a Firehose,
    pub(crate) given: &'a Given,
    /// Lines of the log of the first function, and of the second.
    pub(crate) first_log: &'a [String],
    pub(crate) second_log: &'a [String],
    /// Whether what was delivered is known to whoever delivered it.
    pub(crate) is_definite: bool,
}

/// The lines under `parked/`.
pub(crate) fn parked(lab: &Lab) -> Vec<Value> {
    lab.objects.objects("parked/").iter().flat_map(|(_, bytes)| lines(bytes)).collect()
}

/// Everything in which a run breaks the law.
pub(crate) fn violations(run: &Run<'_>) -> Vec<String> {
    let mut broken = nothing_waits(run.lab);
    let parked = parked(run.lab);
    let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
    for event in run.lab.analytics.accepted_events() {
        *accepted.entry(event["id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    for line in &parked {
        if line["parkedReason"].as_str().is_none_or(str::is_empty) {
            broken.push(format!("a line is parked without a reason: {line}"));
        }
    }
    nothing_is_lost(run, &accepted, &parked, &mut broken);
    if run.faults.are_calm() {
        broken.extend(
            accepted.iter().filter(|(_, times)| **times > 1).map(|(id, times)| format!("{id} came {times} times")),
        );
    }
    the_books_agree(run, accepted.values().sum(), parked.len(), &mut broken);
    broken
}

fn nothing_waits(lab: &Lab) -> Vec<String> {
    let kept = lab.objects.keys("failed/").into_iter().map(|key| format!("left in the bucket: {key}"));
    let messages = lab.queue.bodies().into_iter().map(|body| format!("left in the queue: {body}"));
    let dead = lab.queue.dead_letters().into_iter().map(|body| format!("a dead letter: {body}"));
    kept.chain(messages).chain(dead).collect()
}

fn nothing_is_lost(run: &Run<'_>, accepted: &BTreeMap<String, usize>, parked: &[Value], broken: &mut Vec<String>) {
    let raw: BTreeSet<Vec<u8>> =
        parked.iter().filter_map(|line| base64_simd::STANDARD.decode_to_vec(line["rawData"].as_str()?).ok()).collect();
    for Record { bytes, events, poison, is_damaged } in &run.given.records {
        let is_parked = raw.contains(bytes);
        if (*is_damaged || poison.is_some()) && !is_parked {
            broken.push(format!("the record of {events:?} cannot be delivered and is not parked"));
        }
        if is_parked && !(*is_damaged || poison.is_some() || run.faults.refusals) {
            broken.push(format!("the record of {events:?} is parked for nothing"));
        }
        for number in events.clone().filter(|number| Some(*number) != *poison && !is_damaged) {
            let is_excused = is_parked && run.faults.refusals;
            if !accepted.contains_key(&id(number)) && !is_excused {
                broken.push(format!("event {number} of {events:?} is lost"));
            }
        }
    }
    for junk in &run.given.junk {
        if !parked.iter().any(|line| line["line"] == junk.as_str()) {
            broken.push(format!("a line is neither a record nor parked: {junk}"));
        }
    }
}

/// Compares what the functions say with what the API, the bucket and Firehose have seen.
fn the_books_agree(run: &Run<'_>, accepted: usize, parked: usize, broken: &mut Vec<String>) {
    let mut compare = |name: &str, told: u64, seen: usize| {
        if told > seen as u64 || (run.is_definite && told < seen as u64) {
            broken.push(format!("{name}: {told} by the books, {seen} were seen"));
        }
    };
    let delivered = [run.first_log, run.second_log].map(|log| metric(log, "EventsDelivered"));
    compare("EventsDelivered", delivered.iter().sum(), accepted);
    if run.is_definite {
        compare("RecordsFailed", metric(run.first_log, "RecordsFailed"), run.firehose.answered_failed);
    }
    if run.faults.are_calm() {
        compare("RecordsParked", metric(run.second_log, "RecordsParked"), parked);
    }
}
