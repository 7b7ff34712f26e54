//! The history that a fleet keeps over restarts.
//!
//! Whose heir a process is, it learns from Redis: at once if the process before gave its history up, or three intervals
//! later if that was killed. So the history begins empty, and inherits its past as soon as that is known.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use metrics_core::{Beginning, History};
use metrics_export::fleet::redis::{Claim, SavedHistory};

use super::history_writer::{HistoryWriter, Last};

/// Where lines of the log about it go.
const TARGET: &str = "metrics_monitor::history";

/// How long a process waits for its inheritance while Redis cannot be reached.
const PATIENCE: Duration = Duration::from_secs(60);

/// Intervals that a process waits for another one to end, which was killed if it does.
const INTERVALS: u32 = 4;

/// A history, and what is saved of it.
#[derive(Debug)]
pub(crate) struct InheritedHistory {
    saved: SavedHistory,
    history: Arc<History>,
    /// For the error messages.
    service: String,
    /// `None` once it has inherited, or will not any more.
    beginning: Option<Beginning>,
    since: Instant,
    is_ours: bool,
    /// Whether the last attempt failed.
    fails: bool,
    written: Option<Instant>,
    every: Duration,
}

impl InheritedHistory {
    /// Begins to wait for the past of a history that has just begun. Saves it so often.
    pub(crate) fn new(saved: SavedHistory, history: Arc<History>, service: &str, every: Duration) -> Self {
        let (beginning, since) = (Some(history.beginning()), Instant::now());
        let (service, is_ours, fails, written) = (service.to_owned(), false, false, None);
        Self { saved, history, service, beginning, since, is_ours, fails, written, every }
    }

    /// Starts a thread that waits for the past, and saves the history.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start a thread.
    pub(crate) fn start(self) -> std::io::Result<HistoryWriter> {
        HistoryWriter::spawn("the history in the fleet", move |asked| self.run(&asked))
    }

    /// Works until what asks for last writes is gone.
    fn run(mut self, asked: &Receiver<Last>) {
        self.turn();
        let mut has_ended = false;
        loop {
            // Twice in an interval, or more often if it is to be saved more often. After a last write only for further
            // ones: the next process has the claim.
            let next = if has_ended {
                asked.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                asked.recv_timeout((self.saved.interval() / 2).min(self.every))
            };
            match next {
                Err(RecvTimeoutError::Timeout) => self.turn(),
                Ok(done) => {
                    has_ended = true;
                    let _ = done.send(self.write_last());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    // It ends by itself if it cannot be given up.
                    let _ = self.saved.release();
                    return;
                }
            }
        }
    }

    fn turn(&mut self) {
        let result = if self.is_ours { self.keep() } else { self.claim() };
        let fails = result.is_err();
        if let Err(error) = result
            && !self.fails
            && self.beginning.is_none()
        {
            self.warn(&format!("cannot be saved: {error}"));
        }
        self.fails = fails;
    }

    fn claim(&mut self) -> Result<(), String> {
        let waited = self.since.elapsed();
        match self.saved.claim() {
            Ok(Claim::Ours(bytes)) => {
                self.is_ours = true;
                if let Some(beginning) = self.beginning.take()
                    && !bytes.is_empty()
                {
                    self.inherit(beginning, &bytes);
                }
                self.keep()
            }
            Ok(Claim::Other(name)) => {
                if waited >= self.saved.interval() * INTERVALS && self.beginning.take().is_some() {
                    self.warn(&format!(
                        "belongs to {name}, which is running, so this one starts over and is not saved until that \
                         ends; give each instance its own name or history_key"
                    ));
                }
                Ok(())
            }
            Err(error) => {
                if waited >= PATIENCE && self.beginning.take().is_some() {
                    self.warn(&format!("cannot be read, so this one starts over: {error}"));
                    self.fails = true;
                }
                Err(error)
            }
        }
    }

    fn inherit(&self, beginning: Beginning, bytes: &[u8]) {
        match self.history.inherit(beginning, bytes) {
            Ok(()) => {
                let away = self.history.gaps().pop().map(|gap| gap.until.duration_since(gap.from));
                let seconds = away.and_then(Result::ok).unwrap_or_default().as_secs();
                let service = &self.service;
                log::info!(target: TARGET, "{service}: continues the history in the fleet, after a gap of {seconds} s");
            }
            Err(error) => self.warn(&format!("cannot be continued, so this one starts over: {error}")),
        }
    }

    /// Saves the history if it is time for that, or else renews the claim.
    fn keep(&mut self) -> Result<(), String> {
        let is_due = self.written.is_none_or(|written| written.elapsed() >= self.every);
        self.is_ours = if is_due { self.write()? } else { self.saved.renew()? };
        Ok(())
    }

    fn write(&mut self) -> Result<bool, String> {
        let is_ours = self.saved.write(&self.history.save(SavedHistory::MAX_BYTES))?;
        self.written = Some(Instant::now());
        Ok(is_ours)
    }

    /// Saves the history and gives the claim up, so that the next process takes it up at once.
    fn write_last(&mut self) -> Result<(), String> {
        if !self.is_ours {
            self.claim()?;
        }
        if !self.is_ours {
            // If this one began anew, that was told before.
            return match self.beginning {
                Some(_) => Err("another instance has not given it up yet".to_owned()),
                None => Ok(()),
            };
        }
        let written = self.write();
        self.is_ours = false;
        let released = self.saved.release();
        written.and(released)
    }

    fn warn(&self, what: &str) {
        log::warn!(target: TARGET, "{}: the history in the fleet {what}", self.service);
    }
}
