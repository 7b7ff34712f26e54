//! The consumers of a fleet.

use std::collections::HashMap;
use std::sync::Arc;

use metrics_core::ConsumerSnapshot;

use super::codes::OTHER;

/// The most consumers that a fleet tells apart.
const MAX_CONSUMERS: usize = 10_000;

/// Sums of consumers by name. Past [`MAX_CONSUMERS`] names, consumers count as `_other`.
#[derive(Debug, Clone, Default)]
pub(super) struct Consumers {
    named: HashMap<Arc<str>, ConsumerSnapshot>,
    /// Calls by consumers past the limit.
    refused: u64,
}

impl Consumers {
    /// Adds the figures of a consumer at one instance.
    pub(super) fn add(&mut self, theirs: ConsumerSnapshot) {
        if self.named.len() < MAX_CONSUMERS || *theirs.name == *OTHER || self.named.contains_key(&theirs.name)
        {
            return self.add_as(Arc::clone(&theirs.name), theirs);
        }
        self.refused = self.refused.saturating_add(theirs.calls);
        self.add_as(OTHER.into(), theirs);
    }

    fn add_as(&mut self, name: Arc<str>, theirs: ConsumerSnapshot) {
        let none = |name: &Arc<str>| ConsumerSnapshot {
            name: Arc::clone(name),
            calls: 0,
            errors: 0,
            sum_nanos: 0,
            last_seen: theirs.last_seen,
        };
        let ours = self.named.entry(name).or_insert_with_key(none);
        ours.calls = ours.calls.saturating_add(theirs.calls);
        ours.errors = ours.errors.saturating_add(theirs.errors);
        ours.sum_nanos = ours.sum_nanos.saturating_add(theirs.sum_nanos);
        ours.last_seen = ours.last_seen.max(theirs.last_seen);
    }

    /// Adds the consumers of another sum.
    #[cfg(feature = "redis")]
    pub(super) fn merge(&mut self, other: &Self) {
        other.named.values().for_each(|theirs| self.add(theirs.clone()));
        self.refused = self.refused.saturating_add(other.refused);
    }

    /// How many there are.
    #[cfg(feature = "redis")]
    pub(super) fn len(&self) -> usize {
        self.named.len()
    }

    /// All consumers, in no order.
    pub(super) fn all(&self) -> Vec<ConsumerSnapshot> {
        self.named.values().cloned().collect()
    }

    /// Calls by consumers past the limit; they are included in `_other`.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn consumer(name: &str, calls: u64) -> ConsumerSnapshot {
        let last_seen = SystemTime::UNIX_EPOCH + Duration::from_secs(calls);
        ConsumerSnapshot { name: name.into(), calls, errors: calls / 2, sum_nanos: 10 * calls, last_seen }
    }

    #[test]
    fn a_consumer_seen_by_several_instances_is_one() {
        let mut consumers = Consumers::default();
        for each in [consumer("ann", 4), consumer("bob", 1), consumer("ann", 3)] {
            consumers.add(each);
        }
        let mut all = consumers.all();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let ann =
            ConsumerSnapshot { errors: 3, last_seen: consumer("ann", 4).last_seen, ..consumer("ann", 7) };
        assert_eq!((all, consumers.refused()), (vec![ann, consumer("bob", 1)], 0));
    }

    #[test]
    fn past_the_limit_consumers_count_as_other_and_no_call_is_lost() {
        let mut consumers = Consumers::default();
        for number in 0..30_000_u64 {
            consumers.add(consumer(&format!("key {number}"), 2));
        }
        // One that is known, and so still counted by its name; and one that was `_other` at its instance.
        consumers.add(consumer("key 0", 5));
        consumers.add(consumer(OTHER, 7));
        let all = consumers.all();
        assert_eq!(all.len(), MAX_CONSUMERS + 1);
        assert_eq!(all.iter().map(|each| each.calls).sum::<u64>(), 60_000 + 5 + 7);
        let calls = |name: &str| all.iter().find(|each| *each.name == *name).unwrap().calls;
        assert_eq!((calls("key 0"), calls(OTHER)), (7, 40_000 + 7));
        assert_eq!(consumers.refused(), 40_000);
    }
}
