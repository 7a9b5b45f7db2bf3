//! Both functions as processes, each with a Runtime API of its own, between the services that they know.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::faults::Faults;
use crate::loopback::{
    AnalyticsApi, Attributes, CLIENT_ID, CLIENT_SECRET, FunctionProcess, LogGroups, ObjectStore, Outcome,
    ParameterStore, Queue, RuntimeApi, TokenEndpoint, notification,
};
use crate::redrive_world::{BUCKET, redrive_binary, redrive_settings};
use crate::token_crowd::signal;
use crate::world::{CREDENTIALS_PARAMETER, binary, credentials, environment};

/// Time that an invocation has.
const TIMEOUT: Duration = Duration::from_secs(8);

pub(crate) struct Lab {
    pub(crate) analytics: AnalyticsApi,
    pub(crate) endpoint: TokenEndpoint,
    pub(crate) store: ParameterStore,
    pub(crate) objects: ObjectStore,
    pub(crate) queue: Queue,
    _groups: LogGroups,
    settings: BTreeMap<String, String>,
    more: BTreeMap<String, String>,
}

/// What happens to a process while it has an invocation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mishap {
    /// It ends.
    Killed {
        /// From the invocation's begin.
        after: Duration,
    },
    /// It stands still.
    Frozen {
        /// From the invocation's begin.
        after: Duration,
        /// For so long.
        time: Duration,
    },
}

impl Lab {
    pub(crate) async fn start(faults: &Faults, rng: &mut Rng) -> Self {
        let endpoint = TokenEndpoint::start().await;
        let analytics = AnalyticsApi::start_trusting(endpoint.valid()).await;
        analytics.refuse(422, |event| event["fields"]["poison"] == true);
        let store = ParameterStore::start().await;
        store.put(CREDENTIALS_PARAMETER, &credentials(CLIENT_ID, CLIENT_SECRET));
        let (objects, queue) = (ObjectStore::start(BUCKET).await, Queue::start(Attributes::default()).await);
        let (send, twice) = (queue.sender(), faults.twice);
        let own = Mutex::new(rng.fork());
        objects.notify("failed/", move |created| {
            let times = if twice && own.lock().is_ok_and(|mut rng| rng.u8(0..3) == 0) { 2 } else { 1 };
            (0..times).for_each(|_| send(notification::created(created)));
        });
        let (events, attempts) = (rng.usize(1..6).to_string(), rng.usize(1..4).to_string());
        let settings = environment(
            &analytics,
            &endpoint,
            &store,
            &[
                ("MAX_BATCH_EVENTS", events.as_str()),
                ("MAX_ATTEMPTS", attempts.as_str()),
                ("REQUEST_TIMEOUT_MS", faults.request_timeout_ms()),
                ("DELIVERY_CONCURRENCY", "2"),
            ],
        );
        let groups = LogGroups::start().await;
        let more = redrive_settings(&objects, &queue, &groups).into_iter().collect();
        Self { analytics, endpoint, store, objects, queue, _groups: groups, settings, more }
    }

    pub(crate) async fn forwarder(&self) -> Instance {
        Instance::start(binary(), self.settings.clone()).await
    }

    pub(crate) async fn redrive(&self) -> Instance {
        let settings = self.settings.clone().into_iter().chain(self.more.clone());
        Instance::start(redrive_binary(), settings.collect()).await
    }

    /// Has a function take a message that can be received. Nothing if there is none; else whether it is done with.
    pub(crate) async fn take(&self, redrive: &mut Instance, mishap: Option<Mishap>) -> Option<bool> {
        let delivery = self.queue.take(1)?;
        let outcome = redrive.invoke(&delivery.event, mishap).await;
        Some(self.queue.settle(&delivery, &outcome) == 1)
    }

    /// Ends all faults. An operator has changed the credentials, so that nobody waits before asking for a token.
    pub(crate) fn heal(&self) {
        self.analytics.heal();
        self.endpoint.heal();
        self.store.heal();
        self.objects.heal();
        self.queue.heal();
        self.endpoint.set_client("rotated", "also-not-real");
        self.store.put(CREDENTIALS_PARAMETER, &credentials("rotated", "also-not-real"));
    }
}

/// One environment of a function: a process, and another after its end.
pub(crate) struct Instance {
    binary: &'static Path,
    settings: BTreeMap<String, String>,
    runtime: RuntimeApi,
    process: Option<FunctionProcess>,
    /// The lines of the processes that have ended.
    lines: Vec<String>,
    /// Invocations that ended without an answer.
    pub(crate) unanswered: usize,
    pub(crate) invocations: usize,
}

impl Instance {
    async fn start(binary: &'static Path, settings: BTreeMap<String, String>) -> Self {
        let runtime = RuntimeApi::start().await;
        let process = Some(FunctionProcess::spawn(binary, &settings, &runtime));
        Self { binary, settings, runtime, process, lines: Vec::new(), unanswered: 0, invocations: 0 }
    }

    pub(crate) async fn invoke(&mut self, event: &Value, mishap: Option<Mishap>) -> Outcome {
        self.invocations += 1;
        let invocation = self.runtime.invoke(event.to_string(), TIMEOUT);
        let outcome = match (mishap, &self.process) {
            (Some(Mishap::Killed { after }), _) => tokio::select! {
                invocation = invocation => invocation.outcome,
                () = tokio::time::sleep(after) => Outcome::Error(json!({"errorType": "Runtime.ExitError"})),
            },
            (Some(Mishap::Frozen { after, time }), Some(process)) => {
                let freeze = async {
                    tokio::time::sleep(after).await;
                    signal("-STOP", process);
                    tokio::time::sleep(time).await;
                    signal("-CONT", process);
                };
                tokio::join!(invocation, freeze).0.outcome
            }
            _ => invocation.await.outcome,
        };
        if !matches!(outcome, Outcome::Response(_)) {
            self.unanswered += 1;
            self.restart().await;
        }
        outcome
    }

    /// Ends the process and starts another.
    pub(crate) async fn restart(&mut self) {
        self.end().await;
        // A new one, since the old one may still hand an invocation to the process that is gone.
        self.runtime = RuntimeApi::start().await;
        self.process = Some(FunctionProcess::spawn(self.binary, &self.settings, &self.runtime));
    }

    /// Ends the process; returns all lines that were written.
    pub(crate) async fn end(&mut self) -> &[String] {
        if let Some(process) = self.process.take() {
            self.lines.extend(process.kill().await);
        }
        &self.lines
    }
}
