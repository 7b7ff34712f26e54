//! Limits the events of each kind per minute.

use std::collections::HashMap;

/// The most fingerprints that are remembered. Beyond it, the one with the oldest last event is forgotten, together with
/// its count of omitted events.
const MAX_FINGERPRINTS: usize = 1_000;

/// Counts the events of each fingerprint.
#[derive(Debug)]
pub(super) struct Limiter {
    per_minute: u32,
    tallies: HashMap<u64, Tally>,
}

#[derive(Debug, Clone, Copy)]
struct Tally {
    /// The minute of the last event, since 1970.
    minute: u64,
    /// Events sent in that minute.
    sent: u32,
    /// Events left out since the last one that was sent.
    left_out: u64,
}

impl Limiter {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, tallies: HashMap::new() }
    }

    pub(super) fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Admits an event of this fingerprint and minute, and returns how many were left out before it; `None` if it is
    /// left out. Without `has_room` each event is left out.
    pub(super) fn admit(&mut self, fingerprint: u64, minute: u64, has_room: bool) -> Option<u64> {
        if self.tallies.len() >= MAX_FINGERPRINTS && !self.tallies.contains_key(&fingerprint) {
            let oldest = self.tallies.iter().min_by_key(|(_, tally)| tally.minute).map(|(oldest, _)| *oldest);
            oldest.map(|oldest| self.tallies.remove(&oldest));
        }
        let tally = self.tallies.entry(fingerprint).or_insert(Tally { minute, sent: 0, left_out: 0 });
        // Around the end of a minute, events of both may alternate. A clock that was set back further starts over.
        if minute > tally.minute || tally.minute - minute > 1 {
            (tally.minute, tally.sent) = (minute, 0);
        }
        if !has_room || tally.sent >= self.per_minute {
            tally.left_out += 1;
            return None;
        }
        tally.sent += 1;
        Some(std::mem::take(&mut tally.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_over_the_limit_are_left_out_and_the_next_one_counts_them() {
        let mut limiter = Limiter::new(2);
        let mut admit = |fingerprint, minute| limiter.admit(fingerprint, minute, true);
        assert_eq!([admit(1, 7), admit(1, 7), admit(1, 7), admit(1, 7)], [Some(0), Some(0), None, None]);
        // Another fingerprint has its own limit.
        assert_eq!([admit(2, 7), admit(1, 8), admit(1, 8), admit(1, 8)], [Some(0), Some(2), Some(0), None]);
        assert_eq!(admit(1, 20), Some(1));
        // A clock that was set back.
        assert_eq!(admit(1, 3), Some(0));
        // Workers that disagree about the end of a minute.
        let alternating = [40, 41, 40, 41, 40, 41].map(|minute| admit(1, minute).is_some());
        assert_eq!(alternating, [true, true, true, false, false, false]);
    }

    #[test]
    fn an_event_without_room_is_counted_by_the_next_one() {
        let mut limiter = Limiter::new(2);
        assert_eq!(limiter.admit(1, 7, false), None);
        assert_eq!(limiter.admit(1, 7, true), Some(1));
    }

    #[test]
    fn the_number_of_fingerprints_is_bounded() {
        let mut limiter = Limiter::new(1);
        for fingerprint in 0..5 * MAX_FINGERPRINTS as u64 {
            assert_eq!(limiter.admit(fingerprint, fingerprint, true), Some(0));
            assert_eq!(limiter.admit(fingerprint, fingerprint, true), None);
        }
        assert_eq!(limiter.tallies.len(), MAX_FINGERPRINTS);
        // The last one is still known, and the first is not.
        let last = 5 * MAX_FINGERPRINTS as u64 - 1;
        assert_eq!([limiter.admit(last, last, true), limiter.admit(0, last, true)], [None, Some(0)]);
    }
}
