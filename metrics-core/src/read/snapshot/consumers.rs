//! One consumer in a snapshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// One consumer's figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerSnapshot {
    /// The consumer's name. One that begins with `_` stands for several consumers: see [`Consumer`](crate::Consumer).
    pub name: Arc<str>,
    /// Requests that ended, with any outcome.
    pub calls: u64,
    /// Requests that ended with a 4xx, a 5xx or a panic.
    pub errors: u64,
    /// The sum of their durations, in nanoseconds.
    pub sum_nanos: u64,
    /// When the last of them ended: by the wall clock at the registry's start, and the monotonic clock since then.
    pub last_seen: SystemTime,
}

/// Adds another registry's consumers, by name.
pub(super) fn merge_consumers(ours: &mut Vec<ConsumerSnapshot>, theirs: &[ConsumerSnapshot]) {
    let mut at: HashMap<_, _> =
        ours.iter().enumerate().map(|(i, consumer)| (Arc::clone(&consumer.name), i)).collect();
    for theirs in theirs {
        let Some(&i) = at.get(&theirs.name) else {
            at.insert(Arc::clone(&theirs.name), ours.len());
            ours.push(theirs.clone());
            continue;
        };
        let ours = &mut ours[i];
        ours.calls = ours.calls.saturating_add(theirs.calls);
        ours.errors = ours.errors.saturating_add(theirs.errors);
        ours.sum_nanos = ours.sum_nanos.saturating_add(theirs.sum_nanos);
        ours.last_seen = ours.last_seen.max(theirs.last_seen);
    }
}

/// The consumers that were seen since an earlier state.
pub(crate) fn consumers_since<'a>(
    ours: &[ConsumerSnapshot],
    earlier: &'a [ConsumerSnapshot],
) -> Vec<ConsumerSnapshot> {
    // Two snapshots of one registry have the same consumers in the same order, so the next one mostly fits. Where it
    // does not, all are looked at.
    let mut next = 0;
    let mut places: Option<HashMap<&str, usize>> = None;
    let mut before = |name: &Arc<str>| {
        if earlier.get(next).is_none_or(|expected| expected.name != *name) {
            let by_name = |(place, consumer): (usize, &'a ConsumerSnapshot)| (&*consumer.name, place);
            let places = places.get_or_insert_with(|| earlier.iter().enumerate().map(by_name).collect());
            next = *places.get(&**name)?;
        }
        next += 1;
        Some(&earlier[next - 1])
    };
    let windows = ours.iter().map(|ours| match before(&ours.name) {
        Some(before) => ConsumerSnapshot {
            calls: ours.calls.saturating_sub(before.calls),
            errors: ours.errors.saturating_sub(before.errors),
            sum_nanos: ours.sum_nanos.saturating_sub(before.sum_nanos),
            ..ours.clone()
        },
        None => ours.clone(),
    });
    windows.filter(|window| (window.calls, window.errors, window.sum_nanos) != (0, 0, 0)).collect()
}
