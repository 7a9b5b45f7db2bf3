//! The function at a size: how long an invocation takes there, and how many run at once.

use clap::Args;

use crate::workload::{DAY, Day};

/// Memory at which a function has one virtual processor, in MB.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const VCPU_MB: f64 = 1_769.0;

/// What was measured of the function, and its surroundings.
#[derive(Debug, Clone, Args)]
pub(crate) struct Function {
    /// CPU of one virtual processor for a decoded MB, in ms; see `measure`
    #[arg(long, default_value_t = 3.8)]
    pub(crate) cpu_ms_per_mb: f64,
    /// CPU of an invocation besides, in ms
    #[arg(long, default_value_t = 2.0)]
    pub(crate) cpu_ms_per_invocation: f64,
    /// Time that the analytics API takes to answer, in ms
    #[arg(long, default_value_t = 50.0)]
    pub(crate) api_ms: f64,
    /// POSTs under way at once (`DELIVERY_CONCURRENCY`)
    #[arg(long, default_value_t = 4.0)]
    pub(crate) concurrency: f64,
    /// Memory of the function, in MB
    #[arg(long, default_value_t = 256.0)]
    pub(crate) memory_mb: f64,
    /// Lifetime of the token, in seconds
    #[arg(long, default_value_t = 3_600.0)]
    pub(crate) token_seconds: f64,
}

/// A day of the function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Work {
    /// Time that an invocation takes, in ms.
    pub(crate) ms: f64,
    /// What is billed of it, over the day.
    pub(crate) gb_seconds: f64,
    /// Environments that work at once, on average.
    pub(crate) at_once: f64,
    /// Log events that one environment takes in a second.
    pub(crate) events_per_second: f64,
    /// POSTs to the analytics API.
    pub(crate) posts: f64,
    /// Requests to Parameter Store: each environment reads once for each token; one of them takes and drops the lock and writes.
    pub(crate) store_requests: f64,
}

impl Function {
    /// Returns the function with another size.
    pub(crate) fn of_size(&self, memory_mb: f64) -> Self {
        Self { memory_mb, ..self.clone() }
    }

    /// Works a day off.
    pub(crate) fn work(&self, day: &Day) -> Work {
        // The function computes on one thread: a second processor gives it nothing.
        let share = (self.memory_mb / VCPU_MB).min(1.0);
        let cpu = (day.decoded_mb * self.cpu_ms_per_mb + self.cpu_ms_per_invocation) / share;
        // POSTs go out while later records are read; the last is waited for.
        let posting = day.posts / self.concurrency * self.api_ms;
        let ms = cpu.max(posting) + self.api_ms;
        let at_once = day.invocations * ms / 1e3 / DAY;
        let tokens = DAY / self.token_seconds;
        Work {
            ms,
            gb_seconds: day.invocations * ms / 1e3 * self.memory_mb / 1024.0,
            at_once,
            events_per_second: day.events / ms * 1e3,
            posts: day.invocations * day.posts,
            store_requests: tokens * (at_once.ceil() + 3.0),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::workload::tests::workload;

    pub(crate) fn function() -> Function {
        Function {
            cpu_ms_per_mb: 3.0,
            cpu_ms_per_invocation: 0.0,
            api_ms: 50.0,
            concurrency: 5.0,
            memory_mb: VCPU_MB / 2.0,
            token_seconds: 3600.0,
        }
    }

    #[test]
    fn half_a_processor_takes_twice_the_time_and_two_take_no_less_than_one() {
        let day = workload().day(1e9);
        let work = |share: f64| Function { api_ms: 0.0, ..function().of_size(VCPU_MB * share) }.work(&day);
        assert_eq!((work(0.5).ms, work(1.0).ms, work(2.0).ms), (60.0, 30.0, 30.0));
        assert!((work(0.5).gb_seconds - work(1.0).gb_seconds).abs() < 1e-6, "CPU costs the same at any size");
    }

    #[test]
    fn posts_hide_behind_reading_or_reading_behind_posts() {
        let day = workload().day(1e9);
        let ms = |api_ms: f64| Function { api_ms, ..function() }.work(&day).ms;
        assert_eq!((ms(20.0), ms(100.0)), (60.0 + 20.0, 200.0 + 100.0));
    }

    #[test]
    fn a_token_costs_each_environment_a_read() {
        let work = function().work(&workload().day(1e9));
        assert_eq!((work.store_requests, work.posts), (24.0 * (1.0 + 3.0), 1e6));
    }
}
