//! Evaluates all rules at regular intervals, and keeps the states of their alerts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::condition::Metric;
use super::example;
use super::notice::{Alert, Change, Moment, Notice, State};
use super::observe::{covers, of_all, of_burn, of_count, of_endpoint, of_figures, of_own_metric};
use super::rule::{Burn, BurnRate, Rule, Scope};
use super::series::{Observation, Series};
use crate::history::{Business, History, Window};
use crate::labels::endpoint::EndpointName;
use crate::labels::trace::TraceId;
use crate::read::summary::Summary;
use crate::read::summary::figures::Figures;
use crate::setting::InvalidSetting;

/// The most rules. Each rule can have an alert for each endpoint.
const MAX_RULES: usize = 256;

/// How many of the latest changes are kept.
const MAX_CHANGES: usize = 100;

/// How early an evaluation may come. Otherwise, one late tick would make it skip the next one.
const EARLY: Duration = Duration::from_millis(200);

/// Evaluations that may be missed before the time in between counts as unknown.
const MISSED: u32 = 3;

/// Where alerts get their figures from: a [`History`], or a substitute in tests.
pub trait FigureSource {
    /// The figures of all requests in a window that ends now. For a [`History`] it ends with the last tick.
    fn summary(&self, window: Window) -> Summary;

    /// The figures of each endpoint in a window that ends now.
    fn endpoints(&self, window: Window) -> Summary;

    /// Like [`FigureSource::summary`], without 4xx of endpoints that [catch all](EndpointName::catches_all) paths.
    fn matched(&self, window: Window) -> Summary;

    /// Like [`FigureSource::endpoints`], without 4xx of endpoints that catch all paths.
    fn matched_endpoints(&self, window: Window) -> Summary;

    /// The most errors in a row at any moment of the last `recent`; 0 if the window has none.
    fn consecutive_errors(&self, window: Window, recent: Duration) -> u64;

    /// The application's own metrics in a window that ends now.
    fn own_metrics(&self, window: Window) -> Business;

    /// How fast the budget of an objective was spent; `None` if one of the windows had no valid calls. Default: `None`.
    fn burn_rate(&self, burn: &Burn) -> Option<BurnRate> {
        let _ = burn;
        None
    }

    /// The trace of a request that shows what an alert is about: see [`Alert::trace`]. Asked when an alert begins to
    /// fire and when it is reminded of; default: `None`.
    fn trace(&self, alert: &Alert) -> Option<TraceId> {
        let _ = alert;
        None
    }

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
    /// The oldest first.
    changes: VecDeque<Notice>,
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
    /// See [`Alert::not_seen`].
    not_seen: bool,
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
                not_seen: false,
            });
        }
        if watches.len() > MAX_RULES {
            let allowed = format!("at most {MAX_RULES}");
            return Err(InvalidSetting::new("number of rules", watches.len(), allowed));
        }
        Ok(Self { watches, changes: VecDeque::new() })
    }

    /// Evaluates the rules that are due, and returns a notice for each change. Call it about once a second.
    ///
    /// Reads each window that a rule needs once. A rule is evaluated every second over 1m, every 5 seconds over 5m,
    /// every 10 over 1h and every minute over 24h. A rule of routes is evaluated every 30 seconds over 1m and 5m, and
    /// every minute over longer windows. If evaluations stop for more than three of these intervals, a pending alert
    /// starts over, because it is unknown whether the threshold was breached in between.
    pub fn evaluate(&mut self, now: Moment, source: &impl FigureSource) -> Vec<Notice> {
        let mut windows = Windows { source, read: Vec::new(), own: Vec::new() };
        let mut notices = Vec::new();
        for watch in &mut self.watches {
            let interval = watch.interval();
            let elapsed = watch.evaluated.map(|last| now.since(last));
            if elapsed.is_some_and(|elapsed| elapsed + EARLY < interval) {
                continue;
            }
            watch.evaluated = Some(now.monotonic);
            watch.evaluate(&mut windows, now, elapsed, &mut notices);
        }
        let changes = notices.iter().filter(|notice| notice.change != Change::Reminder);
        self.changes.extend(changes.cloned());
        self.changes.drain(..self.changes.len().saturating_sub(MAX_CHANGES));
        notices
    }

    /// The latest times that an alert began to fire or was resolved, the newest first; at most 100. [`Alert::since`] is
    /// when that was.
    pub fn changes(&self) -> impl Iterator<Item = &Notice> {
        self.changes.iter().rev()
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
            (Window::OneMinute | Window::FiveMinutes, Scope::EachRoute | Scope::Route(_)) => 30,
            (_, Scope::EachRoute | Scope::Route(_)) => 60,
            (Window::OneMinute, _) => 1,
            (Window::FiveMinutes, _) => 5,
            (Window::OneHour, _) => 10,
            (Window::OneDay | Window::SinceReset, _) => 60,
        })
    }

    fn evaluate(
        &mut self,
        windows: &mut Windows<'_, impl FigureSource>,
        now: Moment,
        elapsed: Option<Duration>,
        notices: &mut Vec<Notice>,
    ) {
        let (rule, interval) = (Arc::clone(&self.rule), self.interval());
        let watched = elapsed.filter(|elapsed| *elapsed <= interval * MISSED);
        self.not_seen = windows.has_not_seen(&rule.scope);
        let not_seen = self.not_seen;
        let source = windows.source;
        let mut step = |endpoint: &Option<Arc<EndpointName>>, series: &mut Series, observation| {
            if let Some(change) = series.step(&rule, observation, now, watched) {
                let mut alert = alert(&rule, endpoint.clone(), series, not_seen);
                if change != Change::Resolved {
                    series.trace = source.trace(&alert);
                    alert.trace = series.trace;
                }
                notices.push(Notice { change, alert });
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

    fn alerts(&self) -> Vec<Alert> {
        let mut alerts: Vec<_> = self
            .series
            .iter()
            .map(|(endpoint, series)| alert(&self.rule, endpoint.clone(), series, self.not_seen))
            .collect();
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
            });
        }
        alerts
    }
}

fn alert(rule: &Arc<Rule>, endpoint: Option<Arc<EndpointName>>, series: &Series, not_seen: bool) -> Alert {
    Alert {
        rule: Arc::clone(rule),
        endpoint,
        state: series.state(),
        value: series.value,
        since: Some(series.since),
        started: series.started(),
        trace: series.started().and(series.trace),
        not_seen,
    }
}

/// The windows that one evaluation has read so far.
struct Windows<'a, S> {
    source: &'a S,
    read: Vec<(Window, Read, Arc<Summary>)>,
    own: Vec<(Window, Arc<Business>)>,
}

/// Which figures of a window were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Summary,
    Matched,
    Endpoints,
    MatchedEndpoints,
}

impl<S: FigureSource> Windows<'_, S> {
    fn summary(&mut self, window: Window) -> Arc<Summary> {
        self.once(window, Read::Summary, S::summary)
    }

    fn matched(&mut self, window: Window) -> Arc<Summary> {
        self.once(window, Read::Matched, S::matched)
    }

    fn endpoints(&mut self, window: Window) -> Arc<Summary> {
        self.once(window, Read::Endpoints, S::endpoints)
    }

    fn matched_endpoints(&mut self, window: Window) -> Arc<Summary> {
        self.once(window, Read::MatchedEndpoints, S::matched_endpoints)
    }

    fn once(&mut self, window: Window, what: Read, read: fn(&S, Window) -> Summary) -> Arc<Summary> {
        let known = self.read.iter().find(|known| (known.0, known.1) == (window, what));
        if let Some((.., summary)) = known {
            return Arc::clone(summary);
        }
        let summary = Arc::new(read(self.source, window));
        self.read.push((window, what, Arc::clone(&summary)));
        summary
    }

    fn own_metrics(&mut self, window: Window) -> Arc<Business> {
        if let Some((_, own)) = self.own.iter().find(|known| known.0 == window) {
            return Arc::clone(own);
        }
        let own = Arc::new(self.source.own_metrics(window));
        self.own.push((window, Arc::clone(&own)));
        own
    }

    /// Whether the route or the metric that a rule names was not seen for an hour.
    fn has_not_seen(&mut self, scope: &Scope) -> bool {
        match scope {
            Scope::Route(_) => {
                let hour = self.endpoints(Window::OneHour);
                let is_seen = hour.endpoints.iter().any(|endpoint| scope.has(&endpoint.name));
                !is_seen && covers(hour.window, Window::OneHour)
            }
            Scope::OwnMetric(name) => {
                let hour = self.own_metrics(Window::OneHour);
                let is_seen = hour.metrics.iter().any(|metric| *metric.name == **name);
                !is_seen && covers(hour.window, Window::OneHour)
            }
            Scope::Service | Scope::Matched | Scope::EachRoute | Scope::Burn(_) => false,
        }
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

    fn matched(&self, window: Window) -> Summary {
        self.matched_at_last_tick(window)
    }

    fn matched_endpoints(&self, window: Window) -> Summary {
        self.matched_by_endpoint(window)
    }

    fn consecutive_errors(&self, window: Window, recent: Duration) -> u64 {
        self.most_consecutive_errors(window, recent)
    }

    fn own_metrics(&self, window: Window) -> Business {
        self.business(window)
    }

    fn trace(&self, alert: &Alert) -> Option<TraceId> {
        example::trace(self, alert)
    }
}
