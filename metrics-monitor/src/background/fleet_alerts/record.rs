//! The state of a fleet's alerts as it is kept in Redis: JSON, which a later version may extend.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::alert::{Alert, Change, EventId, Notice, Rule, SavedAlert, SavedAlerts, SavedPhase, State};
use metrics_core::{EndpointName, MAX_NAME_BYTES};
use serde::{Deserialize, Serialize};

use super::figures::millis;
use super::outbox::Entry;

/// The version of the format. Fields that are not known are ignored; a change that cannot be ignored gets another
/// number.
const VERSION: u32 = 1;

/// The most destinations of a notice, and the most records of a kind.
const MAX_DONE: usize = 64;
const MAX_RECORDS: usize = 20_000;

/// How long the state of a rule that this instance does not have is passed on: during a rollout, the next holder may
/// have it.
const PASSED_ON: Duration = Duration::from_secs(3_600);

/// The state of all alerts, and the notices on their way.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) saved: SavedAlerts,
    pub(super) entries: Vec<Entry>,
    /// What belongs to rules that this instance does not have.
    pub(super) foreign: Foreign,
}

/// Parts that are passed on as they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Foreign {
    evaluated: Vec<(String, u64)>,
    alerts: Vec<AlertRecord>,
    notices: Vec<NoticeRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// Milliseconds since 1970, like all times.
    evaluated: Vec<(String, u64)>,
    alerts: Vec<AlertRecord>,
    notices: Vec<NoticeRecord>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct AlertRecord {
    rule: String,
    method: Option<String>,
    route: Option<String>,
    value: Option<f64>,
    since: u64,
    #[serde(flatten)]
    phase: PhaseRecord,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum PhaseRecord {
    Pending { held: u64 },
    Firing { noticed: u64 },
    Resolved { started: u64, at: u64 },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct NoticeRecord {
    id: String,
    change: ChangeRecord,
    rule: String,
    method: Option<String>,
    route: Option<String>,
    value: Option<f64>,
    since: Option<u64>,
    started: Option<u64>,
    version: Option<String>,
    done: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChangeRecord {
    Firing,
    Reminder,
    Resolved,
}

impl Record {
    /// Reads what [`Record::write`] wrote, for these rules. Nothing in it is trusted.
    ///
    /// # Errors
    ///
    /// If it is not such a text, or of a version that this one cannot read.
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
                None if now.duration_since(time(at)).is_ok_and(|ago| ago < PASSED_ON) => {
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
        Ok(record)
    }

    /// The state as it is kept.
    pub(super) fn write<'a>(
        saved: &SavedAlerts,
        entries: impl Iterator<Item = &'a Entry>,
        foreign: &Foreign,
    ) -> Vec<u8> {
        let evaluated = saved.evaluated.iter().map(|(name, at)| (name.clone(), millis(*at)));
        let document = Document {
            version: VERSION,
            evaluated: evaluated.chain(foreign.evaluated.iter().cloned()).collect(),
            alerts: saved.alerts.iter().map(AlertRecord::new).chain(foreign.alerts.iter().cloned()).collect(),
            notices: entries.map(NoticeRecord::new).chain(foreign.notices.iter().cloned()).collect(),
        };
        serde_json::to_vec(&document).expect("strings and numbers are JSON")
    }
}

impl AlertRecord {
    fn new(alert: &SavedAlert) -> Self {
        let name = alert.endpoint.as_deref();
        Self {
            rule: alert.rule.clone(),
            method: name.map(|name| name.method.to_string()),
            route: name.map(|name| name.route.to_string()),
            value: alert.value.filter(|value| value.is_finite()),
            since: millis(alert.since),
            phase: match alert.phase {
                SavedPhase::Pending(held) => PhaseRecord::Pending { held: held.as_millis() as u64 },
                SavedPhase::Firing(noticed) => PhaseRecord::Firing { noticed: millis(noticed) },
                SavedPhase::Resolved { started, at } => {
                    PhaseRecord::Resolved { started: millis(started), at: millis(at) }
                }
            },
        }
    }

    fn saved(self) -> Option<SavedAlert> {
        Some(SavedAlert {
            endpoint: endpoint(self.method, self.route)?,
            rule: self.rule,
            value: self.value,
            since: time(self.since),
            phase: match self.phase {
                PhaseRecord::Pending { held } => {
                    SavedPhase::Pending(Duration::from_millis(held.min(MAX_MILLIS)))
                }
                PhaseRecord::Firing { noticed } => SavedPhase::Firing(time(noticed)),
                PhaseRecord::Resolved { started, at } => {
                    SavedPhase::Resolved { started: time(started), at: time(at) }
                }
            },
        })
    }
}

impl NoticeRecord {
    fn new(Entry { notice: Notice { change, alert, .. }, id, done, .. }: &Entry) -> Self {
        let name = alert.endpoint.as_deref();
        Self {
            id: id.to_string(),
            change: match change {
                Change::Firing => ChangeRecord::Firing,
                Change::Reminder => ChangeRecord::Reminder,
                Change::Resolved => ChangeRecord::Resolved,
            },
            rule: alert.rule.name.clone(),
            method: name.map(|name| name.method.to_string()),
            route: name.map(|name| name.route.to_string()),
            value: alert.value.filter(|value| value.is_finite()),
            since: alert.since.map(millis),
            started: alert.started.map(millis),
            version: alert.version.as_deref().map(str::to_owned),
            done: done.clone(),
        }
    }

    fn entry(self, rule: &Arc<Rule>) -> Option<Entry> {
        let (change, state) = match self.change {
            ChangeRecord::Firing => (Change::Firing, State::Firing),
            ChangeRecord::Reminder => (Change::Reminder, State::Firing),
            ChangeRecord::Resolved => (Change::Resolved, State::Resolved),
        };
        let id = EventId::parse(&self.id)?;
        let alert = Alert {
            rule: Arc::clone(rule),
            endpoint: endpoint(self.method, self.route)?,
            state,
            value: self.value,
            since: self.since.map(time),
            started: self.started.map(time),
            trace: None,
            not_seen: false,
            of_fleet: true,
            version: self.version.filter(|version| version.len() <= MAX_NAME_BYTES).map(Arc::from),
        };
        let is_name = |name: &String| name.len() <= MAX_NAME_BYTES;
        let done = self.done.into_iter().filter(is_name).take(MAX_DONE).collect();
        Some(Entry::new(Notice { change, alert, event_id: None }, id, done))
    }
}

/// The name of an endpoint, if there is one; `None` if it is none.
fn endpoint(method: Option<String>, route: Option<String>) -> Option<Option<Arc<EndpointName>>> {
    let is_valid = |text: &str| text.len() <= MAX_NAME_BYTES && !text.chars().any(metrics_core::is_hidden);
    match (method, route) {
        (None, None) => Some(None),
        (Some(method), Some(route)) if is_valid(&method) && is_valid(&route) => {
            Some(Some(Arc::new(EndpointName { method: method.into(), route: route.into() })))
        }
        _ => None,
    }
}

/// The last time that is read, in the year 5138, so that sums stay in range.
const MAX_MILLIS: u64 = 100_000_000_000_000;

fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis.min(MAX_MILLIS))
}

#[cfg(test)]
mod tests {
    use metrics_core::alert::{Comparison, Metric, Scope};

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
        (saved, vec![Entry::new(notice, EventId::new(77), vec!["log".to_owned()])])
    }

    #[test]
    fn what_is_written_is_read_and_that_of_other_rules_is_passed_on_for_an_hour() {
        let (saved, entries) = record();
        let bytes = Record::write(&saved, entries.iter(), &Foreign::default());
        let read = |bytes: &[u8], names: &[&str], now| Record::read(bytes, &rules(names), now).unwrap();
        let all = read(&bytes, &["a", "b"], at(10));
        assert_eq!(all.saved, saved);
        assert_eq!(
            (all.entries[0].notice.clone(), &*all.entries[0].done),
            (entries[0].notice.clone(), &["log".to_owned()][..])
        );
        // A holder with other rules.
        let other = read(&bytes, &["b"], at(10));
        assert_eq!((other.saved.alerts.len(), other.entries.len()), (1, 0));
        let passed_on = Record::write(&other.saved, other.entries.iter(), &other.foreign);
        let again = read(&passed_on, &["a", "b"], at(20));
        assert_eq!((again.saved.alerts.len(), again.entries.len()), (3, 1));
        let late = read(&passed_on, &["b"], at(9 + 3_600));
        let later = Record::write(&late.saved, late.entries.iter(), &late.foreign);
        assert_eq!(read(&later, &["a"], at(20)).saved, SavedAlerts::default());
    }

    #[test]
    fn what_somebody_else_wrote_is_refused_or_left_out() {
        let refused = |text: &str| Record::read(text.as_bytes(), &rules(&["a"]), at(0)).unwrap_err();
        assert!(refused("").starts_with("the state of alerts is damaged: "));
        let version = refused(r#"{"version":2,"evaluated":[],"alerts":[],"notices":[]}"#);
        assert_eq!(version, "the state of alerts has version 2, this one reads 1");
        let (saved, entries) = record();
        let text = String::from_utf8(Record::write(&saved, entries.iter(), &Foreign::default())).unwrap();
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
        assert_eq!(Record::read(more.as_bytes(), &rules(&["a", "b"]), at(10)).unwrap().saved, saved);
    }
}
