//! What the third function is told: which log groups it subscribes, and to what.

use std::path::PathBuf;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::SettingsError;
use super::reader::Reader;
use crate::wildcard::Wildcard;

/// Longest silence that can be waited for: CloudWatch Logs keeps groups' times for longer than that.
const MAX_SILENCE: Duration = Duration::from_hours(24 * 30);

/// Which log groups are subscribed, by name and by tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `LOG_GROUP_PATTERNS`: what their names look like; one of these.
    pub patterns: Vec<Wildcard>,
    /// `LOG_GROUP_TAGS`: tags that they have, all of these.
    pub tags: Vec<(String, String)>,
    /// `EXCLUDE_LOG_GROUPS`: what their names do not look like.
    pub exclude: Vec<Wildcard>,
}

impl Wanted {
    /// Reads the three lists, separated by commas or lines. `None` if a tag has no equals sign.
    #[must_use]
    pub fn read(patterns: &str, tags: &str, exclude: &str) -> Option<Self> {
        let wildcards = |text: &str| items(text).map(Wildcard::new).collect();
        let tags = items(tags).map(|tag| {
            let (key, value) = tag.split_once('=')?;
            Some((key.trim().to_owned(), value.trim().to_owned()))
        });
        Some(Self { patterns: wildcards(patterns), tags: tags.collect::<Option<_>>()?, exclude: wildcards(exclude) })
    }

    /// Returns whether nothing is wanted.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.patterns.is_empty() && self.tags.is_empty()
    }

    /// Returns whether a group of this name is wanted, if it has the tags. Those of a forwarder never are: a log that feeds itself
    /// never ends.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let fits = |patterns: &[Wildcard]| patterns.iter().any(|pattern| pattern.fits(name));
        !self.is_nothing()
            && !name.starts_with(OWN_LOG_GROUPS)
            && (self.patterns.is_empty() || fits(&self.patterns))
            && !fits(&self.exclude)
    }
}

/// What the names of all log groups of a forwarder's stack begin with.
const OWN_LOG_GROUPS: &str = "/apigw-log-forwarder/";

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty())
}

/// What the subscriber is told by its environment.
#[derive(Debug, Clone)]
pub struct SubscriberSettings {
    /// Which groups are subscribed.
    pub wanted: Wanted,
    /// `FILTER_NAME`: the name of its filters, by which it knows them.
    pub filter_name: String,
    /// `ACCESS_FILTER_PATTERN`, `EXECUTION_FILTER_PATTERN`: which events of access logs, and of execution logs, are forwarded.
    pub filter_patterns: [String; 2],
    /// `DESTINATION_ARN`: the stream.
    pub destination_arn: String,
    /// `ROLE_ARN`: the role by which CloudWatch Logs writes to it.
    pub role_arn: String,
    /// `DRY_RUN`: whether nothing is changed.
    pub is_dry: bool,
    /// `SILENT_AFTER_SECONDS`: when a group without events counts as silent.
    pub silent_after: Option<Duration>,
    /// `REQUEST_TIMEOUT_MS`: the longest wait for one answer.
    pub request_timeout: Duration,
    /// `LOG_LEVEL`.
    pub log_level: Option<LevelFilter>,
    /// `METRICS_NAMESPACE`.
    pub metrics_namespace: String,
    /// `SSL_CERT_FILE`: further roots that TLS trusts, as PEM.
    pub ca_file: Option<PathBuf>,
    /// `AWS_LAMBDA_FUNCTION_NAME`, set by Lambda: the metrics' dimension.
    pub function_name: String,
}

impl SubscriberSettings {
    /// Reads the settings from `environment`, which returns a variable's value.
    ///
    /// # Errors
    /// Every problem of every variable, in one error.
    pub fn read(environment: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(environment);
        let reader = &mut reader;
        let text = |reader: &Reader<_>, variable| reader.text(variable).unwrap_or_default();
        let lists = ["LOG_GROUP_PATTERNS", "LOG_GROUP_TAGS", "EXCLUDE_LOG_GROUPS"].map(|name| text(reader, name));
        let [patterns, tags, exclude] = &lists;
        let wanted = Wanted::read(patterns, tags, exclude);
        if wanted.is_none() {
            reader.problem("LOG_GROUP_TAGS", "has an entry that is no tag, such as team=payments");
        }
        let filter_name = reader.required("FILTER_NAME");
        let filter_patterns = ["ACCESS_FILTER_PATTERN", "EXECUTION_FILTER_PATTERN"].map(|name| text(reader, name));
        let destination_arn = reader.required("DESTINATION_ARN");
        let role_arn = reader.required("ROLE_ARN");
        let is_dry = reader.word("DRY_RUN", &[("on", true), ("off", false)], false);
        let silent_after = reader.number("SILENT_AFTER_SECONDS", 1, MAX_SILENCE.as_secs()).map(Duration::from_secs);
        let request_timeout = reader.number("REQUEST_TIMEOUT_MS", 1, 900_000).unwrap_or(10_000);
        let log_level = reader.level("LOG_LEVEL");
        let metrics_namespace = reader.namespace("METRICS_NAMESPACE").unwrap_or_else(|| "ApiLogForwarder".to_owned());
        let ca_file = reader.text("SSL_CERT_FILE").map(PathBuf::from);
        let function_name =
            reader.text("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "apigw-log-subscriber".to_owned());
        let required = (wanted, filter_name, destination_arn, role_arn, reader.problems.is_empty());
        let (Some(wanted), Some(filter_name), Some(destination_arn), Some(role_arn), true) = required else {
            return Err(SettingsError { problems: std::mem::take(&mut reader.problems) });
        };
        Ok(Self {
            wanted,
            filter_name,
            filter_patterns,
            destination_arn,
            role_arn,
            is_dry,
            silent_after,
            request_timeout: Duration::from_millis(request_timeout),
            log_level,
            metrics_namespace,
            ca_file,
            function_name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_wanted_by_name_and_never_a_forwarders_own() {
        let wanted =
            Wanted::read("/aws/apigateway/*, API-Gateway-Execution-Logs_*/prod", "", "*/debug\n*-test").unwrap();
        for (name, expected) in [
            ("/aws/apigateway/orders", true),
            ("API-Gateway-Execution-Logs_a1/prod", true),
            ("API-Gateway-Execution-Logs_a1/dev", false),
            ("/aws/apigateway/debug", false),
            ("/aws/apigateway/orders-test", false),
            ("/aws/lambda/orders", false),
        ] {
            assert_eq!(wanted.has(name), expected, "{name}");
        }
        let all = Wanted::read("*", "", "").unwrap();
        assert!(all.has("x") && !all.has("/apigw-log-forwarder/stack/function"));
        let tagged = Wanted::read("", "team=payments, env = prod", "").unwrap();
        assert!(tagged.has("x") && tagged.tags.len() == 2 && !tagged.is_nothing());
        assert!(!Wanted::read("", "", "").unwrap().has("x"));
        assert_eq!(Wanted::read("", "team", ""), None);
    }

    #[test]
    fn all_problems_are_named() {
        let error = SubscriberSettings::read(|name| (name == "LOG_GROUP_TAGS").then(|| "team".to_owned()));
        let problems: Vec<_> = error.expect_err("four").problems.iter().map(|problem| problem.variable).collect();
        assert_eq!(problems, ["LOG_GROUP_TAGS", "FILTER_NAME", "DESTINATION_ARN", "ROLE_ARN"]);
    }
}
