//! A real Redis.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::process::free_port;

/// A running Redis on a free port of its own. Dropping it ends the process and removes its data.
#[derive(Debug)]
pub struct Redis {
    process: Child,
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl Redis {
    /// Starts a Redis that writes nothing to disk.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a Redis with further arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("metrics-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let port = free_port_of_redis();
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let process = spawn(port, &folder, &arguments);
        let redis = Self { process, port, folder, arguments };
        redis.until_up();
        redis
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder for the test's own files, removed with the server.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its URL, as instances are given it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills the process, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again on the same port, with the data on its disk.
    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.folder, &self.arguments);
        self.until_up();
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{name} cannot be sent");
    }

    /// Runs `redis-cli` and returns its output.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sets a string to any bytes.
    pub fn set(&self, key: &str, value: &[u8]) {
        let mut process = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "-x", "set", key])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-cli runs");
        process.stdin.take().expect("it is piped").write_all(value).expect("redis-cli reads");
        assert!(process.wait().is_ok_and(|status| status.success()), "{key} cannot be set");
    }

    fn until_up(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.cli(&["ping"]);
            if answer == "PONG" || answer.contains("NOAUTH") {
                return;
            }
            assert!(Instant::now() < deadline, "Redis does not answer: {answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        // If this fails, the files stay in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A Sentinel that watches a master as `main`. Dropping it ends the process.
#[derive(Debug)]
pub struct Sentinel(Redis);

impl Sentinel {
    /// Starts a Sentinel that promotes a replica once so many of them agree, with further lines of settings.
    pub fn start(master: &Redis, quorum: u32, more: &str) -> Self {
        // It writes its state to its configuration file, so it needs a folder of its own.
        let port = free_port_of_redis();
        let folder = std::env::temp_dir().join(format!("metrics-sentinel-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let settings = folder.join("sentinel.conf");
        let lines = [
            format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {} {quorum}",
                master.port()
            ),
            "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000".to_owned(),
            format!("{more}\n"),
        ];
        std::fs::write(&settings, lines.join("\n")).expect("the folder is writable");
        let process = Command::new("redis-server")
            .arg(settings)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let sentinel = Redis { process, port, folder, arguments: Vec::new() };
        sentinel.until_up();
        Self(sentinel)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Runs `redis-cli` and returns its output.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.0.cli(arguments)
    }
}

fn spawn(port: u16, folder: &Path, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server starts")
}

/// A free port for which port + 10,000 is free, too: a cluster's bus uses that.
pub fn free_port_of_redis() -> u16 {
    loop {
        let port = free_port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}
