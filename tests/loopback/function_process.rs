//! The built function as a process of its own, in the environment that Lambda gives it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::runtime_api::RuntimeApi;
use super::signature::SECRET_ACCESS_KEY;

/// The log group that the function is told is its own.
pub const LOG_GROUP: &str = "/aws/lambda/forwarder";

/// A function's process. It is killed when this is dropped.
#[derive(Debug)]
pub struct FunctionProcess {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl FunctionProcess {
    /// Starts a binary that asks this Runtime API for its invocations.
    ///
    /// Its environment is what Lambda sets, with static credentials that are none, and `settings` over that; nothing of
    /// this process's own environment.
    ///
    /// # Panics
    /// If the binary cannot be started.
    #[must_use]
    pub fn spawn(binary: &Path, settings: &BTreeMap<String, String>, api: &RuntimeApi) -> Self {
        let mut child = Command::new(binary)
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", api.url().as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "forwarder"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", LOG_GROUP),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[1]00000000000000000000000000000001"),
                ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
                ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
                ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_DEFAULT_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
                ("AWS_SESSION_TOKEN", "not-a-real-session-token"),
                ("_HANDLER", "bootstrap"),
                ("LAMBDA_TASK_ROOT", "/var/task"),
                ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
                ("LANG", "en_US.UTF-8"),
                ("PATH", "/usr/local/bin:/usr/bin/:/bin"),
                ("TZ", ":UTC"),
            ])
            .envs(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the function's binary is built and can be run");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let out = child.stdout.take().map(|out| tokio::spawn(collect(out, Arc::clone(&lines))));
        let err = child.stderr.take().map(|err| tokio::spawn(collect(err, Arc::clone(&lines))));
        Self { child, lines, readers: out.into_iter().chain(err).collect() }
    }

    /// Returns the lines of standard output and standard error so far, in the order in which they came.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the process to end and for its last line. Nothing if it still runs after `limit`.
    ///
    /// # Panics
    /// If the process cannot be waited for.
    pub async fn exit_status(&mut self, limit: Duration) -> Option<ExitStatus> {
        let status = tokio::time::timeout(limit, self.child.wait()).await.ok()?.expect("a child can be waited for");
        for reader in self.readers.drain(..) {
            reader.await.expect("reading lines does not panic");
        }
        Some(status)
    }

    /// Kills the process, as a machine that goes away does, and returns the lines of its life.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn kill(mut self) -> Vec<String> {
        // One that has ended by itself cannot be killed.
        drop(self.child.start_kill());
        self.exit_status(Duration::from_secs(10)).await.expect("what is killed ends");
        self.lines()
    }

    /// Returns the process's id. Nothing once it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns the most bytes of memory that the process has held so far (`VmHWM`). Nothing once it has ended, or where
    /// there is no `/proc`.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        self.memory_bytes("VmHWM:")
    }

    /// Returns the bytes of memory that the process holds (`VmRSS`). Nothing once it has ended, or where there is no
    /// `/proc`.
    #[must_use]
    pub fn held_memory_bytes(&self) -> Option<u64> {
        self.memory_bytes("VmRSS:")
    }

    fn memory_bytes(&self, key: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        memory_bytes(&status, key)
    }
}

fn memory_bytes(status: &str, key: &str) -> Option<u64> {
    let kib = status.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<u64>().ok()? * 1024)
}

async fn collect(stream: impl AsyncRead + Unpin, lines: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream).lines();
    while let Ok(Some(line)) = stream.next_line().await {
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_has_lambdas_environment_and_nothing_else() {
        let api = RuntimeApi::start().await;
        let settings = BTreeMap::from([("ANALYTICS_URL".to_owned(), "https://example.com".to_owned())]);
        let mut process = FunctionProcess::spawn(Path::new("/usr/bin/env"), &settings, &api);
        assert!(process.exit_status(Duration::from_secs(10)).await.unwrap().success());
        let lines = process.lines();
        assert!(lines.contains(&format!("AWS_LAMBDA_RUNTIME_API={}", api.url())));
        assert!(lines.contains(&"ANALYTICS_URL=https://example.com".to_owned()));
        assert!(!lines.iter().any(|line| line.starts_with("CARGO")));
        assert_eq!(process.peak_memory_bytes(), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory_bytes("VmPeak:\t  9 kB\nVmHWM:\t   2048 kB\n", "VmHWM:"), Some(2048 * 1024));
        assert_eq!(memory_bytes("VmPeak:\t  9 kB\n", "VmHWM:"), None);
    }
}
