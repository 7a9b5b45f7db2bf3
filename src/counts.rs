//! Everything that an invocation counts, in one table: from a row come the field, its place in the summary line and its metric.
//!
//! Whoever meets something counts it in a `Counts` of its own (`counts.attempts += 1`); the forwarder adds them up. A new counter
//! is one row here, the line that counts, and a row of docs/metrics.md.

use std::ops::AddAssign;

use http::StatusCode;
use tracing::info;

/// The unit of a metric, by CloudWatch's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of something.
    Count,
    /// A size.
    Bytes,
    /// A time.
    Milliseconds,
    /// A long time.
    Seconds,
}

macro_rules! counts {
    (
        in the summary: { $($(#[doc = $doc:literal])* $shown:ident $shown_unit:ident $shown_metric:literal,)* }
        as metrics only: { $($(#[doc = $other_doc:literal])* $other:ident $unit:ident $metric:literal,)* }
    ) => {
        /// What was met, in numbers.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[doc = $doc])* pub $shown: usize,)*
            $($(#[doc = $other_doc])* pub $other: usize,)*
        }

        impl Counts {
            /// Returns the name, the unit and the value of each metric.
            pub fn metrics(&self) -> impl Iterator<Item = (&'static str, Unit, usize)> {
                [
                    $(($shown_metric, Unit::$shown_unit, self.$shown),)*
                    $(($metric, Unit::$unit, self.$other),)*
                ]
                .into_iter()
            }

            /// Writes the line that sums an invocation up. Times are in milliseconds.
            pub fn log(&self, oldest_age_ms: Option<u128>, waited_ms: u128, took_ms: u128) {
                info!($($shown = self.$shown,)* oldest_age_ms, waited_ms, took_ms, "invocation settled");
            }
        }

        impl AddAssign for Counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$shown += other.$shown;)*
                $(self.$other += other.$other;)*
            }
        }
    };
}

counts! {
    in the summary: {
        /// Records of the event.
        records Count "RecordsReceived",
        /// Records answered `Ok`.
        records_ok Count "RecordsOk",
        /// Records answered `Dropped`.
        records_dropped Count "RecordsDropped",
        /// Records answered `ProcessingFailed`.
        records_failed Count "RecordsFailed",
        /// Lines read.
        lines Count "LinesReceived",
        /// Lines of records whose lines were all delivered.
        lines_delivered Count "LinesDelivered",
        /// Lines of records that failed.
        lines_failed Count "LinesFailed",
        /// Lines of delivered records that an operator excludes.
        lines_excluded Count "LinesExcluded",
        /// Lines of delivered records that a sample leaves out.
        lines_sampled_out Count "LinesSampledOut",
        /// Lines that no format took.
        lines_unparsed Count "LinesUnparsed",
        /// Events that the API accepted.
        events_accepted Count "EventsDelivered",
        /// Events that it did not, or that are larger than a body may be.
        events_failed Count "EventsFailed",
        /// Bodies that were accepted.
        bodies_accepted Count "Batches",
        /// Requests that were sent to the API.
        attempts Count "Attempts",
        /// Bytes of the bodies of those requests, as sent.
        bytes_sent Bytes "BytesSent",
        /// Requests to the token endpoint that were begun.
        token_requests Count "TokenRequests",
        /// Reads of Parameter Store.
        token_store_reads Count "TokenStoreReads",
        /// Bytes of the text that the records held.
        bytes_decoded Bytes "BytesDecoded",
        /// Lines of the log that were left out, as there were too many.
        log_lines_omitted Count "LogLinesOmitted",
        /// 1 in an environment's first invocation.
        cold_start Count "ColdStart",
    }
    as metrics only: {
        /// Records with events of the function's own log group, which are not forwarded.
        records_own Count "RecordsOwnLogGroup",
        /// Events that an API has accepted and put into a failure store.
        events_diverted Count "EventsDiverted",
        /// Events with a field that the API will cut.
        events_cut Count "EventsCut",
        /// Requests of execution logs that left before all records were read, as they took too much memory.
        requests_released_early Count "RequestsReleasedEarly",
        /// Bytes of the records, base64 undone.
        bytes_received Bytes "BytesReceived",
        /// Answers 2xx.
        answers_2xx Count "Responses2xx",
        /// Answers 401.
        answers_401 Count "Responses401",
        /// Answers 403.
        answers_403 Count "Responses403",
        /// Answers 413.
        answers_413 Count "Responses413",
        /// Answers 429.
        answers_429 Count "Responses429",
        /// Answers 4xx that are none of these.
        answers_4xx Count "Responses4xx",
        /// Answers 5xx.
        answers_5xx Count "Responses5xx",
        /// Answers of another class.
        answers_other Count "ResponsesOther",
        /// Requests that met a failing connection or no answer in time.
        connection_failures Count "ConnectionFailures",
        /// Renewals of the token that failed.
        token_failures Count "TokenFailures",
        /// Requests that Parameter Store refused or did not answer.
        token_store_failures Count "TokenStoreFailures",
        /// Archives that were left out because the answer would have been too large.
        archives_omitted Count "ArchivesOmitted",
        /// Originals that were left out because the answer would have been too large.
        originals_omitted Count "OriginalsOmitted",
        /// Faults of the function's own code.
        panics Count "Panics",
    }
}

impl Counts {
    /// Returns the counter of the API's answers with this status.
    pub fn answers(&mut self, status: StatusCode) -> &mut usize {
        match status.as_u16() {
            200..=299 => &mut self.answers_2xx,
            401 => &mut self.answers_401,
            403 => &mut self.answers_403,
            413 => &mut self.answers_413,
            429 => &mut self.answers_429,
            400..=499 => &mut self.answers_4xx,
            500..=599 => &mut self.answers_5xx,
            _ => &mut self.answers_other,
        }
    }
}
