//! The function's own log, listened to: it says why records are kept.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use apigw_log_forwarder::log::{Form, Log};
use tracing::level_filters::LevelFilter;

/// What the function has said since the last look.
#[derive(Clone, Default)]
pub(crate) struct FunctionLog(Arc<Mutex<Vec<String>>>);

impl FunctionLog {
    /// Starts to listen; repeats what is said on standard error if asked to.
    pub(crate) fn start(is_repeated: bool) -> Self {
        let log = Self::default();
        let kept = log.clone();
        let write = move |line: &[u8]| {
            if is_repeated {
                io::stderr().write_all(line).ok();
            }
            kept.0.lock().unwrap_or_else(PoisonError::into_inner).push(String::from_utf8_lossy(line).into_owned());
        };
        // Its count of lines never begun, it bounds nothing.
        drop(Log::start(Form::Text, LevelFilter::WARN, write));
        log
    }

    /// Returns why records were kept since the last call, each reason once.
    pub(crate) fn take_reasons(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut reasons = Vec::new();
        for reason in lines.iter().filter_map(|line| reason(line)) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        reasons
    }
}

/// Finds the reason in a line of an error: a value in quotes, as in JSON.
fn reason(line: &str) -> Option<String> {
    let error = line.strip_prefix("ERROR ")?;
    match error.split_once(" reason=") {
        Some((_, value)) => serde_json::Deserializer::from_str(value).into_iter().next()?.ok(),
        // One that says how many others there are has none.
        None => (!error.contains(" others=")).then(|| error.trim_end().to_owned()),
    }
}
