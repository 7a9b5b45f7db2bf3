//! One execution environment: a function's process under a Runtime API, what it takes, and what it holds.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::functions::{BARE, NAIVE};
use crate::loopback::{CLIENT_ID, CLIENT_SECRET, FunctionProcess, Outcome, ParameterStore, RuntimeApi, TokenEndpoint};
use crate::sink::Sink;

/// Time that an invocation has.
const TIMEOUT: Duration = Duration::from_mins(1);
/// A tick of `/proc/PID/stat`: 100 a second, whatever the kernel's own clock.
const TICK: Duration = Duration::from_millis(10);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidate {
    /// Lambda's runtime for Rust, with a handler that drops the event.
    Bare,
    /// The naive implementation.
    Naive,
    /// The function.
    Function,
}

impl Candidate {
    pub(crate) const ALL: [Self; 3] = [Self::Bare, Self::Function, Self::Naive];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "runtime alone",
            Self::Naive => "naive",
            Self::Function => "function",
        }
    }
}

/// The services that functions talk to, and the binaries.
pub(crate) struct World {
    pub(crate) sink: Sink,
    pub(crate) binary: PathBuf,
    this: PathBuf,
    endpoint: TokenEndpoint,
    store: ParameterStore,
}

impl World {
    /// Starts the services for this binary of the function.
    pub(crate) async fn start(binary: PathBuf) -> Result<Self, Box<dyn Error>> {
        let store = ParameterStore::start().await;
        let credentials = json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET});
        store.put("/measure/credentials", &credentials.to_string());
        let endpoint = TokenEndpoint::start().await;
        Ok(Self { sink: Sink::start().await?, binary, this: std::env::current_exe()?, endpoint, store })
    }

    /// Starts a function with these settings over the required ones. It may not have started yet when this returns.
    pub(crate) async fn spawn(&self, candidate: Candidate, settings: &[(&str, &str)]) -> Environment {
        let handler = match candidate {
            Candidate::Bare => BARE,
            Candidate::Naive => NAIVE,
            Candidate::Function => "bootstrap",
        };
        let (token_url, store_url) = (self.endpoint.url(), self.store.url());
        let variables: BTreeMap<String, String> = [
            ("_HANDLER", handler),
            ("ANALYTICS_URL", self.sink.url()),
            ("TOKEN_URL", &token_url),
            ("TOKEN_PARAMETER", "/measure/token"),
            ("CREDENTIALS_PARAMETER", "/measure/credentials"),
            ("AWS_ENDPOINT_URL_SSM", &store_url),
        ]
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        let binary = if candidate == Candidate::Function { &self.binary } else { &self.this };
        let runtime = RuntimeApi::start().await;
        let process = FunctionProcess::spawn(binary, &variables, &runtime);
        Environment { runtime, process }
    }
}

/// A function's process. It ends when this is dropped.
pub(crate) struct Environment {
    runtime: RuntimeApi,
    process: FunctionProcess,
}

impl Environment {
    /// Waits until the function asks for work.
    pub(crate) async fn is_ready(&self) {
        self.runtime.received(1).await;
    }

    /// Invokes the function and returns how long that took, from the hand-over of the payload to the answer.
    ///
    /// # Errors
    /// If the answer is none, or holds a record that was not delivered.
    pub(crate) async fn invoke(&self, payload: &str) -> Result<Duration, Box<dyn Error>> {
        let invocation = self.runtime.invoke(payload.to_owned(), TIMEOUT).await;
        match &invocation.outcome {
            Outcome::Response(answer) if memchr::memmem::find(answer, b"ProcessingFailed").is_none() => {
                Ok(invocation.took)
            }
            other => {
                let lines = self.process.lines().join("\n");
                Err(format!("an invocation failed: {}\n{lines}", brief(other)).into())
            }
        }
    }

    /// Returns the time that all threads have computed so far, in the process and in the kernel for it.
    ///
    /// # Errors
    /// If `/proc` does not tell, or if threads have ended, whose time would be missing.
    pub(crate) fn cpu(&self) -> Result<Duration, Box<dyn Error>> {
        let id = self.process.id().ok_or("the function has ended")?;
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{id}/task"))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += schedstat.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        let cpu = Duration::from_nanos(nanoseconds);
        // The fields of the process's name may hold anything; those behind it are numbers.
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u32 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
        if TICK * ticks > cpu + 3 * TICK {
            return Err("a thread of the function has ended, and its time with it: measure otherwise".into());
        }
        Ok(cpu)
    }

    /// Returns the most bytes that the process has held.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.process.peak_memory_bytes().unwrap_or_default()
    }

    /// Returns the bytes that the process holds.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.process.held_memory_bytes().unwrap_or_default()
    }
}

fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Response(answer) => String::from_utf8_lossy(answer).chars().take(300).collect(),
        other => format!("{other:?}"),
    }
}
