//! The state of a fleet's alerts as it is kept in Redis: JSON, which a later version may extend.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::alert::{EventId, Notice, Rule, SavedAlerts};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::budgets::{Budgets, Counted};
use super::outbox::Entry;
use super::part::{AlertRecord, NoticeRecord};
use super::size;
use super::times::{millis, time};

/// The version of the format. Fields that are not known are passed on; a change that cannot be ignored gets another
/// number.
const VERSION: u32 = 1;

/// The most records of a kind.
const MAX_RECORDS: usize = 20_000;

/// The most changes of alerts.
const MAX_CHANGES: usize = 100;

/// How long the state of a rule that this instance does not have is passed on: during a rollout, the next holder may
/// have it.
const PASSED_ON: Duration = Duration::from_secs(3_600);

/// The state of all alerts, and the notices on their way.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) saved: SavedAlerts,
    pub(super) entries: Vec<Entry>,
    pub(super) budgets: Budgets,
    /// What belongs to rules that this instance does not have.
    pub(super) foreign: Foreign,
    /// Alerts that had no room at the holder.
    pub(super) left_out: usize,
}

/// Parts that are passed on as they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Foreign {
    evaluated: Vec<(String, u64)>,
    alerts: Vec<AlertRecord>,
    notices: Vec<NoticeRecord>,
    changes: Vec<NoticeRecord>,
    /// Fields of a later version.
    more: Map<String, Value>,
    /// How many alerts and notices had no room, by when their rules were last evaluated.
    left_out: BTreeMap<u64, usize>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// Milliseconds since 1970, like all times.
    evaluated: Vec<(String, u64)>,
    alerts: Vec<AlertRecord>,
    notices: Vec<NoticeRecord>,
    /// The oldest first. As notices without an id.
    #[serde(default)]
    changes: Vec<NoticeRecord>,
    #[serde(default)]
    objectives: Vec<Counted>,
    #[serde(default)]
    left_out: usize,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Record {
    /// Reads what [`Record::write`] wrote, for these rules. Nothing in it is trusted.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not such a text, or of a version that this one cannot read.
    pub(super) fn read(bytes: &[u8], rules: &[Arc<Rule>], now: SystemTime) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| format!("the state of alerts is damaged: {error}"))?;
        if document.version != VERSION {
            return Err(format!(
                "the state of alerts has version {}, this one reads {VERSION}",
                document.version
            ));
        }
        if document.alerts.len().max(document.notices.len()).max(document.evaluated.len()) > MAX_RECORDS {
            return Err(format!("the state of alerts has more than {MAX_RECORDS} records"));
        }
        let rule = |name: &str| rules.iter().find(|rule| rule.name == name);
        let mut record = Self::default();
        for (name, at) in document.evaluated {
            match rule(&name) {
                Some(_) => record.saved.evaluated.push((name, time(at))),
                None if is_passed_on(at, now) => {
                    record.foreign.evaluated.push((name, at));
                }
                None => {}
            }
        }
        let passed_on: Vec<_> = record.foreign.evaluated.iter().map(|(name, _)| name.clone()).collect();
        for alert in document.alerts {
            match rule(&alert.rule) {
                Some(_) => record.saved.alerts.extend(alert.saved()),
                None if passed_on.contains(&alert.rule) => record.foreign.alerts.push(alert),
                None => {}
            }
        }
        for notice in document.notices {
            match rule(&notice.rule) {
                Some(rule) => record.entries.extend(notice.entry(rule)),
                None if passed_on.contains(&notice.rule) => record.foreign.notices.push(notice),
                None => {}
            }
        }
        // The latest ones.
        let skipped = document.changes.len().saturating_sub(MAX_CHANGES);
        for change in document.changes.into_iter().skip(skipped) {
            match rule(&change.rule) {
                Some(rule) => {
                    let entry = change.entry(rule);
                    let change = entry.map(|Entry { notice, .. }| Notice { event_id: None, ..notice });
                    record.saved.changes.extend(change);
                }
                None if passed_on.contains(&change.rule) => record.foreign.changes.push(change),
                None => {}
            }
        }
        record.budgets = Budgets::read(document.objectives);
        record.foreign.more = document.more;
        record.left_out = document.left_out;
        Ok(record)
    }

    /// The state as it is kept, in at most `most` bytes. Drops what has no room of [`Foreign`]. `left_out` is how many
    /// alerts of this instance's rules had no room.
    pub(super) fn write<'a>(
        (saved, left_out): (&SavedAlerts, usize),
        entries: impl Iterator<Item = &'a Entry>,
        budgets: &Budgets,
        foreign: &mut Foreign,
        most: usize,
    ) -> Vec<u8> {
        let mut document = Document {
            version: VERSION,
            evaluated: saved.evaluated.iter().map(|(name, at)| (name.clone(), millis(*at))).collect(),
            alerts: saved.alerts.iter().map(AlertRecord::new).collect(),
            notices: entries.map(NoticeRecord::new).collect(),
            changes: changes(&saved.changes),
            objectives: budgets.written().to_vec(),
            left_out: usize::MAX,
            more: Map::new(),
        };
        if !foreign.is_empty() {
            foreign.limit(most.saturating_sub(json(&document).len()));
            document.evaluated.extend(foreign.evaluated.iter().cloned());
            document.alerts.extend(foreign.alerts.iter().cloned());
            document.notices.extend(foreign.notices.iter().cloned());
            document.changes.extend(foreign.changes.iter().cloned());
            document.changes.sort_by_key(|change| change.since);
            document.more.clone_from(&foreign.more);
        }
        document.left_out = left_out.saturating_add(foreign.left_out());
        json(&document)
    }
}

/// The latest changes that have room, the oldest first.
fn changes(changes: &[Notice]) -> Vec<NoticeRecord> {
    let mut left = size::MAX_CHANGE_BYTES;
    let mut fits = |notice: &&Notice| {
        let rest = left.checked_sub(size::of_notice(notice, &[]));
        rest.inspect(|rest| left = *rest).is_some()
    };
    let kept = changes.iter().rev().take_while(|notice| fits(notice)).count();
    let latest = &changes[changes.len() - kept..];
    let record =
        |notice: &Notice| NoticeRecord::new(&Entry::new(notice.clone(), EventId::new(0), Vec::new()));
    latest.iter().map(record).collect()
}

impl Foreign {
    fn is_empty(&self) -> bool {
        self.evaluated.is_empty()
            && self.alerts.is_empty()
            && self.notices.is_empty()
            && self.changes.is_empty()
            && self.more.is_empty()
    }

    /// How many alerts and notices were dropped since they had no room, and would otherwise be passed on.
    pub(super) fn left_out(&self) -> usize {
        self.left_out.values().sum()
    }

    /// Drops what is passed on no longer, and forgets what would not be.
    pub(super) fn forget(&mut self, now: SystemTime) {
        self.evaluated.retain(|(_, at)| is_passed_on(*at, now));
        self.left_out.retain(|at, _| is_passed_on(*at, now));
        self.drop_unevaluated();
    }

    /// Drops what does not fit into so many bytes: changes first, then the last alerts, then the last notices.
    fn limit(&mut self, mut left: usize) {
        let at: HashMap<String, u64> = self.evaluated.iter().cloned().collect();
        let numbers = |foreign: &Self| {
            let rules = foreign.alerts.iter().map(|alert| &alert.rule);
            let rules = rules.chain(foreign.notices.iter().map(|notice| &notice.rule));
            let mut numbers = BTreeMap::<u64, usize>::new();
            rules.filter_map(|rule| at.get(rule)).for_each(|at| *numbers.entry(*at).or_default() += 1);
            numbers
        };
        let before = numbers(self);
        match left.checked_sub(json(&self.more).len()) {
            Some(rest) => left = rest,
            None => self.more.clear(),
        }
        keep_first(&mut self.evaluated, &mut left);
        self.drop_unevaluated();
        keep_first(&mut self.notices, &mut left);
        keep_first(&mut self.alerts, &mut left);
        keep_first(&mut self.changes, &mut left);
        let after = numbers(self);
        for (at, number) in before {
            let dropped = number - after.get(&at).copied().unwrap_or(0);
            if dropped > 0 {
                *self.left_out.entry(at).or_default() += dropped;
            }
        }
    }

    fn drop_unevaluated(&mut self) {
        let evaluated: HashSet<_> = self.evaluated.iter().map(|(rule, _)| &**rule).collect();
        self.notices.retain(|notice| evaluated.contains(&*notice.rule));
        self.alerts.retain(|alert| evaluated.contains(&*alert.rule));
        self.changes.retain(|change| evaluated.contains(&*change.rule));
    }
}

/// Whether the state of a rule that was last evaluated at this time is passed on.
fn is_passed_on(evaluated: u64, now: SystemTime) -> bool {
    now.duration_since(time(evaluated)).is_ok_and(|ago| ago < PASSED_ON)
}

/// Keeps the first elements that fit into so many bytes of JSON, and takes these off.
fn keep_first<T: Serialize>(elements: &mut Vec<T>, left: &mut usize) {
    let mut fits = |element: &T| {
        let rest = left.checked_sub(json(element).len() + 1);
        rest.inspect(|rest| *left = *rest).is_some()
    };
    let kept = elements.iter().take_while(|element| fits(element)).count();
    elements.truncate(kept);
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers are JSON")
}

#[cfg(test)]
mod tests {
    use metrics_core::EndpointName;
    use metrics_core::alert::{Alert, Change, Comparison, Metric, SavedAlert, SavedPhase, Scope, State};
    use metrics_export::fleet::redis::AlertLease;

    use super::super::part::PhaseRecord;
    use super::super::times::MAX_MILLIS;
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    fn rules(names: &[&str]) -> Vec<Arc<Rule>> {
        let rule =
            |name: &&str| Rule::new(*name, Metric::Errors, Comparison::Above, 1.0).scope(Scope::EachRoute);
        names.iter().map(|name| Arc::new(rule(name))).collect()
    }

    fn record() -> (SavedAlerts, Vec<Entry>) {
        let name = Arc::new(EndpointName { method: "GET".into(), route: "/items/{id}".into() });
        let alert = |rule: &str, endpoint, phase| SavedAlert {
            rule: rule.to_owned(),
            endpoint,
            value: Some(2.5),
            since: at(1),
            phase,
        };
        let saved = SavedAlerts {
            evaluated: vec![("a".to_owned(), at(9)), ("b".to_owned(), at(9))],
            alerts: vec![
                alert("a", Some(Arc::clone(&name)), SavedPhase::Firing(at(2))),
                alert("a", None, SavedPhase::Pending(Duration::from_secs(3))),
                alert("b", Some(Arc::clone(&name)), SavedPhase::Resolved { started: at(1), at: at(2) }),
            ],
            changes: Vec::new(),
        };
        let alert = Alert {
            rule: rules(&["a"]).remove(0),
            endpoint: Some(name),
            state: State::Resolved,
            value: None,
            since: Some(at(4)),
            started: Some(at(1)),
            trace: None,
            not_seen: false,
            of_fleet: true,
            version: Some("1.2".into()),
        };
        let notice = Notice { change: Change::Resolved, alert, event_id: None };
        let gave_way = Alert { state: State::Inactive, since: Some(at(5)), ..notice.alert.clone() };
        let gave_way = Notice { alert: gave_way, ..notice.clone() };
        let saved = SavedAlerts { changes: vec![notice.clone(), gave_way], ..saved };
        (saved, vec![Entry::new(notice, EventId::new(77), vec!["log".to_owned()])])
    }

    fn write(saved: &SavedAlerts, entries: &[Entry], foreign: &mut Foreign) -> Vec<u8> {
        Record::write((saved, 3), entries.iter(), &Budgets::default(), foreign, AlertLease::MAX_STATE)
    }

    #[test]
    fn parts_take_no_more_than_their_sizes_say() {
        let (saved, entries) = record();
        let rule = &rules(&["a"])[0];
        let of_alerts: usize =
            saved.alerts.iter().map(|alert| size::of_alert(rule, alert.endpoint.as_deref())).sum();
        let of_entries: usize = entries.iter().map(|entry| size::of_notice(&entry.notice, &entry.done)).sum();
        let least = |records: Vec<usize>, most: usize| {
            let bytes = records.iter().sum::<usize>() + records.len();
            assert!((most / 2..=most).contains(&bytes), "{bytes} of {most}");
        };
        least(saved.alerts.iter().map(|alert| json(&AlertRecord::new(alert)).len()).collect(), of_alerts);
        least(entries.iter().map(|entry| json(&NoticeRecord::new(entry)).len()).collect(), of_entries);
        // The longest numbers.
        let longest = AlertRecord {
            value: Some(-f64::MIN_POSITIVE * 1.234_567_890_123_456_7),
            since: MAX_MILLIS,
            phase: PhaseRecord::Resolved { started: MAX_MILLIS, at: MAX_MILLIS },
            ..AlertRecord::new(&saved.alerts[0])
        };
        let most = size::of_alert(rule, saved.alerts[0].endpoint.as_deref());
        assert!(json(&longest).len() < most, "{} of {most}", json(&longest).len());
    }

    #[test]
    fn the_latest_changes_are_kept_as_far_as_they_have_room() {
        let (mut saved, _) = record();
        let long = |number: usize| {
            let mut notice = saved.changes[0].clone();
            notice.alert.version = Some(format!("{number:0>250}").into());
            notice
        };
        saved.changes = (0..100).map(long).collect();
        let bytes = write(&saved, &[], &mut Foreign::default());
        let read = Record::read(&bytes, &rules(&["a"]), at(10)).unwrap().saved.changes;
        assert!((40..100).contains(&read.len()), "{}", read.len());
        assert_eq!(read, saved.changes[100 - read.len()..]);
    }

    #[test]
    fn what_belongs_to_other_rules_takes_only_the_room_that_is_left() {
        let (mut saved, entries) = record();
        saved.evaluated.retain(|(rule, _)| rule == "b");
        saved.alerts =
            (0..100).map(|_| SavedAlert { rule: "b".to_owned(), ..saved.alerts[0].clone() }).collect();
        let bytes = write(&saved, &entries, &mut Foreign::default());
        let mut record = Record::read(&bytes, &rules(&["a"]), at(10)).unwrap();
        let own = write(&record.saved, &[], &mut Foreign::default());
        let room_of_number = 20;
        for (most, kept) in
            [(bytes.len() + room_of_number, 100), (bytes.len() / 2, 48), (own.len() + 30, 0), (own.len(), 0)]
        {
            let saved = (&record.saved, 0);
            let again = Record::write(saved, [].iter(), &record.budgets, &mut record.foreign, most);
            assert!(again.len() <= most.max(own.len() + room_of_number), "{} of {most}", again.len());
            assert!(
                (kept..=kept + 1).contains(&record.foreign.alerts.len()),
                "{}",
                record.foreign.alerts.len()
            );
            assert_eq!(record.foreign.left_out(), 100 - record.foreign.alerts.len());
        }
        // They count as long as they would be passed on.
        record.foreign.forget(at(3_600));
        assert_eq!(record.foreign.left_out(), 100);
        record.foreign.forget(at(9 + 3_600));
        assert_eq!(record.foreign.left_out(), 0);
    }

    #[test]
    fn what_is_written_is_read_and_that_of_other_rules_is_passed_on_for_an_hour() {
        let (saved, entries) = record();
        let bytes = write(&saved, &entries, &mut Foreign::default());
        let read = |bytes: &[u8], names: &[&str], now| Record::read(bytes, &rules(names), now).unwrap();
        let all = read(&bytes, &["a", "b"], at(10));
        assert_eq!(all.saved, saved);
        assert_eq!(
            (all.entries[0].notice.clone(), &*all.entries[0].done),
            (entries[0].notice.clone(), &["log".to_owned()][..])
        );
        // A holder with other rules.
        let mut other = read(&bytes, &["b"], at(10));
        assert_eq!((other.saved.alerts.len(), other.entries.len()), (1, 0));
        let passed_on = write(&other.saved, &other.entries, &mut other.foreign);
        let again = read(&passed_on, &["a", "b"], at(20));
        assert_eq!((again.saved.alerts.len(), again.entries.len()), (3, 1));
        assert_eq!(again.saved.changes, saved.changes);
        let mut late = read(&passed_on, &["b"], at(9 + 3_600));
        let later = write(&late.saved, &late.entries, &mut late.foreign);
        assert_eq!(read(&later, &["a"], at(20)).saved, SavedAlerts::default());
    }

    #[test]
    fn what_somebody_else_wrote_is_refused_or_left_out() {
        let refused = |text: &str| Record::read(text.as_bytes(), &rules(&["a"]), at(0)).unwrap_err();
        assert!(refused("").starts_with("the state of alerts is damaged: "));
        let version = refused(r#"{"version":2,"evaluated":[],"alerts":[],"notices":[]}"#);
        assert_eq!(version, "the state of alerts has version 2, this one reads 1");
        let (saved, entries) = record();
        let text = String::from_utf8(write(&saved, &entries, &mut Foreign::default())).unwrap();
        for (from, to) in [
            ("/items/{id}", "/\u{202e}"),
            ("\"since\":1700000001000", "\"since\":18446744073709551615"),
            ("0000000000000000000000000000004d", "x"),
            ("\"held\":3000", "\"held\":18446744073709551615"),
        ] {
            assert!(text.contains(from), "{text}");
            let read = Record::read(text.replace(from, to).as_bytes(), &rules(&["a", "b"]), at(10)).unwrap();
            assert!(read.saved.alerts.len() + read.entries.len() <= 4);
        }
        // A later version may say more.
        let more = text.replacen('{', "{\"more\":[1],", 1);
        let mut read = Record::read(more.as_bytes(), &rules(&["a", "b"]), at(10)).unwrap();
        assert_eq!((&read.saved, read.left_out), (&saved, 3));
        let again = write(&read.saved, &read.entries, &mut read.foreign);
        assert_eq!(serde_json::from_slice::<Value>(&again).unwrap()["more"], serde_json::json!([1]));
        // Unless it has no room.
        let own = (&read.saved, 0);
        let short = Record::write(own, [].iter(), &read.budgets, &mut read.foreign, 100);
        assert!(serde_json::from_slice::<Value>(&short).unwrap()["more"].is_null());
    }
}
