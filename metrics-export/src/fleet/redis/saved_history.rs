//! The history that an instance keeps in Redis for its successor.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lease::{Found, Lease};
use super::lease_key::{LeaseKey, name_of};
use super::shared::Shared;

/// The saved history of one key, which one instance at a time may write. Its methods block for as long as Redis takes.
///
/// The claim lasts two intervals of the fleet. An instance that asks twice per interval gets it within three intervals
/// after the previous one ended without giving it up.
pub struct SavedHistory {
    lease: Lease<LeaseKey>,
    interval: Duration,
    /// What was seen last: Redis does not send it again.
    last: Vec<u8>,
}

/// Who has a saved history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// This instance, with what was saved last; empty if there is nothing.
    Ours(Vec<u8>),
    /// A running instance of this name.
    Other(String),
}

impl SavedHistory {
    /// The maximum number of bytes that an instance should save. Each instance writes that much once a minute.
    pub const MAX_BYTES: usize = 256 << 10;

    pub(super) fn new(shared: &Arc<Shared>, key: &str) -> Self {
        let interval = shared.settings.interval;
        let key = LeaseKey::new(Arc::clone(shared), shared.keys.history(key));
        Self { lease: Lease::new(key, interval * 2), interval, last: Vec::new() }
    }

    /// Returns the interval of the fleet.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Claims the history.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not answer.
    pub fn claim(&mut self) -> Result<Claim, String> {
        let Found { is_ours, holder, state, .. } = self.lease.acquire(Instant::now())?;
        if let Some(state) = state {
            self.last = state.bytes;
        }
        Ok(if is_ours {
            Claim::Ours(std::mem::take(&mut self.last))
        } else {
            Claim::Other(name_of(&holder).to_owned())
        })
    }

    /// Renews the claim. Returns whether this instance still has it.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not answer.
    pub fn renew(&mut self) -> Result<bool, String> {
        self.lease.keep(Instant::now(), None)
    }

    /// Renews the claim and replaces what is saved. Returns whether this instance still has the claim; if not, nothing
    /// was replaced.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not answer: then it is unknown whether the history was replaced.
    pub fn write(&mut self, saved: &[u8]) -> Result<bool, String> {
        self.lease.keep(Instant::now(), Some(saved))
    }

    /// Gives the claim up, so that another instance gets it at once.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not answer. The claim then ends by itself.
    pub fn release(&mut self) -> Result<(), String> {
        self.lease.release()
    }
}

impl fmt::Debug for SavedHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedHistory").field("interval", &self.interval).finish_non_exhaustive()
    }
}
