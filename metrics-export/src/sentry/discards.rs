//! Counts what was left out of a window, for `GET exporters` and for Sentry:
//! <https://develop.sentry.dev/sdk/telemetry/client-reports/>.

use sentry_types::protocol::v7::EnvelopeItem;
use sentry_types::protocol::v7::client_report::{Category, Item, LossSource, Reason, Report};

/// Counts what was left out, by reason.
#[derive(Debug, Default)]
pub(super) struct Discards {
    /// Events, transactions, and the requests in sessions.
    pub(super) count: u64,
    /// The latest reason.
    pub(super) reason: Option<String>,
    /// What was not reported to Sentry yet.
    unreported: Vec<(Category, Reason, u64)>,
}

impl Discards {
    /// Counts items of a category that were left out here.
    pub(super) fn add(&mut self, category: Category, reason: Reason, count: u64, text: String) {
        if count == 0 {
            return;
        }
        self.add_known(count, text);
        let mut unreported = self.unreported.iter_mut();
        match unreported.find(|(known, why, _)| (*known, *why) == (category, reason)) {
            Some((_, _, sum)) => *sum = sum.saturating_add(count),
            None => self.unreported.push((category, reason, count)),
        }
    }

    /// Counts items that Sentry refused, which are not reported to it.
    pub(super) fn add_known(&mut self, count: u64, text: String) {
        self.count = self.count.saturating_add(count);
        self.reason = Some(text);
    }

    /// Marks everything as reported.
    pub(super) fn set_reported(&mut self) {
        self.unreported.clear();
    }

    /// Takes what is still to be reported, without its count, which was taken over before.
    pub(super) fn take_unreported(&mut self) -> Self {
        Self { unreported: std::mem::take(&mut self.unreported), ..Self::default() }
    }

    /// The report to Sentry, if there is anything to report.
    pub(super) fn report(&self) -> Option<EnvelopeItem> {
        let items = self.unreported.iter().flat_map(|&(category, reason, count)| {
            // Each transaction counts as a span, too.
            let span = (category == Category::Transaction).then(|| Item::new(Category::Span, reason, count));
            std::iter::once(Item::new(category, reason, count)).chain(span)
        });
        (!self.unreported.is_empty()).then(|| Report::new(items).into())
    }
}

/// An item's category, and how many events or sessions would be lost with it.
pub(super) fn loss(item: &EnvelopeItem) -> (Category, u64) {
    let loss = item.losses().next();
    loss.map_or((Category::Error, 0), |loss| (loss.category, loss.quantity))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn omissions_that_sentry_does_not_know_are_reported_by_category_and_reason() {
        let mut discards = Discards::default();
        assert!(discards.report().is_none());
        discards.add(Category::Error, Reason::SampleRate, 0, "none".to_owned());
        assert_eq!(discards.reason, None);
        discards.add_known(1, "known".to_owned());
        assert!(discards.report().is_none());
        discards.add(Category::Error, Reason::SampleRate, 5, "many".to_owned());
        discards.add(Category::Session, Reason::RatelimitBackoff, 70, "limited".to_owned());
        discards.add(Category::Error, Reason::SampleRate, 2, "many".to_owned());
        discards.add(Category::Transaction, Reason::SampleRate, 3, "many".to_owned());
        assert_eq!((discards.count, discards.reason.as_deref()), (81, Some("many")));
        let Some(EnvelopeItem::ClientReport(report)) = discards.report() else { panic!("no report") };
        let report: Value = serde_json::to_value(report).unwrap();
        let expected = json!([
            {"category": "error", "reason": "sample_rate", "quantity": 7},
            {"category": "session", "reason": "ratelimit_backoff", "quantity": 70},
            {"category": "transaction", "reason": "sample_rate", "quantity": 3},
            {"category": "span", "reason": "sample_rate", "quantity": 3},
        ]);
        assert_eq!(report["discarded_events"], expected);
        // A failed report is repeated later, and counted once.
        let mut later = discards.take_unreported();
        assert_eq!((later.count, later.reason.as_deref(), later.report().is_some()), (0, None, true));
        later.set_reported();
        assert!(later.report().is_none() && discards.report().is_none());
    }
}
