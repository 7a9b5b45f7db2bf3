//! What comes: API calls, and the records, invocations and bodies that they become.

use clap::Args;

/// Seconds of a day.
pub(crate) const DAY: f64 = 86_400.0;

/// What is logged of a call, and how it is gathered. The defaults are those of the measured events (wide access logs in JSON).
#[derive(Debug, Clone, Args)]
pub(crate) struct Workload {
    /// Bytes of a log line
    #[arg(long, default_value_t = 777.0)]
    pub(crate) line_bytes: f64,
    /// Bytes of a log event in its envelope, decoded
    #[arg(long, default_value_t = 980.0)]
    pub(crate) decoded_bytes: f64,
    /// Bytes of an event as it leaves
    #[arg(long, default_value_t = 1_000.0)]
    pub(crate) event_bytes: f64,
    /// How many times smaller gzip makes an envelope
    #[arg(long, default_value_t = 7.6)]
    pub(crate) compression: f64,
    /// How many times smaller gzip makes a body
    #[arg(long, default_value_t = 4.3)]
    pub(crate) body_compression: f64,
    /// Log events in one record of Firehose; see the stream's metric `IncomingRecords`
    #[arg(long, default_value_t = 100.0)]
    pub(crate) events_per_record: f64,
    /// Firehose streams that the calls are spread over
    #[arg(long, default_value_t = 1.0)]
    pub(crate) streams: f64,
    /// Size of Firehose's buffer before the function, in MB of records
    #[arg(long, default_value_t = 1.0)]
    pub(crate) buffer_mb: f64,
    /// Age of that buffer, in seconds
    #[arg(long, default_value_t = 60.0)]
    pub(crate) buffer_seconds: f64,
}

/// A day of a workload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Day {
    /// API calls, a log event each.
    pub(crate) calls: f64,
    /// Bytes of log lines as CloudWatch Logs counts them.
    pub(crate) logged_bytes: f64,
    /// Records that Firehose gets.
    pub(crate) records: f64,
    /// Bytes of one of them.
    pub(crate) record_bytes: f64,
    /// Invocations of the function.
    pub(crate) invocations: f64,
    /// Log events in one of them.
    pub(crate) events: f64,
    /// Decoded bytes in one of them, in MB.
    pub(crate) decoded_mb: f64,
    /// Bodies of one of them.
    pub(crate) posts: f64,
    /// Bytes that leave, before they are encoded.
    pub(crate) sent_bytes: f64,
}

/// What CloudWatch Logs counts of a log event besides its text, in bytes.
///
/// Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>
const EVENT_OVERHEAD_BYTES: f64 = 26.0;
/// Size of a full body, in bytes.
const BODY_BYTES: f64 = 1_000_000.0;

impl Workload {
    /// Makes the day of so many calls, spread evenly.
    pub(crate) fn day(&self, calls: f64) -> Day {
        let compressed = calls * self.decoded_bytes / self.compression;
        // A stream's buffer is handed over when it is full or old, whichever comes first; an empty one is not.
        let by_size = compressed / (self.buffer_mb * 1e6);
        let by_age = self.streams * DAY / self.buffer_seconds;
        let records = calls / self.events_per_record;
        let invocations = by_size.max(by_age).min(records).max(1.0);
        let events = calls / invocations;
        Day {
            calls,
            logged_bytes: calls * (self.line_bytes + EVENT_OVERHEAD_BYTES),
            records,
            record_bytes: self.events_per_record * self.decoded_bytes / self.compression,
            invocations,
            events,
            decoded_mb: events * self.decoded_bytes / 1e6,
            posts: (events * self.event_bytes / BODY_BYTES).ceil(),
            sent_bytes: calls * self.event_bytes,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn workload() -> Workload {
        Workload {
            line_bytes: 774.0,
            decoded_bytes: 1000.0,
            event_bytes: 1000.0,
            compression: 10.0,
            body_compression: 10.0,
            events_per_record: 100.0,
            streams: 1.0,
            buffer_mb: 1.0,
            buffer_seconds: 60.0,
        }
    }

    #[test]
    fn a_busy_stream_is_handed_over_by_size() {
        let day = workload().day(1e9);
        assert_eq!((day.records, day.record_bytes), (1e7, 1e4));
        assert_eq!((day.invocations, day.events, day.decoded_mb, day.posts), (1e5, 1e4, 10.0, 10.0));
        assert_eq!((day.logged_bytes, day.sent_bytes), (8e11, 1e12));
    }

    #[test]
    fn a_quiet_stream_is_handed_over_by_age_and_never_empty() {
        let day = workload().day(1_440_000.0);
        assert_eq!((day.invocations, day.posts), (1440.0, 1.0));
        let day = workload().day(1000.0);
        assert_eq!((day.invocations, day.events), (10.0, 100.0));
    }
}
