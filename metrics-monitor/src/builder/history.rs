//! What the builder takes about what a restart keeps.

use std::path::PathBuf;
use std::time::Duration;

use metrics_core::{History, InvalidSetting, Registry};

use super::{Builder, Settings};
use crate::background::history_file::HistoryFile;

/// # What a restart keeps
impl<H> Builder<H> {
    /// Keeps the history of the last 24 hours in this file: written each minute and at the
    /// [shutdown](crate::Monitor::shutdown), read at the start; default: a restart forgets it.
    ///
    /// So windows and charts go on where the process before ended, and `GET history` says when there was none. What is
    /// exported as cumulative, and what is counted since the start or since a reset, begins anew. A process that is
    /// killed loses at most what it counted since the last write.
    ///
    /// A file that is damaged, of a later version of this library or of another service is moved to
    /// `PATH.set-aside`. If another living process writes the file, this one begins without a history, and writes the
    /// file after that process has ended. Neither keeps the service from starting; both are logged as a warning.
    ///
    /// The folder must exist, and should be the service's own. There are also `PATH.tmp`, while the file is written,
    /// and
    /// `PATH.lock`.
    ///
    /// ```no_run
    /// let monitor = metrics_monitor::Builder::new("orders").history_file("/var/lib/orders/history").build()?;
    /// # Ok::<(), metrics_monitor::BuildError>(())
    /// ```
    pub fn history_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.history_file = Some(path.into());
        self
    }

    /// The time between two writes of the [history file](Builder::history_file), 100 ms to 1 h; default: a minute.
    pub fn history_interval(mut self, interval: Duration) -> Self {
        self.settings.history_interval = Some(interval);
        self
    }
}

impl Settings {
    pub(super) fn check_history(&self) -> Result<(), InvalidSetting> {
        if self.history_file.as_ref().is_some_and(|path| path.file_name().is_none()) {
            return Err(InvalidSetting::new(
                "history_file",
                "no name of a file",
                "a path such as \"data/history\"",
            ));
        }
        match self.history_interval {
            Some(_) if self.history_file.is_none() => Err(InvalidSetting::new(
                "history_interval",
                "set without a file",
                "together with history_file",
            )),
            Some(every) if !(Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&every) => {
                Err(InvalidSetting::new("history_interval", format!("{every:?}"), "100 ms to 1 h"))
            }
            _ => Ok(()),
        }
    }

    /// The history, and the file that keeps it, if there is one.
    pub(super) fn open_history(&mut self, registry: &Registry) -> (Option<HistoryFile>, History) {
        match self.history_file.take() {
            Some(path) => {
                let (file, history) = HistoryFile::open(path, &self.service.name, registry);
                (Some(file), history)
            }
            None => (None, History::new(registry.clone())),
        }
    }

    pub(super) fn time_between_writes(&self) -> Duration {
        self.history_interval.unwrap_or(Duration::from_secs(60))
    }
}
