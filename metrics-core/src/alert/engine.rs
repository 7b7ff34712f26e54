//! Evaluates all rules at regular intervals, and keeps the states of their alerts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::condition::Metric;
use super::notice::{Alert, Change, Moment, Notice, State};
use super::observe::{of_all, of_burn, of_count, of_endpoint, of_figures, of_newest_version, of_own_metric};
use super::room::Room;
use super::rule::{Rule, Scope};
use super::series::{Observation, Phase, Series};
use super::source::FigureSource;
use super::windows::Windows;
use crate::history::Window;
use crate::labels::endpoint::EndpointName;
use crate::read::summary::figures::Figures;
use crate::setting::InvalidSetting;

/// The most rules. Each rule can have an alert for each endpoint.
const MAX_RULES: usize = 256;

/// How many of the latest changes are kept.
const MAX_CHANGES: usize = 100;

/// The shortest interval of a rule of one instance.
const EVERY: Duration = Duration::from_secs(1);

/// How early an evaluation may come. Otherwise, one late tick would make it skip the next one.
const EARLY: Duration = Duration::from_millis(200);

/// Evaluations that may be missed before the time in between counts as unknown.
const MISSED: u32 = 3;

/// All rules, and the states of their alerts. Memory is bounded by the rules and the registry's endpoints.
#[derive(Debug, Default)]
pub struct Alerts {
    pub(super) watches: Vec<Watch>,
    /// The oldest first.
    pub(super) changes: VecDeque<Notice>,
    /// The ends of alerts that another process told and that have no room here, until the next evaluation.
    pub(super) ended: Vec<Notice>,
    /// The shortest interval between evaluations.
    least: Duration,
    /// See [`Alerts::limited_to`].
    room: Option<Room>,
}

/// A rule and its alerts.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) rule: Arc<Rule>,
    /// The last evaluation.
    pub(super) evaluated: Option<Instant>,
    /// The series of the whole service, under `None`, or those of all endpoints that are not inactive.
    pub(super) series: BTreeMap<Option<Arc<EndpointName>>, Series>,
    /// For a rule that fires at small values: all endpoints it has seen. Zero calls are too few, too.
    pub(super) known: BTreeSet<Arc<EndpointName>>,
    /// How many alerts had no room since the last evaluation: see [`Alerts::left_out`].
    pub(super) left_out: usize,
    /// See [`Alert::not_seen`].
    not_seen: bool,
    /// See [`Alert::of_fleet`].
    of_fleet: bool,
    /// See [`Alert::version`].
    version: Option<Arc<str>>,
}

impl Alerts {
    /// Creates the alerts of these rules, all inactive.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting of a rule is out of its range, if two rules have the same name, or if there are
    /// more than 256.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, InvalidSetting> {
        Self::with(rules, Rule::check, Duration::ZERO, false)
    }

    /// Like [`Alerts::new`], for rules about all instances of a service, whose figures are updated at this interval. No
    /// rule is evaluated more often.
    ///
    /// # Errors
    ///
    /// As for [`Alerts::new`], and if a fleet has no such figures: see [`Rule::check_of_fleet`].
    pub fn of_fleet(
        rules: impl IntoIterator<Item = Rule>,
        interval: Duration,
    ) -> Result<Self, InvalidSetting> {
        Self::with(rules, Rule::check_of_fleet, interval, true)
    }

    fn with(
        rules: impl IntoIterator<Item = Rule>,
        check: fn(&Rule) -> Result<(), InvalidSetting>,
        least: Duration,
        is_of_fleet: bool,
    ) -> Result<Self, InvalidSetting> {
        let mut watches: Vec<Watch> = Vec::new();
        for rule in rules {
            check(&rule)?;
            if watches.iter().any(|watch| watch.rule.name == rule.name) {
                return Err(rule.defined_twice());
            }
            watches.push(Watch {
                rule: Arc::new(rule),
                evaluated: None,
                series: BTreeMap::new(),
                known: BTreeSet::new(),
                left_out: 0,
                not_seen: false,
                of_fleet: is_of_fleet,
                version: None,
            });
        }
        if watches.len() > MAX_RULES {
            let allowed = format!("at most {MAX_RULES}");
            return Err(InvalidSetting::new("number of rules", watches.len(), allowed));
        }
        Ok(Self { watches, changes: VecDeque::new(), ended: Vec::new(), least, room: None })
    }

    /// Limits the alerts that are not inactive to those that fit into `most`, where each takes what `of` returns.
    /// Default: no limit.
    ///
    /// If there is no room, resolved alerts are dropped first, and then the least severe ones: among these, pending
    /// ones before firing ones and newer ones before older ones; among alerts of the same moment, those of the last
    /// rule and the last endpoint. A dropped alert is inactive until there is room, has no notices, and is counted in
    /// [`Alerts::left_out`]. A firing alert that is dropped has a notice of its end ([`Alert::gave_way`]), and gets a
    /// new one if it still fires once there is room.
    pub fn limited_to(mut self, most: usize, of: fn(&Rule, Option<&EndpointName>) -> usize) -> Self {
        self.room = Some(Room { most, of });
        self
    }

    /// Returns how many alerts were pending or firing when their rules were last evaluated, and were dropped for lack
    /// of room: see [`Alerts::limited_to`].
    pub fn left_out(&self) -> usize {
        self.watches.iter().map(|watch| watch.left_out).sum()
    }

    /// Returns the rules that are due at this time.
    pub fn due(&self, now: Moment) -> impl Iterator<Item = &Arc<Rule>> {
        self.watches.iter().filter(move |watch| watch.is_due(now, self.least)).map(|watch| &watch.rule)
    }

    /// Evaluates the rules that are due, and returns a notice for each change. Call it about once a second.
    ///
    /// Reads each window that a rule needs once. A rule is evaluated every second over 1m, every 5 seconds over 5m,
    /// every 10 over 1h and every minute over 24h. A rule of routes is evaluated every 30 seconds over 1m and 5m, and
    /// every minute over longer windows. If evaluations stop for more than three of these intervals, a pending alert
    /// starts over, because it is unknown whether the threshold was breached in between.
    pub fn evaluate(&mut self, now: Moment, source: &impl FigureSource) -> Vec<Notice> {
        let mut windows = Windows::new(source);
        let mut notices = std::mem::take(&mut self.ended);
        for watch in &mut self.watches {
            if !watch.is_due(now, self.least) {
                continue;
            }
            let elapsed = watch.evaluated.replace(now.monotonic).map(|last| now.since(last));
            watch.left_out = 0;
            watch.evaluate(&mut windows, now, elapsed, self.least, &mut notices);
        }
        self.fit(&mut notices, now);
        let changes = notices.iter().filter(|notice| notice.change != Change::Reminder);
        self.changes.extend(changes.cloned());
        self.changes.drain(..self.changes.len().saturating_sub(MAX_CHANGES));
        notices
    }

    /// Drops the alerts that have no room, and what notices say of them, but those of an end. Adds the end of each that
    /// was told before.
    pub(super) fn fit(&mut self, notices: &mut Vec<Notice>, now: Moment) {
        let Some(room) = self.room else { return };
        let held = self.watches.iter().enumerate().flat_map(|(place, watch)| {
            let held = watch.series.iter().filter(|(_, series)| series.state() != State::Inactive);
            held.map(move |(endpoint, series)| ((place, endpoint.clone()), &*watch.rule, series))
        });
        let dropped = room.excess(held);
        if dropped.is_empty() {
            return;
        }
        let key = |alert: &Alert| {
            let place = self.watches.iter().position(|watch| Arc::ptr_eq(&watch.rule, &alert.rule));
            place.map(|place| (place, alert.endpoint.clone()))
        };
        let mut untold = BTreeSet::new();
        notices.retain(|Notice { change, alert, .. }| {
            let dropped = key(alert).filter(|key| *change != Change::Resolved && dropped.contains(key));
            let is_kept = dropped.is_none();
            untold.extend(dropped.filter(|_| *change == Change::Firing));
            is_kept
        });
        for key in dropped {
            let (place, endpoint) = &key;
            let watch = &mut self.watches[*place];
            let Some(series) = watch.series.remove(endpoint) else { continue };
            watch.left_out += usize::from(!matches!(series.phase, Phase::Resolved { .. }));
            if matches!(series.phase, Phase::Firing { .. }) && !untold.contains(&key) {
                let alert = alert(&watch.rule, key.1, &series, &watch.shown());
                let alert = Alert { state: State::Inactive, since: Some(now.wall), ..alert };
                notices.push(Notice { change: Change::Resolved, alert, event_id: None });
            }
        }
    }

    /// Returns the latest changes, the newest first, at most 100: an alert began to fire or was resolved, at
    /// [`Alert::since`].
    pub fn changes(&self) -> impl Iterator<Item = &Notice> {
        self.changes.iter().rev()
    }

    /// Returns the rules, in the order in which they were passed to [`Alerts::new`].
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.watches.iter().map(|watch| &watch.rule)
    }

    /// Returns the alerts of all rules: first those that fire, then pending, resolved and inactive ones, each by
    /// severity. A rule without an alert is listed once, as inactive.
    pub fn alerts(&self) -> Vec<Alert> {
        let mut alerts: Vec<_> = self.watches.iter().flat_map(Watch::alerts).collect();
        alerts.sort_by_key(|alert| std::cmp::Reverse((alert.state, alert.rule.severity)));
        alerts
    }

    /// Returns the firing alerts.
    pub fn firing(&self) -> Vec<Alert> {
        let alerts = self.watches.iter().flat_map(Watch::alerts);
        alerts.filter(|alert| alert.state == State::Firing).collect()
    }
}

impl Watch {
    /// The interval between evaluations. Longer windows have more frames to merge, and figures by route cost the most,
    /// so both are evaluated less often.
    fn interval(&self) -> Duration {
        Duration::from_secs(match (self.rule.window, &self.rule.scope) {
            (Window::OneMinute | Window::FiveMinutes, Scope::EachRoute | Scope::Route(_)) => 30,
            (_, Scope::EachRoute | Scope::Route(_)) => 60,
            (Window::OneMinute, _) => 1,
            (Window::FiveMinutes, _) => 5,
            (Window::OneHour, _) => 10,
            (Window::OneDay | Window::SinceReset, _) => 60,
        })
    }

    fn is_due(&self, now: Moment, least: Duration) -> bool {
        // Of a short interval, that would be all of it.
        let early = EARLY.min(least.max(EVERY) / 4);
        self.evaluated.is_none_or(|last| now.since(last) + early >= self.interval().max(least))
    }

    fn evaluate(
        &mut self,
        windows: &mut Windows<'_, impl FigureSource>,
        now: Moment,
        elapsed: Option<Duration>,
        least: Duration,
        notices: &mut Vec<Notice>,
    ) {
        let (rule, interval) = (Arc::clone(&self.rule), self.interval().max(least));
        let watched = elapsed.filter(|elapsed| *elapsed <= interval * MISSED);
        self.not_seen = windows.has_not_seen(&rule.scope);
        let source = windows.source;
        let newest = match rule.scope {
            Scope::NewestVersion => source.newest_version(rule.window),
            _ => None,
        };
        // An alert that ends for want of a second version still says which one it was about.
        self.version = newest.as_ref().map(|found| Arc::clone(&found.version)).or(self.version.take());
        let shown = self.shown();
        let mut step = |endpoint: &Option<Arc<EndpointName>>, series: &mut Series, observation| {
            if let Some(change) = series.step(&rule, observation, now, watched) {
                let mut alert = alert(&rule, endpoint.clone(), series, &shown);
                if change != Change::Resolved {
                    series.trace = source.trace(&alert);
                    alert.trace = series.trace;
                }
                notices.push(Notice { change, alert, event_id: None });
            }
        };
        let of_service = match &rule.scope {
            Scope::Service | Scope::Matched if rule.metric == Metric::ConsecutiveErrors => {
                let recent = elapsed.unwrap_or(interval);
                Some(of_count(windows.source.consecutive_errors(rule.window, recent)))
            }
            Scope::Service if rule.metric == Metric::WrongTokens => {
                Some(of_count(windows.source.wrong_tokens(rule.window)))
            }
            Scope::Service => Some(of_all(&rule, &windows.summary(rule.window))),
            Scope::Matched => Some(of_all(&rule, &windows.matched(rule.window))),
            Scope::OwnMetric(name) => Some(of_own_metric(&rule, name, &windows.own_metrics(rule.window))),
            Scope::Burn(burn) => Some(of_burn(windows.source.burn_rate(burn))),
            Scope::NewestVersion => Some(of_newest_version(&rule, newest.as_ref())),
            Scope::EachRoute | Scope::Route(_) => None,
        };
        if let Some(observation) = of_service {
            step(&None, self.series.entry(None).or_insert_with(|| Series::new(now)), observation);
            return;
        }
        let summary = match rule.scope {
            Scope::EachRoute => windows.matched_endpoints(rule.window),
            _ => windows.endpoints(rule.window),
        };
        let mut silent = std::mem::take(&mut self.series);
        for endpoint in summary.endpoints.iter().filter(|endpoint| rule.scope.has(&endpoint.name)) {
            let key = Some(Arc::clone(&endpoint.name));
            let mut series = silent.remove(&key).unwrap_or_else(|| Series::new(now));
            step(&key, &mut series, of_endpoint(&rule, endpoint, summary.window));
            self.series.insert(key, series);
            if !rule.comparison.is_upwards() {
                self.known.insert(Arc::clone(&endpoint.name));
            }
        }
        for name in &self.known {
            let key = Some(Arc::clone(name));
            if !self.series.contains_key(&key) {
                silent.entry(key).or_insert_with(|| Series::new(now));
            }
        }
        let is_never_called =
            !rule.comparison.is_upwards() && matches!(rule.scope, Scope::Route(_)) && self.known.is_empty();
        if is_never_called {
            silent.entry(None).or_insert_with(|| Series::new(now));
        }
        let no_calls = of_figures(&rule, &Figures::default(), 0, summary.window);
        for (key, mut series) in silent {
            // The alert of a route that was never called ends with its first call.
            let value = no_calls.value.filter(|_| key.is_some() || is_never_called);
            step(&key, &mut series, Observation { value, ..no_calls });
            self.series.insert(key, series);
        }
        self.series.retain(|_, series| series.state() != State::Inactive);
    }

    /// What all its alerts have in common.
    fn shown(&self) -> Shown {
        Shown { not_seen: self.not_seen, of_fleet: self.of_fleet, version: self.version.clone() }
    }

    fn alerts(&self) -> Vec<Alert> {
        let shown = self.shown();
        let alert = |(endpoint, series): (&Option<_>, _)| alert(&self.rule, endpoint.clone(), series, &shown);
        let mut alerts: Vec<_> = self.series.iter().map(alert).collect();
        if alerts.is_empty() {
            alerts.push(Alert {
                rule: Arc::clone(&self.rule),
                endpoint: None,
                state: State::Inactive,
                value: None,
                since: None,
                started: None,
                trace: None,
                not_seen: self.not_seen,
                of_fleet: self.of_fleet,
                version: self.version.clone(),
            });
        }
        alerts
    }
}

/// What all alerts of a rule have in common.
struct Shown {
    not_seen: bool,
    of_fleet: bool,
    version: Option<Arc<str>>,
}

fn alert(rule: &Arc<Rule>, endpoint: Option<Arc<EndpointName>>, series: &Series, shown: &Shown) -> Alert {
    Alert {
        rule: Arc::clone(rule),
        endpoint,
        state: series.state(),
        value: series.value,
        since: Some(series.since),
        started: series.started(),
        trace: series.started().and(series.trace),
        not_seen: shown.not_seen,
        of_fleet: shown.of_fleet,
        version: shown.version.clone(),
    }
}
