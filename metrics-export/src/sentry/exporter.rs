//! The exporter: sends a window's envelopes one by one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use metrics_core::{InvalidSetting, Snapshot};
use sentry_types::protocol::v7::EnvelopeItem;
use sentry_types::protocol::v7::client_report::{Category, Reason};

use super::discards::{Discards, loss};
use super::envelope::{ENVELOPE, envelope};
use super::rate_limits::RateLimits;
use super::selection::Selection;
use crate::gzip::gzipped;
use crate::http::Client;
use crate::push::{Accepted, Exporter, Failed, PushSettings, Window, checked};
use crate::secret::Secret;
use crate::service::Service;

/// The smallest envelope that is compressed, in bytes. Smaller ones fit into one packet anyway.
const MIN_COMPRESSED: usize = 1_024;

/// Sends events, sessions and transactions to Sentry.
#[derive(Debug)]
pub struct Sentry {
    /// Where to send, or why nothing is sent.
    pub(super) project: Result<Project, String>,
    pub(super) gzip: bool,
    pub(super) settings: PushSettings,
    pub(super) selection: Selection,
    pub(super) rate_limits: RateLimits,
    pub(super) attempt: Attempt,
}

/// The project that receives everything.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) client: Client,
    /// The DSN's key, which transactions repeat.
    pub(super) key: Secret,
}

/// The window that is being sent. It is sent again unchanged, since [`PushSettings::max_windows`] is above 1.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// The end of the window; `None` between windows.
    until: Option<Arc<Snapshot>>,
    /// The items that are not sent yet. Made once, so that an event keeps its id when it is sent again.
    items: VecDeque<EnvelopeItem>,
    discards: Discards,
    /// Whether Sentry answered.
    reached: bool,
}

/// The result of sending an item.
enum Sent {
    Accepted,
    /// Refused for good.
    Refused(String),
    /// Refused by a rate limit, and counted as left out by Sentry.
    Limited,
}

impl Sentry {
    /// Begins a window, unless it is the one that is being sent.
    fn begin(&mut self, window: &Window) {
        if self.attempt.until.as_ref().is_some_and(|until| Arc::ptr_eq(until, &window.total)) {
            return;
        }
        let mut discards = self.attempt.discards.take_unreported();
        let items = self.selection.items(window, &mut discards);
        self.attempt = Attempt { until: Some(Arc::clone(&window.total)), items, discards, reached: false };
    }

    /// Ends the window, so that its snapshot is freed, and returns what was left out.
    fn end(&mut self) -> Discards {
        let mut discards = std::mem::take(&mut self.attempt).discards;
        self.attempt.discards = discards.take_unreported();
        discards
    }

    /// Sends what is left of the window.
    fn send_all(&mut self, deadline: Instant) -> Result<(), Failed> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let enough = left() / 2;
        while let Some(item) = self.attempt.items.front() {
            let (category, count) = loss(item);
            // Sessions have no id, and would count twice if their answer came too late.
            if category == Category::Session && left() < enough {
                return Err(Failed::temporary("not enough time was left to send sessions"));
            }
            if let Some(left) = self.rate_limits.left(category, Instant::now()) {
                let why = format!("it asked to receive no {} for {} s", name(category), left.as_secs() + 1);
                self.attempt.discards.add(category, Reason::RatelimitBackoff, count, why);
            } else {
                match self.send(item.clone(), deadline)? {
                    Sent::Accepted => {}
                    Sent::Refused(why) => {
                        let why = format!("{}: {why}", name(category));
                        self.attempt.discards.add(category, Reason::SendError, count, why);
                    }
                    Sent::Limited => {
                        let why = format!("{}: it asks for fewer (429)", name(category));
                        self.attempt.discards.add_known(count, why);
                    }
                }
            }
            self.attempt.items.pop_front();
        }
        Ok(())
    }

    /// Leaves out the rest of the window.
    fn discard_rest(&mut self, why: &str) {
        for item in std::mem::take(&mut self.attempt.items) {
            let (category, count) = loss(&item);
            let why = format!("{}: {why}", name(category));
            self.attempt.discards.add(category, Reason::SendError, count, why);
        }
    }

    /// Reports to Sentry what was left out. While Sentry accepts nothing at all, the report waits for a later window.
    ///
    /// A failed report does not fail the window, since all of it is counted here, too; unless nothing else of the
    /// window was sent.
    fn report(&mut self, deadline: Instant) -> Result<(), Failed> {
        let Some(report) = self.attempt.discards.report() else { return Ok(()) };
        if self.rate_limits.forbid_all(Instant::now()) {
            return Ok(());
        }
        match self.send(report, deadline) {
            Ok(Sent::Accepted | Sent::Refused(_)) => self.attempt.discards.set_reported(),
            Ok(Sent::Limited) => {}
            Err(failed) if !self.attempt.reached => return Err(failed),
            Err(_) => {}
        }
        Ok(())
    }

    /// Sends one item in its own envelope, since an envelope holds at most one event.
    fn send(&mut self, item: EnvelopeItem, deadline: Instant) -> Result<Sent, Failed> {
        let (category, _) = loss(&item);
        let left = deadline.saturating_duration_since(Instant::now());
        let Project { client, key } = self.project.as_ref().map_err(Failed::permanent)?;
        let envelope = envelope(item, key.expose(), self.settings.sample_rate);
        let posted = if self.gzip && envelope.len() >= MIN_COMPRESSED {
            client.post(ENVELOPE, Some("gzip"), &gzipped(&envelope), left)
        } else {
            client.post(ENVELOPE, None, &envelope, left)
        };
        let answer = posted.map_err(Failed::temporary)?;
        let now = Instant::now();
        self.rate_limits.update(&answer, now);
        let sent = match answer.status {
            // Concerns this item alone: it is malformed, or too large.
            400 | 413 => Sent::Refused(answer.refusal),
            429 if self.rate_limits.left(category, now).is_some() => Sent::Limited,
            _ => checked(answer).map(|_| Sent::Accepted)?,
        };
        self.attempt.reached = true;
        Ok(sent)
    }
}

impl Exporter for Sentry {
    fn name(&self) -> &str {
        "sentry"
    }

    fn settings(&self) -> PushSettings {
        self.settings.clone()
    }

    fn off(&self) -> Option<&str> {
        self.project.as_ref().err().map(String::as_str)
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.selection.origin.fill(service)
    }

    fn is_idle(&mut self, window: &Window) -> bool {
        self.begin(window);
        let is_idle = self.attempt.items.is_empty() && self.attempt.discards.count == 0;
        if is_idle {
            self.end();
        }
        is_idle
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        self.begin(window);
        match self.send_all(deadline) {
            // Accepted items must not count as dropped with the rest.
            Err(failed) if failed.permanent && self.attempt.reached => self.discard_rest(&failed.reason),
            sent => sent?,
        }
        self.report(deadline)?;
        let Discards { count, reason, .. } = self.end();
        Ok(Accepted { rejected: count, reason })
    }
}

/// What the counts call a category.
fn name(category: Category) -> &'static str {
    match category {
        Category::Session => "sessions",
        Category::Transaction => "transactions",
        _ => "events",
    }
}

#[cfg(test)]
mod tests;
