//! A service in a process of its own, which is this program again.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::service::{LAST_WORDS, LISTENS};

/// Longer than an end takes: the grace of the server, and the last figures.
pub(crate) const END: Duration = Duration::from_secs(60);

/// A running service. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) addr: SocketAddr,
    child: Child,
    words: Option<JoinHandle<Option<Value>>>,
}

impl Program {
    /// Starts what this argument names, with these settings, and waits until it listens.
    pub(crate) fn start(what: &str, settings: &Value) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| format!("the program's own path: {error}"))?;
        let mut command = Command::new(program);
        // In a group of its own, so that Ctrl-C reaches the soak alone.
        command.args([what, &settings.to_string()]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("the service does not start: {error}"))?;
        let stdout = child.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let Some(addr) = lines.find_map(|line| line.strip_prefix(LISTENS)?.parse().ok()) else {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            return Err("the service does not say where it listens".to_owned());
        };
        let words = std::thread::spawn(move || {
            lines.filter_map(|line| serde_json::from_str(line.strip_prefix(LAST_WORDS)?).ok()).last()
        });
        Ok(Self { addr, child, words: Some(words) })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process, as a crash would.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends the process with a signal. Returns its status and its last words.
    pub(crate) fn end(&mut self, signal: &str) -> Result<(ExitStatus, Value), String> {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.id().to_string()]).status();
        if !sent.is_ok_and(|status| status.success()) {
            return Err(format!("{signal} cannot be sent"));
        }
        let deadline = Instant::now() + END;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                _ => return Err(format!("it has not ended {END:?} after {signal}")),
            }
        };
        // One pipe less for each life.
        drop(self.child.stdin.take());
        let words = self.words.take().and_then(|words| words.join().ok().flatten());
        Ok((status, words.ok_or_else(|| format!("it said nothing at its end: {status}"))?))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
