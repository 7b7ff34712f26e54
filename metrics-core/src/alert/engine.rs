//! All rules and the states of their alerts, looked at again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::rule::{Rule, RuleError, Scope};
use super::series::{Reading, Series};
use super::word::Metric;
use crate::history::{History, Window};
use crate::labels::endpoint::EndpointName;
use crate::read::summary::{Figures, Summary};

/// The most rules. Each of them can have an alert for each endpoint.
const MAX_RULES: usize = 256;

/// How much too early an evaluation may come, so that a ticker that is late once does not make it skip the next tick.
const EARLY: Duration = Duration::from_millis(200);

/// Evaluations that may be missed before what was in between counts as unknown.
const MISSED: u32 = 3;

/// The share of a window, in per cent, of which there have to be figures for it to be whole: its frames do not begin with it.
const WHOLE: u32 = 90;

/// A moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For durations.
    pub monotonic: Instant,
    /// For display.
    pub wall: SystemTime,
}

/// Where alerts get their figures from; a [`History`], but in tests.
pub trait FigureSource {
    /// The figures of all requests in a window that ends now, or with the last tick of a [`History`].
    fn summary(&self, window: Window) -> Summary;

    /// The figures of each endpoint in such a window.
    fn endpoints(&self, window: Window) -> Summary;

    /// Errors since the last tick in which any call was none, at most those of the window.
    fn consecutive_errors(&self, window: Window) -> u64;
}

/// The state of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Does not break its threshold.
    Inactive,
    /// Fired a moment ago.
    Resolved,
    /// Breaks its threshold, but not for long enough.
    Pending,
    /// Breaks its threshold.
    Firing,
}

/// What one rule says of one endpoint, or of the whole service. Displayed as a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The endpoint; `None` for the whole service, and where a rule of routes has nothing to say of any.
    pub endpoint: Option<Arc<EndpointName>>,
    /// Its state.
    pub state: State,
    /// The figure when it was looked at last, in the unit of the metric; `None` if there was nothing to take it of.
    pub value: Option<f64>,
    /// When it got into its state, by the wall clock; `None` before the first look.
    pub since: Option<SystemTime>,
    /// When it began to fire, by the wall clock, if it is firing or resolved.
    pub started: Option<SystemTime>,
}

/// Something to tell people.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What happened.
    pub change: Change,
    /// To which alert.
    pub alert: Alert,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The alert begins to fire.
    Firing,
    /// The alert fires on; nothing changed since the last notice.
    Reminder,
    /// The alert fires no more.
    Resolved,
}

/// All rules, and the states of their alerts. Memory is bounded by the rules and the registry's endpoints.
#[derive(Debug, Default)]
pub struct Alerts {
    watches: Vec<Watch>,
}

/// A rule and its alerts.
#[derive(Debug)]
struct Watch {
    rule: Arc<Rule>,
    /// When it was looked at last.
    looked: Option<Instant>,
    /// That of the whole service, under `None`, or those of endpoints that are not inactive.
    series: BTreeMap<Option<Arc<EndpointName>>, Series>,
    /// The endpoints that a rule about too little was ever about: no calls at all are too few, too.
    known: BTreeSet<Arc<EndpointName>>,
}

impl Alerts {
    /// All alerts are inactive.
    ///
    /// # Errors
    ///
    /// When a rule cannot be used, or two have the same name, or there are more than 256.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, RuleError> {
        let mut watches: Vec<Watch> = Vec::new();
        for rule in rules {
            rule.check()?;
            if watches.iter().any(|watch| watch.rule.name == rule.name) {
                return Err(RuleError::Duplicate { name: rule.name });
            }
            watches.push(Watch {
                rule: Arc::new(rule),
                looked: None,
                series: BTreeMap::new(),
                known: BTreeSet::new(),
            });
        }
        if watches.len() > MAX_RULES {
            return Err(RuleError::TooMany { rules: watches.len(), max: MAX_RULES });
        }
        Ok(Self { watches })
    }

    /// Looks at the rules that are due, and gives what is to be told of them. To be called about once a second.
    ///
    /// Each window is read at most once, and none that no rule asks for. A rule is due each second over 1m, each 5 seconds
    /// over 5m, each 10 over 1h and each minute over 24h; where it looks at routes, each 30 seconds over 1m and 5m, and each
    /// minute over the others. A pending alert of which nothing was seen for more than three times as long begins anew:
    /// nobody knows whether it lasted.
    pub fn evaluate(&mut self, now: Moment, source: &impl FigureSource) -> Vec<Notice> {
        let mut windows = Windows { source, read: Vec::new() };
        let mut notices = Vec::new();
        for watch in &mut self.watches {
            let every = watch.every();
            let elapsed = watch.looked.map(|looked| now.since(looked));
            if elapsed.is_some_and(|elapsed| elapsed + EARLY < every) {
                continue;
            }
            watch.looked = Some(now.monotonic);
            let watched = elapsed.filter(|elapsed| *elapsed <= every * MISSED);
            watch.look(&mut windows, now, watched, &mut notices);
        }
        notices
    }

    /// The rules, in the order in which they were given.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.watches.iter().map(|watch| &watch.rule)
    }

    /// The alerts of all rules: those that fire first, then those that are pending, then those that are resolved, and the
    /// worse ones first among them. A rule that has no alert is there once, inactive.
    pub fn alerts(&self) -> Vec<Alert> {
        let mut alerts: Vec<_> = self.watches.iter().flat_map(Watch::alerts).collect();
        alerts.sort_by_key(|alert| std::cmp::Reverse((alert.state, alert.rule.severity)));
        alerts
    }

    /// The alerts that fire.
    pub fn firing(&self) -> Vec<Alert> {
        let alerts = self.watches.iter().flat_map(Watch::alerts);
        alerts.filter(|alert| alert.state == State::Firing).collect()
    }
}

impl Watch {
    /// How often it is looked at. The longer the window, and the more of its frames are to be merged, the less often; figures
    /// by route take the longest.
    fn every(&self) -> Duration {
        Duration::from_secs(match (self.rule.window, &self.rule.scope) {
            (Window::OneMinute, Scope::Service) => 1,
            (Window::FiveMinutes, Scope::Service) => 5,
            (Window::OneHour, Scope::Service) => 10,
            (Window::OneMinute | Window::FiveMinutes, _) => 30,
            (Window::OneHour | Window::OneDay | Window::SinceReset, _) => 60,
        })
    }

    fn look(
        &mut self,
        windows: &mut Windows<'_, impl FigureSource>,
        now: Moment,
        watched: Option<Duration>,
        notices: &mut Vec<Notice>,
    ) {
        let rule = Arc::clone(&self.rule);
        let mut step = |endpoint: &Option<Arc<EndpointName>>, series: &mut Series, reading| {
            if let Some(change) = series.step(&rule, reading, now, watched) {
                notices.push(Notice { change, alert: alert(&rule, endpoint.clone(), series) });
            }
        };
        let is_meant = |name: &EndpointName| match &rule.scope {
            Scope::Service => false,
            Scope::EachRoute => true,
            Scope::Route(route) => *name.route == **route,
        };
        if rule.scope == Scope::Service {
            let reading = if rule.metric == Metric::ConsecutiveErrors {
                let errors = windows.source.consecutive_errors(rule.window);
                Reading { value: Some(errors as f64), calls: errors, is_whole: true }
            } else {
                let summary = windows.summary(rule.window);
                reading(&rule, &summary.total, summary.in_flight, summary.window)
            };
            step(&None, self.series.entry(None).or_insert_with(|| Series::new(now)), reading);
            return;
        }
        let summary = windows.endpoints(rule.window);
        let mut unseen = std::mem::take(&mut self.series);
        for endpoint in summary.endpoints.iter().filter(|endpoint| is_meant(&endpoint.name)) {
            let key = Some(Arc::clone(&endpoint.name));
            let mut series = unseen.remove(&key).unwrap_or_else(|| Series::new(now));
            let reading = reading(&rule, &endpoint.figures, endpoint.in_flight, summary.window);
            step(&key, &mut series, reading);
            self.series.insert(key, series);
            if !rule.comparison.is_upwards() {
                self.known.insert(Arc::clone(&endpoint.name));
            }
        }
        for name in &self.known {
            let key = Some(Arc::clone(name));
            if !self.series.contains_key(&key) {
                unseen.entry(key).or_insert_with(|| Series::new(now));
            }
        }
        let silence = reading(&rule, &Figures::default(), 0, summary.window);
        for (key, mut series) in unseen {
            step(&key, &mut series, silence);
            self.series.insert(key, series);
        }
        self.series.retain(|_, series| series.state() != State::Inactive);
    }

    fn alerts(&self) -> Vec<Alert> {
        let mut alerts: Vec<_> = self
            .series
            .iter()
            .map(|(endpoint, series)| alert(&self.rule, endpoint.clone(), series))
            .collect();
        if alerts.is_empty() {
            alerts.push(Alert {
                rule: Arc::clone(&self.rule),
                endpoint: None,
                state: State::Inactive,
                value: None,
                since: None,
                started: None,
            });
        }
        alerts
    }
}

fn alert(rule: &Arc<Rule>, endpoint: Option<Arc<EndpointName>>, series: &Series) -> Alert {
    Alert {
        rule: Arc::clone(rule),
        endpoint,
        state: series.state(),
        value: series.value,
        since: Some(series.since),
        started: series.started(),
    }
}

fn reading(rule: &Rule, figures: &Figures, in_flight: u64, window: Duration) -> Reading {
    let rate = |rate: f64| (figures.calls > 0).then_some(rate);
    let time = |time: Duration| (figures.calls > 0).then_some(time.as_secs_f64());
    let count = |count: u64| Some(count as f64);
    let value = match rule.metric {
        Metric::ErrorRate => rate(figures.error_rate()),
        Metric::ClientErrorRate => rate(figures.client_error_rate()),
        Metric::ServerErrorRate => rate(figures.server_error_rate()),
        Metric::Average => time(figures.average()),
        Metric::P50 => time(figures.p50),
        Metric::P95 => time(figures.p95),
        Metric::P99 => time(figures.p99),
        Metric::P999 => time(figures.p999),
        Metric::Errors | Metric::ConsecutiveErrors => count(figures.errors),
        Metric::Calls => count(figures.calls),
        Metric::RequestsPerSecond => (!window.is_zero()).then(|| figures.calls as f64 / window.as_secs_f64()),
        Metric::InFlight => count(in_flight),
        Metric::Aborted => count(figures.aborted),
        Metric::Panicked => count(figures.panicked),
    };
    let is_whole = rule.window.length().is_some_and(|length| window * 100 >= length * WHOLE);
    Reading { value, calls: figures.calls, is_whole }
}

/// The windows that one evaluation has read.
struct Windows<'a, S> {
    source: &'a S,
    read: Vec<(Window, bool, Arc<Summary>)>,
}

impl<S: FigureSource> Windows<'_, S> {
    fn summary(&mut self, window: Window) -> Arc<Summary> {
        self.once(window, false, S::summary)
    }

    fn endpoints(&mut self, window: Window) -> Arc<Summary> {
        self.once(window, true, S::endpoints)
    }

    fn once(&mut self, window: Window, by_route: bool, read: fn(&S, Window) -> Summary) -> Arc<Summary> {
        let known = self.read.iter().find(|(known, known_by, _)| (*known, *known_by) == (window, by_route));
        if let Some((.., summary)) = known {
            return Arc::clone(summary);
        }
        let summary = Arc::new(read(self.source, window));
        self.read.push((window, by_route, Arc::clone(&summary)));
        summary
    }
}

/// Windows that end with the last tick, so that nothing is read again that was read a moment ago.
impl FigureSource for History {
    fn summary(&self, window: Window) -> Summary {
        self.at_last_tick(window)
    }

    fn endpoints(&self, window: Window) -> Summary {
        self.by_endpoint(window)
    }

    fn consecutive_errors(&self, window: Window) -> u64 {
        self.consecutive_errors(window)
    }
}

impl Moment {
    /// That of the system's clocks.
    pub fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    pub(super) fn since(self, earlier: Instant) -> Duration {
        self.monotonic.saturating_duration_since(earlier)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inactive => "inactive",
            Self::Resolved => "resolved",
            Self::Pending => "pending",
            Self::Firing => "firing",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Firing => "firing",
            Self::Reminder => "still firing",
            Self::Resolved => "resolved",
        })
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { metric, comparison, threshold, clear, window, .. } = &*self.rule;
        let unit = metric.unit().suffix();
        write!(f, "{metric}")?;
        if let Some(EndpointName { method, route }) = self.endpoint.as_deref() {
            write!(f, " of {method} {route}")?;
        }
        let Some(value) = self.value else { return write!(f, " is unknown without calls over {window}") };
        // To the thousandth.
        write!(f, " is {}{unit}, ", (value * 1e3).round() / 1e3)?;
        if comparison.holds(value, *threshold) {
            write!(f, "{} {threshold}{unit}", comparison.words())?;
        } else if self.state == State::Firing {
            write!(f, "still {} {clear}{unit}", comparison.words())?;
        } else {
            write!(f, "not {} {threshold}{unit}", comparison.words())?;
        }
        write!(f, " over {window}")
    }
}
