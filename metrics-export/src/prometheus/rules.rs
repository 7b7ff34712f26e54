//! Recording rules and alerts for objectives over 30 days, as a file for Prometheus.

use std::fmt::Write as _;

use metrics_core::InvalidSetting;
use metrics_core::alert::Severity;
use metrics_core::objective::{BURN_RULES, Kind, Objective};

/// The windows whose ratios are recorded: those of the alerts, and the 30 days of the budget.
const WINDOWS: [&str; 8] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d"];

/// The alert that only a memory of days can have, in minutes: three days at the speed that spends 30 days' budget.
const SLOW_BURN: (f64, u64, u64, Severity) = (1.0, 3 * 1_440, 360, Severity::Warning);

/// Returns a rule file for Prometheus: for each objective the share of bad requests over 5 minutes to 30 days, how much
/// of the 30-day budget is left, and the alerts of the SRE workbook.
///
/// The rules use the counters that [`ExpositionBuilder::objectives`](super::ExpositionBuilder::objectives) exposes, of
/// this job. The first three alerts are those that the monitor evaluates itself ([`Objective::burn_rules`]); a fourth
/// one covers three days.
///
/// ```
/// use metrics_core::objective::Objective;
/// use metrics_export::prometheus::objective_rules;
/// let rules = objective_rules(&[Objective::availability(99.9)], "orders")?;
/// assert!(rules.contains("record: objective:http_bad:ratio_rate30d"));
/// # Ok::<(), metrics_core::InvalidSetting>(())
/// ```
///
/// # Errors
///
/// Returns an error if an objective is invalid, or the job has characters other than letters, digits, `-`, `_` and `.`.
pub fn objective_rules(objectives: &[Objective], job: &str) -> Result<String, InvalidSetting> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if job.is_empty() || !job.chars().all(is_allowed) {
        return Err(InvalidSetting::new(
            "job",
            format!("{job:?}"),
            "letters, digits, \"-\", \"_\" and \".\"",
        ));
    }
    let mut rules = String::from(
        "# Written from the objectives of a service: change them there, and write this file again.\ngroups:\n",
    );
    for objective in objectives {
        objective.check()?;
        group(&mut rules, objective, job);
    }
    if objectives.is_empty() {
        rules.push_str("  []\n");
    }
    Ok(rules)
}

fn group(rules: &mut String, objective: &Objective, job: &str) {
    let Objective { name, target, min_calls, .. } = objective;
    let budget = share(100.0 - target);
    let selector = format!("{{job=\"{job}\", objective=\"{name}\"}}");
    let rate = |family: &str, window: &str| {
        format!("sum by (job, objective) (rate(http_objective_{family}_total{selector}[{window}]))")
    };
    // Series have it already; `promtool check rules` takes rules of the same name and labels for duplicates.
    let label = |rules: &mut String| {
        line(rules, 4, "labels:");
        line(rules, 5, &format!("objective: \"{name}\""));
    };
    let about = match objective.kind {
        Kind::Availability => format!("{target} % of requests without a server error"),
        Kind::Latency(within) => {
            format!("{target} % of requests without a server error and within {within:?}")
        }
    };
    line(rules, 1, &format!("# {about}"));
    line(rules, 1, &format!("- name: objective-{name}"));
    line(rules, 2, "rules:");
    for window in WINDOWS {
        line(rules, 3, &format!("- record: objective:http_bad:ratio_rate{window}"));
        line(rules, 4, "expr: |");
        line(rules, 5, &format!("1 - {}", rate("good", window)));
        line(rules, 5, &format!("  / ({} > 0)", rate("valid", window)));
        label(rules);
    }
    let bad = |window: &str| format!("objective:http_bad:ratio_rate{window}{selector}");
    line(rules, 3, "- record: objective:http_budget_left:ratio30d");
    line(rules, 4, &format!("expr: 1 - {} / {budget}", bad("30d")));
    label(rules);
    for &(burn, long, short, severity) in BURN_RULES.iter().chain([&SLOW_BURN]) {
        let (long, short) = (window(long), window(short));
        line(rules, 3, "- alert: HttpBudgetBurn");
        line(rules, 4, "expr: |");
        line(rules, 5, &format!("{} > {burn} * {budget}", bad(&long)));
        line(rules, 5, &format!("  and {} > {burn} * {budget}", bad(&short)));
        let calls =
            format!("sum by (job, objective) (increase(http_objective_valid_total{selector}[{long}]))");
        line(rules, 5, &format!("  and {calls} >= {min_calls}"));
        label(rules);
        line(rules, 5, &format!("severity: {severity}"));
        line(rules, 5, &format!("window: {long}"));
        line(rules, 4, "annotations:");
        let summary =
            "{{ $labels.job }}: {{ $labels.objective }} has {{ $value | humanizePercentage }} bad requests";
        line(
            rules,
            5,
            &format!(
                "summary: \"{summary} over {long}, over {burn} times what its budget of {budget} allows\""
            ),
        );
    }
}

fn line(rules: &mut String, depth: usize, text: &str) {
    writeln!(rules, "{}{text}", "  ".repeat(depth)).expect("a string takes all");
}

/// Per cent as a share, without the digits that binary fractions add: 0.1 is 0.001.
fn share(percent: f64) -> String {
    let digits = format!("{:.12}", percent / 100.0);
    digits.trim_end_matches('0').to_owned()
}

/// Minutes as the recorded windows name them.
fn window(minutes: u64) -> String {
    match minutes {
        days if days.is_multiple_of(1_440) => format!("{}d", days / 1_440),
        hours if hours.is_multiple_of(60) => format!("{}h", hours / 60),
        minutes => format!("{minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_window_of_an_alert_is_recorded() {
        let latency = Objective::latency(95.0, Duration::from_millis(300));
        let rules = objective_rules(&[Objective::availability(99.9), latency], "orders").unwrap();
        for &(burn, long, short, _) in BURN_RULES.iter().chain([&SLOW_BURN]) {
            for window in [window(long), window(short)] {
                assert!(WINDOWS.contains(&&*window), "{window}");
                for (name, budget) in [("availability", "0.001"), ("latency", "0.05")] {
                    let compares = format!(
                        "objective:http_bad:ratio_rate{window}{{job=\"orders\", objective=\"{name}\"}} > {burn} * {budget}\n"
                    );
                    assert!(rules.contains(&compares), "{compares} is not in {rules}");
                }
            }
        }
        assert_eq!(rules.matches("- record: ").count(), 2 * (WINDOWS.len() + 1));
        assert_eq!(rules.matches("- alert: ").count(), 2 * (BURN_RULES.len() + 1));
    }

    #[test]
    fn what_is_no_job_is_refused() {
        for job in ["", "a\"b", "a b"] {
            let error = objective_rules(&[], job).unwrap_err().to_string();
            assert!(error.starts_with(&format!("job is {job:?}; allowed: ")), "{error}");
        }
        assert!(objective_rules(&[], "orders").unwrap().ends_with("groups:\n  []\n"));
    }
}
