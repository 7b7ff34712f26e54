//! How the thread that ends the windows is told to flush, and to end.

use std::time::Instant;

use super::watched::Wait;

/// Why the thread that ends the windows has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(super) enum Turn {
    /// The time it waited for has come.
    Due,
    /// A flush of this number, in which destinations may send until this time.
    Flush(u64, Instant),
    /// The end.
    End,
}

/// What it does then, in the order of [`Turn::acts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(super) enum Act {
    /// End the windows whose time has come.
    EndDue,
    /// End all windows. With a time, they are flushed until then.
    EndAll(Option<Instant>),
    /// Say that the windows of this flush have ended: [`Control::flushed`].
    Flushed(u64),
    /// End the threads that send. What waits there is dropped and counted.
    EndSenders,
}

impl Turn {
    pub(super) fn acts(self) -> Vec<Act> {
        match self {
            Self::Due => vec![Act::EndDue],
            Self::Flush(number, until) => vec![Act::EndAll(Some(until)), Act::Flushed(number)],
            // What was measured since the last window is counted as dropped.
            Self::End => vec![Act::EndAll(None), Act::EndSenders],
        }
    }
}

/// What that thread is told.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq, Eq, Hash))]
pub(super) struct Control {
    /// Flushes that were asked for, and until when destinations may send in the last of them.
    asked: u64,
    until: Option<Instant>,
    /// Flushes whose windows ended.
    flushed: u64,
    ends: bool,
}

impl Control {
    /// Asks for a flush, and returns its number.
    pub(super) fn flush(&mut self, until: Instant) -> u64 {
        self.asked += 1;
        self.until = Some(until);
        self.asked
    }

    /// Asks the thread to end.
    pub(super) fn end(&mut self) {
        self.ends = true;
    }

    /// What the thread does now. At the latest, something is due at the given time.
    pub(super) fn turn(&self, due: Option<Instant>, now: Instant) -> Wait<Turn> {
        match self.until {
            _ if self.ends => Wait::Ready(Turn::End),
            Some(until) if self.flushed < self.asked => Wait::Ready(Turn::Flush(self.asked, until)),
            _ if due.is_some_and(|due| due <= now) => Wait::Ready(Turn::Due),
            _ => Wait::Until(due),
        }
    }

    /// The windows of this flush, and of those before it, have ended.
    pub(super) fn flushed(&mut self, number: u64) {
        self.flushed = number;
    }

    /// Whether the windows of this flush ended in time.
    pub(super) fn has_flushed(&self, number: u64, deadline: Instant, now: Instant) -> Wait<bool> {
        match self.flushed >= number {
            false if now < deadline => Wait::Until(Some(deadline)),
            has_flushed => Wait::Ready(has_flushed),
        }
    }
}
