//! The bill of a day, part by part.

use clap::Args;

use crate::function::Work;
use crate::workload::Day;

/// Prices in US dollars, of us-east-1 as public sources told them in November 2026, tiers and free tiers left out. Check them:
/// <https://aws.amazon.com/pricing/>.
#[derive(Debug, Clone, Args)]
pub(crate) struct Prices {
    /// Lambda, arm64: a GB-second
    #[arg(long, default_value_t = 0.000_013_333_4)]
    pub(crate) lambda_gb_second: f64,
    /// Lambda, `x86_64`: a GB-second
    #[arg(long, default_value_t = 0.000_016_666_7)]
    pub(crate) lambda_x86_gb_second: f64,
    /// Lambda: a million requests
    #[arg(long, default_value_t = 0.20)]
    pub(crate) lambda_million_requests: f64,
    /// Firehose: a GB that comes in
    #[arg(long, default_value_t = 0.029)]
    pub(crate) firehose_gb: f64,
    /// Firehose: what each record is rounded up to, in bytes; 1 if it is not
    #[arg(long, default_value_t = 5_120.0)]
    pub(crate) firehose_rounding: f64,
    /// CloudWatch Logs: a GB that comes in
    #[arg(long, default_value_t = 0.50)]
    pub(crate) logs_gb: f64,
    /// S3: a GB for a month
    #[arg(long, default_value_t = 0.023)]
    pub(crate) s3_gb_month: f64,
    /// S3: a million PUTs
    #[arg(long, default_value_t = 5.00)]
    pub(crate) s3_million_puts: f64,
    /// A GB that leaves AWS
    #[arg(long, default_value_t = 0.09)]
    pub(crate) transfer_gb: f64,
}

/// What the function logs in an invocation, in bytes: its summary, its metrics and Lambda's own three lines.
const OWN_LOG_BYTES: f64 = 3_500.0;
/// Size of the objects that Firehose writes, in bytes: its default buffer.
const OBJECT_BYTES: f64 = 5e6;

/// A day's bill in dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bill {
    /// CloudWatch Logs: the API's own lines. Paid with or without the forwarder.
    pub(crate) api_logs: f64,
    /// Firehose: what comes in.
    pub(crate) firehose: f64,
    /// Lambda: time.
    pub(crate) lambda_time: f64,
    /// Lambda: requests.
    pub(crate) lambda_requests: f64,
    /// CloudWatch Logs: the function's own lines.
    pub(crate) own_log: f64,
    /// Data that leaves AWS, bodies as they are.
    pub(crate) transfer: f64,
    /// The same with `PAYLOAD_ENCODING=gzip`.
    pub(crate) transfer_gzip: f64,
    /// S3: originals, kept for 30 days, where that is switched on.
    pub(crate) originals: f64,
}

impl Prices {
    /// Bills a day.
    pub(crate) fn bill(&self, day: &Day, work: &Work, compression: f64) -> Bill {
        let billed = (day.record_bytes / self.firehose_rounding).ceil() * self.firehose_rounding;
        let compressed = day.records * day.record_bytes;
        Bill {
            api_logs: day.logged_bytes / 1e9 * self.logs_gb,
            firehose: day.records * billed / 1e9 * self.firehose_gb,
            lambda_time: work.gb_seconds * self.lambda_gb_second,
            lambda_requests: day.invocations / 1e6 * self.lambda_million_requests,
            own_log: day.invocations * OWN_LOG_BYTES / 1e9 * self.logs_gb,
            transfer: day.sent_bytes / 1e9 * self.transfer_gb,
            transfer_gzip: day.sent_bytes / compression / 1e9 * self.transfer_gb,
            originals: compressed / 1e9 * self.s3_gb_month + compressed / OBJECT_BYTES / 1e6 * self.s3_million_puts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::tests::function;
    use crate::workload::tests::workload;

    const PRICES: Prices = Prices {
        lambda_gb_second: 0.00001,
        lambda_x86_gb_second: 0.00002,
        lambda_million_requests: 0.2,
        firehose_gb: 0.03,
        firehose_rounding: 5120.0,
        logs_gb: 0.5,
        s3_gb_month: 0.02,
        s3_million_puts: 5.0,
        transfer_gb: 0.1,
    };

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6 * expected, "{found} for {expected}");
    }

    #[test]
    fn every_part_is_volume_times_price() {
        let day = workload().day(1e9);
        let work = function().work(&day);
        let bill = PRICES.bill(&day, &work, 10.0);
        near(bill.api_logs, 400.0);
        // 10,000,000 records of 10,000 bytes, rounded up to 10,240.
        near(bill.firehose, 102.4 * 0.03);
        near(bill.lambda_time, work.gb_seconds * 0.00001);
        near(bill.lambda_requests, 0.02);
        near(bill.own_log, 0.35 * 0.5);
        near(bill.transfer, 100.0);
        near(bill.transfer_gzip, 10.0);
        near(bill.originals, 100.0 * 0.02 + 0.02 * 5.0);
    }
}
