//! Alerts in every state, with a clock that the test moves.

mod figures;
mod service;

use std::time::{Duration, Instant, SystemTime};

use metrics_core::alert::{Alerts, Change, Comparison, Metric, Moment, Notice, Rule, Scope, Severity, State};
use metrics_core::{
    Figures, History, MetricFigures, Outcome, Registry, RequestContext, TraceContext, TraceId, Window,
};
use proptest::prelude::*;

use crate::figure_source::Source;

const SECOND: Duration = Duration::from_secs(1);

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
