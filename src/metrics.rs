//! The summary of an invocation as CloudWatch embedded metrics: one line of JSON in the log, from which CloudWatch makes metrics.
//!
//! Written with serde rather than a metrics crate: the set is fixed and there is one line an invocation, while such crates
//! bring queues and threads that a process which is frozen between events had better not have.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::summary::Summary;

/// The one dimension: the name of the function.
const DIMENSION: &str = "FunctionName";

/// A metric's value with its unit.
enum Metric {
    Count(usize),
    Bytes(usize),
    Milliseconds(Duration),
}

impl Metric {
    fn unit(&self) -> &'static str {
        match self {
            Self::Count(_) => "Count",
            Self::Bytes(_) => "Bytes",
            Self::Milliseconds(_) => "Milliseconds",
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Count(value) | Self::Bytes(value) => (*value).into(),
            Self::Milliseconds(time) => (time.as_micros() as f64 / 1000.0).into(),
        }
    }
}

/// Makes the line of an invocation at `now`, in milliseconds since the Unix epoch.
#[must_use]
pub fn line(namespace: &str, function_name: &str, now: u64, summary: &Summary) -> String {
    let metrics = metrics(summary);
    let definitions: Vec<Value> =
        metrics.iter().map(|(name, metric)| json!({"Name": name, "Unit": metric.unit()})).collect();
    let directive = json!({"Namespace": namespace, "Dimensions": [[DIMENSION]], "Metrics": definitions});
    let mut line = Map::new();
    line.insert("_aws".to_owned(), json!({"Timestamp": now, "CloudWatchMetrics": [directive]}));
    line.insert(DIMENSION.to_owned(), function_name.into());
    line.extend(metrics.iter().map(|(name, metric)| ((*name).to_owned(), metric.value())));
    Value::Object(line).to_string()
}

/// Every metric, in the order of the documentation. What is not known in an invocation is left out.
fn metrics(summary: &Summary) -> Vec<(&'static str, Metric)> {
    use Metric::{Bytes, Count, Milliseconds};
    let Summary { totals, delivery, token, oldest_age, waited, took, log_lines_omitted, cold_start } = summary;
    let mut metrics = vec![
        ("RecordsReceived", Count(totals.records)),
        ("RecordsOk", Count(totals.records_ok)),
        ("RecordsDropped", Count(totals.records_dropped)),
        ("RecordsFailed", Count(totals.records_failed)),
        ("RecordsOwnLogGroup", Count(totals.records_own)),
        ("LinesReceived", Count(totals.lines)),
        ("LinesDelivered", Count(totals.lines_delivered)),
        ("LinesFailed", Count(totals.lines_failed)),
        ("LinesUnparsed", Count(totals.lines_unparsed)),
        ("RequestsReleasedEarly", Count(totals.requests_released_early)),
        ("EventsDelivered", Count(delivery.events_accepted)),
        ("EventsFailed", Count(delivery.events_failed + totals.events_oversized)),
        ("BytesReceived", Bytes(totals.bytes_received)),
        ("BytesDecoded", Bytes(totals.bytes_decoded)),
        ("BytesSent", Bytes(delivery.bytes_sent)),
        ("Batches", Count(delivery.bodies_accepted)),
        ("Attempts", Count(delivery.attempts)),
        ("Responses2xx", Count(delivery.answers_2xx)),
        ("Responses401", Count(delivery.answers_401)),
        ("Responses403", Count(delivery.answers_403)),
        ("Responses413", Count(delivery.answers_413)),
        ("Responses429", Count(delivery.answers_429)),
        ("Responses4xx", Count(delivery.answers_4xx)),
        ("Responses5xx", Count(delivery.answers_5xx)),
        ("ResponsesOther", Count(delivery.answers_other)),
        ("ConnectionFailures", Count(delivery.connection_failures)),
        ("TokenRequests", Count(token.requests)),
        ("TokenFailures", Count(token.failures)),
        ("TokenStoreReads", Count(token.store_reads)),
        ("TokenStoreFailures", Count(token.store_failures)),
        ("ArchivesOmitted", Count(totals.archives_omitted)),
        ("OriginalsOmitted", Count(totals.originals_omitted)),
        ("Panics", Count(totals.panics + delivery.panics)),
        ("LogLinesOmitted", Count(*log_lines_omitted)),
        ("DecodeTime", Milliseconds(took.saturating_sub(*waited))),
        ("DeliverTime", Milliseconds(*waited)),
        ("Duration", Milliseconds(*took)),
        ("ColdStart", Count((*cold_start).into())),
    ];
    metrics.extend(oldest_age.map(|age| ("OldestEventAge", Milliseconds(age))));
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_defines_every_metric_that_it_holds() {
        let summary = Summary {
            took: Duration::from_micros(12_345),
            oldest_age: Some(Duration::from_secs(61)),
            cold_start: true,
            ..Summary::default()
        };
        let line: Value = serde_json::from_str(&line("Ns", "fn", 1_795_287_540_123, &summary)).expect("JSON");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], 1_795_287_540_123_u64);
        assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("Ns"), &json!([["FunctionName"]])));
        assert_eq!(
            (&line["FunctionName"], &line["Duration"], &line["ColdStart"]),
            (&json!("fn"), &json!(12.345), &json!(1))
        );
        assert_eq!(line["OldestEventAge"], 61_000.0);

        let members = line.as_object().expect("an object");
        let definitions = directive["Metrics"].as_array().expect("a list");
        // The limit of a directive is 100.
        assert!(definitions.len() == members.len() - 2 && definitions.len() <= 100);
        for definition in definitions {
            assert!(members.get(definition["Name"].as_str().expect("a name")).is_some_and(Value::is_number));
        }
    }
}
