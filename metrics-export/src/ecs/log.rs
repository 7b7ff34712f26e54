//! Documents as lines, to a file or to the standard output.

use std::io::{self, Write};
use std::path::PathBuf;
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
    /// Kept, so that it is made once.
    lines: Vec<u8>,
}

#[derive(Debug)]
enum Output {
    Stdout {
        /// Whether a line may have been cut off.
        is_torn: bool,
    },
    File(RotatingFile),
}

/// Builds an [`EcsLog`].
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
    /// Builds a log.
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
    /// The file to write to; default: the standard output. It is made if it is not there, and gone on with if it is.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The size at which the file is put aside as `path.1`, in bytes; default 100 MiB. What one window writes is never
    /// divided.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Files that are kept aside; default 5. The oldest goes when there are more.
    pub fn kept_files(mut self, files: usize) -> Self {
        self.kept_files = files;
        self
    }

    /// From one summary to the next; default 10 s. Errors are written with them.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Errors that wait at most; default 1,000. The oldest make room, and are counted.
    pub fn max_errors(mut self, errors: usize) -> Self {
        self.max_errors = errors;
        self
    }

    /// Endpoints of which each window has a summary, those with the most calls; default 100.
    pub fn top_endpoints(mut self, endpoints: usize) -> Self {
        self.top_endpoints = endpoints;
        self
    }

    /// Makes the log.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn build(self) -> io::Result<EcsLog> {
        let output = match self.path {
            None => Output::Stdout { is_torn: false },
            Some(path) => Output::File(RotatingFile::open(path, self.max_bytes, self.kept_files)?),
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
            Output::Stdout { is_torn } => write_lines(io::stdout().lock(), &self.lines, is_torn),
            Output::File(file) => file.write_lines(&self.lines),
        };
        // The kind alone: what the system says can hold a path.
        written.map_err(|error| Failed::temporary(error.kind().to_string()))?;
        Ok(Accepted::default())
    }
}

/// Writes lines. Where they could not be written whole, the next ones begin with the end of the one that was cut off.
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
    fn a_line_that_is_cut_off_does_not_take_the_next_one_with_it() {
        let (mut room, mut written, mut is_torn) = ([0; 6], Vec::new(), false);
        assert!(write_lines(&mut room[..], b"one\ntwo\n", &mut is_torn).is_err());
        written.extend(room);
        write_lines(&mut written, b"one\ntwo\n", &mut is_torn).unwrap();
        write_lines(&mut written, b"three\n", &mut is_torn).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "one\ntw\none\ntwo\nthree\n");
    }
}
