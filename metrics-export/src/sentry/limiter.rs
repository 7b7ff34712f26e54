//! At most so many events a minute of each kind.

use std::collections::HashMap;

/// Fingerprints that are remembered at most. Where there are more, the one that was not seen for the longest time is
/// forgotten, and with it how many of its events were left out since the last one.
const MAX_FINGERPRINTS: usize = 1_000;

/// What was sent and left out of each fingerprint.
#[derive(Debug)]
pub(super) struct Limiter {
    per_minute: u32,
    seen: HashMap<u64, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The last minute of an event, since 1970.
    minute: u64,
    /// Events that were sent in it.
    sent: u32,
    /// Events that were left out since the last one that was sent.
    left_out: u64,
}

impl Limiter {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, seen: HashMap::new() }
    }

    pub(super) fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Whether an event of this fingerprint and minute may be sent: how many were left out before it. If `room` is false it may
    /// not, whatever its fingerprint.
    pub(super) fn admit(&mut self, fingerprint: u64, minute: u64, room: bool) -> Option<u64> {
        if self.seen.len() >= MAX_FINGERPRINTS && !self.seen.contains_key(&fingerprint) {
            let oldest = self.seen.iter().min_by_key(|(_, seen)| seen.minute).map(|(oldest, _)| *oldest);
            oldest.map(|oldest| self.seen.remove(&oldest));
        }
        let seen = self.seen.entry(fingerprint).or_insert(Seen { minute, sent: 0, left_out: 0 });
        // Around its end those of the minute before can come later; a clock that was set back begins anew.
        if minute > seen.minute || seen.minute - minute > 1 {
            (seen.minute, seen.sent) = (minute, 0);
        }
        if !room || seen.sent >= self.per_minute {
            seen.left_out += 1;
            return None;
        }
        seen.sent += 1;
        Some(std::mem::take(&mut seen.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_minute_are_sent_and_the_next_one_says_how_many_were_not() {
        let mut limiter = Limiter::new(2);
        let mut admit = |fingerprint, minute| limiter.admit(fingerprint, minute, true);
        assert_eq!([admit(1, 7), admit(1, 7), admit(1, 7), admit(1, 7)], [Some(0), Some(0), None, None]);
        // Another one has limits of its own.
        assert_eq!([admit(2, 7), admit(1, 8), admit(1, 8), admit(1, 8)], [Some(0), Some(2), Some(0), None]);
        assert_eq!(admit(1, 20), Some(1));
        // A clock that was set back.
        assert_eq!(admit(1, 3), Some(0));
        // Workers that are not quite at one around the end of a minute.
        let alternating = [40, 41, 40, 41, 40, 41].map(|minute| admit(1, minute).is_some());
        assert_eq!(alternating, [true, true, true, false, false, false]);
    }

    #[test]
    fn what_finds_no_room_is_told_by_the_next_one() {
        let mut limiter = Limiter::new(2);
        assert_eq!(limiter.admit(1, 7, false), None);
        assert_eq!(limiter.admit(1, 7, true), Some(1));
    }

    #[test]
    fn no_more_fingerprints_are_remembered_than_fit() {
        let mut limiter = Limiter::new(1);
        for fingerprint in 0..5 * MAX_FINGERPRINTS as u64 {
            assert_eq!(limiter.admit(fingerprint, fingerprint, true), Some(0));
            assert_eq!(limiter.admit(fingerprint, fingerprint, true), None);
        }
        assert_eq!(limiter.seen.len(), MAX_FINGERPRINTS);
        // The one that was seen last is still there, and the first one is not.
        let last = 5 * MAX_FINGERPRINTS as u64 - 1;
        assert_eq!([limiter.admit(last, last, true), limiter.admit(0, last, true)], [None, Some(0)]);
    }
}
