use std::time::{Instant, SystemTime};

use super::*;
use crate::alert::{Alerts, Change, FigureSource, Moment, Notice};
use crate::events::context::RequestContext;
use crate::history::{Business, Window};
use crate::labels::outcome::Outcome;
use crate::labels::trace::TraceContext;
use crate::objective::BURN_RULES;
use crate::read::summary::Summary;

const MILLISECOND: u64 = 1_000_000;

fn counted(objective: Objective, registry: &Registry) -> (u64, u64) {
    let objectives = Objectives::new([objective], registry).unwrap();
    objectives.tick(registry);
    let state = &objectives.states()[0];
    (state.valid, state.good)
}

#[test]
fn valid_and_good_requests_are_told_by_route_outcome_and_time() {
    let registry = Registry::new();
    let recorder = registry.recorder();
    let [order, files, unmatched] =
        ["/orders/{id}", "/static/{path}*", "_unmatched"].map(|route| registry.endpoint("GET", route));
    for (endpoint, outcome, nanos) in [
        (order, Outcome::Status(200), 10 * MILLISECOND),
        (order, Outcome::Status(200), 500 * MILLISECOND),
        (order, Outcome::Status(404), 5 * MILLISECOND),
        (order, Outcome::Status(503), MILLISECOND),
        (order, Outcome::Panicked, MILLISECOND),
        (order, Outcome::Aborted, 10_000 * MILLISECOND),
        (files, Outcome::Status(200), MILLISECOND),
        // A scanner's.
        (files, Outcome::Status(404), MILLISECOND),
        (files, Outcome::Status(500), MILLISECOND),
        (unmatched, Outcome::Status(404), MILLISECOND),
        (unmatched, Outcome::Status(500), MILLISECOND),
    ] {
        recorder.record_outcome(endpoint, outcome, Duration::from_nanos(nanos));
    }
    let within = Duration::from_millis(300);
    assert_eq!(counted(Objective::availability(99.0), &registry), (7, 4));
    assert_eq!(counted(Objective::latency(99.0, within), &registry), (7, 3));
    assert_eq!(counted(Objective::availability(99.0).routes(["/orders/{id}"]), &registry), (5, 3));
    assert_eq!(counted(Objective::latency(99.0, within).routes(["/orders/{id}"]), &registry), (5, 2));
    assert_eq!(counted(Objective::availability(99.0).routes(["/none"]), &registry), (0, 0));
}

#[test]
fn an_apdex_has_its_calls_and_its_score_in_each_window() {
    let registry = Registry::new();
    let apdex = Apdex::new(Duration::from_millis(100)).unwrap();
    let objectives = Objectives::new([], &registry).unwrap();
    assert_eq!(objectives.apdex(), None);
    let objectives = objectives.with_apdex(apdex, &registry).unwrap();
    let state = objectives.apdex().unwrap();
    assert_eq!((state.target, state.scores.len()), (Duration::from_millis(100), 6));
    assert!(state.scores.iter().all(|score| (score.calls, score.score) == (0, None)), "{state:?}");
    // Five satisfied, two tolerating and one frustrated.
    let endpoint = registry.endpoint("GET", "/");
    for millis in [1, 2, 3, 4, 5, 150, 300, 500] {
        registry.record(endpoint, 200, Duration::from_millis(millis));
    }
    objectives.tick(&registry);
    let state = objectives.apdex().unwrap();
    assert!(state.scores.iter().all(|score| (score.calls, score.score) == (8, Some(0.75))), "{state:?}");
}

#[test]
fn a_time_is_rounded_up_to_the_end_of_its_bucket_which_is_told() {
    let registry = Registry::new();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    let objectives =
        Objectives::new([Objective::latency(99.0, Duration::from_millis(300))], &registry).unwrap();
    let within = objectives.states()[0].within.unwrap();
    let error = within.as_secs_f64() / 0.3 - 1.0;
    assert!((0.0..0.008).contains(&error), "{error}");
    recorder.record(endpoint, 200, within);
    recorder.record(endpoint, 200, within + Duration::from_nanos(1));
    objectives.tick(&registry);
    let state = &objectives.states()[0];
    assert_eq!((state.valid, state.good), (2, 1));
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let registry = Registry::new();
    let refused = |objectives: Vec<Objective>, registry: &Registry| {
        Objectives::new(objectives, registry).unwrap_err().to_string()
    };
    let available = || Objective::availability(99.0);
    assert!(refused(vec![available(), available()], &registry).contains("\"availability\", which another"));
    let nine = (0..9).map(|i| available().name(format!("a{i}"))).collect();
    assert_eq!(refused(nine, &registry), "number of objectives is 9; allowed: at most 8");
    let coarse = Registry::builder().granularity(Granularity::Outcome).build().unwrap();
    let latency = Objective::latency(99.0, Duration::from_secs(1));
    assert!(refused(vec![latency], &coarse).contains("Granularity::Class"));
    assert!(Objectives::new([available()], &coarse).is_ok());
}

/// Only objectives have figures.
struct Source<'a>(&'a Objectives);

impl FigureSource for Source<'_> {
    fn summary(&self, _: Window) -> Summary {
        unreachable!("no rule is of it")
    }
    fn endpoints(&self, window: Window) -> Summary {
        self.summary(window)
    }
    fn matched(&self, window: Window) -> Summary {
        self.summary(window)
    }
    fn matched_endpoints(&self, window: Window) -> Summary {
        self.summary(window)
    }
    fn consecutive_errors(&self, _: Window, _: Duration) -> u64 {
        0
    }
    fn own_metrics(&self, _: Window) -> Business {
        unreachable!("no rule is of it")
    }
    fn burn_rate(&self, burn: &Burn) -> Option<BurnRate> {
        self.0.burn_rate(burn)
    }
}

/// How many of ten requests fail in a step of ten seconds: a day with an outage, a slow burn, and a short spike.
fn failures(step: u64) -> u64 {
    match step * 10 / 60 {
        120..130 => 10,
        400..500 => u64::from(step.is_multiple_of(6)),
        900..902 => 5,
        _ => 0,
    }
}

/// A day by a clock of the test's own, beside the same figures from a list of all steps.
#[test]
fn over_a_day_burn_rates_and_alerts_are_those_of_a_list_of_all_requests() {
    let registry = Registry::new();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    let objective = Objective::availability(99.0);
    let objectives = Objectives::new([objective.clone()], &registry).unwrap();
    let mut alerts = Alerts::new(objective.burn_rules()).unwrap();
    let (begun, wall) = (Instant::now(), SystemTime::now());
    // Cumulative failures after each step, ten requests each.
    let mut failed = vec![0_u64];
    let mut fires = [false; BURN_RULES.len()];
    let mut changes = 0;
    let steps = 8_640;
    for step in 1..=steps {
        let failing = failures(step);
        (0..10).for_each(|i| recorder.record_nanos(endpoint, if i < failing { 500 } else { 200 }, 1_000));
        failed.push(failed[step as usize - 1] + failing);
        let at = Duration::from_secs(step * 10);
        objectives.add(&registry.snapshot_of_requests(), at);
        let now = Moment { monotonic: begun + at, wall: wall + at };
        let notices = alerts.evaluate(now, &Source(&objectives));

        // Windows begin with a sample: up to a minute earlier than asked.
        let exact = |minutes: u64| {
            let of = |steps: u64| {
                let bad = failed[step as usize] - failed[(step - steps) as usize];
                bad as f64 / (steps * 10) as f64 / 0.01
            };
            let rates = (0..=6).map(|more| of((minutes * 6 + more).min(step)));
            rates.fold((f64::MAX, 0.0), |(least, most), rate| (rate.min(least), rate.max(most)))
        };
        for (fires, &(limit, long, short, _)) in fires.iter_mut().zip(&BURN_RULES) {
            let burn = Burn {
                objective: "availability".to_owned(),
                long: Duration::from_secs(long * 60),
                short: Duration::from_secs(short * 60),
            };
            let shown = objectives.burn_rate(&burn).unwrap().rate;
            let ((least, most), (short_least, short_most)) = (exact(long), exact(short));
            let (least, most) = (least.min(short_least) - 1e-9, most.min(short_most) + 1e-9);
            assert!((least..=most).contains(&shown), "{shown}, not {least} to {most}, at {step}, {long} min");
            let now_fires = shown > limit;
            let name = format!("availability_burn_{}h", long / 60);
            let of_rule =
                |notice: &&Notice| notice.alert.rule.name == name && notice.change != Change::Reminder;
            let notice = notices.iter().find(of_rule).map(|notice| notice.change);
            let expected = match (*fires, now_fires) {
                (false, true) => Some(Change::Firing),
                (true, false) => Some(Change::Resolved),
                _ => None,
            };
            assert_eq!(notice, expected, "{name} at {step}");
            changes += usize::from(notice.is_some());
            *fires = now_fires;
        }
    }
    assert!(changes >= 4 && fires == [false; 3], "{changes} changes, {fires:?}");
    // The whole day: exactly what was recorded.
    let state = &objectives.states()[0];
    assert_eq!((state.valid, state.valid - state.good), (steps * 10, failed[steps as usize]));
    let day = state.budgets.last().unwrap();
    let burn = failed[steps as usize] as f64 / (steps * 10) as f64 / 0.01;
    assert!((day.burn_rate - burn).abs() < 0.01 * burn, "{day:?}, {burn}");
    assert!((day.left - (1.0 - day.burn_rate) * 100.0).abs() < 1e-9);
    assert!(objectives.heap_bytes() <= 40 << 10);
}

#[test]
fn a_budget_that_is_spent_too_fast_says_when_it_ends_and_few_calls_raise_no_alert() {
    let registry = Registry::new();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    let objective = Objective::availability(99.0);
    let objectives = Objectives::new([objective.clone()], &registry).unwrap();
    let mut alerts = Alerts::new(objective.burn_rules()).unwrap();
    let record = |status, calls| (0..calls).for_each(|_| recorder.record_nanos(endpoint, status, 1));
    record(500, 1);
    record(200, 4);
    objectives.tick(&registry);
    assert_eq!(objectives.states()[0].exhausted_in, Some(Duration::ZERO));
    assert_eq!(alerts.evaluate(Moment::now(), &Source(&objectives)), []);
    // Now there are enough.
    record(200, 995);
    objectives.add(&registry.snapshot_of_requests(), registry.uptime() + Duration::from_secs(10));
    let state = &objectives.states()[0];
    // A tenth of the budget in a window that began with the start.
    assert!((state.budgets[0].burn_rate - 0.1).abs() < 1e-9, "{state:?}");
    assert_eq!(state.exhausted_in, None);
}

#[test]
fn an_objective_has_the_trace_of_the_latest_failure_or_of_the_slowest_request_of_its_routes() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    let recorder = registry.recorder();
    let traced = |route: &str, status, millis, trace: u128| {
        let (endpoint, elapsed) = (registry.endpoint("GET", route), Duration::from_millis(millis));
        let trace = TraceContext { trace: TraceId::new(trace).unwrap(), parent: None, sampled: true };
        let context = RequestContext { trace: Some(trace), ..RequestContext::default() };
        recorder.record(endpoint, status, elapsed);
        if status >= 400 {
            recorder.log_error(endpoint, Outcome::Status(status), elapsed, "failed", context);
        }
        if status == 200 {
            recorder.list_slow(endpoint, Outcome::Status(200), elapsed.as_nanos() as u64, &context);
        }
        // So that the order of errors is that of their times.
        std::thread::sleep(Duration::from_millis(2));
    };
    let orders = |objective: Objective| objective.routes(["/orders"]);
    let late = || Objective::latency(99.0, Duration::from_millis(100));
    let objectives = Objectives::new(
        [
            Objective::availability(99.0).name("all"),
            orders(Objective::availability(99.0)).name("orders"),
            late().name("late"),
            orders(late()).name("late_orders"),
            late().routes(["/failing"]).name("late_failing"),
        ],
        &registry,
    )
    .unwrap();
    let traces = || {
        ["all", "orders", "late", "late_orders", "late_failing", "unknown"].map(|name| {
            let (objective, minute) = (name.to_owned(), Duration::from_secs(60));
            let trace = objectives.trace(&Burn { objective, long: minute, short: minute }, &history);
            trace.map_or(0, TraceId::bits)
        })
    };
    assert_eq!(traces(), [0; 6]);
    traced("/orders", 500, 1, 1);
    traced("/failing", 503, 1, 2);
    // No failure for an objective.
    traced("/orders", 404, 1, 3);
    traced("/orders", 200, 300, 4);
    traced("/other", 200, 400, 5);
    assert_eq!(traces(), [2, 1, 5, 4, 2, 0]);
}

#[test]
fn an_apdex_and_a_budget_of_each_window_are_those_of_the_calls_in_it() {
    let registry = Registry::new();
    let apdex = Apdex::new(Duration::from_millis(100)).unwrap();
    let objective = Objective::latency(99.0, Duration::from_millis(100));
    let objectives = Objectives::new([objective], &registry).unwrap().with_apdex(apdex, &registry).unwrap();
    let endpoint = registry.endpoint("GET", "/");
    let minute = Duration::from_secs(60);
    // A call a minute for thirty hours: satisfied in the last three minutes, tolerating until 20 minutes ago, and
    // frustrated before.
    let minutes = 30 * 60;
    for at in 1..=minutes {
        let millis = match minutes - at {
            0..3 => 10,
            3..20 => 200,
            _ => 900,
        };
        registry.record(endpoint, 200, Duration::from_millis(millis));
        objectives.add(&registry.snapshot_of_requests(), minute * at);
    }
    let state = objectives.apdex().unwrap();
    let windows: Vec<_> = state.scores.iter().map(|score| score.window.as_secs() / 60).collect();
    assert_eq!(windows, WINDOWS);
    for score in &state.scores {
        let minutes = score.window.as_secs() / 60;
        assert_eq!((score.covered, score.calls), (score.window, minutes));
        let halves = 2 * 3 + minutes.clamp(3, 20) - 3;
        assert_eq!(score.score, Some(halves as f64 / (2 * minutes) as f64));
    }
    let budgets = &objectives.states()[0].budgets;
    let counted: Vec<_> = budgets.iter().map(|of| (of.window, of.covered, of.valid, of.good)).collect();
    assert_eq!(
        counted,
        WINDOWS.map(|minutes| (minute * minutes as u32, minute * minutes as u32, minutes, 3))
    );
}

#[test]
fn an_alert_of_a_budget_says_how_fast_it_is_spent_and_over_which_windows() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let objective = Objective::availability(99.0);
    let objectives = Objectives::new([objective.clone()], &registry).unwrap();
    let mut alerts = Alerts::new(objective.burn_rules()).unwrap();
    let rate = |objective: &str| {
        let (hour, minutes) = (Duration::from_secs(3_600), Duration::from_secs(300));
        objectives.burn_rate(&Burn { objective: objective.to_owned(), long: hour, short: minutes })
    };
    assert_eq!(rate("availability"), None, "there were no calls");
    (0..100).for_each(|_| registry.record_nanos(endpoint, 500, 1));
    objectives.tick(&registry);
    let said: Vec<_> = alerts
        .evaluate(Moment::now(), &Source(&objectives))
        .iter()
        .map(|notice| notice.alert.to_string())
        .collect();
    let expected = [
        "availability: burn rate 100 over 1 h and 5 min (limit 14.4)",
        "availability: burn rate 100 over 6 h and 30 min (limit 6)",
        "availability: burn rate 100 over 24 h and 2 h (limit 3)",
    ];
    assert_eq!(said, expected);
    let burns = rate("availability").unwrap();
    assert!((burns.rate - 100.0).abs() < 1e-9 && burns.calls == 100, "{burns:?}");
    assert_eq!(rate("another"), None);
}
