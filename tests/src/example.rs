//! The demo service, started as the README says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Client;
use crate::process::until;

/// The running demo. Dropping it ends the process.
#[derive(Debug)]
pub struct Example {
    process: Child,
    client: Client,
    /// What it writes to stderr, which the tests show, too.
    said: Option<JoinHandle<String>>,
}

impl Example {
    /// Starts `cargo run --example service` on a free port with these further arguments, and waits until it listens.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(Features::Default, arguments, &[])
    }

    /// The same, built with all features that the tests use.
    pub fn full(arguments: &[&str]) -> Self {
        Self::spawn(Features::OfTests, arguments, &[])
    }

    /// The same, with these variables in its environment.
    pub fn full_in(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::spawn(Features::OfTests, arguments, environment)
    }

    /// The same of another build: the demo's program.
    pub fn of(program: &Path, arguments: &[&str]) -> Self {
        Self::listening(launch(program, arguments, &[]))
    }

    fn spawn(features: Features, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::listening(with_binary(features, |binary| launch(binary, arguments, environment)))
    }

    /// Waits until it listens.
    fn listening(mut process: Child) -> Self {
        let stdout = process.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let addr = lines
            .find_map(|line| line.split_once("listens on http://").and_then(|(_, addr)| addr.parse().ok()));
        let mut stderr = process.stderr.take().expect("its stderr is piped");
        let Some(addr) = addr else {
            let mut said = String::new();
            let read = stderr.read_to_string(&mut said);
            panic!("the demo ended ({:?}) without saying where it listens: {said} {read:?}", process.wait());
        };
        // Keep reading, so that the demo never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let said = std::thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            lines.fold(String::new(), |said, line| {
                eprintln!("{line}");
                said + &line + "\n"
            })
        });
        Self { process, client: Client::to(addr), said: Some(said) }
    }

    /// Runs the demo, built with all features that the tests use, under another program until it ends.
    ///
    /// # Panics
    ///
    /// When it runs for longer than 60 s.
    pub fn run_under(wrapper: &[&str], arguments: &[&str]) -> ExitStatus {
        let mut process = with_binary(Features::OfTests, |binary| {
            let mut command = Command::new(wrapper[0]);
            command.args(&wrapper[1..]).arg(binary).args(["--addr", "127.0.0.1:0"]).args(arguments);
            command.stdout(Stdio::null()).spawn().expect("the other program is installed")
        });
        until("the demo ends", || process.try_wait().expect("it can be waited for"))
    }

    /// Waits until the process has ended by itself. Returns what it wrote to stderr.
    ///
    /// # Panics
    ///
    /// When it runs for longer than the timeout.
    pub fn wait_until_ended(&mut self, timeout: Duration) -> String {
        let deadline = Instant::now() + timeout;
        while self.process.try_wait().expect("the process can be asked").is_none() {
            assert!(Instant::now() < deadline, "the demo has not ended after {timeout:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.said.take().map(|said| said.join().expect("its stderr is read")).unwrap_or_default()
    }

    /// Runs the demo with arguments that make it exit. Returns its exit code and its stderr.
    pub fn refused(arguments: &[&str]) -> (Option<i32>, String) {
        let run = |binary: &Path| Command::new(binary).args(arguments).output();
        let output = with_binary(Features::Default, run).expect("the demo starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.client.addr()
    }

    /// Stops it as Ctrl-C does, so that it sends its last figures. Returns its exit code.
    ///
    /// # Panics
    ///
    /// When that takes more than 60 s.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("INT");
        until("the demo stops", || self.process.try_wait().expect("it can be waited for")).code()
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

fn launch(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
    let mut command = Command::new(program);
    command.args(["--addr", "127.0.0.1:0"]).args(arguments).envs(environment.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the demo starts")
}

/// What the demo is built with.
#[derive(Debug, Clone, Copy)]
enum Features {
    /// The default features, as in README.
    Default,
    /// Those that the workspace turns on, as for the tests, so that nothing is compiled twice.
    OfTests,
}

/// Calls `run` with the path of the demo's own binary, since killing `cargo` would leave the demo running.
fn with_binary<T>(features: Features, run: impl FnOnce(&Path) -> T) -> T {
    // Both binaries have the same path, so the other one is not built before this one runs: neither by another test of
    // this process nor by another process of tests.
    static BUILD: Mutex<()> = Mutex::new(());
    let _guard = BUILD.lock().unwrap_or_else(PoisonError::into_inner);
    let lock =
        File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("the manifest can be read");
    lock.lock().expect("the manifest can be locked");
    run(&binary(features))
}

/// Builds the demo, if necessary, and returns its path. It is optimised if the tests are.
fn binary(features: Features) -> PathBuf {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // Those of the outer cargo describe the tests' package. Build scripts that read them would run again, here and in
    // the next build of the outer cargo, with all that depends on them.
    for (name, _) in std::env::vars_os() {
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"];
        if of_package.iter().any(|of| name.to_string_lossy().starts_with(of)) {
            build.env_remove(name);
        }
    }
    let output = build
        .args(["build", "--quiet", "--example", "service", "--profile", profile, "--message-format", "json"])
        .args(match features {
            Features::Default => &["--package", "metrics-actix"][..],
            Features::OfTests => &["--workspace"],
        })
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
