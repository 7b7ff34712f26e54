//! The file that keeps a history over restarts.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use metrics_core::{History, Registry};

use super::history_writer::{HistoryWriter, Last};
use super::saved_file::{self, MAX_PAYLOAD, Refused};

/// Where lines of the log about it go.
const TARGET: &str = "metrics_monitor::history";

/// A file for one history at a time.
#[derive(Debug)]
pub(crate) struct HistoryFile {
    path: PathBuf,
    service: String,
    /// Locked as long as this process writes the file; `None` if another one does.
    lock: Option<Lock>,
    /// Whether the last write failed.
    fails: bool,
}

/// What keeps other processes from writing the file.
#[derive(Debug)]
enum Lock {
    /// The system releases it however the process ends.
    Held(#[expect(dead_code, reason = "it is released when it is dropped")] File),
    /// The file system has no locks.
    Unknown,
}

impl HistoryFile {
    /// The file at a path, and the history to go on with: that of the file, or a new one.
    ///
    /// Whatever is wrong is logged, and none of it keeps a service from starting.
    pub(crate) fn open(path: PathBuf, service: &str, registry: &Registry) -> (Self, History) {
        let mut file = Self { path, service: service.to_owned(), lock: None, fails: false };
        file.lock = file.try_lock();
        let history = match file.lock {
            Some(_) => file.read(registry),
            None => {
                log::warn!(
                    target: TARGET,
                    "{service}: another process writes the history file {}, so this one starts without a history, and \
                     saves none until that process ends; give each process its own file",
                    file.path.display()
                );
                None
            }
        };
        (file, history.unwrap_or_else(|| History::new(registry.clone())))
    }

    /// Starts a thread that writes a history to the file so often.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start a thread.
    pub(crate) fn start(mut self, history: Arc<History>, every: Duration) -> std::io::Result<HistoryWriter> {
        HistoryWriter::spawn("the history file", move |asked| run(&mut self, &history, &asked, every))
    }

    /// The history of the file; `None` if it cannot be continued.
    fn read(&self, registry: &Registry) -> Option<History> {
        let why = match saved_file::read(&self.path, &self.service) {
            Ok(None) => return None,
            Ok(Some(saved)) => match History::resume(registry.clone(), &saved) {
                Ok(history) => {
                    self.tell_gap(&history);
                    return Some(history);
                }
                Err(error) => error.to_string(),
            },
            Err(Refused::NotOurs(why)) => why,
            Err(Refused::Unreadable(error)) => {
                self.warn(&format!("cannot be read, so the history starts over: {error}"));
                return None;
            }
        };
        match saved_file::set_aside(&self.path) {
            Ok(aside) => {
                self.warn(&format!("was moved to {}, and the history starts over: {why}", aside.display()))
            }
            Err(error) => self.warn(&format!("cannot be used ({why}) nor moved out of the way: {error}")),
        }
        None
    }

    fn tell_gap(&self, history: &History) {
        let away = history.gaps().pop().map(|gap| gap.until.duration_since(gap.from).unwrap_or_default());
        let (service, path) = (&self.service, self.path.display());
        let seconds = away.unwrap_or_default().as_secs();
        log::info!(target: TARGET, "{service}: continues the history of {path}, written {seconds} s ago");
    }

    /// Writes the history, unless another process writes the file.
    ///
    /// # Errors
    ///
    /// With the reason.
    fn write(&mut self, history: &History) -> Result<(), String> {
        if !matches!(self.lock, Some(Lock::Held(_))) {
            self.lock = self.try_lock();
        }
        if self.lock.is_none() {
            return Err("another process writes the file".to_owned());
        }
        let written = saved_file::write(&self.path, &self.service, &history.save(MAX_PAYLOAD));
        let fails = written.is_err();
        match (&written, std::mem::replace(&mut self.fails, fails)) {
            (Err(error), false) => self.warn(&format!("cannot be written: {error}")),
            (Ok(()), true) => {
                log::info!(target: TARGET, "{}: the history file {} is written again", self.service, self.path.display());
            }
            _ => {}
        }
        written.map_err(|error| error.to_string())
    }

    fn try_lock(&self) -> Option<Lock> {
        let path = saved_file::beside(&self.path, ".lock");
        let Ok(file) = OpenOptions::new().write(true).create(true).truncate(false).open(path) else {
            // The write will say why.
            return Some(Lock::Unknown);
        };
        match file.try_lock() {
            Ok(()) => Some(Lock::Held(file)),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(_)) => Some(Lock::Unknown),
        }
    }

    fn warn(&self, what: &str) {
        log::warn!(target: TARGET, "{}: the history file {} {what}", self.service, self.path.display());
    }
}

fn run(file: &mut HistoryFile, history: &History, asked: &Receiver<Last>, every: Duration) {
    let mut has_ended = false;
    loop {
        let next = if has_ended {
            asked.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            asked.recv_timeout(every)
        };
        match next {
            Err(RecvTimeoutError::Timeout) => drop(file.write(history)),
            Ok(done) => {
                let written = file.write(history);
                (file.lock, has_ended) = (None, true);
                let _ = done.send(written);
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use metrics_core::Window;

    use super::*;
    use crate::background::saved_file::tests::Folder;

    const MINUTE: Duration = Duration::from_secs(60);

    fn open(path: &Path) -> (HistoryFile, Arc<History>, Registry) {
        let registry = Registry::builder().max_series(4).build().unwrap();
        let (file, history) = HistoryFile::open(path.to_owned(), "orders", &registry);
        (file, Arc::new(history), registry)
    }

    fn record(registry: &Registry) {
        registry.record_nanos(registry.endpoint("GET", "/"), 200, 1_000);
    }

    fn calls(history: &History) -> u64 {
        history.summary(Window::OneHour).total.calls
    }

    #[test]
    fn the_last_write_has_everything_and_a_later_one_what_came_after_it() {
        let folder = Folder::new();
        let (file, history, registry) = open(&folder.file());
        let writer = file.start(history, MINUTE * 60).unwrap();
        for requests in 1..=3 {
            record(&registry);
            assert_eq!(writer.write_last().wait(MINUTE), Ok(()));
            assert_eq!(calls(&open(&folder.file()).1), requests);
        }
    }

    #[test]
    fn of_two_living_claimants_the_second_begins_empty_and_writes_once_the_first_has_ended() {
        let folder = Folder::new();
        let path = folder.file();
        let (mut first, history, registry) = open(&path);
        record(&registry);
        first.write(&history).unwrap();
        let (mut second, other, others) = open(&path);
        (0..5).for_each(|_| record(&others));
        assert_eq!(second.write(&other), Err("another process writes the file".to_owned()));
        assert_eq!(calls(&other), 5);
        first.write(&history).unwrap();
        drop(first);
        second.write(&other).unwrap();
        drop(second);
        assert_eq!(calls(&open(&path).1), 5);
    }

    #[test]
    fn a_file_that_is_damaged_or_newer_is_set_aside_and_nothing_else_happens() {
        let folder = Folder::new();
        let path = folder.file();
        let newer = {
            saved_file::write(&path, "orders", &[2, 0, 0]).unwrap();
            fs::read(&path).unwrap()
        };
        for content in [&b"not a history"[..], &newer] {
            fs::write(&path, content).unwrap();
            let (mut file, history, _) = open(&path);
            assert_eq!((calls(&history), history.gaps().len()), (0, 0));
            assert_eq!(fs::read(folder.0.join("history.set-aside")).unwrap(), content);
            assert!(!path.exists());
            file.write(&history).unwrap();
        }
        assert_eq!(open(&path).1.gaps().len(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_reason_not_to_start_and_is_told_at_the_end() {
        let folder = Folder::new();
        let (file, history, registry) = open(&folder.0.join("nowhere/history"));
        record(&registry);
        let writer = file.start(history, MINUTE).unwrap();
        writer.write_last().wait(MINUTE).unwrap_err();
        fs::create_dir(folder.0.join("nowhere")).unwrap();
        assert_eq!(writer.write_last().wait(MINUTE), Ok(()));
    }
}
