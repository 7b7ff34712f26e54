//! Other programs that tests start, and what they need: a free port, a folder, patience.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running program. Dropping it ends its process, also when a test fails.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts a program, without its output.
    ///
    /// # Panics
    ///
    /// If it is not installed.
    pub fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}")))
    }

    /// Waits until `ready` returns something.
    ///
    /// # Panics
    ///
    /// When the program ends first, or after 60 s.
    pub fn until<T>(&mut self, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        until(what, || {
            if let Ok(Some(status)) = self.0.try_wait() {
                panic!("it ended with {status} before this: {what}");
            }
            ready()
        })
    }

    /// Asks the process to end, as an operating system does, and waits for its end.
    ///
    /// # Panics
    ///
    /// When that takes more than 60 s.
    pub fn terminate(&mut self) -> ExitStatus {
        let sent = Command::new("kill").arg(self.0.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal cannot be sent");
        until("the process ends", || self.0.try_wait().expect("it can be waited for"))
    }

    /// Kills the process, as a crash would.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A temporary folder. Dropping it removes it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a folder with this word in its name.
    pub fn new(name: &str) -> Self {
        let unique = RandomState::new().hash_one(name);
        let path = std::env::temp_dir().join(format!("metrics-{name}-{unique:x}"));
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("the temporary folder is writable");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If that fails, it stays in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Asks every 50 ms until `ready` returns something.
///
/// # Panics
///
/// After 60 s.
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A program of the Python installation that the tests use: that of `METRICS_TEST_PYTHON`, by default `python3`.
/// `python` is Python itself.
pub fn python(program: &str) -> Command {
    let python = std::env::var("METRICS_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    match program {
        "python" => Command::new(python),
        _ => Command::new(Path::new(&python).with_file_name(program)),
    }
}
