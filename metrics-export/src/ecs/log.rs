//! Documents as lines, to a file or to stdout.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use metrics_core::InvalidSetting;

use super::document::Documents;
use super::file::RotatingFile;
use crate::push::{Accepted, Exporter, Failed, PushSettings, Window};
use crate::service::Service;

/// Writes errors and summaries as JSON lines of ECS, for Filebeat, Fluent Bit, rsyslog and the like.
#[derive(Debug)]
pub struct EcsLog {
    documents: Documents,
    output: Output,
    settings: PushSettings,
    /// Reused from window to window.
    lines: Vec<u8>,
}

#[derive(Debug)]
enum Output {
    Stdout {
        /// Whether the last line may have been cut off.
        is_torn: bool,
    },
    File(RotatingFile),
}

/// Builds an [`EcsLog`].
///
/// ```no_run
/// use metrics_export::ecs::EcsLog;
/// let log = EcsLog::builder()
///     .path("/var/log/orders/ecs.json") // default: stdout
///     .max_bytes(10 << 20) // then another file begins
///     .kept_files(2)
///     .build()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is written before `build`"]
pub struct EcsLogBuilder {
    path: Option<PathBuf>,
    max_bytes: u64,
    kept_files: usize,
    interval: Duration,
    max_errors: usize,
    top_endpoints: usize,
}

impl EcsLog {
    /// Creates a builder for a log.
    pub fn builder() -> EcsLogBuilder {
        EcsLogBuilder {
            path: None,
            max_bytes: 100 << 20,
            kept_files: 5,
            interval: Duration::from_secs(10),
            max_errors: 1_000,
            top_endpoints: 100,
        }
    }
}

impl EcsLogBuilder {
    /// Sets the file to append to; default: stdout. It is created if it is missing.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets the size at which the file is renamed to `path.1`, in bytes; default: 100 MiB. The lines of one window stay
    /// together.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how many old files are kept; default: 5. Beyond that, the oldest is dropped.
    pub fn kept_files(mut self, files: usize) -> Self {
        self.kept_files = files;
        self
    }

    /// Sets the time between summaries; default: 10 s. Errors are written with them.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the maximum number of waiting errors; default: 1,000. Beyond that, the oldest are dropped and counted.
    pub fn max_errors(mut self, errors: usize) -> Self {
        self.max_errors = errors;
        self
    }

    /// Sets how many of the busiest endpoints have a summary in each window; default: 100.
    pub fn top_endpoints(mut self, endpoints: usize) -> Self {
        self.top_endpoints = endpoints;
        self
    }

    /// Opens the log.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened; the error names it.
    pub fn build(self) -> io::Result<EcsLog> {
        let output = match self.path {
            None => Output::Stdout { is_torn: false },
            Some(path) => {
                let file = RotatingFile::open(path.clone(), self.max_bytes, self.kept_files);
                Output::File(file.map_err(|error| io::Error::new(error.kind(), trouble(&path, &error)))?)
            }
        };
        let settings =
            PushSettings { interval: self.interval, max_errors: self.max_errors, ..PushSettings::default() };
        Ok(EcsLog { documents: Documents::new(self.top_endpoints), output, settings, lines: Vec::new() })
    }
}

impl Exporter for EcsLog {
    fn name(&self) -> &str {
        "ecs-log"
    }

    fn settings(&self) -> PushSettings {
        self.settings.clone()
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.documents.service = service.into();
        Ok(())
    }

    fn export(&mut self, window: &Window, _deadline: Instant) -> Result<Accepted, Failed> {
        self.lines.clear();
        for document in self.documents.of(window) {
            document.append_to(&mut self.lines);
        }
        let written = match &mut self.output {
            Output::Stdout { is_torn } => write_lines(io::stdout().lock(), &self.lines, is_torn)
                .map_err(|error| format!("cannot write to stdout: {error}")),
            Output::File(file) => file.write_lines(&self.lines).map_err(|error| trouble(file.path(), &error)),
        };
        written.map_err(Failed::temporary)?;
        Ok(Accepted::default())
    }
}

/// Why a file cannot be written: its path, the cause, and what to do.
fn trouble(path: &Path, error: &io::Error) -> String {
    let next = match error.kind() {
        io::ErrorKind::NotFound => "; create its directory",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; let this process's user write to it and to its directory"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on its disk",
        io::ErrorKind::IsADirectory => "; name a file in it",
        io::ErrorKind::NotADirectory => "; a part of its path is a file",
        _ => "",
    };
    format!("cannot write {}: {error}{next}", path.display())
}

/// Writes lines. After a write that failed, the next one first ends the line that was cut off.
fn write_lines(mut to: impl Write, lines: &[u8], is_torn: &mut bool) -> io::Result<()> {
    let end: &[u8] = if *is_torn { b"\n" } else { b"" };
    *is_torn = true;
    to.write_all(end).and_then(|()| to.write_all(lines)).and_then(|()| to.flush())?;
    *is_torn = false;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_is_named_with_the_cause_and_the_next_step() {
        let folder = std::env::temp_dir();
        let failed = |path: PathBuf| EcsLog::builder().path(path).build().unwrap_err().to_string();
        let missing = folder.join("no-such-directory/ecs.log");
        let text = format!("cannot write {}: ", missing.display());
        let said = failed(missing);
        assert!(said.starts_with(&text) && said.ends_with("; create its directory"), "{said}");
        if cfg!(unix) {
            assert!(failed(folder).ends_with("; name a file in it"));
            assert!(failed("/dev/null/ecs.log".into()).ends_with("; a part of its path is a file"));
        }
        let full = trouble(Path::new("ecs.log"), &io::ErrorKind::StorageFull.into());
        assert_eq!(full, "cannot write ecs.log: no storage space; make room on its disk");
    }

    #[test]
    fn a_line_that_is_cut_off_does_not_break_the_next() {
        let (mut room, mut written, mut is_torn) = ([0; 6], Vec::new(), false);
        assert!(write_lines(&mut room[..], b"one\ntwo\n", &mut is_torn).is_err());
        written.extend(room);
        write_lines(&mut written, b"one\ntwo\n", &mut is_torn).unwrap();
        write_lines(&mut written, b"three\n", &mut is_torn).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "one\ntw\none\ntwo\nthree\n");
    }
}
