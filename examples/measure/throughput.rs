//! What an event costs: the candidates in turn, each in an environment of its own that is warm.

use std::error::Error;
use std::time::Duration;

use crate::cases::Case;
use crate::environment::{Candidate, World};
use crate::in_process::median;

/// Invocations before the first that counts.
const WARM_UP: usize = 2;

/// What one candidate took for one case.
pub(crate) struct Figures {
    /// Of one invocation: the median.
    pub(crate) wall: Duration,
    /// Of one invocation: the mean.
    pub(crate) cpu: Duration,
    pub(crate) peak_bytes: u64,
    /// Bytes that an invocation sent.
    pub(crate) sent_bytes: u64,
}

/// Invokes every candidate, set up like this, `rounds` times with the case's event.
pub(crate) async fn measure<const N: usize>(
    world: &World,
    candidates: [Candidate; N],
    case: &Case,
    settings: &[(&str, &str)],
    rounds: u32,
) -> Result<[Figures; N], Box<dyn Error>> {
    let settings = [&[("ACCESS_LOG_FORMAT", case.format.as_str())], settings].concat();
    let mut environments = Vec::with_capacity(N);
    for candidate in candidates {
        let environment = world.spawn(candidate, &settings).await;
        for _ in 0..WARM_UP {
            environment.invoke(&case.payload).await?;
        }
        let cpu = environment.cpu()?;
        environments.push((environment, cpu, Vec::new(), 0));
    }
    world.sink.take_received();
    for _ in 0..rounds {
        for (environment, _, walls, sent) in &mut environments {
            walls.push(environment.invoke(&case.payload).await?);
            *sent += world.sink.take_received();
        }
    }
    let mut figures = Vec::with_capacity(N);
    for (environment, before, mut walls, sent) in environments {
        let cpu = environment.cpu()?.saturating_sub(before) / rounds;
        let sent_bytes = sent / u64::from(rounds);
        figures.push(Figures { wall: median(&mut walls), cpu, peak_bytes: environment.peak_bytes(), sent_bytes });
    }
    figures.try_into().map_err(|_| "as many figures as candidates".into())
}
