//! The demo service, started as the README says.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::Client;

/// The running demo. Dropping it ends the process.
#[derive(Debug)]
pub struct Example {
    process: Child,
    client: Client,
}

impl Example {
    /// Starts `cargo run --example service` on a free port with these further arguments, and waits until it listens.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with("", arguments)
    }

    /// The same, built with these features of `metrics-actix`.
    pub fn start_with(features: &str, arguments: &[&str]) -> Self {
        let mut process = command(features, &[&["--addr", "127.0.0.1:0"], arguments].concat())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let stdout = process.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let addr = lines
            .find_map(|line| line.split_once("listens on http://").and_then(|(_, addr)| addr.parse().ok()))
            .expect("the demo says where it listens");
        // Keep reading, so that the demo never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, client: Client::new(addr) }
    }

    /// Runs the demo with arguments that make it exit. Returns its exit code and its stderr.
    pub fn refused(arguments: &[&str]) -> (Option<i32>, String) {
        let output = command("", arguments).output().expect("the demo starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.client.addr()
    }

    /// Sends a signal to the process, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{name} cannot be sent");
    }

    /// The process's resident memory, in bytes. Linux only.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number") * 1_024
    }

    /// A client of the demo.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command for the demo's own binary, since killing `cargo` would leave the demo running.
fn command(features: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary(features));
    command.args(arguments);
    command
}

/// Builds the demo, if necessary, and returns its path. It is optimised if the tests are.
fn binary(features: &str) -> PathBuf {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--package", "metrics-actix", "--example", "service"])
        .args(["--profile", profile, "--features", features, "--message-format", "json"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the demo does not build");
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let executables =
        messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut paths = executables.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    paths.next_back().expect("cargo says where it put the demo")
}
