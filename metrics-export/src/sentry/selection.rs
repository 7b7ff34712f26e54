//! Which errors and requests of a window are sent.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use metrics_core::{Outcome, RecentError, RecentRequest};
use sentry_types::protocol::v7::EnvelopeItem;
use sentry_types::protocol::v7::client_report::{Category, Reason};

use super::discards::Discards;
use super::event::{Fingerprint, event};
use super::limiter::Limiter;
use super::origin::Origin;
use super::sessions;
use super::transaction::transaction;
use crate::push::Window;

/// Selects what is sent of each window, and makes events, sessions and transactions of it.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) origin: Origin,
    /// The most events per window.
    pub(super) max_events: usize,
    /// Whether 4xx are events.
    pub(super) client_errors: bool,
    pub(super) sessions: bool,
    /// The most transactions per window.
    pub(super) max_transactions: usize,
    pub(super) limiter: Limiter,
    /// Hashes fingerprints.
    pub(super) hasher: RandomState,
}

impl Selection {
    /// Returns the items of a window, and adds what was left out to `discards`.
    pub(super) fn items(&mut self, window: &Window, discards: &mut Discards) -> VecDeque<EnvelopeItem> {
        let mut items = VecDeque::new();
        if self.max_events > 0 {
            self.add_events(&window.errors, &mut items, discards);
        }
        if self.sessions {
            items.extend(sessions::of(&self.origin, &window.figures).map(EnvelopeItem::from));
        }
        self.add_transactions(&window.requests, &mut items, discards);
        items
    }

    fn add_events(
        &mut self,
        errors: &[RecentError],
        items: &mut VecDeque<EnvelopeItem>,
        discards: &mut Discards,
    ) {
        let mut left_out = 0;
        let client_errors = self.client_errors;
        let mut errors: Vec<_> = errors.iter().filter(|error| is_event(error, client_errors)).collect();
        // Stable: the oldest first among those of one priority.
        errors.sort_by_key(|error| error.priority());
        for error in errors {
            let fingerprint = Fingerprint::of(error);
            let has_room = items.len() < self.max_events;
            match self.limiter.admit(self.hasher.hash_one(&fingerprint), minute(error.time), has_room) {
                Some(before) => items.push_back(event(&self.origin, error, fingerprint, before).into()),
                None => left_out += 1,
            }
        }
        let (per_minute, max) = (self.limiter.per_minute(), self.max_events);
        let why =
            format!("{left_out} events exceeded {per_minute} per minute and group, or {max} per window");
        discards.add(Category::Error, Reason::SampleRate, left_out, why);
    }

    fn add_transactions(
        &self,
        requests: &[RecentRequest],
        items: &mut VecDeque<EnvelopeItem>,
        discards: &mut Discards,
    ) {
        let transactions = requests.iter().take(self.max_transactions);
        items.extend(transactions.map(|request| transaction(&self.origin, request).into()));
        let left_out = requests.len().saturating_sub(self.max_transactions) as u64;
        let why = format!("{left_out} transactions exceeded {} per window", self.max_transactions);
        discards.add(Category::Transaction, Reason::SampleRate, left_out, why);
    }
}

/// Whether an error becomes an event.
fn is_event(error: &RecentError, client_errors: bool) -> bool {
    match error.outcome {
        Outcome::Status(400..=499) => client_errors,
        outcome => outcome.is_error(),
    }
}

/// Minutes since 1970.
fn minute(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 60
}
