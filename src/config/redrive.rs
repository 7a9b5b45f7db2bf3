//! What the second function is told besides the settings of the first: where failed records are kept, and the queue that tells of
//! them.

use super::reader::Reader;
use super::{Settings, SettingsError};

/// Where failed records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedriveSettings {
    /// `FAILED_BUCKET`: the bucket.
    pub bucket: String,
    /// `FAILED_PREFIX`: what the keys of failed records begin with.
    pub failed_prefix: String,
    /// `PARKED_PREFIX`: what the keys of records begin with that would fail again.
    pub parked_prefix: String,
    /// `REDRIVE_QUEUE_URL`: the queue of the notifications of failed records.
    pub queue_url: String,
}

impl RedriveSettings {
    /// Reads the settings of both functions from `environment`, which returns a variable's value.
    ///
    /// # Errors
    /// Every problem of every variable, in one error.
    pub fn read(environment: impl Fn(&str) -> Option<String>) -> Result<(Settings, Self), SettingsError> {
        let settings = Settings::read(&environment);
        let mut reader = Reader::new(environment);
        let bucket = reader.required("FAILED_BUCKET");
        let [failed_prefix, parked_prefix] = [("FAILED_PREFIX", "failed/"), ("PARKED_PREFIX", "parked/")]
            .map(|(variable, default)| reader.prefix(variable, default));
        if failed_prefix.starts_with(&parked_prefix) || parked_prefix.starts_with(&failed_prefix) {
            reader.problem("PARKED_PREFIX", "must not lie within FAILED_PREFIX, nor that within this");
        }
        let queue_url = reader.absolute_url("REDRIVE_QUEUE_URL");
        match (settings, bucket, queue_url) {
            (Ok(settings), Some(bucket), Some(queue_url)) if reader.problems.is_empty() => {
                Ok((settings, Self { bucket, failed_prefix, parked_prefix, queue_url }))
            }
            (settings, ..) => {
                let mut problems = settings.err().map(|error| error.problems).unwrap_or_default();
                problems.append(&mut reader.problems);
                Err(SettingsError { problems })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [(&str, &str); 4] = [
        ("ANALYTICS_URL", "https://analytics.example.com/v1/events"),
        ("AUTH", "none"),
        ("FAILED_BUCKET", "bucket"),
        ("REDRIVE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/queue"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<(Settings, RedriveSettings), Vec<&'static str>> {
        let of = |settings: &[(&str, &str)], name: &str| {
            settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        RedriveSettings::read(|name| of(changes, name).or_else(|| of(&REQUIRED, name)))
            .map_err(|error| error.problems.iter().map(|problem| problem.variable).collect())
    }

    #[test]
    fn prefixes_have_defaults_and_the_rest_has_none() {
        let (_, redrive) = read(&[]).expect("the required settings are there");
        assert_eq!((redrive.failed_prefix.as_str(), redrive.parked_prefix.as_str()), ("failed/", "parked/"));
        let all = [("ANALYTICS_URL", ""), ("FAILED_BUCKET", ""), ("REDRIVE_QUEUE_URL", ""), ("FAILED_PREFIX", "x")];
        let problems = read(&all).map(drop).expect_err("all problems");
        assert_eq!(problems, ["ANALYTICS_URL", "FAILED_BUCKET", "FAILED_PREFIX", "REDRIVE_QUEUE_URL"]);
    }

    #[test]
    fn prefixes_are_folders_beside_each_other() {
        for (changes, expected) in [
            ([("FAILED_PREFIX", "failed"), ("PARKED_PREFIX", "")], "FAILED_PREFIX"),
            ([("FAILED_PREFIX", "/failed/"), ("PARKED_PREFIX", "")], "FAILED_PREFIX"),
            ([("FAILED_PREFIX", "a/"), ("PARKED_PREFIX", "a/b/")], "PARKED_PREFIX"),
            ([("FAILED_PREFIX", "a/"), ("PARKED_PREFIX", "a/")], "PARKED_PREFIX"),
        ] {
            assert_eq!(read(&changes).map(drop), Err(vec![expected]), "{changes:?}");
        }
        for url in ["queue", "arn:aws:sqs:eu-west-1:123456789012:queue", "ftp://host/queue"] {
            assert_eq!(read(&[("REDRIVE_QUEUE_URL", url)]).map(drop), Err(vec!["REDRIVE_QUEUE_URL"]), "{url}");
        }
    }
}
