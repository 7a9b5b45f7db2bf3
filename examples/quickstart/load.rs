//! The same events many times, and how long that takes.

use std::error::Error;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use apigw_log_forwarder::forwarder::Forwarder;
use indicatif::{ProgressBar, ProgressStyle};

use crate::function_log::FunctionLog;
use crate::input::Input;
use crate::invocation::Invocation;
use crate::loopback::{AnalyticsApi, Answer};
use crate::screen::{self, Column, wrapped};
use crate::units::{bytes, count, digits, plural, time};

/// What a load was, one entry for each input.
pub(crate) struct Load {
    series: Vec<Series>,
    /// Invocations that did not come out as the first one of their input.
    pub(crate) differing: usize,
    /// Rounds that were made, and that were asked for.
    rounds: [u64; 2],
    took: Duration,
}

#[derive(Default, Clone)]
struct Series {
    /// Of each invocation.
    times: Vec<Duration>,
    events: usize,
    posts: usize,
    decoded: usize,
}

impl Load {
    /// Invokes the function with every input so many times, one after the other.
    ///
    /// `is_stopped` ends it after the round that is under way. The analytics API takes what comes unread: on the same processors, its checks would cost more than the function.
    pub(crate) async fn run(
        (forwarder, log): (&Forwarder, &FunctionLog),
        api: &AnalyticsApi,
        inputs: &[Input],
        first: &[Invocation],
        times: NonZeroU64,
        is_stopped: impl Fn() -> bool,
    ) -> Result<Self, Box<dyn Error>> {
        api.otherwise(Some(Answer::status(200).body("")));
        let bar = ProgressBar::new(times.get())
            .with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} rounds, {elapsed} of {duration}")?);
        let series = vec![Series::default(); inputs.len()];
        let mut load = Self { series, differing: 0, rounds: [0, times.get()], took: Duration::ZERO };
        let start = Instant::now();
        while load.rounds[0] < times.get() && !is_stopped() {
            load.rounds[0] += 1;
            for ((input, first), series) in inputs.iter().zip(first).zip(&mut load.series) {
                let invocation = Invocation::run(forwarder, log, input).await?;
                load.differing += usize::from(invocation.verdicts != first.verdicts);
                series.add(&invocation);
                api.forget_bodies();
            }
            bar.inc(1);
        }
        load.took = start.elapsed();
        bar.finish_and_clear();
        api.otherwise(None);
        Ok(load)
    }

    /// Writes a row for each input, and one for all.
    pub(crate) fn report(&self, inputs: &[Input], width: usize, out: &mut impl Write) -> io::Result<()> {
        let mut all = Series::default();
        let mut rows = Vec::with_capacity(inputs.len() + 1);
        for (input, series) in inputs.iter().zip(&self.series) {
            all.extend(series);
            rows.push(series.cells(input.name.clone()));
        }
        if inputs.len() > 1 {
            rows.push(all.cells(format!("all {}", inputs.len())));
        }
        let columns = [
            ("Event", 0),
            ("Runs", 5),
            ("Events", 4),
            ("POSTs", 5),
            ("Decoded", 5),
            ("Events/s", 0),
            ("MB/s", 2),
            ("p50", 0),
            ("p90", 3),
            ("p99", 0),
            ("max", 2),
        ];
        writeln!(out)?;
        for line in screen::table(&columns.map(|(name, rank)| Column { name, rank }), &rows, width) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
        wrapped("Events/s  ", "by the second of the function's own time, MB/s too: MB are those decoded.", width, out)?;
        let own = "of one run, from payload to answer, the HTTP to the services on this machine included.";
        wrapped("p50, p99  ", own, width, out)?;
        if cfg!(debug_assertions) {
            let release =
                "A debug build, many times slower than cargo run --release --example quickstart -- --repeat …";
            wrapped("● ", release, width, out)?;
        }
        let [made, asked] = self.rounds;
        let text = format!("{made} of {asked} rounds, in {}.", time(self.took));
        wrapped(if made < asked { "● Stopped after " } else { "✓ " }, &text, width, out)?;
        if self.differing > 0 {
            let text = format!("{} got other verdicts than the first one of its event.", plural(self.differing, "run"));
            wrapped("✗ ", &text, width, out)?;
        }
        Ok(())
    }
}

impl Series {
    fn add(&mut self, invocation: &Invocation) {
        let counts = &invocation.summary.counts;
        self.times.push(invocation.took);
        self.events += counts.events_accepted;
        self.posts += counts.attempts;
        self.decoded += counts.bytes_decoded;
    }

    fn extend(&mut self, other: &Self) {
        self.times.extend(&other.times);
        self.events += other.events;
        self.posts += other.posts;
        self.decoded += other.decoded;
    }

    fn cells(&self, name: String) -> [String; 11] {
        let mut times = self.times.clone();
        times.sort_unstable();
        let seconds = times.iter().sum::<Duration>().as_secs_f64();
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(|percent| time(percentile(&times, percent)));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate of events, for people")]
        let rate = (self.events as f64 / seconds) as usize;
        [
            name,
            count(times.len()),
            count(self.events),
            count(self.posts),
            bytes(self.decoded),
            count(rate),
            digits(self.decoded as f64 / 1e6 / seconds),
            p50,
            p90,
            p99,
            max,
        ]
    }
}

/// Returns the smallest of sorted times that so many percent of them do not pass.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
