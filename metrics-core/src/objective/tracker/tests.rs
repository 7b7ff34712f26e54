use std::time::{Instant, SystemTime};

use super::*;
use crate::alert::{Alerts, Change, FigureSource, Moment, Notice};
use crate::history::{Business, Window};
use crate::labels::outcome::Outcome;
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
