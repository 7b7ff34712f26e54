//! The machine that the figures were measured on.

use std::process::Command;
use std::thread::available_parallelism;
use std::{fmt, fs};

use serde::Serialize;

/// The machine and the compiler. Unknown values are `unknown` or 0.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// The output of `rustc --version`.
    pub rustc: String,
}

impl Machine {
    /// Reads those of this machine.
    pub fn this() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            cpu: cpu_model().unwrap_or_else(unknown),
            cores: available_parallelism().map_or(0, Into::into),
            rustc: rustc_version().unwrap_or_else(unknown),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, rustc } = self;
        write!(f, "{cpu}, {cores} cores; {rustc}")
    }
}

fn cpu_model() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn rustc_version() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
