//! Evaluates all rules at regular intervals, and keeps the states of their alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::condition::Metric;
use super::notice::{Alert, Moment, Notice, State};
use super::rule::{Rule, Scope};
use super::series::{Observation, Series};
use crate::history::{History, Window};
use crate::labels::endpoint::EndpointName;
use crate::read::summary::Summary;
use crate::read::summary::figures::Figures;
use crate::setting::InvalidSetting;

/// The most rules. Each rule can have an alert for each endpoint.
const MAX_RULES: usize = 256;

/// How early an evaluation may come. Otherwise, one late tick would make it skip the next one.
const EARLY: Duration = Duration::from_millis(200);

/// Evaluations that may be missed before the time in between counts as unknown.
const MISSED: u32 = 3;

/// The share of a window, in per cent, that figures must cover for it to count as whole. It is below 100 because frames
/// do not begin exactly with the window.
const WHOLE: u32 = 90;

/// Where alerts get their figures from: a [`History`], or a substitute in tests.
pub trait FigureSource {
    /// The figures of all requests in a window that ends now. For a [`History`] it ends with the last tick.
    fn summary(&self, window: Window) -> Summary;

    /// The figures of each endpoint in a window that ends now.
    fn endpoints(&self, window: Window) -> Summary;

    /// Errors since the last tick with a call that was not an error, within the window.
    fn consecutive_errors(&self, window: Window) -> u64;

    /// Requests to the monitor's own endpoints with a wrong token in a window; default: 0.
    fn wrong_tokens(&self, window: Window) -> u64 {
        let _ = window;
        0
    }
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
    /// The last evaluation.
    evaluated: Option<Instant>,
    /// The series of the whole service, under `None`, or those of all endpoints that are not inactive.
    series: BTreeMap<Option<Arc<EndpointName>>, Series>,
    /// For a rule that fires at small values: all endpoints it has seen. Zero calls are too few, too.
    known: BTreeSet<Arc<EndpointName>>,
}

impl Alerts {
    /// Starts with all alerts inactive.
    ///
    /// # Errors
    ///
    /// If a setting of a rule is out of its range, if two rules have the same name, or if there are more than 256.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, InvalidSetting> {
        let mut watches: Vec<Watch> = Vec::new();
        for rule in rules {
            rule.check()?;
            if watches.iter().any(|watch| watch.rule.name == rule.name) {
                return Err(rule.defined_twice());
            }
            watches.push(Watch {
                rule: Arc::new(rule),
                evaluated: None,
                series: BTreeMap::new(),
                known: BTreeSet::new(),
            });
        }
        if watches.len() > MAX_RULES {
            let allowed = format!("at most {MAX_RULES}");
            return Err(InvalidSetting::new("number of rules", watches.len(), allowed));
        }
        Ok(Self { watches })
    }

    /// Evaluates the rules that are due, and returns a notice for each change. Call it about once a second.
    ///
    /// Reads each window that a rule needs once. A rule is evaluated every second over 1m, every 5 seconds over 5m,
    /// every 10 over 1h and every minute over 24h. A rule of routes is evaluated every 30 seconds over 1m and 5m, and
    /// every minute over longer windows. If evaluations stop for more than three of these intervals, a pending alert
    /// starts over, because it is unknown whether the threshold was breached in between.
    pub fn evaluate(&mut self, now: Moment, source: &impl FigureSource) -> Vec<Notice> {
        let mut windows = Windows { source, read: Vec::new() };
        let mut notices = Vec::new();
        for watch in &mut self.watches {
            let interval = watch.interval();
            let elapsed = watch.evaluated.map(|last| now.since(last));
            if elapsed.is_some_and(|elapsed| elapsed + EARLY < interval) {
                continue;
            }
            watch.evaluated = Some(now.monotonic);
            let watched = elapsed.filter(|elapsed| *elapsed <= interval * MISSED);
            watch.evaluate(&mut windows, now, watched, &mut notices);
        }
        notices
    }

    /// The rules, in the order in which they were passed to [`Alerts::new`].
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.watches.iter().map(|watch| &watch.rule)
    }

    /// The alerts of all rules: first those that fire, then pending, then resolved, then inactive ones, each by
    /// severity. A rule without an alert is listed once, as inactive.
    pub fn alerts(&self) -> Vec<Alert> {
        let mut alerts: Vec<_> = self.watches.iter().flat_map(Watch::alerts).collect();
        alerts.sort_by_key(|alert| std::cmp::Reverse((alert.state, alert.rule.severity)));
        alerts
    }

    /// The firing alerts.
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
            (Window::OneMinute, Scope::Service) => 1,
            (Window::FiveMinutes, Scope::Service) => 5,
            (Window::OneHour, Scope::Service) => 10,
            (Window::OneMinute | Window::FiveMinutes, _) => 30,
            (Window::OneHour | Window::OneDay | Window::SinceReset, _) => 60,
        })
    }

    fn evaluate(
        &mut self,
        windows: &mut Windows<'_, impl FigureSource>,
        now: Moment,
        watched: Option<Duration>,
        notices: &mut Vec<Notice>,
    ) {
        let rule = Arc::clone(&self.rule);
        let mut step = |endpoint: &Option<Arc<EndpointName>>, series: &mut Series, observation| {
            if let Some(change) = series.step(&rule, observation, now, watched) {
                notices.push(Notice { change, alert: alert(&rule, endpoint.clone(), series) });
            }
        };
        let is_in_scope = |name: &EndpointName| match &rule.scope {
            Scope::Service => false,
            Scope::EachRoute => true,
            Scope::Route(route) => *name.route == **route,
        };
        if rule.scope == Scope::Service {
            let count = |count: u64| Observation { value: Some(count as f64), calls: count, is_whole: true };
            let observation = match rule.metric {
                Metric::ConsecutiveErrors => count(windows.source.consecutive_errors(rule.window)),
                Metric::WrongTokens => count(windows.source.wrong_tokens(rule.window)),
                _ => {
                    let summary = windows.summary(rule.window);
                    observe(&rule, &summary.total, summary.in_flight, summary.window)
                }
            };
            step(&None, self.series.entry(None).or_insert_with(|| Series::new(now)), observation);
            return;
        }
        let summary = windows.endpoints(rule.window);
        let mut silent = std::mem::take(&mut self.series);
        for endpoint in summary.endpoints.iter().filter(|endpoint| is_in_scope(&endpoint.name)) {
            let key = Some(Arc::clone(&endpoint.name));
            let mut series = silent.remove(&key).unwrap_or_else(|| Series::new(now));
            let observation = observe(&rule, &endpoint.figures, endpoint.in_flight, summary.window);
            step(&key, &mut series, observation);
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
        let no_calls = observe(&rule, &Figures::default(), 0, summary.window);
        for (key, mut series) in silent {
            step(&key, &mut series, no_calls);
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

fn observe(rule: &Rule, figures: &Figures, in_flight: u64, window: Duration) -> Observation {
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
        // They belong to no call.
        Metric::WrongTokens => None,
    };
    let is_whole = rule.window.length().is_some_and(|length| window * 100 >= length * WHOLE);
    Observation { value, calls: figures.calls, is_whole }
}

/// The windows that one evaluation has read so far.
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

/// The windows end with the last tick, so that nothing is read twice.
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
