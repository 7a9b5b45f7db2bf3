//! What the subscriber is invoked with: a schedule, a log group that was made, CloudFormation, or an operator.
//!
//! ```text
//! {"detail-type":"Scheduled Event",…}   {"sweep":{}}          all groups that are wanted
//! {"sweep":{"dryRun":true}}                                   what a sweep would do
//! {"release":{}}                                              the filters of all groups that are wanted go
//! {"detail-type":"AWS API Call via CloudTrail","detail":{"eventName":"CreateLogGroup","requestParameters":{"logGroupName":"…"}}}
//! {"RequestType":"Update","ResponseURL":"https://…","ResourceProperties":{"LogGroupPatterns":"…"},"OldResourceProperties":{…}}
//! ```
//!
//! Sources: <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html>,
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html>

use serde::Deserialize;
use serde_json::Value;

use crate::config::Wanted;

/// An invocation.
#[derive(Debug)]
pub(super) enum Event {
    Sweep {
        is_dry: bool,
    },
    Release,
    Created(String),
    Resource(Box<Resource>),
    /// Nothing is to be done.
    Nothing,
}

/// A request of CloudFormation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Resource {
    pub(super) request_type: String,
    #[serde(rename = "ResponseURL")]
    pub(super) response_url: String,
    pub(super) stack_id: String,
    pub(super) request_id: String,
    pub(super) logical_resource_id: String,
    pub(super) physical_resource_id: Option<String>,
    pub(super) old_resource_properties: Properties,
}

/// The properties that say which groups are wanted: as in the environment, which has them already.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Properties {
    log_group_patterns: Value,
    log_group_tags: Value,
    exclude_log_groups: Value,
}

impl Properties {
    /// Returns which groups were wanted. Nothing, if that cannot be told.
    pub(super) fn wanted(&self) -> Wanted {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            _ => String::new(),
        };
        let Self { log_group_patterns, log_group_tags, exclude_log_groups } = self;
        let [patterns, tags, exclude] = [log_group_patterns, log_group_tags, exclude_log_groups].map(text);
        Wanted::read(&patterns, &tags, &exclude).unwrap_or_default()
    }
}

impl Event {
    /// Reads an event. `None` if it asks for nothing that is done here.
    pub(super) fn parse(payload: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(payload).ok()?;
        if event.get("RequestType").is_some() {
            return serde_json::from_value(event).ok().map(Self::Resource);
        }
        if let Some(sweep) = event.get("sweep") {
            return Some(Self::Sweep { is_dry: sweep.get("dryRun").and_then(Value::as_bool).unwrap_or(false) });
        }
        if event.get("release").is_some() {
            return Some(Self::Release);
        }
        match event.get("detail-type")?.as_str()? {
            "Scheduled Event" => Some(Self::Sweep { is_dry: false }),
            "AWS API Call via CloudTrail" => {
                let detail = event.get("detail")?;
                let is_made = detail.get("eventName")? == "CreateLogGroup" && detail.get("errorCode").is_none();
                let name = detail.pointer("/requestParameters/logGroupName").and_then(Value::as_str);
                Some(name.filter(|_| is_made).map_or(Self::Nothing, |name| Self::Created(name.to_owned())))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart() {
        assert!(matches!(Event::parse(r#"{"detail-type":"Scheduled Event"}"#), Some(Event::Sweep { is_dry: false })));
        assert!(matches!(Event::parse(r#"{"sweep":{"dryRun":true}}"#), Some(Event::Sweep { is_dry: true })));
        assert!(matches!(Event::parse(r#"{"release":{}}"#), Some(Event::Release)));
        let created = r#"{"detail-type":"AWS API Call via CloudTrail","detail":{"eventName":"CreateLogGroup","requestParameters":{"logGroupName":"g"}}}"#;
        assert!(matches!(Event::parse(created), Some(Event::Created(name)) if name == "g"));
        let failed = created.replace("\"eventName\"", "\"errorCode\":\"ResourceAlreadyExistsException\",\"eventName\"");
        assert!(matches!(Event::parse(&failed), Some(Event::Nothing)));
        for other in ["", "[]", "{}", r#"{"records":[]}"#, r#"{"detail-type":"Other"}"#] {
            assert!(Event::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_resource_tells_what_was_wanted_before() {
        let update = r#"{"RequestType":"Update","ResponseURL":"https://x","StackId":"s","RequestId":"r","LogicalResourceId":"l",
            "OldResourceProperties":{"ServiceToken":"t","LogGroupPatterns":["/old/*","/older"],"LogGroupTags":""}}"#;
        let Some(Event::Resource(resource)) = Event::parse(update) else { panic!("a resource") };
        let wanted = resource.old_resource_properties.wanted();
        assert!(wanted.has("/old/a") && wanted.has("/older") && !wanted.has("/new"));
        let Some(Event::Resource(odd)) = Event::parse(r#"{"RequestType":"Delete"}"#) else { panic!("a resource") };
        assert!(odd.old_resource_properties.wanted().is_nothing());
    }
}
