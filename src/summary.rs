//! What an invocation did: one structured line of the log, and one of CloudWatch embedded metrics, from which CloudWatch makes
//! metrics.
//!
//! Written with serde rather than a metrics crate: the set is fixed and there is one line an invocation, while such crates
//! bring queues and threads that a process which is frozen between events had better not have.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::ops::AddAssign;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::counts::{Counts, Unit};

/// The one dimension: the name of the function.
const DIMENSION: &str = "FunctionName";

/// What an invocation did, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// What was counted.
    pub counts: Counts,
    /// Age of the oldest line at the invocation.
    pub oldest_age: Option<Duration>,
    /// Time in which nothing was left to do but wait for answers.
    pub waited: Duration,
    /// From the event's arrival to its answer.
    pub took: Duration,
}

impl Summary {
    /// Writes the summary line.
    pub fn log(&self) {
        let Self { counts, oldest_age, waited, took } = self;
        counts.log(oldest_age.map(|age| age.as_millis()), waited.as_millis(), took.as_millis());
    }

    /// Makes the line of metrics of an invocation at `now`, in milliseconds since the Unix epoch, with more than is counted here.
    #[must_use]
    pub fn metrics(
        &self,
        namespace: &str,
        function_name: &str,
        now: u64,
        more: impl IntoIterator<Item = (&'static str, Unit, usize)>,
    ) -> String {
        let counted = self.counts.metrics().chain(more);
        let counted = counted.map(|(name, unit, value)| (name, unit, value.into()));
        embedded(namespace, function_name, now, counted.chain(self.timed()))
    }

    /// The times. What is not known in an invocation is left out.
    fn timed(&self) -> impl Iterator<Item = (&'static str, Unit, Value)> {
        let times = [
            ("DecodeTime", Some(self.took.saturating_sub(self.waited))),
            ("DeliverTime", Some(self.waited)),
            ("Duration", Some(self.took)),
            ("OldestEventAge", self.oldest_age),
        ];
        times
            .into_iter()
            .filter_map(|(name, time)| Some((name, Unit::Milliseconds, (time?.as_micros() as f64 / 1000.0).into())))
    }
}

/// Makes a line of embedded metrics at `now`, in milliseconds since the Unix epoch.
pub fn embedded(
    namespace: &str,
    function_name: &str,
    now: u64,
    metrics: impl IntoIterator<Item = (&'static str, Unit, Value)>,
) -> String {
    let metrics: Vec<_> = metrics.into_iter().collect();
    let definitions: Vec<Value> =
        metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": format!("{unit:?}")})).collect();
    let directive = json!({"Namespace": namespace, "Dimensions": [[DIMENSION]], "Metrics": definitions});
    let mut line = Map::new();
    line.insert("_aws".to_owned(), json!({"Timestamp": now, "CloudWatchMetrics": [directive]}));
    line.insert(DIMENSION.to_owned(), function_name.into());
    line.extend(metrics.into_iter().map(|(name, _, value)| (name.to_owned(), value)));
    Value::Object(line).to_string()
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.counts += other.counts;
        self.oldest_age = self.oldest_age.max(other.oldest_age);
        self.waited += other.waited;
        self.took += other.took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_defines_every_metric_that_it_holds() {
        let summary = Summary {
            took: Duration::from_micros(12_345),
            oldest_age: Some(Duration::from_secs(61)),
            counts: Counts { cold_start: 1, ..Counts::default() },
            ..Summary::default()
        };
        let line: Value =
            serde_json::from_str(&summary.metrics("Ns", "fn", 1_795_287_540_123, [("ObjectsLeft", Unit::Count, 7)]))
                .expect("JSON");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], 1_795_287_540_123_u64);
        assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("Ns"), &json!([["FunctionName"]])));
        assert_eq!(
            (&line["FunctionName"], &line["Duration"], &line["ColdStart"]),
            (&json!("fn"), &json!(12.345), &json!(1))
        );
        assert_eq!((&line["OldestEventAge"], &line["ObjectsLeft"]), (&json!(61_000.0), &json!(7)));

        let members = line.as_object().expect("an object");
        let definitions = directive["Metrics"].as_array().expect("a list");
        // The limit of a directive is 100.
        assert!(definitions.len() == members.len() - 2 && definitions.len() <= 100);
        for definition in definitions {
            assert!(members.get(definition["Name"].as_str().expect("a name")).is_some_and(Value::is_number));
        }
    }
}
