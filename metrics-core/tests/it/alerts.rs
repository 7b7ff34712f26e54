//! Alerts in every state, with a clock that the test moves.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use metrics_core::alert::{
    Alerts, Change, Comparison, FigureSource, Metric, Moment, Notice, Rule, Scope, Severity, State,
};
use metrics_core::{
    Business, EndpointName, EndpointSummary, Figures, Health, History, MetricFigures, MetricSummary, Outcome,
    Registry, RequestContext, Summary, TraceContext, TraceId, Window,
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// Figures that the test sets, and a log of those that were read.
#[derive(Default)]
struct Source {
    total: Figures,
    routes: Vec<(&'static str, Figures)>,
    in_flight: u64,
    consecutive_errors: u64,
    own_metrics: Vec<(&'static str, MetricFigures)>,
    /// The time that the figures cover, if that is less than the window.
    young: Option<Duration>,
    read: RefCell<Vec<(Window, &'static str)>>,
}

impl Source {
    fn read(&self, window: Window, what: &'static str) -> Summary {
        self.read.borrow_mut().push((window, what));
        let endpoint = |(route, figures): &(&str, Figures)| EndpointSummary {
            name: Arc::new(EndpointName { method: "GET".into(), route: (*route).into() }),
            figures: figures.clone(),
            in_flight: 0,
        };
        Summary {
            total: self.total.clone(),
            endpoints: self.routes.iter().map(endpoint).collect(),
            business: Vec::new(),
            recent_errors: Vec::new(),
            in_flight: self.in_flight,
            open_streams: 0,
            since: SystemTime::UNIX_EPOCH,
            window: self.young.or(window.length()).unwrap(),
            health: Health::default(),
        }
    }
}

impl FigureSource for Source {
    fn summary(&self, window: Window) -> Summary {
        self.read(window, "summary")
    }

    fn endpoints(&self, window: Window) -> Summary {
        self.read(window, "endpoints")
    }

    fn matched(&self, window: Window) -> Summary {
        self.read(window, "matched")
    }

    fn matched_endpoints(&self, window: Window) -> Summary {
        self.read(window, "matched endpoints")
    }

    fn consecutive_errors(&self, _: Window, _: Duration) -> u64 {
        self.consecutive_errors
    }

    fn wrong_tokens(&self, _: Window) -> u64 {
        9
    }

    fn own_metrics(&self, window: Window) -> Business {
        let Summary { since, window, .. } = self.read(window, "own metrics");
        let summary = |(name, figures): &(&str, MetricFigures)| MetricSummary {
            name: (*name).into(),
            labels: Default::default(),
            figures: figures.clone(),
        };
        Business {
            metrics: self.own_metrics.iter().map(summary).collect(),
            totals: Vec::new(),
            since,
            window,
        }
    }
}

/// Alerts with a clock of their own.
struct Watched {
    alerts: Alerts,
    now: Moment,
    source: Source,
}

impl Watched {
    fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let now = Moment { monotonic: Instant::now(), wall: SystemTime::UNIX_EPOCH };
        Self { alerts: Alerts::new(rules).unwrap(), now, source: Source::default() }
    }

    fn after(&mut self, pause: Duration) -> Vec<Notice> {
        self.now.monotonic += pause;
        self.now.wall += pause;
        self.alerts.evaluate(self.now, &self.source)
    }

    /// Evaluates one second later, with these calls and errors.
    fn with(&mut self, calls: u64, errors: u64) -> Vec<Change> {
        self.source.total = figures(calls, errors);
        changes(&self.after(SECOND))
    }

    fn state(&self) -> State {
        self.alerts.alerts()[0].state
    }

    fn seconds(&self) -> u64 {
        self.now.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }
}

/// Figures whose errors are all server errors.
fn figures(calls: u64, errors: u64) -> Figures {
    Figures { calls, errors, server_errors: errors, ..Figures::default() }
}

fn changes(notices: &[Notice]) -> Vec<Change> {
    notices.iter().map(|notice| notice.change).collect()
}

fn error_rate() -> Rule {
    Rule::new("error_rate", Metric::ErrorRate, Comparison::Above, 5.0).window(Window::OneMinute)
}

#[test]
fn an_alert_goes_through_all_states_with_one_notice_per_change() {
    let rule = error_rate().clear(4.0).for_at_least(3 * SECOND).min_calls(20).severity(Severity::Critical);
    let mut watched = Watched::new([rule]);
    assert_eq!(watched.alerts.alerts()[0].since, None);
    assert_eq!((watched.with(100, 5), watched.state()), (vec![], State::Inactive));
    // Too few calls.
    assert_eq!((watched.with(19, 19), watched.state()), (vec![], State::Inactive));
    for _ in 0..3 {
        assert_eq!((watched.with(100, 6), watched.state()), (vec![], State::Pending));
    }
    assert_eq!((watched.with(100, 6), watched.state()), (vec![Change::Firing], State::Firing));
    let fired = watched.now.wall;
    assert_eq!(watched.with(100, 50), []);
    // It keeps firing between the clear threshold and the threshold, and with few calls.
    assert_eq!((watched.with(1_000, 41), watched.state()), (vec![], State::Firing));
    assert_eq!((watched.with(10, 1), watched.state()), (vec![], State::Firing));

    watched.source.total = figures(100, 4);
    let notices = watched.after(SECOND);
    assert_eq!(changes(&notices), [Change::Resolved]);
    let alert = &notices[0].alert;
    assert_eq!((alert.state, alert.value, alert.started), (State::Resolved, Some(4.0), Some(fired)));
    assert_eq!(alert.since, Some(watched.now.wall));
    assert_eq!(alert.to_string(), "error rate 4 % over 1 min (limit 5 %)");

    // It is shown as resolved for 15 minutes.
    let begun = watched.seconds();
    while watched.state() == State::Resolved {
        assert_eq!(watched.with(100, 0), []);
    }
    assert_eq!((watched.state(), watched.seconds() - begun), (State::Inactive, 900));
}

#[test]
fn the_last_hundred_changes_are_kept_without_reminders() {
    let mut watched = Watched::new([error_rate().remind_every(Duration::from_secs(60))]);
    for _ in 0..60 {
        assert_eq!(watched.with(100, 50), [Change::Firing]);
        assert_eq!(changes(&watched.after(Duration::from_secs(70))), [Change::Reminder]);
        assert_eq!(watched.with(100, 0), [Change::Resolved]);
    }
    let kept: Vec<_> = watched.alerts.changes().cloned().collect();
    assert_eq!(kept.len(), 100);
    assert_eq!(changes(&kept), [Change::Resolved, Change::Firing].repeat(50));
    assert_eq!(kept[0].alert.since, Some(watched.now.wall));
    assert!(kept.is_sorted_by_key(|notice| std::cmp::Reverse(notice.alert.since)));
}

#[test]
fn a_pending_alert_that_stops_starts_over() {
    let mut watched = Watched::new([error_rate().for_at_least(3 * SECOND)]);
    for _ in 0..20 {
        assert_eq!(watched.with(100, 50), []);
        assert_eq!(watched.with(100, 50), []);
        assert_eq!((watched.with(100, 0), watched.state()), (vec![], State::Inactive));
    }
}

#[test]
fn without_calls_an_alert_does_not_begin_and_a_firing_one_is_resolved() {
    let mut watched = Watched::new([
        error_rate(),
        Rule::new("slow", Metric::P99, Comparison::AtMost, 0.0).window(Window::OneMinute),
    ]);
    assert_eq!(watched.with(0, 0), []);
    assert_eq!(watched.with(10, 10), [Change::Firing, Change::Firing]);
    assert_eq!(watched.with(0, 0), [Change::Resolved, Change::Resolved]);
    assert_eq!(watched.alerts.alerts()[0].to_string(), "error rate unknown: no calls in 1 min");
}

#[test]
fn a_rule_about_too_few_calls_waits_for_a_whole_window() {
    let few = Rule::new("few", Metric::RequestsPerSecond, Comparison::Below, 1.0).window(Window::OneMinute);
    let mut watched = Watched::new([few]);
    watched.source.young = Some(20 * SECOND);
    assert_eq!(watched.with(0, 0), []);
    watched.source.young = None;
    assert_eq!(watched.with(60, 0), []);
    assert_eq!(watched.with(59, 0), [Change::Firing]);
    assert_eq!(watched.with(60, 0), [Change::Resolved]);
}

#[test]
fn reminders_come_at_the_configured_interval_only() {
    let mut watched = Watched::new([error_rate().remind_every(60 * SECOND)]);
    let mut notices = Vec::new();
    for second in 0..200 {
        notices.extend(watched.with(100, 50).into_iter().map(|change| (second, change)));
    }
    let reminders = [60, 120, 180].map(|second| (second, Change::Reminder));
    assert_eq!(notices, [&[(0, Change::Firing)], &reminders[..]].concat());

    let mut silent = Watched::new([error_rate().remind_every(Duration::ZERO)]);
    let notices: Vec<_> = (0..10_000).flat_map(|_| silent.with(100, 50)).collect();
    assert_eq!(notices, [Change::Firing]);
}

#[test]
fn a_ticker_that_stalls_does_not_make_a_pending_alert_fire() {
    let mut watched = Watched::new([error_rate().for_at_least(60 * SECOND)]);
    assert_eq!(watched.with(100, 50), []);
    for _ in 0..10 {
        assert_eq!(watched.after(600 * SECOND), []);
        assert_eq!(watched.state(), State::Pending);
        assert_eq!(watched.alerts.alerts()[0].since, Some(watched.now.wall));
    }
    let since = Some(watched.now.wall);
    for _ in 0..59 {
        assert_eq!(watched.after(SECOND), []);
        assert_eq!(watched.alerts.alerts()[0].since, since);
    }
    // Two missed ticks are not a stall.
    assert_eq!(changes(&watched.after(3 * SECOND)), [Change::Firing]);
}

#[test]
fn each_window_is_read_once_per_evaluation_and_long_ones_less_often() {
    let rule = |name: &str, window| Rule::new(name, Metric::P95, Comparison::Above, 1.0).window(window);
    let mut watched = Watched::new([
        rule("_", Window::OneMinute),
        rule("a", Window::FiveMinutes),
        rule("b", Window::FiveMinutes),
        rule("c", Window::OneHour),
        rule("d", Window::OneDay),
        rule("e", Window::FiveMinutes).scope(Scope::EachRoute),
        rule("f", Window::FiveMinutes).scope(Scope::Route("/a".to_owned())),
        rule("g", Window::OneDay).scope(Scope::EachRoute),
    ]);
    // Twice a second, but every other tick is too early.
    for _ in 0..120 {
        watched.after(SECOND / 2);
    }
    let read = watched.source.read.borrow();
    let times = |window, what| read.iter().filter(|read| **read == (window, what)).count();
    assert_eq!(times(Window::OneMinute, "summary"), 60);
    assert_eq!(times(Window::FiveMinutes, "summary"), 12);
    assert_eq!(times(Window::OneHour, "summary"), 6);
    assert_eq!(times(Window::OneDay, "summary"), 1);
    assert_eq!(times(Window::FiveMinutes, "endpoints"), 2);
    assert_eq!(times(Window::FiveMinutes, "matched endpoints"), 2);
    assert_eq!(times(Window::OneDay, "matched endpoints"), 1);
    // Whether the route that a rule names was seen.
    assert_eq!(times(Window::OneHour, "endpoints"), 2);
    assert_eq!(read.len(), 60 + 12 + 6 + 1 + 2 + 2 + 1 + 2);
}

#[test]
fn an_evaluation_may_come_a_fifth_of_a_second_early() {
    let rule = error_rate().window(Window::FiveMinutes);
    let mut watched = Watched::new([rule]);
    let mut is_evaluated_after = |millis| {
        watched.source.read.borrow_mut().clear();
        watched.after(Duration::from_millis(millis));
        !watched.source.read.borrow().is_empty()
    };
    assert!(is_evaluated_after(0));
    assert!(!is_evaluated_after(4_799));
    assert!(is_evaluated_after(1));
    assert!(is_evaluated_after(4_800));
}

#[test]
fn states_and_changes_have_names() {
    let states = [State::Inactive, State::Resolved, State::Pending, State::Firing];
    assert_eq!(states.map(|state| state.to_string()), ["inactive", "resolved", "pending", "firing"]);
    let changes = [Change::Firing, Change::Reminder, Change::Resolved];
    assert_eq!(changes.map(|change| change.to_string()), ["firing", "still firing", "resolved"]);
}

#[test]
fn each_route_has_an_alert_of_its_own() {
    let each = error_rate().scope(Scope::EachRoute);
    let one = Rule::new("one", Metric::Errors, Comparison::AtLeast, 1.0).scope(Scope::Route("/b".to_owned()));
    let mut watched = Watched::new([each, one]);
    let mut notices = |routes: &[(&'static str, Figures)]| -> Vec<String> {
        watched.source.routes = routes.to_vec();
        let notices = watched.after(30 * SECOND);
        notices.iter().map(|notice| format!("{}: {}", notice.change, notice.alert)).collect()
    };
    assert_eq!(notices(&[("/a", figures(100, 1)), ("/b", figures(100, 0))]), [""; 0]);
    assert_eq!(
        notices(&[("/a", figures(100, 6)), ("/b", figures(100, 1))]),
        [
            "firing: GET /a: error rate 6 % over 1 min (limit 5 %)",
            "firing: GET /b: 1 error in 5 min (limit 1)"
        ]
    );
    assert_eq!(
        notices(&[("/b", figures(100, 10))]),
        [
            "firing: GET /b: error rate 10 % over 1 min (limit 5 %)",
            "resolved: GET /a: error rate unknown: no calls in 1 min"
        ]
    );
    let states: Vec<_> = watched.alerts.alerts().iter().map(|alert| alert.state).collect();
    assert_eq!(states, [State::Firing, State::Firing, State::Resolved]);
    assert_eq!(watched.alerts.firing().len(), 2);
}

#[test]
fn a_route_without_calls_has_too_few() {
    let rule = |name, scope| Rule::new(name, Metric::Calls, Comparison::Below, 10.0).scope(scope);
    let one = Scope::Route("/a".to_owned());
    let mut watched = Watched::new([rule("each", Scope::EachRoute), rule("one", one)]);
    // As long as there are no routes, none has too few; the one that the other rule names has.
    let firing = watched.after(30 * SECOND);
    assert_eq!(firing.iter().map(|notice| &*notice.alert.rule.name).collect::<Vec<_>>(), ["one"]);
    watched.source.routes = vec![("/a", figures(50, 0)), ("/b", figures(50, 0))];
    assert_eq!(changes(&watched.after(30 * SECOND)), [Change::Resolved]);
    watched.source.routes = vec![("/a", figures(50, 0)), ("/b", figures(50, 0))];
    assert_eq!(watched.after(30 * SECOND), []);
    watched.source.routes = vec![("/b", figures(50, 0))];
    let notices = watched.after(30 * SECOND);
    assert_eq!(changes(&notices), [Change::Firing; 2]);
    assert!(notices.iter().all(|notice| &*notice.alert.endpoint.as_ref().unwrap().route == "/a"));
    assert!(notices.iter().all(|notice| notice.alert.value == Some(0.0)));
    assert_eq!(watched.after(30 * SECOND), []);
    watched.source.routes = vec![("/a", figures(10, 0)), ("/b", figures(50, 0))];
    assert_eq!(changes(&watched.after(30 * SECOND)), [Change::Resolved; 2]);
}

#[test]
fn every_metric_has_the_figure_it_is_named_after() {
    let milliseconds = Duration::from_millis;
    let total = Figures {
        calls: 200,
        errors: 30,
        client_errors: 20,
        server_errors: 10,
        aborted: 3,
        panicked: 2,
        sum: milliseconds(200 * 111),
        p50: milliseconds(50),
        p95: milliseconds(95),
        p99: milliseconds(99),
        p999: milliseconds(999),
        ..Figures::default()
    };
    for metric in Metric::ALL {
        let expected = match metric {
            Metric::ErrorRate => 15.0,
            Metric::ClientErrorRate => 10.0,
            Metric::ServerErrorRate => 5.0,
            Metric::Average => 0.111,
            Metric::P50 => 0.05,
            Metric::P95 => 0.095,
            Metric::P99 => 0.099,
            Metric::P999 => 0.999,
            Metric::Errors => 30.0,
            Metric::ClientErrors => 20.0,
            Metric::ServerErrors => 10.0,
            Metric::ConsecutiveErrors => 7.0,
            Metric::WrongTokens => 9.0,
            Metric::Calls => 200.0,
            Metric::RequestsPerSecond => 200.0 / 300.0,
            Metric::InFlight => 5.0,
            Metric::Aborted => 3.0,
            Metric::Panicked => 2.0,
            Metric::Value => continue,
            _ => unreachable!("every metric is listed above"),
        };
        let mut watched = Watched::new([Rule::new("rule", metric, Comparison::Above, 0.0)]);
        watched.source =
            Source { total: total.clone(), in_flight: 5, consecutive_errors: 7, ..Source::default() };
        assert_eq!(watched.after(SECOND)[0].alert.value, Some(expected), "{metric}");
    }
}

#[test]
fn the_default_rules_fire_and_are_resolved() {
    let mut watched = Watched::new(Rule::defaults());
    assert!(watched.alerts.rules().map(|rule| &**rule).eq(&Rule::defaults()));
    watched.source.total = Figures {
        sum: 100 * Duration::from_millis(3_001),
        p95: Duration::from_millis(5_001),
        ..figures(100, 10)
    };
    watched.source.consecutive_errors = 10;
    let notices: Vec<_> =
        (0..12).flat_map(|_| watched.after(SECOND)).map(|notice| notice.alert.rule).collect();
    let names: Vec<_> = notices.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(
        names,
        ["errors", "consecutive_errors", "error_rate", "average_response_time", "p95_response_time"]
    );
    assert!(watched.source.read.borrow().iter().all(|&(_, read)| read == "matched"));
    watched.source.total = figures(100, 0);
    watched.source.consecutive_errors = 0;
    assert_eq!(changes(&watched.after(5 * SECOND)), [Change::Resolved; 5]);
}

#[test]
fn alerts_can_watch_a_history() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    let endpoint = registry.endpoint("GET", "/");
    (0..10).for_each(|_| registry.record_nanos(endpoint, 500, 1_000));
    history.tick();
    let in_a_row = Rule::new("in_a_row", Metric::ConsecutiveErrors, Comparison::AtLeast, 10.0);
    let mut alerts = Alerts::new([in_a_row, error_rate().scope(Scope::EachRoute)]).unwrap();
    let notices = alerts.evaluate(Moment::now(), &history);
    assert_eq!(changes(&notices), [Change::Firing, Change::Firing]);
}

/// A request that ended as the middleware's do, with a trace.
fn traced(registry: &Registry, route: &str, status: u16, millis: u64, trace: u128) {
    let (recorder, endpoint) = (registry.recorder(), registry.endpoint("GET", route));
    let (outcome, elapsed) = (Outcome::Status(status), Duration::from_millis(millis));
    let trace = TraceId::new(trace).map(|trace| TraceContext { trace, parent: None, sampled: true });
    let nanos = elapsed.as_nanos() as u64;
    recorder.record_nanos(endpoint, status, nanos);
    if recorder.ranks(endpoint, nanos) {
        recorder.list_slow(endpoint, outcome, nanos, &RequestContext::from(trace));
    }
    if status >= 400 {
        recorder.log_error(endpoint, outcome, elapsed, "a message", trace);
    }
}

#[test]
fn a_firing_alert_has_the_trace_of_the_latest_error_or_of_the_slowest_request_that_it_is_about() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    for (route, status, millis, trace) in [
        ("/a", 503, 20, 1),
        ("/b", 500, 30, 2),
        ("/b", 404, 10, 3),
        ("/a", 200, 9_000, 4),
        // The slowest one of the service has no trace.
        ("/b", 200, 9_500, 0),
        // A scanner's.
        ("_unmatched", 404, 1, 5),
    ] {
        traced(&registry, route, status, millis, trace);
        // So that the order of errors is that of their times.
        std::thread::sleep(Duration::from_millis(2));
    }
    history.tick();
    let rule = |name, metric| Rule::new(name, metric, Comparison::Above, 0.001);
    let route = || Scope::Route("/a".to_owned());
    let mut alerts = Alerts::new([
        rule("any", Metric::Errors),
        rule("matched", Metric::ErrorRate).scope(Scope::Matched),
        rule("server", Metric::ServerErrors),
        rule("of_route", Metric::ServerErrorRate).scope(route()),
        rule("slow", Metric::P99),
        rule("slow_route", Metric::Average).scope(route()),
        rule("calls", Metric::Calls),
    ])
    .unwrap();
    let notices = alerts.evaluate(Moment::now(), &history);
    let traces: Vec<_> = notices
        .iter()
        .map(|Notice { alert, .. }| (&*alert.rule.name, alert.trace.map_or(0, TraceId::bits)))
        .collect();
    let expected = [
        ("any", 5),
        ("matched", 3),
        ("server", 2),
        ("of_route", 1),
        ("slow", 4),
        ("slow_route", 4),
        ("calls", 0),
    ];
    assert_eq!(traces, expected);
    // The alert keeps it for those who ask later.
    assert!(alerts.firing().iter().any(|alert| alert.trace == TraceId::new(1)));
}

#[test]
fn a_history_alone_knows_of_no_wrong_tokens() {
    let mut service = Service::new(vec![Rule::new("tokens", Metric::WrongTokens, Comparison::AtLeast, 1.0)]);
    service.record("/", Outcome::Status(401), 20);
    assert!(service.firing(SECOND).is_empty());
    assert_eq!(service.alerts.alerts()[0].value, Some(0.0));
}

/// A history, and alerts that watch it.
struct Service {
    registry: Registry,
    history: History,
    alerts: Alerts,
    now: Moment,
}

impl Service {
    fn new(rules: Vec<Rule>) -> Self {
        let registry = Registry::new();
        let (history, alerts) = (History::new(registry.clone()), Alerts::new(rules).unwrap());
        Self { registry, history, alerts, now: Moment::now() }
    }

    fn record(&self, route: &str, outcome: Outcome, calls: usize) {
        let endpoint = self.registry.endpoint("GET", route);
        let record = |_| self.registry.recorder().record_outcome(endpoint, outcome, Duration::from_millis(1));
        (0..calls).for_each(record);
    }

    /// The names of the rules that fire; after those that need ten seconds, or at once.
    fn firing(&mut self, after: Duration) -> Vec<String> {
        self.history.tick();
        for pause in [SECOND * 5, after] {
            self.now = Moment { monotonic: self.now.monotonic + pause, wall: self.now.wall + pause };
            self.alerts.evaluate(self.now, &self.history);
        }
        self.alerts.firing().iter().map(|alert| alert.rule.name.clone()).collect()
    }
}

const NOT_FOUND: Outcome = Outcome::Status(404);
const OK: Outcome = Outcome::Status(200);

#[test]
fn strangers_probes_raise_no_default_alert_however_many_they_are() {
    for route in ["_unmatched", "/static/{path}*", "/{tail:.*}"] {
        let mut service = Service::new(Rule::defaults());
        service.record("/items/{id}", OK, 200);
        service.record(route, NOT_FOUND, 1_000);
        service.record(route, Outcome::Status(405), 10);
        assert!(service.firing(11 * SECOND).is_empty(), "{route}");
        // Nor do they hide one.
        service.record("/items/{id}", NOT_FOUND, 12);
        assert_eq!(service.firing(11 * SECOND), ["error_rate", "consecutive_errors"], "{route}");
    }
}

#[test]
fn errors_of_paths_without_a_route_count_if_they_are_the_servers() {
    let mut service = Service::new(Rule::defaults());
    service.record("_unmatched", Outcome::Status(503), 5);
    service.record("/{tail}*", Outcome::Panicked, 5);
    assert_eq!(service.firing(SECOND), ["errors", "consecutive_errors"]);
}

#[test]
fn ten_errors_of_any_kind_in_a_row_raise_an_alert_and_nine_and_nine_do_not() {
    let mut service = Service::new(Rule::defaults());
    for _ in 0..4 {
        service.record("/a", OK, 100);
        service.record("/a", NOT_FOUND, 9);
    }
    assert!(service.firing(SECOND).is_empty());
    service.record("/a", OK, 1_000);
    service.record("/a", NOT_FOUND, 5);
    service.record("_unmatched", NOT_FOUND, 5);
    service.record("/b", Outcome::Status(400), 5);
    service.record("/a", OK, 10);
    assert_eq!(service.firing(5 * SECOND), ["consecutive_errors"]);
}

#[test]
fn panics_are_server_errors_in_every_rule() {
    let rate = Rule::new("panics", Metric::ServerErrorRate, Comparison::Above, 1.0);
    let mut service = Service::new(vec![rate]);
    service.record("/a", OK, 30);
    service.record("/a", Outcome::Panicked, 30);
    assert_eq!(service.firing(5 * SECOND), ["panics"]);
    let alert = &service.alerts.alerts()[0];
    assert_eq!(alert.to_string(), "server error rate 50 % over 5 min (limit 1 %)");
    let total = service.registry.summary().total;
    assert_eq!((total.server_errors, total.panicked, total.errors), (30, 30, 30));
}

#[test]
fn a_rule_of_each_route_is_not_about_strangers_probes_and_one_that_names_them_is() {
    let each = error_rate().scope(Scope::EachRoute);
    let named = Rule::new("named", Metric::ClientErrors, Comparison::Above, 0.0);
    let mut service = Service::new(vec![each, named.scope(Scope::Route("_unmatched".to_owned()))]);
    service.record("_unmatched", NOT_FOUND, 50);
    assert_eq!(service.firing(31 * SECOND), ["named"]);
    service.record("_unmatched", Outcome::Status(500), 1);
    assert_eq!(service.firing(62 * SECOND), ["error_rate", "named"]);
}

#[test]
fn percentiles_of_a_route_that_takes_any_path_are_not_those_of_strangers_probes() {
    let slow = Rule::new("slow", Metric::P50, Comparison::Above, 2.0).scope(Scope::EachRoute);
    let mut service = Service::new(vec![slow]);
    let files = service.registry.endpoint("GET", "/files/{path}*");
    for (status, calls, seconds) in [(200, 10, 3), (404, 1_000, 0)] {
        let recorder = service.registry.recorder();
        (0..calls).for_each(|_| recorder.record(files, status, Duration::from_secs(seconds)));
    }
    assert_eq!(service.firing(31 * SECOND), ["slow"]);
}

#[test]
fn a_route_that_was_never_called_has_no_calls_until_its_first_one() {
    let quiet = Rule::new("quiet", Metric::Calls, Comparison::Below, 1.0);
    let mut watched = Watched::new([quiet.scope(Scope::Route("/cron".to_owned()))]);
    watched.source.routes = vec![("/other", figures(10, 0))];
    watched.source.young = Some(100 * SECOND);
    assert_eq!(watched.after(SECOND), [], "the window is not whole");
    watched.source.young = None;
    let notices = watched.after(30 * SECOND);
    assert_eq!(changes(&notices), [Change::Firing]);
    assert_eq!(notices[0].alert.to_string(), "/cron: 0 calls in 5 min (minimum 1); not seen for an hour");
    watched.source.routes.push(("/cron", figures(1, 0)));
    let notices = watched.after(30 * SECOND);
    assert_eq!(changes(&notices), [Change::Resolved]);
    assert!(!notices[0].alert.not_seen);
    assert_eq!(watched.alerts.firing(), []);
    watched.source.routes.pop();
    assert_eq!(watched.after(30 * SECOND)[0].alert.endpoint.as_ref().unwrap().method, "GET".into());
}

#[test]
fn a_rule_whose_route_or_metric_was_not_seen_for_an_hour_says_so() {
    let route = error_rate().scope(Scope::Route("/itmes/{id}".to_owned()));
    let own = |name: &str, metric| {
        Rule::new(name, Metric::Value, Comparison::Above, 5.0).scope(Scope::OwnMetric(metric))
    };
    let rules = [route, own("typo", "ordres".to_owned()), own("right", "orders".to_owned())];
    let mut watched = Watched::new(rules);
    watched.source.own_metrics = vec![("orders", MetricFigures::Counter(1))];
    watched.source.young = Some(50 * 60 * SECOND);
    watched.after(SECOND);
    assert!(watched.alerts.alerts().iter().all(|alert| !alert.not_seen), "too early to tell");
    watched.source.young = None;
    watched.after(60 * SECOND);
    let not_seen = |watched: &Watched| {
        let alerts = watched.alerts.alerts().into_iter();
        alerts.filter(|alert| alert.not_seen).map(|alert| alert.to_string()).collect::<Vec<_>>()
    };
    let typos = ["/itmes/{id}: route not seen for an hour", "ordres: metric not seen for an hour"];
    assert_eq!(not_seen(&watched), typos);
    watched.source.routes = vec![("/itmes/{id}", figures(1, 0))];
    watched.after(60 * SECOND);
    assert_eq!(not_seen(&watched), typos[1..]);
}

#[test]
fn strangers_probes_make_no_route_slower_on_average() {
    let rule = |name, metric| Rule::new(name, metric, Comparison::Above, 0.5).scope(Scope::EachRoute);
    for (route, fires) in [("/static/{path}*", false), ("/static/{path}", true)] {
        let rules = vec![rule("average", Metric::Average), rule("errors", Metric::Errors)];
        let mut service = Service::new(rules);
        service.record(route, OK, 1);
        service.record(route, NOT_FOUND, 5_000);
        let expected = if fires { &["errors"][..] } else { &[] };
        assert_eq!(service.firing(31 * SECOND), expected, "{route}");
        let slow = Duration::from_secs(2);
        let endpoint = service.registry.endpoint("GET", route);
        (0..5_000).for_each(|_| service.registry.recorder().record(endpoint, 404, slow));
        let expected = if fires { &["average", "errors"][..] } else { &[] };
        assert_eq!(service.firing(31 * SECOND), expected, "{route}");
    }
}

#[test]
fn rules_about_own_metrics_read_each_window_once_and_a_value_without_calls_needs_none() {
    let own = |name: &str| {
        let rule = Rule::new(name, Metric::Value, Comparison::Above, 2.0).window(Window::OneMinute);
        rule.min_calls(5).scope(Scope::OwnMetric(name.to_owned()))
    };
    let mut watched = Watched::new(["queue", "users", "orders", "missing"].map(own));
    watched.source.own_metrics = vec![
        ("queue", MetricFigures::Gauge(3.0)),
        ("users", MetricFigures::UniqueCount { today: 3, yesterday: 0 }),
        ("orders", MetricFigures::Counter(4)),
    ];
    watched.after(SECOND);
    let firing = watched.alerts.firing().into_iter().map(|alert| alert.rule.name.clone());
    assert_eq!(firing.collect::<Vec<_>>(), ["queue", "users"]);
    let windows = [Window::OneHour, Window::OneMinute].map(|window| (window, "own metrics"));
    assert_eq!(*watched.source.read.borrow(), windows);
}

#[test]
fn a_rule_can_be_about_each_kind_of_the_applications_own_metrics() {
    let own = |name: &str, metric, threshold| {
        let rule = Rule::new(name, metric, Comparison::Above, threshold).window(Window::OneMinute);
        rule.scope(Scope::OwnMetric(name.to_owned()))
    };
    let timed = Figures { calls: 4, p95: SECOND * 3, ..Figures::default() };
    let metrics = [
        ("orders", MetricFigures::Counter(12), Metric::Value, Some(12.0)),
        ("signups", MetricFigures::Counter(12), Metric::Calls, Some(12.0)),
        ("denied_per_second", MetricFigures::Counter(12), Metric::RequestsPerSecond, Some(0.2)),
        ("temperature", MetricFigures::Gauge(-3.0), Metric::Value, Some(-3.0)),
        ("cache", MetricFigures::HitRatio { hits: 3, misses: 1 }, Metric::Value, Some(75.0)),
        ("users", MetricFigures::UniqueCount { today: 7, yesterday: 9 }, Metric::Value, Some(7.0)),
        ("checkout", MetricFigures::Timer(Box::new(timed.clone())), Metric::P95, Some(3.0)),
        ("checkouts", MetricFigures::Timer(Box::new(timed)), Metric::Value, Some(4.0)),
    ];
    let rules = metrics.iter().map(|(name, _, metric, _)| own(name, *metric, 2.0));
    let mut watched = Watched::new(rules.chain([own("missing", Metric::Value, 2.0)]));
    watched.source.own_metrics = metrics.iter().map(|(name, figures, ..)| (*name, figures.clone())).collect();
    watched.after(SECOND);
    let alerts = watched.alerts.alerts();
    let value = |name: &str| alerts.iter().find(|alert| alert.rule.name == name).unwrap().value;
    for (name, _, metric, expected) in metrics {
        assert_eq!(value(name), expected, "{name} {metric}");
    }
    assert_eq!(value("missing"), Some(0.0));
    let text = |name: &str| alerts.iter().find(|alert| alert.rule.name == name).unwrap().to_string();
    assert_eq!(
        (text("orders"), text("checkout")),
        ("orders: 12 (limit 2)".into(), "checkout: P95 3 s over 1 min (limit 2 s)".into())
    );
    // Right after the start, a count has no rate yet.
    watched.source.young = Some(Duration::ZERO);
    watched.after(SECOND);
    let rate = watched.alerts.alerts().into_iter().find(|alert| alert.rule.name == "denied_per_second");
    assert_eq!(rate.unwrap().value, None);
}

#[test]
fn rules_that_share_a_name_and_more_than_256_rules_are_refused() {
    let error = Alerts::new([error_rate(), error_rate()]).unwrap_err();
    assert_eq!(error.to_string(), "rule \"error_rate\" is defined twice; allowed: one rule per name");
    let many = (0..257).map(|i| Rule::new(format!("rule-{i}"), Metric::Calls, Comparison::Below, 1.0));
    assert_eq!(Alerts::new(many).unwrap_err().to_string(), "number of rules is 257; allowed: at most 256");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

    /// Holds for any figures and any intervals between ticks.
    #[test]
    fn firing_and_resolved_alternate(
        steps in prop::collection::vec((0_u64..40, 0_u64..=100, 1_u64..5_000), 1..300),
        hold in 0_u64..10,
        clear in 0.0..=5.0,
        min_calls in 0_u64..30,
    ) {
        let rule = error_rate().clear(clear).for_at_least(SECOND * hold as u32).min_calls(min_calls);
        let mut watched = Watched::new([rule.remind_every(60 * SECOND)]);
        // For how many seconds every tick has seen the threshold breached.
        let mut breached: Option<f64> = None;
        let mut fires = false;
        for (calls, errors, millis) in steps {
            let pause = Duration::from_millis(millis);
            watched.source.total = figures(calls, calls * errors / 100);
            let reads = watched.source.read.borrow().len();
            let notices = watched.after(pause);
            if watched.source.read.borrow().len() == reads {
                prop_assert!(notices.is_empty());
                breached = breached.map(|seconds| seconds + pause.as_secs_f64());
                continue;
            }
            let rate = watched.source.total.error_rate();
            let breaks = calls > 0 && calls >= min_calls && rate > 5.0;
            breached = breaks.then(|| breached.map_or(0.0, |seconds| seconds + pause.as_secs_f64()));
            for change in changes(&notices) {
                match change {
                    Change::Firing => {
                        prop_assert!(!fires && calls > 0);
                        prop_assert!(breached.is_some_and(|seconds| seconds + 1e-6 >= hold as f64));
                        fires = true;
                    }
                    Change::Reminder => prop_assert!(fires),
                    Change::Resolved => {
                        prop_assert!(fires && (calls == 0 || rate <= clear));
                        fires = false;
                    }
                }
            }
            prop_assert_eq!(watched.state() == State::Firing, fires);
        }
    }
}
