//! What was left out of a window, for `GET exporters` and for Sentry:
//! <https://develop.sentry.dev/sdk/telemetry/client-reports/>.

use sentry_types::protocol::v7::EnvelopeItem;
use sentry_types::protocol::v7::client_report::{Category, Item, LossSource, Reason, Report};

/// Counts what was left out, and keeps why.
#[derive(Debug, Default)]
pub(super) struct Discards {
    /// All of it: events, transactions, and requests of sessions.
    pub(super) count: u64,
    /// Why, for the last of it.
    pub(super) reason: Option<String>,
    /// What Sentry does not know of yet.
    untold: Vec<(Category, Reason, u64)>,
}

impl Discards {
    /// So many of a category were left out.
    pub(super) fn add(&mut self, category: Category, reason: Reason, count: u64, text: String) {
        if count == 0 {
            return;
        }
        self.add_told(count, text);
        let mut untold = self.untold.iter_mut();
        match untold.find(|(known, why, _)| (*known, *why) == (category, reason)) {
            Some((_, _, sum)) => *sum = sum.saturating_add(count),
            None => self.untold.push((category, reason, count)),
        }
    }

    /// So many were refused by Sentry, which knows it.
    pub(super) fn add_told(&mut self, count: u64, text: String) {
        self.count = self.count.saturating_add(count);
        self.reason = Some(text);
    }

    /// Sentry was told of all of it.
    pub(super) fn set_told(&mut self) {
        self.untold.clear();
    }

    /// What is still to be told, of which the count was taken over.
    pub(super) fn untold(&mut self) -> Self {
        Self { untold: std::mem::take(&mut self.untold), ..Self::default() }
    }

    /// What Sentry is to be told, if anything.
    pub(super) fn report(&self) -> Option<EnvelopeItem> {
        let items = self.untold.iter().flat_map(|&(category, reason, count)| {
            // Each transaction is a span, too.
            let span = (category == Category::Transaction).then(|| Item::new(Category::Span, reason, count));
            std::iter::once(Item::new(category, reason, count)).chain(span)
        });
        (!self.untold.is_empty()).then(|| Report::new(items).into())
    }
}

/// What would be lost with an item: its category, and how many events or sessions are in it.
pub(super) fn loss(item: &EnvelopeItem) -> (Category, u64) {
    let loss = item.losses().next();
    loss.map_or((Category::Error, 0), |loss| (loss.category, loss.quantity))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_sentry_does_not_know_is_reported_by_category_and_reason() {
        let mut discards = Discards::default();
        assert!(discards.report().is_none());
        discards.add(Category::Error, Reason::SampleRate, 0, "none".to_owned());
        assert_eq!(discards.reason, None);
        discards.add_told(1, "told".to_owned());
        assert!(discards.report().is_none());
        discards.add(Category::Error, Reason::SampleRate, 5, "many".to_owned());
        discards.add(Category::Session, Reason::RatelimitBackoff, 70, "limited".to_owned());
        discards.add(Category::Error, Reason::SampleRate, 2, "many".to_owned());
        discards.add(Category::Transaction, Reason::SampleRate, 3, "many".to_owned());
        assert_eq!((discards.count, discards.reason.as_deref()), (81, Some("many")));
        let Some(EnvelopeItem::ClientReport(report)) = discards.report() else { panic!("there is one") };
        let report: Value = serde_json::to_value(report).unwrap();
        let expected = json!([
            {"category": "error", "reason": "sample_rate", "quantity": 7},
            {"category": "session", "reason": "ratelimit_backoff", "quantity": 70},
            {"category": "transaction", "reason": "sample_rate", "quantity": 3},
            {"category": "span", "reason": "sample_rate", "quantity": 3},
        ]);
        assert_eq!(report["discarded_events"], expected);
        // What could not be told is told later, and counted once.
        let mut later = discards.untold();
        assert_eq!((later.count, later.reason.as_deref(), later.report().is_some()), (0, None, true));
        later.set_told();
        assert!(later.report().is_none() && discards.report().is_none());
    }
}
