//! A lease: which of several instances does what only one of them should do.
//!
//! # Safety
//!
//! The store ends a lease a fixed time after it received a request; the holder ends it the same time after it *sent*
//! that request, by its own monotonic clock. So a holder that was stopped, or hears nothing from the store, stops
//! before another one can begin, whatever the wall clocks say. A margin of a tenth covers clocks that run at different
//! speeds.
//!
//! Each new holder gets a higher fencing token. What a holder writes is refused once there is a later token, so that
//! one that slept through its end between looking at the clock and writing changes nothing.

use std::time::{Duration, Instant};

/// Where a lease is kept.
pub(super) trait Store {
    /// Takes the lease if it is free, and returns who has it then.
    fn acquire(&mut self, request: &Request<'_>) -> Result<Found, String>;

    /// Renews the lease with this token, and replaces the state that is kept with it, if there is one. Returns whether
    /// it is still the latest token; if not, nothing is changed. A length of zero gives the lease up.
    fn keep(&mut self, token: u64, length: Duration, state: Option<&State>) -> Result<bool, String>;
}

/// A request for the lease.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) length: Duration,
    /// The latest token that is known. The next one is higher, even if the store forgot it.
    pub(super) token: u64,
    /// The revision of the state that is known already.
    pub(super) revision: &'a str,
}

/// What a holder keeps for its successor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct State {
    /// Changes with each write.
    pub(super) revision: String,
    pub(super) bytes: Vec<u8>,
}

/// Who has the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) is_ours: bool,
    pub(super) holder: String,
    pub(super) token: u64,
    /// The state, unless it is the one that is known.
    pub(super) state: Option<State>,
}

/// One instance's view of a lease.
#[derive(Debug)]
pub(super) struct Lease<S> {
    store: S,
    length: Duration,
    /// The latest token that was seen.
    token: u64,
    held: Option<Held>,
    revision: String,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    token: u64,
    ends: Instant,
}

impl<S: Store> Lease<S> {
    pub(super) fn new(store: S, length: Duration) -> Self {
        Self { store, length, token: 0, held: None, revision: String::new() }
    }

    /// The token of the lease, if this instance holds it at this time.
    pub(super) fn token(&self, now: Instant) -> Option<u64> {
        self.held.filter(|held| now < held.ends).map(|held| held.token)
    }

    /// Whether it was not lost to another instance as far as this one knows, even if it ended by its clock.
    pub(super) fn may_be_held(&self) -> bool {
        self.held.is_some()
    }

    /// Asks for the lease.
    pub(super) fn acquire(&mut self, now: Instant) -> Result<Found, String> {
        self.held = None;
        let request = Request { length: self.length, token: self.token, revision: &self.revision };
        let found = self.store.acquire(&request)?;
        self.token = self.token.max(found.token);
        if let Some(state) = &found.state {
            self.revision.clone_from(&state.revision);
        }
        if found.is_ours {
            self.held = Some(Held { token: found.token, ends: self.end(now) });
        }
        Ok(found)
    }

    /// Renews the lease, and replaces the state. Returns whether this instance still holds it. After an error it is
    /// unknown whether the store did so, and the lease ends when it would have ended before.
    pub(super) fn keep(&mut self, now: Instant, state: Option<&[u8]>) -> Result<bool, String> {
        let Some(held) = self.held else { return Ok(false) };
        let state = state.map(|bytes| State {
            revision: next_revision(held.token, &self.revision),
            bytes: bytes.to_vec(),
        });
        if let Some(state) = &state {
            // Also if the store's answer is lost.
            self.revision.clone_from(&state.revision);
        }
        let is_kept = self.store.keep(held.token, self.length, state.as_ref())?;
        self.held = is_kept.then(|| Held { ends: self.end(now), ..held });
        Ok(is_kept)
    }

    /// Whether this instance holds the lease, by its clock and by the store. Asked before each act that cannot be taken
    /// back.
    pub(super) fn confirm(&mut self, clock: impl Fn() -> Instant) -> Result<bool, String> {
        let now = clock();
        if self.token(now).is_none() {
            return Ok(false);
        }
        Ok(self.keep(now, None)? && self.token(clock()).is_some())
    }

    /// Gives the lease up, so that another instance can take it at once.
    pub(super) fn release(&mut self) -> Result<(), String> {
        let Some(held) = self.held.take() else { return Ok(()) };
        self.store.keep(held.token, Duration::ZERO, None).map(drop)
    }

    fn end(&self, sent: Instant) -> Instant {
        sent + self.length - self.length / 10
    }
}

/// `{token}.{number}`: no two states share it, since a token has one holder.
fn next_revision(token: u64, last: &str) -> String {
    let number = last.split_once('.').filter(|(of, _)| of.parse() == Ok(token));
    let number: u64 = number.and_then(|(_, number)| number.parse().ok()).unwrap_or(0);
    format!("{token}.{}", number + 1)
}

#[cfg(test)]
mod tests;
