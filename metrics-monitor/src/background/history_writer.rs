//! The thread that saves a history.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A thread that saves a history now and then, until this is dropped.
#[derive(Debug)]
pub(crate) struct HistoryWriter {
    last: Mutex<Sender<Last>>,
    /// Where it is saved.
    pub(crate) destination: &'static str,
}

/// Write a last time, and say how it went.
pub(super) type Last = Sender<Result<(), String>>;

impl HistoryWriter {
    /// Starts the thread, which runs `run` with what asks for last writes, and ends when that is gone.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start a thread.
    pub(super) fn spawn(
        destination: &'static str,
        run: impl FnOnce(Receiver<Last>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (last, asked) = channel();
        thread::Builder::new().name("metrics-history".to_owned()).spawn(move || run(asked))?;
        Ok(Self { last: Mutex::new(last), destination })
    }

    /// Begins to write a last time. Others may write it after that.
    pub(crate) fn write_last(&self) -> LastWrite {
        let (done, ended) = channel();
        // Nothing panics while it is locked. If the thread is gone, so is `done`, and the wait ends at once.
        let _ = self.last.lock().unwrap_or_else(PoisonError::into_inner).send(done);
        LastWrite(ended)
    }
}

/// The last write of a history.
#[derive(Debug)]
pub(crate) struct LastWrite(Receiver<Result<(), String>>);

impl LastWrite {
    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// With the reason, also if it takes longer than the timeout.
    pub(crate) fn wait(self, timeout: Duration) -> Result<(), String> {
        self.0.recv_timeout(timeout).unwrap_or_else(|_| Err("it was not written in time".to_owned()))
    }
}
