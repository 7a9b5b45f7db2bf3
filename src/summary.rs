//! What an invocation did: one structured log line.

use std::time::Duration;

use tracing::info;

use crate::delivery::DeliveryCounts;
use crate::ledger::Totals;
use crate::token::TokenCounts;

/// What an invocation did, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// From the books.
    pub totals: Totals,
    /// From the deliveries.
    pub delivery: DeliveryCounts,
    /// From the token's source.
    pub token: TokenCounts,
    /// Age of the oldest line at the invocation.
    pub oldest_age: Option<Duration>,
    /// Time in which nothing was left to do but wait for answers.
    pub waited: Duration,
    /// From the event's arrival to its answer.
    pub took: Duration,
    /// Lines of the log that were left out, as there were too many.
    pub log_lines_omitted: usize,
    /// Whether it was the environment's first.
    pub cold_start: bool,
}

impl Summary {
    /// Writes the summary line.
    pub fn log(&self) {
        let Self { totals, delivery, token, oldest_age, waited, took, log_lines_omitted, cold_start } = self;
        info!(
            records = totals.records,
            records_ok = totals.records_ok,
            records_dropped = totals.records_dropped,
            records_failed = totals.records_failed,
            lines = totals.lines,
            lines_delivered = totals.lines_delivered,
            lines_failed = totals.lines_failed,
            lines_unparsed = totals.lines_unparsed,
            events_accepted = delivery.events_accepted,
            events_failed = delivery.events_failed,
            bodies_accepted = delivery.bodies_accepted,
            attempts = delivery.attempts,
            bytes_sent = delivery.bytes_sent,
            token_requests = token.requests,
            token_store_reads = token.store_reads,
            bytes_decoded = totals.bytes_decoded,
            oldest_age_ms = oldest_age.map(|age| age.as_millis()),
            waited_ms = waited.as_millis(),
            took_ms = took.as_millis(),
            log_lines_omitted,
            cold_start,
            "invocation settled"
        );
    }
}
