//! The quotas that a workload meets, and how much of each it takes.

use clap::Args;

use crate::function::Work;
use crate::workload::{DAY, Day, Workload};

/// Default quotas of an account in a Region. All of these can be raised on request.
#[derive(Debug, Clone, Args)]
pub(crate) struct Quotas {
    /// API Gateway: calls a second
    #[arg(long, default_value_t = 10_000.0)]
    pub(crate) api_gateway_calls: f64,
    /// Firehose: MiB a second into one stream; 1 in smaller Regions
    #[arg(long, default_value_t = 5.0)]
    pub(crate) firehose_mib: f64,
    /// Firehose: requests a second to one stream; 1,000 in smaller Regions
    #[arg(long, default_value_t = 2_000.0)]
    pub(crate) firehose_requests: f64,
    /// Lambda: environments at once
    #[arg(long, default_value_t = 1_000.0)]
    pub(crate) lambda_concurrency: f64,
    /// Parameter Store: reads a second
    #[arg(long, default_value_t = 40.0)]
    pub(crate) store_reads: f64,
}

/// A quota and what is asked of it, in the same unit, at `peak` times the average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Use {
    /// What is limited.
    pub(crate) name: &'static str,
    /// What is asked for.
    pub(crate) used: f64,
    /// What there is.
    pub(crate) quota: f64,
}

impl Use {
    /// The part of the quota that is used.
    pub(crate) fn share(&self) -> f64 {
        self.used / self.quota
    }
}

impl Quotas {
    /// Tells what a day asks of each quota in a second that is `peak` times the average; the one that gives way first is first.
    pub(crate) fn uses(&self, workload: &Workload, day: &Day, work: &Work, peak: f64) -> Vec<Use> {
        let a_second = |count: f64| count / DAY * peak;
        let records = a_second(day.records);
        let mut uses = vec![
            Use { name: "API Gateway: calls/s", used: a_second(day.calls), quota: self.api_gateway_calls },
            Use {
                name: "Firehose: MiB/s into the streams",
                used: records * day.record_bytes / f64::from(1 << 20),
                quota: self.firehose_mib * workload.streams,
            },
            // CloudWatch Logs puts records one by one.
            Use {
                name: "Firehose: requests/s to the streams",
                used: records,
                quota: self.firehose_requests * workload.streams,
            },
            Use { name: "Lambda: environments at once", used: work.at_once * peak, quota: self.lambda_concurrency },
            // At worst all environments look for the new token in the same second.
            Use { name: "Parameter Store: reads/s", used: (work.at_once * peak).ceil(), quota: self.store_reads },
        ];
        uses.sort_by(|one, other| other.share().total_cmp(&one.share()));
        uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::tests::function;
    use crate::workload::tests::workload;

    const QUOTAS: Quotas = Quotas {
        api_gateway_calls: 10_000.0,
        firehose_mib: 5.0,
        firehose_requests: 2_000.0,
        lambda_concurrency: 1_000.0,
        store_reads: 40.0,
    };

    #[test]
    fn the_quota_that_gives_way_first_is_first() {
        let workload = workload();
        let day = workload.day(DAY * 5_000.0);
        let work = function().work(&day);
        let uses = QUOTAS.uses(&workload, &day, &work, 2.0);
        let first = uses[0];
        assert_eq!((first.name, first.used, first.share()), ("API Gateway: calls/s", 10_000.0, 1.0));
        assert!(uses.windows(2).all(|pair| pair[0].share() >= pair[1].share()));
    }

    #[test]
    fn more_streams_make_room_for_firehose_alone() {
        let share = |streams: f64| {
            let workload = Workload { streams, ..workload() };
            let day = workload.day(1e10);
            let uses = QUOTAS.uses(&workload, &day, &function().work(&day), 1.0);
            uses.iter().find(|one| one.name.starts_with("Firehose: MiB")).map(Use::share).unwrap()
        };
        assert!((share(1.0) / share(4.0) - 4.0).abs() < 1e-9);
    }
}
