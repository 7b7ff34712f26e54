//! Notices on their way to the destinations.
//!
//! A notice is written to Redis before it is sent, and taken off once each destination has it. So a successor of this
//! instance sends what this one may not have sent, under the same id. What it sent and could not note is sent again.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::SystemTime;

use metrics_core::alert::{Change, EventId, Notice};
use metrics_export::alert::Settled;

use super::size;
use super::times::millis;

/// The most notices on their way. A destination that fails is given up after 15 minutes.
const MAX_WAITING: usize = 1_024;

/// How many notices this instance remembers to have sent.
const MAX_REMEMBERED: usize = 4_096;

/// A notice on its way.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// With its id.
    pub(super) notice: Notice,
    pub(super) id: EventId,
    /// The destinations that are done with it.
    pub(super) done: Vec<String>,
    /// Those whose delivery has it.
    handed: Vec<String>,
}

impl Entry {
    pub(super) fn new(notice: Notice, id: EventId, done: Vec<String>) -> Self {
        Self { notice: Notice { event_id: Some(id), ..notice }, id, done, handed: Vec::new() }
    }
}

/// All notices on their way, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    /// Notices that were dropped since there were too many.
    dropped: u64,
    /// What this instance sent, for when it becomes the holder again and another one could not know.
    remembered: VecDeque<(EventId, String)>,
}

impl Outbox {
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Adds new notices of the holder with this token.
    pub(super) fn add(&mut self, notices: Vec<Notice>, token: u64, now: SystemTime) {
        for (place, notice) in notices.into_iter().enumerate() {
            let id = id(&notice, token, now, place);
            self.entries.push_back(Entry::new(notice, id, Vec::new()));
        }
        self.limit();
    }

    /// Takes up the notices of another holder instead of its own.
    pub(super) fn take_up(&mut self, entries: Vec<Entry>) {
        self.entries = entries.into();
        for (id, destination) in &self.remembered {
            let known = self.entries.iter_mut().find(|entry| entry.id == *id);
            known.into_iter().for_each(|entry| entry.finish(destination));
        }
        self.limit();
    }

    /// What a destination is to be given now. All of it is written.
    pub(super) fn hand_out(&mut self, destination: &str) -> Vec<Notice> {
        let mut notices = Vec::new();
        for entry in &mut self.entries {
            let has = |list: &[String]| list.iter().any(|known| known == destination);
            if !has(&entry.done) && !has(&entry.handed) {
                entry.handed.push(destination.to_owned());
                notices.push(entry.notice.clone());
            }
        }
        notices
    }

    /// Whether this destination is still to get all of these.
    pub(super) fn has_all(&self, events: &[EventId], destination: &str) -> bool {
        let is_open = |entry: &Entry| !entry.done.iter().any(|known| known == destination);
        events.iter().all(|id| self.entries.iter().any(|entry| entry.id == *id && is_open(entry)))
    }

    /// What became of notices at a destination. Returns whether that has to be written.
    pub(super) fn settle(&mut self, events: &[EventId], destination: &str, outcome: Settled) -> bool {
        for id in events {
            if outcome == Settled::Sent {
                self.remembered.push_back((*id, destination.to_owned()));
            }
            let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == *id) else { continue };
            match outcome {
                Settled::Sent | Settled::GivenUp => entry.finish(destination),
                Settled::Withheld => entry.handed.retain(|known| known != destination),
            }
        }
        let excess = self.remembered.len().saturating_sub(MAX_REMEMBERED);
        self.remembered.drain(..excess);
        outcome != Settled::Withheld
    }

    /// Takes off the notices that all of these destinations are done with. Returns whether there were any.
    pub(super) fn clear(&mut self, destinations: &[String]) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| !destinations.iter().all(|name| entry.done.contains(name)));
        before != self.entries.len()
    }

    /// Drops what does not fit into the state: reminders first, then the least severe, and of these the oldest. What
    /// destinations are done with takes room, too.
    pub(super) fn limit(&mut self) {
        let bytes = |entry: &Entry| size::of_notice(&entry.notice, &entry.done);
        let mut taken: usize = self.entries.iter().map(bytes).sum();
        let fits = |left: usize, taken: usize| left <= MAX_WAITING && taken <= size::MAX_NOTICE_BYTES;
        if fits(self.entries.len(), taken) {
            return;
        }
        let rank = |(place, Entry { notice: Notice { change, alert, .. }, .. }): (usize, &Entry)| {
            (*change != Change::Reminder, alert.rule.severity, place)
        };
        let mut ranked: Vec<_> = self.entries.iter().enumerate().map(rank).collect();
        ranked.sort_unstable();
        let mut dropped = HashSet::new();
        for (.., place) in ranked {
            if fits(self.entries.len() - dropped.len(), taken) {
                break;
            }
            taken -= bytes(&self.entries[place]);
            dropped.insert(place);
        }
        self.dropped += dropped.len() as u64;
        let mut places = 0..;
        self.entries.retain(|_| !places.next().is_some_and(|place| dropped.contains(&place)));
    }
}

impl Entry {
    fn finish(&mut self, destination: &str) {
        self.handed.retain(|known| known != destination);
        if !self.done.iter().any(|known| known == destination) {
            self.done.push(destination.to_owned());
        }
    }
}

/// An id that no other notice has: a token has one holder, which evaluates one time after the other.
fn id(notice: &Notice, token: u64, now: SystemTime, place: usize) -> EventId {
    let Notice { alert, change, .. } = notice;
    let text = format!("{token} {} {place} {} {change} {:?}", millis(now), alert.rule.name, alert.endpoint);
    let hash = hmac_sha256::Hash::hash(text.as_bytes());
    let bits = hash.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    EventId::new(bits)
}

/// Names for destinations that are the same at all instances: of several of a kind, by their order.
pub(super) fn names<'a>(kinds: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeMap::<&str, u32>::new();
    let name = |kind: &'a str| {
        let number = seen.entry(kind).or_default();
        *number += 1;
        if *number == 1 { kind.to_owned() } else { format!("{kind}-{number}") }
    };
    kinds.map(name).collect()
}

#[cfg(test)]
mod tests {
    use metrics_core::alert::{Alerts, Comparison, Metric, Moment, Rule, Severity};
    use metrics_core::{History, Registry};

    use super::*;

    fn notice() -> Notice {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        registry.record_nanos(registry.endpoint("GET", "/"), 500, 1);
        history.tick();
        let rule = Rule::new("errors", Metric::Errors, Comparison::AtLeast, 1.0);
        Alerts::new([rule]).unwrap().evaluate(Moment::now(), &history).pop().unwrap()
    }

    #[test]
    fn a_notice_is_on_its_way_until_each_destination_has_it_or_gave_it_up() {
        let all = names(["log", "webhook", "webhook"].into_iter());
        assert_eq!(all, ["log", "webhook", "webhook-2"]);
        let mut outbox = Outbox::default();
        outbox.add(vec![notice(), notice()], 7, SystemTime::now());
        let ids: Vec<_> = outbox.entries().map(|entry| entry.id).collect();
        assert_ne!(ids[0], ids[1]);
        assert_eq!(outbox.hand_out("log").len(), 2);
        assert_eq!(outbox.hand_out("log").len(), 0);
        assert!(outbox.settle(&ids, "log", Settled::Sent));
        // Not sent, so it is handed out again.
        assert_eq!(outbox.hand_out("webhook").len(), 2);
        assert!(!outbox.settle(&ids[1..], "webhook", Settled::Withheld));
        assert!(outbox.settle(&ids[..1], "webhook", Settled::GivenUp));
        let again = outbox.hand_out("webhook");
        assert_eq!(again.iter().map(|notice| notice.event_id).collect::<Vec<_>>(), [Some(ids[1])]);
        assert!(!outbox.clear(&all));
        outbox.settle(&ids[..1], "webhook-2", Settled::Sent);
        assert!(outbox.clear(&all));
        assert_eq!(outbox.len(), 1);
        assert!(outbox.has_all(&ids[1..], "webhook") && !outbox.has_all(&ids, "webhook"));
        assert!(!outbox.has_all(&ids[1..], "log"));
    }

    #[test]
    fn what_this_instance_sent_is_not_sent_again_when_it_holds_the_lease_once_more() {
        let mut outbox = Outbox::default();
        outbox.add(vec![notice()], 7, SystemTime::now());
        let written: Vec<_> = outbox.entries().cloned().collect();
        outbox.hand_out("log");
        outbox.settle(&[written[0].id], "log", Settled::Sent);
        outbox.take_up(written.clone());
        assert_eq!(outbox.hand_out("log"), []);
        // Another one cannot know.
        let mut other = Outbox::default();
        other.take_up(written.clone());
        assert_eq!(other.hand_out("log")[0].event_id, Some(written[0].id));
    }

    #[test]
    fn too_many_notices_drop_the_least_severe_and_of_these_the_oldest_and_are_counted() {
        let mut outbox = Outbox::default();
        let now = SystemTime::now();
        let mut critical = notice();
        critical.alert.rule = Rule::clone(&critical.alert.rule).severity(Severity::Critical).into();
        outbox.add(vec![critical], 7, now);
        outbox.add(vec![notice(); MAX_WAITING], 7, now);
        let before: Vec<_> = outbox.entries().map(|entry| entry.id).collect();
        assert_eq!((outbox.len(), outbox.dropped()), (MAX_WAITING, 1));
        outbox.add(vec![notice()], 7, now);
        assert_eq!((outbox.len(), outbox.dropped()), (MAX_WAITING, 2));
        let after: Vec<_> = outbox.entries().map(|entry| entry.id).collect();
        assert_eq!((after[0], &after[1..MAX_WAITING - 1]), (before[0], &before[2..]));
    }

    #[test]
    fn notices_take_no_more_bytes_than_the_state_has_for_them() {
        let mut outbox = Outbox::default();
        let mut long = notice();
        long.alert.version = Some("v".repeat(MAX_WAITING).into());
        outbox.add(vec![long; 500], 7, SystemTime::now());
        let bytes: usize = outbox.entries().map(|entry| size::of_notice(&entry.notice, &entry.done)).sum();
        assert!(outbox.dropped() > 0 && bytes <= size::MAX_NOTICE_BYTES, "{bytes}");
    }
}
