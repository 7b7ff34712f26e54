//! A server in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{env, io};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::load::LoadError;
use crate::load::cpu::cpu_time;
use crate::middleware::Arm;

/// A server that listens. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    pid: u32,
    url: String,
}

impl Server {
    /// The program `server`, in the same directory as this one.
    pub(crate) fn program() -> Result<PathBuf, LoadError> {
        let path = env::current_exe()?.with_file_name("server");
        if path.is_file() { Ok(path) } else { Err(LoadError::NoServer(path)) }
    }

    /// Starts the arm's server on a free port, and waits until it listens.
    pub(crate) async fn start(program: &Path, arm: Arm, workers: usize) -> Result<Self, LoadError> {
        let mut child = Command::new(program)
            .args(["--arm", arm.name(), "--addr", "127.0.0.1:0", "--workers", &workers.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let ended = || LoadError::ServerEnded { arm: arm.name() };
        let (stdout, pid) = child.stdout.take().zip(child.id()).ok_or_else(ended)?;
        let url = BufReader::new(stdout).lines().next_line().await?.ok_or_else(ended)?;
        Ok(Self { child, pid, url })
    }

    /// The URL of its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The processor time that it has used.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        cpu_time(self.pid)
    }

    /// Stops it and waits until it has ended.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        self.child.kill().await
    }
}
