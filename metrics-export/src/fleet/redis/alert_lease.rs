//! The lease of a fleet's alerts, and their state.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lease::{Found, Lease};
use super::lease_key::{LeaseKey, MAX_STATE, name_of};
use super::shared::Shared;

/// The lease that one instance of a fleet holds to evaluate its rules and to send notices, and the state that the next
/// holder continues. Its methods block for as long as Redis takes.
///
/// The lease lasts two intervals of the fleet. An instance that asks for it twice per interval takes over within three
/// intervals after the holder ended without giving it up.
pub struct AlertLease {
    lease: Lease<LeaseKey>,
    interval: Duration,
    holder: Option<String>,
    state: Vec<u8>,
}

impl AlertLease {
    /// The largest state, in bytes.
    pub const MAX_STATE: usize = MAX_STATE;

    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let interval = shared.settings.interval;
        let key = LeaseKey::new(Arc::clone(shared), shared.keys.alerts());
        let lease = Lease::new(key, interval * 2);
        Self { lease, interval, holder: None, state: Vec::new() }
    }

    /// Returns the interval of the fleet.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns the fencing token, if this instance holds the lease now, by its own clock.
    pub fn token(&self) -> Option<u64> {
        self.lease.token(Instant::now())
    }

    /// Returns whether this instance held the lease, and does not know of another holder yet.
    pub fn may_be_held(&self) -> bool {
        self.lease.may_be_held()
    }

    /// Returns the name of the instance that held the lease when it was last requested; `None` before.
    pub fn holder(&self) -> Option<&str> {
        self.holder.as_deref()
    }

    /// Returns the state that the holder wrote last, as far as it is known; empty if there is none. A holder gets it
    /// with the lease. If Redis lost it, this is the last one that this instance saw.
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    /// Requests the lease. Returns whether this instance holds it now.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not answer.
    pub fn acquire(&mut self) -> Result<bool, String> {
        let Found { is_ours, holder, state, .. } = self.lease.acquire(Instant::now())?;
        self.holder = Some(name_of(&holder).to_owned());
        if let Some(state) = state {
            self.state = state.bytes;
        }
        Ok(is_ours)
    }

    /// Renews the lease and replaces the state. Returns whether this instance still holds the lease; if not, nothing
    /// was replaced.
    ///
    /// # Errors
    ///
    /// Returns an error if the state is larger than 1 MiB, or if Redis does not answer: then it is unknown whether the
    /// state was replaced.
    pub fn write(&mut self, state: &[u8]) -> Result<bool, String> {
        if state.len() > MAX_STATE {
            return Err(format!(
                "the state of alerts takes {} bytes; allowed: up to {MAX_STATE}",
                state.len()
            ));
        }
        // Also if the answer is lost: the store says what it has if that is another one.
        self.state = state.to_vec();
        self.lease.keep(Instant::now(), Some(state))
    }

    /// Renews the lease. Returns whether this instance still holds it.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not answer.
    pub fn renew(&mut self) -> Result<bool, String> {
        self.lease.keep(Instant::now(), None)
    }

    /// Returns whether this instance holds the lease, by its own clock before and after asking Redis. Call it before
    /// each notice.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not answer.
    pub fn confirm(&mut self) -> Result<bool, String> {
        self.lease.confirm(Instant::now)
    }

    /// Gives the lease up, so that another instance takes over at once.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not answer. The lease then ends by itself.
    pub fn release(&mut self) -> Result<(), String> {
        self.lease.release()
    }
}

impl fmt::Debug for AlertLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertLease").field("holder", &self.holder).finish_non_exhaustive()
    }
}
