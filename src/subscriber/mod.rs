//! The third function: it subscribes log groups by what they are called or tagged, those of today and those of tomorrow.
//!
//! ```text
//! every hour, and for a group that was made ─► wanted? ─► our filter as it should be? ─► PutSubscriptionFilter
//! when the stack goes, or the names change  ─► no longer wanted? ────────────────────► DeleteSubscriptionFilter
//! ```
//!
//! It knows its filters by their one name, and touches no other. It goes through the groups at four a second, as CloudWatch Logs
//! takes five such requests a second from a whole account; a group that fails costs no other. What is not done when its time is
//! over is left to the next sweep, which begins elsewhere.

mod event;

use std::time::{Duration, Instant};

use aws_config::ConfigLoader;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use thiserror::Error;
use tracing::{error, info, warn};

use self::event::{Event, Resource};
use crate::aws::{Aws, AwsError, Filter, LogGroups};
use crate::client::{Client, Reuse};
use crate::config::{SubscriberSettings, Wanted};
use crate::counts::Unit;
use crate::forwarder::sdk_config;
use crate::head::is_execution_log_group;
use crate::log::Brief;
use crate::process::StartError;
use crate::retry::Deadline;
use crate::summary;

/// Time between two requests of one kind.
const PACE: Duration = Duration::from_millis(250);

/// What is kept of an invocation's time to answer CloudFormation.
const RESERVE: Duration = Duration::from_secs(10);

/// For how long after it has fallen silent a group is told of.
const TOLD_FOR: Duration = Duration::from_hours(24);

/// Groups that a sweep has time for, about; where there are more, each begins elsewhere.
const GROUPS_A_SWEEP: usize = 3000;

/// Failures that are logged one by one.
const MAX_LOGGED: usize = 10;

/// Names in an answer.
const MAX_NAMED: usize = 100;

/// An invocation that asks for nothing that is done here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "neither a schedule, nor a log group that was made, nor {{\"sweep\":{{}}}} or {{\"release\":{{}}}}, nor CloudFormation"
)]
pub struct EventError;

/// What was done, by groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Groups that are wanted.
    matched: usize,
    /// Of these, the ones that have been subscribed, or would be.
    added: usize,
    /// Groups whose filter was taken away, or would be.
    removed: usize,
    /// Groups that have all the filters that a group can have.
    full: usize,
    /// Groups that failed otherwise.
    failed: usize,
    /// Of these, the ones that the role may not write to: it has put no filter there, either.
    denied: usize,
    /// Groups that have fallen silent lately.
    silent: usize,
    /// Groups for which there was no time.
    left: usize,
    /// The names of those that changed, the first of them.
    changed: Vec<String>,
    /// The first problems.
    problems: Vec<String>,
}

impl Books {
    /// Returns the metrics.
    #[must_use]
    pub fn metrics(&self) -> [(&'static str, Unit, usize); 7] {
        [
            ("GroupsMatched", Unit::Count, self.matched),
            ("GroupsAdded", Unit::Count, self.added),
            ("GroupsRemoved", Unit::Count, self.removed),
            ("GroupsFull", Unit::Count, self.full),
            ("GroupsFailed", Unit::Count, self.failed),
            ("GroupsSilent", Unit::Count, self.silent),
            ("GroupsLeft", Unit::Count, self.left),
        ]
    }

    fn answer(&self) -> Value {
        json!({
            "matched": self.matched, "added": self.added, "removed": self.removed, "full": self.full,
            "failed": self.failed, "silent": self.silent, "left": self.left, "changed": self.changed,
            "problems": self.problems,
        })
    }

    fn changed(&mut self, group: &str) {
        if self.changed.len() < MAX_NAMED {
            self.changed.push(group.to_owned());
        }
    }

    fn failed(&mut self, group: &str, reason: &AwsError) {
        let is_full = reason.is_code("LimitExceededException");
        *(if is_full { &mut self.full } else { &mut self.failed }) += 1;
        self.denied += usize::from(reason.is_code("AccessDeniedException"));
        if self.problems.len() < MAX_LOGGED {
            let what = if is_full { "it has as many filters as a log group can have" } else { "it failed" };
            error!(log_group = %Brief(group), reason = %reason, "log group not subscribed: {what}");
            self.problems.push(format!("{group}: {what}: {reason}"));
        }
    }
}

/// Lets requests of one kind pass at a pace.
#[derive(Debug, Default)]
struct Pace(Option<Instant>);

impl Pace {
    async fn turn(&mut self) {
        if let Some(next) = self.0 {
            tokio::time::sleep_until(next.into()).await;
        }
        self.0 = Some(Instant::now() + PACE);
    }
}

/// The function.
#[derive(Debug)]
pub struct Subscriber {
    settings: SubscriberSettings,
    log_groups: LogGroups,
    client: Client,
}

impl Subscriber {
    /// Sets the clients up. Nothing goes over the network before the first event.
    ///
    /// # Errors
    /// If no client can be made of the settings.
    pub async fn from_settings(settings: SubscriberSettings, aws: ConfigLoader) -> Result<Self, StartError> {
        let client = Client::new(settings.ca_file.as_deref())?;
        let sdk = Box::pin(sdk_config(settings.request_timeout, client.clone(), aws)).await;
        let aws = Aws::new(client.clone(), &sdk, settings.request_timeout);
        let log_groups = LogGroups::new(aws, &sdk).await.map_err(StartError::Endpoint)?;
        Ok(Self { settings, log_groups, client })
    }

    /// Handles an invocation. CloudFormation is answered whatever happens, in the way that it wants.
    ///
    /// `now` is the time, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// If the invocation asks for nothing that is done here.
    pub async fn handle(&self, payload: &str, now: i64, deadline: Deadline) -> Result<(Value, Books), EventError> {
        let mut books = Books::default();
        let work = deadline.or_after(
            deadline.allows(Duration::MAX, Instant::now()).unwrap_or_default().saturating_sub(RESERVE),
            Instant::now(),
        );
        let wanted = &self.settings.wanted;
        match Event::parse(payload).ok_or(EventError)? {
            Event::Sweep { is_dry } => self.sweep(is_dry || self.settings.is_dry, now, work, &mut books).await,
            Event::Release => self.release(wanted, &[], work, &mut books).await,
            Event::Created(group) if wanted.has(&group) => self.made(&group, work, &mut books).await,
            Event::Created(_) | Event::Nothing => {}
            Event::Resource(resource) => {
                match resource.request_type.as_str() {
                    "Delete" => self.release(wanted, &[], work, &mut books).await,
                    "Update" => {
                        let before = resource.old_resource_properties.wanted();
                        if let Some(kept) = self.names(wanted, work, &mut books).await {
                            self.release(&before, &kept, work, &mut books).await;
                        }
                        self.sweep(self.settings.is_dry, now, work, &mut books).await;
                    }
                    _ => self.sweep(self.settings.is_dry, now, work, &mut books).await,
                }
                self.answer(&resource, &books, deadline).await;
            }
        }
        let Books { matched, added, removed, full, failed, silent, left, .. } = books;
        info!(matched, added, removed, full, failed, silent, left, "log groups settled");
        Ok((books.answer(), books))
    }

    /// Makes the line of embedded metrics of an invocation at `now`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn metrics(&self, books: &Books, now: u64) -> String {
        let metrics = books.metrics().map(|(name, unit, value)| (name, unit, value.into()));
        summary::embedded(&self.settings.metrics_namespace, &self.settings.function_name, now, metrics)
    }

    /// Returns the filter that a group is to have.
    fn filter(&self, group: &str) -> Filter {
        let [access, execution] = &self.settings.filter_patterns;
        let pattern = if is_execution_log_group(group) { execution } else { access };
        Filter {
            filter_name: self.settings.filter_name.clone(),
            filter_pattern: pattern.clone(),
            destination_arn: self.settings.destination_arn.clone(),
            role_arn: Some(self.settings.role_arn.clone()),
        }
    }

    /// Returns the names of groups that are wanted, in their order; `None` if they cannot be told.
    async fn names(&self, wanted: &Wanted, deadline: Deadline, books: &mut Books) -> Option<Vec<String>> {
        if wanted.is_nothing() {
            return Some(Vec::new());
        }
        match self.log_groups.names(&wanted.tags, deadline).await {
            Ok(mut names) => {
                names.retain(|name| wanted.has(name));
                names.sort_unstable();
                names.dedup();
                Some(names)
            }
            Err(error) => {
                books.failed("all log groups", &error);
                None
            }
        }
    }

    /// Subscribes every group that is wanted and not yet subscribed.
    async fn sweep(&self, is_dry: bool, now: i64, deadline: Deadline, books: &mut Books) {
        let Some(names) = self.names(&self.settings.wanted, deadline, books).await else { return };
        books.matched = names.len();
        let (mut look, mut write) = (Pace::default(), Pace::default());
        for group in from_anywhere(&names) {
            if deadline.allows(Duration::MAX, Instant::now()).is_none() {
                books.left += 1;
                continue;
            }
            look.turn().await;
            let wanted = self.filter(group);
            match self.log_groups.filter(group, &wanted.filter_name, deadline).await {
                Ok(Some(filter)) if filter == wanted => self.listen(group, now, deadline, books).await,
                Ok(_) => self.put(group, &wanted, is_dry, &mut write, deadline, books).await,
                Err(error) => gone_or_failed(group, &error, books),
            }
        }
        if books.left > 0 {
            warn!(left = books.left, "no time left: the next sweep goes on");
        }
    }

    async fn put(
        &self,
        group: &str,
        filter: &Filter,
        is_dry: bool,
        pace: &mut Pace,
        deadline: Deadline,
        books: &mut Books,
    ) {
        if !is_dry {
            pace.turn().await;
            if let Err(error) = self.log_groups.put_filter(group, filter, deadline).await {
                return gone_or_failed(group, &error, books);
            }
            info!(log_group = %Brief(group), "log group subscribed");
        }
        books.added += 1;
        books.changed(group);
    }

    /// Subscribes a group that was just made.
    async fn made(&self, group: &str, deadline: Deadline, books: &mut Books) {
        if !self.settings.wanted.tags.is_empty() {
            // Which tags it has, the next sweep finds out.
            return;
        }
        books.matched = 1;
        self.put(group, &self.filter(group), self.settings.is_dry, &mut Pace::default(), deadline, books).await;
    }

    /// Counts a group that has been without events for long.
    async fn listen(&self, group: &str, now: i64, deadline: Deadline, books: &mut Books) {
        let Some(limit) = self.settings.silent_after else { return };
        match self.log_groups.last_event(group, deadline).await {
            Ok(last) => {
                // One that has been silent for longer was told, and would hide the next.
                let age = last.and_then(|last| u64::try_from(now.saturating_sub(last)).ok());
                let lately = limit..limit.saturating_add(TOLD_FOR);
                if age.is_some_and(|age| lately.contains(&Duration::from_millis(age))) {
                    books.silent += 1;
                    if books.silent <= MAX_LOGGED {
                        warn!(log_group = %Brief(group), last_event_age_ms = age, "log group silent: no events for long");
                    }
                }
            }
            Err(error) => gone_or_failed(group, &error, books),
        }
    }

    /// Takes our filter from the groups that were wanted, but for those that are kept, in their order.
    async fn release(&self, wanted: &Wanted, kept: &[String], deadline: Deadline, books: &mut Books) {
        let mut pace = Pace::default();
        let names = self.names(wanted, deadline, books).await.unwrap_or_default();
        for group in from_anywhere(&names).filter(|group| kept.binary_search(group).is_err()) {
            if deadline.allows(Duration::MAX, Instant::now()).is_none() {
                books.left += 1;
                continue;
            }
            if !self.settings.is_dry {
                pace.turn().await;
                match self.log_groups.delete_filter(group, &self.settings.filter_name, deadline).await {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(error) => {
                        books.failed(group, &error);
                        continue;
                    }
                }
            }
            books.removed += 1;
            books.changed(group);
        }
    }

    /// Tells CloudFormation that it is done. A group that failed is told by metrics and alarm: a stack that is rolled back for it
    /// would lose the others. Only filters that stay behind when the stack goes are a failure.
    async fn answer(&self, resource: &Resource, books: &Books, deadline: Deadline) {
        let is_left_behind = resource.request_type == "Delete" && (books.failed > books.denied || books.left > 0);
        let reason = format!(
            "{} subscribed, {} released, {} full, {} failed, {} left: see the log of {}",
            books.added, books.removed, books.full, books.failed, books.left, self.settings.function_name
        );
        let body = json!({
            "Status": if is_left_behind { "FAILED" } else { "SUCCESS" },
            "Reason": reason,
            // One for the stack's life: an update must not look like a replacement, which would delete.
            "PhysicalResourceId": resource.physical_resource_id.as_deref().unwrap_or(&self.settings.filter_name),
            "StackId": resource.stack_id,
            "RequestId": resource.request_id,
            "LogicalResourceId": resource.logical_resource_id,
            "Data": {"Matched": books.matched, "Added": books.added},
        });
        let request = Request::put(&resource.response_url).body(Bytes::from(body.to_string()));
        let request = match request {
            Ok(request) => request,
            Err(error) => return error!(reason = %error, "CloudFormation has named no URL to answer to"),
        };
        for attempt in 1..=3 {
            let Some(timeout) = deadline.allows(self.settings.request_timeout, Instant::now()) else { break };
            match self.client.send(request.clone(), timeout, Reuse::None).await {
                Ok(answer) if answer.status.is_success() => return,
                Ok(answer) => warn!(attempt, status = answer.status.as_u16(), "CloudFormation's answer was not taken"),
                Err(error) => warn!(attempt, reason = %error, "CloudFormation's answer was not taken"),
            }
        }
    }
}

/// Goes through the groups once, from the first on, or from any where there are more than one sweep has time for.
fn from_anywhere(names: &[String]) -> impl Iterator<Item = &String> {
    let start = if names.len() > GROUPS_A_SWEEP { fastrand::usize(..names.len()) } else { 0 };
    names.iter().cycle().skip(start).take(names.len())
}

/// Enters a group that failed, unless it is gone or there was no time for it.
fn gone_or_failed(group: &str, error: &AwsError, books: &mut Books) {
    match error {
        AwsError::Deadline { .. } => books.left += 1,
        error if error.is_code("ResourceNotFoundException") => books.matched = books.matched.saturating_sub(1),
        error => books.failed(group, error),
    }
}
