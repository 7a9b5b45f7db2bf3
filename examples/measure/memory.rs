//! Memory of the function: with the largest record, and over many invocations.

use std::error::Error;

use crate::cases::Case;
use crate::environment::{Candidate, World};

/// Bytes held after so many invocations of one environment.
pub(crate) struct Held {
    pub(crate) invocations: usize,
    pub(crate) bytes: u64,
}

/// Returns the most bytes that the function holds for an event of this case, with identity and with gzip bodies.
pub(crate) async fn peaks(world: &World, case: &Case) -> Result<[u64; 2], Box<dyn Error>> {
    let mut peaks = [0; 2];
    for (encoding, peak) in ["identity", "gzip"].into_iter().zip(&mut peaks) {
        let settings = [("ACCESS_LOG_FORMAT", case.format.as_str()), ("PAYLOAD_ENCODING", encoding)];
        let environment = world.spawn(Candidate::Function, &settings).await;
        for _ in 0..2 {
            environment.invoke(&case.payload).await?;
        }
        *peak = environment.peak_bytes();
    }
    Ok(peaks)
}

/// Invokes one environment `invocations` times and looks after the first hundred, half way and at the end.
pub(crate) async fn over_time(world: &World, case: &Case, invocations: usize) -> Result<Vec<Held>, Box<dyn Error>> {
    let environment = world.spawn(Candidate::Function, &[("ACCESS_LOG_FORMAT", case.format.as_str())]).await;
    let mut held = Vec::new();
    for invocation in 1..=invocations {
        environment.invoke(&case.payload).await?;
        if [100, invocations / 2, invocations].contains(&invocation) {
            held.push(Held { invocations: invocation, bytes: environment.held_bytes() });
        }
    }
    Ok(held)
}
