//! An hour and a half with an outage, replayed by a clock of the test's own: to the monitor's objectives, and to
//! Prometheus with the rules that are written from the same objectives.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use metrics_core::alert::{Alerts, Burn, BurnRate, Change, FigureSource, Moment};
use metrics_core::objective::{BURN_RULES, Objective, Objectives};
use metrics_core::{Business, Registry, Summary, Window};
use metrics_export::prometheus::objective_rules;
use tests::Folder;

/// A step, in seconds: how often the monitor counts, and Prometheus scrapes and evaluates.
const STEP: u64 = 10;
const STEPS: u64 = 90 * 60 / STEP;

/// How Prometheus names the windows of budgets.
const WINDOWS: [&str; 6] = ["5m", "30m", "1h", "2h", "6h", "1d"];

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

/// How many of a thousand requests fail, and how many are slow, in a minute.
fn trouble(minute: u64) -> (u64, u64) {
    match minute {
        30..40 => (700, 200),
        40..55 => (5, 300),
        _ => (2, 20),
    }
}

/// What the monitor said: the file of tests for promtool.
struct Replay {
    series: Vec<(String, Vec<u64>)>,
    tests: String,
    compared: [usize; WINDOWS.len()],
    changes: Vec<(String, Change)>,
}

fn replay(objectives: &[Objective]) -> Replay {
    let registry = Registry::new();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    let tracked = Objectives::new(objectives.iter().cloned(), &registry).unwrap();
    let mut alerts = Alerts::new(objectives.iter().flat_map(Objective::burn_rules)).unwrap();
    let (begun, wall) = (Instant::now(), SystemTime::now());
    let names = objectives.iter().flat_map(|objective| {
        ["valid", "good"].map(|family| (format!("{family} {}", objective.name), vec![0]))
    });
    let mut replay = Replay {
        series: names.collect(),
        tests: String::new(),
        compared: [0; WINDOWS.len()],
        changes: Vec::new(),
    };
    for step in 1..=STEPS {
        let (failing, slow) = trouble(step * STEP / 60);
        for i in 0..1_000 {
            let status = if i < failing { 500 } else { 200 };
            let millis = if i >= 1_000 - slow { 900 } else { 20 };
            recorder.record(endpoint, status, Duration::from_millis(millis));
        }
        let at = Duration::from_secs(step * STEP);
        tracked.add(&registry.snapshot(), at);
        for (state, series) in tracked.states().iter().zip(replay.series.chunks_mut(2)) {
            series[0].1.push(state.valid);
            series[1].1.push(state.good);
            for ((budget, window), compared) in state.budgets.iter().zip(WINDOWS).zip(&mut replay.compared) {
                // The monitor's longer windows begin up to a minute earlier than asked: exact once a minute.
                if step * STEP % 60 == STEP && budget.covered <= budget.window {
                    *compared += 1;
                    let name = &state.objective.name;
                    let share = state.objective.budget_share();
                    let burn = budget.burn_rate;
                    let expr = format!(
                        "abs(objective:http_bad:ratio_rate{window}{{objective=\"{name}\"}} / {share} - {burn}) \
                         <= bool {}",
                        (burn * 0.01).max(1e-9)
                    );
                    let labels = format!("{{job=\"orders\", objective=\"{name}\"}}");
                    expect(&mut replay.tests, &expr, step, Some((&labels, 1)));
                }
            }
        }
        let now = Moment { monotonic: begun + at, wall: wall + at };
        for notice in alerts.evaluate(now, &Source(&tracked)) {
            let (rule, change) = (notice.alert.rule.name.clone(), notice.change);
            if change == Change::Reminder {
                continue;
            }
            // Such as `availability_burn_1h`.
            let (name, hours) = rule.rsplit_once("_burn_").unwrap();
            let window = if hours == "24h" { "1d" } else { hours };
            let expr = format!(
                "count(ALERTS{{alertname=\"HttpBudgetBurn\", objective=\"{name}\", window=\"{window}\", \
                 alertstate=\"firing\"}})"
            );
            let (before, after) = match change {
                Change::Firing => (None, Some(("{}", 1))),
                _ => (Some(("{}", 1)), None),
            };
            expect(&mut replay.tests, &expr, step - 1, before);
            expect(&mut replay.tests, &expr, step + 1, after);
            replay.changes.push((rule, change));
        }
    }
    replay
}

/// Adds what an expression has to be after a step: one sample with these labels, or none.
fn expect(tests: &mut String, expr: &str, step: u64, sample: Option<(&str, u64)>) {
    let samples = match sample {
        Some((labels, value)) => format!("[{{ labels: '{labels}', value: {value} }}]"),
        None => "[]".to_owned(),
    };
    writeln!(
        tests,
        "      - expr: '{expr}'\n        eval_time: {}s\n        exp_samples: {samples}",
        step * STEP
    )
    .unwrap();
}

impl Replay {
    fn file(&self) -> String {
        let mut file = format!(
            "rule_files: [objectives.yml]\nevaluation_interval: {STEP}s\ntests:\n  - interval: {STEP}s\n    \
             input_series:\n"
        );
        for (name, values) in &self.series {
            let (family, objective) = name.split_once(' ').unwrap();
            let values: Vec<_> = values.iter().map(u64::to_string).collect();
            writeln!(
                file,
                "      - series: 'http_objective_{family}_total{{job=\"orders\", instance=\"a\", \
                 objective=\"{objective}\"}}'\n        values: '{}'",
                values.join(" ")
            )
            .unwrap();
        }
        file + "    promql_expr_test:\n" + &self.tests
    }
}

#[test]
#[ignore = "needs promtool: apt install prometheus"]
fn burn_rates_and_alerts_are_those_of_prometheus_with_the_rules_of_the_same_objectives() {
    let latency = Objective::latency(98.0, Duration::from_millis(300));
    let objectives = [Objective::availability(99.0), latency];
    let replay = replay(&objectives);
    // All alerts but one begin to fire, and those of an hour and of six end before the replay does.
    let count = |change| replay.changes.iter().filter(|(_, known)| *known == change).count();
    assert!(
        count(Change::Firing) >= 2 * BURN_RULES.len() - 1 && count(Change::Resolved) >= 3,
        "{:?}",
        replay.changes
    );
    assert!(replay.compared.iter().all(|&compared| compared >= 100), "{:?}", replay.compared);
    let folder = Folder::new("objectives");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("objectives.yml", &objective_rules(&objectives, "orders").unwrap());
    write("test.yml", &replay.file());
    for arguments in [["check", "rules", "objectives.yml"], ["test", "rules", "test.yml"]] {
        let promtool = Command::new("promtool").args(arguments).current_dir(folder.path()).output();
        let output = promtool.expect("promtool starts");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
    println!("compared by window: {:?}; changes: {:?}", replay.compared, replay.changes);
}
