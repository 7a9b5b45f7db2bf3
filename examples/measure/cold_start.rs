//! From the start of a process to its first request for work.

use std::time::{Duration, Instant};

use crate::environment::{Candidate, World};
use crate::in_process::median;

/// Time for the kernel to clear the process before away: it shares the processors.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts every candidate so often, in turn, and returns the medians.
pub(crate) async fn measure<const N: usize>(world: &World, candidates: [Candidate; N], times: usize) -> [Duration; N] {
    let mut took = [const { Vec::new() }; N];
    for _ in 0..times {
        for (candidate, took) in candidates.into_iter().zip(&mut took) {
            tokio::time::sleep(PAUSE).await;
            let start = Instant::now();
            let environment = world.spawn(candidate, &[]).await;
            environment.is_ready().await;
            took.push(start.elapsed());
        }
    }
    took.map(|mut took| median(&mut took))
}
