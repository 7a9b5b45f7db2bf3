//! A replay: an operator has objects put into the queue, any number of them. From there the same code takes them as ever.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::info;

use super::event::{EventError, Replay, notification};
use super::{Books, Redrive};
use crate::aws::MAX_BATCH;
use crate::retry::Deadline;

/// What is kept of an invocation's time for the last request and the answer, at most.
const RESERVE: Duration = Duration::from_secs(5);

impl Redrive {
    /// Puts the objects under a prefix into the queue. The answer says how many, and after which key to go on if time was over.
    pub(super) async fn replay(
        &self,
        replay: &Replay,
        deadline: Deadline,
        books: &mut Books,
    ) -> Result<Value, EventError> {
        let (failed, parked) = (&self.settings.failed_prefix, &self.settings.parked_prefix);
        let prefix = &replay.prefix;
        if ![failed, parked].into_iter().any(|ours| prefix.starts_with(ours.as_str())) {
            return Err(EventError::Prefix { failed: failed.clone(), parked: parked.clone() });
        }
        let reserve = RESERVE.min(deadline.allows(Duration::MAX, Instant::now()).unwrap_or_default() / 4);
        let mut queued = 0;
        let mut after = replay.from.clone().unwrap_or_default();
        let mut problem = None;
        'list: loop {
            let (keys, has_more) = match self.bucket.list(prefix, &after, deadline).await {
                Ok(page) => page,
                Err(error) => {
                    problem = Some(error);
                    break;
                }
            };
            for keys in keys.chunks(MAX_BATCH) {
                if queued > 0 && deadline.after(reserve, Instant::now()).is_none() {
                    break 'list;
                }
                let bodies: Vec<_> = keys.iter().map(|key| notification(&self.settings.bucket, key)).collect();
                if let Err(error) = self.queue.send(&bodies, deadline).await {
                    problem = Some(error);
                    break 'list;
                }
                queued += keys.len();
                after.clone_from(keys.last().expect("a chunk has a key"));
            }
            if !has_more || keys.is_empty() {
                info!(queued, "replay: all objects under the prefix are in the queue");
                return Ok(json!({"queued": queued, "next": null}));
            }
        }
        if let Some(error) = problem {
            books.fault(&after, &error, "replay ended early: go on from this key");
            return Ok(json!({"queued": queued, "next": after, "problem": error.to_string()}));
        }
        Ok(json!({"queued": queued, "next": after}))
    }
}
