//! The bill of a month, part by part.

use std::time::Duration;

use apigw_log_forwarder::summary::Summary;
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
    /// CloudWatch: an alarm for a month
    #[arg(long, default_value_t = 0.10)]
    pub(crate) alarm_month: f64,
    /// CloudWatch: a custom metric for a month
    #[arg(long, default_value_t = 0.30)]
    pub(crate) metric_month: f64,
    /// CloudWatch: a dashboard for a month
    #[arg(long, default_value_t = 3.00)]
    pub(crate) dashboard_month: f64,
    /// Alarms; as many as the template has, the optional ones too, a composite one as five. Each subscribed group has three more
    #[arg(long, default_value_t = template_alarms())]
    pub(crate) alarms: f64,
    /// Custom metrics; as many as the function writes
    #[arg(long, default_value_t = function_metrics())]
    pub(crate) custom_metrics: f64,
    /// Request metrics of the bucket for failed/, which cost what custom metrics do; at most 16
    #[arg(long, default_value_t = 16.0)]
    pub(crate) request_metrics: f64,
}

/// Counts the alarms of the stack, the optional ones too. A composite alarm costs as much as five.
fn template_alarms() -> f64 {
    let template = include_str!("../../template.yaml");
    let count = |kind: &str| template.matches(&format!("Type: AWS::CloudWatch::{kind}\n")).count();
    (count("Alarm") + 5 * count("CompositeAlarm")) as f64
}

/// Counts what an invocation writes: the function's metrics have one dimension, its name.
fn function_metrics() -> f64 {
    let line = Summary { oldest_age: Some(Duration::ZERO), ..Summary::default() }.metrics("", "", 0, []);
    line.matches("\"Unit\":").count() as f64
}

/// What the function logs in an invocation, in bytes: its summary, its metrics and Lambda's own three lines.
const OWN_LOG_BYTES: f64 = 3_500.0;
/// Size of the objects that Firehose writes, in bytes: its default buffer.
const OBJECT_BYTES: f64 = 5e6;

/// Days of a month on the bill.
const MONTH_DAYS: f64 = 30.0;

/// A month's bill in dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bill {
    /// CloudWatch Logs: the API's own lines. Paid with or without the forwarder.
    pub(crate) api_logs: f64,
    /// Firehose: what comes in.
    pub(crate) firehose: f64,
    /// Firehose, where API Gateway writes to the stream itself, a record a call: paid instead of the API's own logs and the above.
    pub(crate) firehose_direct: f64,
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
    /// Alarms, at any volume.
    pub(crate) alarms: f64,
    /// The function's metrics, at any volume.
    pub(crate) custom_metrics: f64,
    /// The bucket's request metrics.
    pub(crate) request_metrics: f64,
    /// The dashboard.
    pub(crate) dashboard: f64,
}

impl Bill {
    /// What is paid because of the forwarder, with gzip bodies and without originals.
    pub(crate) fn total(&self) -> f64 {
        let by_volume = self.firehose + self.lambda_time + self.lambda_requests + self.own_log + self.transfer_gzip;
        by_volume + self.alarms + self.custom_metrics + self.request_metrics + self.dashboard
    }
}

impl Prices {
    /// Bills a month of such days.
    pub(crate) fn month(&self, day: &Day, work: &Work, compression: f64) -> Bill {
        let billed = |record: f64| (record / self.firehose_rounding).ceil() * self.firehose_rounding;
        let line = day.logged_bytes / day.calls;
        let compressed = day.records * day.record_bytes;
        let month = |dollars: f64| dollars * MONTH_DAYS;
        Bill {
            api_logs: month(day.logged_bytes / 1e9 * self.logs_gb),
            firehose: month(day.records * billed(day.record_bytes) / 1e9 * self.firehose_gb),
            firehose_direct: month(day.calls * billed(line) / 1e9 * self.firehose_gb),
            lambda_time: month(work.gb_seconds * self.lambda_gb_second),
            lambda_requests: month(day.invocations / 1e6 * self.lambda_million_requests),
            own_log: month(day.invocations * OWN_LOG_BYTES / 1e9 * self.logs_gb),
            transfer: month(day.sent_bytes / 1e9 * self.transfer_gb),
            transfer_gzip: month(day.sent_bytes / compression / 1e9 * self.transfer_gb),
            originals: month(
                compressed / 1e9 * self.s3_gb_month + compressed / OBJECT_BYTES / 1e6 * self.s3_million_puts,
            ),
            alarms: self.alarms * self.alarm_month,
            custom_metrics: self.custom_metrics * self.metric_month,
            request_metrics: self.request_metrics * self.metric_month,
            dashboard: self.dashboard_month,
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
        alarm_month: 0.1,
        metric_month: 0.5,
        dashboard_month: 3.0,
        alarms: 20.0,
        custom_metrics: 40.0,
        request_metrics: 10.0,
    };

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6 * expected, "{found} for {expected}");
    }

    #[test]
    fn every_part_is_volume_times_price() {
        let day = workload().day(1e9);
        let work = function().work(&day);
        let bill = PRICES.month(&day, &work, 10.0);
        near(bill.api_logs, 30.0 * 400.0);
        // 10,000,000 records of 10,000 bytes, rounded up to 10,240.
        near(bill.firehose, 30.0 * 102.4 * 0.03);
        // A record of one line each, rounded up to 5,120.
        near(bill.firehose_direct, 30.0 * 5120.0 * 0.03);
        near(bill.lambda_time, 30.0 * work.gb_seconds * 0.00001);
        near(bill.lambda_requests, 30.0 * 0.02);
        near(bill.own_log, 30.0 * 0.35 * 0.5);
        near(bill.transfer, 30.0 * 100.0);
        near(bill.transfer_gzip, 30.0 * 10.0);
        near(bill.originals, 30.0 * (100.0 * 0.02 + 0.02 * 5.0));
        assert_eq!((bill.alarms, bill.custom_metrics, bill.request_metrics, bill.dashboard), (2.0, 20.0, 5.0, 3.0));
        let rest = bill.firehose + bill.lambda_time + bill.lambda_requests + bill.own_log;
        near(bill.total(), rest + 300.0 + 30.0);
    }

    #[test]
    fn what_the_stack_has_is_counted() {
        assert!(template_alarms() > 10.0);
        assert!(function_metrics() > 40.0);
    }
}
