//! What the figures were measured on.

use std::fmt;
use std::fs;
use std::process::Command;
use std::thread;

/// A machine and its compiler.
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    compiler: String,
}

impl Machine {
    /// Asks the kernel and the compiler.
    pub(crate) fn this() -> Self {
        let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let processor = model.map_or(std::env::consts::ARCH, |(_, name)| name).to_owned();
        let version = Command::new("rustc").arg("--version").output();
        let compiler = version.ok().and_then(|told| String::from_utf8(told.stdout).ok()).unwrap_or_default();
        Self {
            processor,
            cores: thread::available_parallelism().map_or(0, usize::from),
            compiler: compiler.trim().to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, compiler } = self;
        write!(f, "{processor}, {cores} cores; {compiler}")
    }
}
