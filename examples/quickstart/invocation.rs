//! One invocation of the function, from the payload's text to the answer's.

use std::error::Error;
use std::time::{Duration, Instant};

use apigw_log_forwarder::firehose::{FirehoseEvent, Verdict};
use apigw_log_forwarder::forwarder::Forwarder;
use apigw_log_forwarder::retry::Deadline;
use apigw_log_forwarder::summary::Summary;
use jiff::Timestamp;

use crate::function_log::FunctionLog;
use crate::input::Input;

/// Time that an invocation has.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

/// What came of an invocation.
pub(crate) struct Invocation {
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) summary: Summary,
    /// Why records of it are kept, as the function's log says.
    pub(crate) reasons: Vec<String>,
    /// From the payload's text to the answer's.
    pub(crate) took: Duration,
}

impl Invocation {
    /// Invokes the function with an event.
    pub(crate) async fn run(forwarder: &Forwarder, log: &FunctionLog, input: &Input) -> Result<Self, Box<dyn Error>> {
        let start = Instant::now();
        let event = FirehoseEvent::parse(&input.payload)?;
        let deadline = Deadline::of_invocation(TIMEOUT, start);
        let (response, summary) = forwarder.handle(&event, Timestamp::now().as_millisecond(), deadline).await;
        serde_json::to_vec(&response)?;
        let took = start.elapsed();
        let verdicts = response.records.iter().map(|answer| answer.result).collect();
        Ok(Self { verdicts, summary, reasons: log.take_reasons(), took })
    }
}
