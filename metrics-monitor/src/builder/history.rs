//! The builder's settings for what a restart keeps.

use std::path::PathBuf;
#[cfg(feature = "redis")]
use std::sync::Arc;
use std::time::Duration;

use metrics_core::{History, InvalidSetting, Registry};
#[cfg(feature = "redis")]
use metrics_export::fleet::redis::Member;

use super::{Builder, Settings};
use crate::background::history_file::HistoryFile;
#[cfg(feature = "redis")]
use crate::background::history_writer::HistoryWriter;
#[cfg(feature = "redis")]
use crate::background::inherited_history::InheritedHistory;

/// # What a restart keeps
impl<H> Builder<H> {
    /// Keeps the history of the last 24 hours in this file, which is written every minute and at the
    /// [shutdown](crate::Monitor::shutdown), and read at the start; default: a restart loses the history.
    ///
    /// So windows and charts continue where the previous process ended, and `GET history` says when there was none.
    /// What is exported as cumulative, and what is counted since the start or since a reset, starts over. A process
    /// that is killed loses at most what it counted since the last write.
    ///
    /// A file that is damaged, from a later version of this library or from another service is moved to
    /// `PATH.set-aside`. If another running process writes the file, this one starts without a history, and writes the
    /// file once that process has ended. Neither prevents the service from starting; both are logged as a warning.
    ///
    /// The folder must exist, and should be the service's own. It also gets `PATH.lock`, and `PATH.tmp` while the file
    /// is written.
    ///
    /// ```no_run
    /// let monitor = metrics_monitor::Builder::new("orders").history_file("/var/lib/orders/history").build()?;
    /// # Ok::<(), metrics_monitor::BuildError>(())
    /// ```
    pub fn history_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.history_file = Some(path.into());
        self
    }

    /// Sets the time between two writes of the [history file](Builder::history_file), 100 ms to 1 h; default: a minute.
    pub fn history_interval(mut self, interval: Duration) -> Self {
        self.settings.history_interval = Some(interval);
        self
    }
}

/// # What a restart keeps
#[cfg(feature = "redis")]
impl<H> Builder<H> {
    /// Sets the key under which this instance keeps its history of the last 24 hours in a [fleet](Builder::fleet), 1 to
    /// 64 letters, digits and `-._`; default: the instance's name. It continues the history of the previous instance
    /// with the same key. With a [history file](Builder::history_file), that file is used instead.
    ///
    /// The history is in Redis: at most 256 KiB, written every minute (see [`Builder::history_interval`]) and at the
    /// [shutdown](crate::Monitor::shutdown). Windows and charts of this instance continue where the previous one ended,
    /// at once or, if that was killed, up to four intervals of the fleet later. The totals of the fleet count nothing
    /// twice. If an instance with the same key is running, this one starts without a history and logs a warning.
    pub fn history_key(mut self, key: impl Into<String>) -> Self {
        self.settings.history_key = Some(key.into());
        self
    }
}

impl Settings {
    pub(super) fn check_history(&self) -> Result<(), InvalidSetting> {
        if self.history_file.as_ref().is_some_and(|path| path.file_name().is_none()) {
            return Err(InvalidSetting::new(
                "history_file",
                "not a file name",
                "a path such as \"data/history\"",
            ));
        }
        #[cfg(feature = "redis")]
        self.check_history_key()?;
        match self.history_interval {
            Some(_) if self.history_file.is_none() && !self.has_fleet() => Err(InvalidSetting::new(
                "history_interval",
                "set without a file",
                "together with history_file or a fleet",
            )),
            Some(every) if !(Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&every) => {
                Err(InvalidSetting::new("history_interval", format!("{every:?}"), "100 ms to 1 h"))
            }
            _ => Ok(()),
        }
    }

    #[cfg(feature = "redis")]
    fn check_history_key(&self) -> Result<(), InvalidSetting> {
        let Some(key) = &self.history_key else { return Ok(()) };
        if self.history_file.is_some() || self.fleet.is_none() {
            let value = if self.fleet.is_none() { "set without a fleet" } else { "set with a history_file" };
            return Err(InvalidSetting::new("history_key", value, "in a fleet, without a history_file"));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if (1..=64).contains(&key.len()) && key.bytes().all(is_plain) {
            return Ok(());
        }
        Err(InvalidSetting::new("history_key", format!("{key:?}"), "1 to 64 letters, digits and -._"))
    }

    /// Starts to wait for the history that a fleet keeps.
    #[cfg(feature = "redis")]
    pub(super) fn start_inheriting(
        &self,
        member: &Member,
        history: &Arc<History>,
    ) -> std::io::Result<HistoryWriter> {
        let (saved, every) = (member.saved_history(self.history_key.as_deref()), self.time_between_writes());
        let history = InheritedHistory::new(saved, Arc::clone(history), &self.service.name, every);
        history.start()
    }

    #[cfg(not(feature = "redis"))]
    fn has_fleet(&self) -> bool {
        false
    }

    #[cfg(feature = "redis")]
    fn has_fleet(&self) -> bool {
        self.fleet.is_some()
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
