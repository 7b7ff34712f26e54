//! How many alerts can be held at once, where their states go to a store of limited size.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use super::condition::Severity;
use super::rule::Rule;
use super::series::{Phase, Series};
use crate::labels::endpoint::EndpointName;

/// How much room the states of alerts that are not inactive have, and how much each takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) most: usize,
    pub(super) of: fn(&Rule, Option<&EndpointName>) -> usize,
}

/// An alert: the place of its rule, and its endpoint.
pub(super) type Key = (usize, Option<Arc<EndpointName>>);

/// The lowest one is dropped first: resolved alerts, then the least severe, of these the pending ones, and of these the
/// newest. Of alerts of the same moment, the last one goes first.
type Rank = (bool, Severity, bool, Reverse<SystemTime>, Reverse<Key>);

impl Room {
    /// What has to be dropped for the rest to fit.
    pub(super) fn excess<'a>(
        &self,
        held: impl Iterator<Item = (Key, &'a Rule, &'a Series)> + Clone,
    ) -> BTreeSet<Key> {
        let size = |((_, endpoint), rule, _): &(Key, &Rule, &Series)| (self.of)(rule, endpoint.as_deref());
        let mut taken: usize = held.clone().map(|alert| size(&alert)).sum();
        if taken <= self.most {
            return BTreeSet::new();
        }
        let mut ranked: Vec<(Rank, usize)> = held
            .map(|alert| {
                let size = size(&alert);
                let (key, rule, Series { phase, since, .. }) = alert;
                let is_open = !matches!(phase, Phase::Resolved { .. });
                let fires = matches!(phase, Phase::Firing { .. });
                ((is_open, rule.severity, fires, Reverse(*since), Reverse(key)), size)
            })
            .collect();
        ranked.sort_unstable();
        let mut dropped = BTreeSet::new();
        for ((.., Reverse(key)), size) in ranked {
            if taken <= self.most {
                break;
            }
            taken -= size;
            dropped.insert(key);
        }
        dropped
    }
}
