//! Which rules are refused, and how what they watch is written.

use super::*;

fn rule() -> Rule {
    Rule::new("slow", Metric::P95, Comparison::Above, 2.0)
}

fn refused(rule: Rule) -> String {
    rule.check().unwrap_err().to_string()
}

#[test]
fn the_default_rules_are_valid_and_nobody_outside_can_raise_or_hide_an_alert_by_paths_without_a_route() {
    for rule in Rule::defaults() {
        rule.check().unwrap();
        let of_requests = rule.metric != Metric::WrongTokens;
        assert_eq!(rule.scope, if of_requests { Scope::Matched } else { Scope::Service });
    }
}

#[test]
fn a_threshold_that_no_figure_can_breach_and_one_that_every_figure_breaches_are_refused() {
    use Comparison::{Above, AtLeast, AtMost, Below};
    let new = |metric, comparison, threshold| Rule::new("rule", metric, comparison, threshold);
    let seconds = "allowed: 0 to 68.7 seconds (percentiles end there; average does not)";
    for metric in [Metric::P50, Metric::P95, Metric::P99, Metric::P999] {
        assert!(refused(new(metric, Above, 120.0)).ends_with(seconds));
        assert!(refused(new(metric, Below, 120.0)).ends_with(seconds));
        assert!(refused(new(metric, Above, 68.8)).ends_with(seconds));
        new(metric, Above, 68.7).check().unwrap();
    }
    new(Metric::Average, Above, 120.0).check().unwrap();
    new(Metric::Errors, Above, 1_000_000.0).check().unwrap();
    assert!(refused(new(Metric::Average, Above, 300_000.0)).ends_with("allowed: 0 to 281,474 seconds"));
    for (metric, comparison, threshold) in [
        (Metric::ErrorRate, Above, 100.0),
        (Metric::ServerErrorRate, Below, 0.0),
        (Metric::Calls, Below, 0.0),
        (Metric::P95, Below, 0.0),
    ] {
        let error = refused(new(metric, comparison, threshold));
        assert!(error.ends_with("allowed: a threshold that can be reached"), "{error}");
    }
    for (metric, comparison, threshold) in
        [(Metric::Errors, AtLeast, 0.0), (Metric::ErrorRate, AtMost, 100.0), (Metric::InFlight, AtLeast, 0.0)]
    {
        let error = refused(new(metric, comparison, threshold));
        assert!(error.ends_with("allowed: a threshold that is not always reached"), "{error}");
    }
    let error = refused(new(Metric::Errors, AtLeast, 10.0).clear(0.0));
    assert_eq!(error, "rule \"rule\": clear is 0; allowed: a threshold that is not always reached");
    new(Metric::Errors, Above, 0.0).check().unwrap();
    new(Metric::ErrorRate, AtLeast, 100.0).check().unwrap();
    new(Metric::Calls, AtMost, 0.0).check().unwrap();
    for threshold in [-1.0, f64::INFINITY, f64::NAN] {
        assert!(refused(new(Metric::Calls, Below, threshold)).ends_with("allowed: 0 or more"));
    }
    let few = new(Metric::Calls, Below, 10.0).min_calls(10);
    assert!(refused(few).starts_with("rule \"rule\": min_calls is 10; allowed: fewer"));
    new(Metric::Calls, Below, 10.0).min_calls(9).check().unwrap();
    for metric in [Metric::ConsecutiveErrors, Metric::WrongTokens] {
        for comparison in [Below, AtMost] {
            let expected = format!(
                "rule \"rule\": comparison is {comparison}; allowed: > or >= for {metric}, since low values are good"
            );
            assert_eq!(refused(new(metric, comparison, 5.0).min_calls(5)), expected);
        }
        new(metric, AtLeast, 5.0).min_calls(9).check().unwrap();
    }
    assert!(refused(new(Metric::RequestsPerSecond, Below, 1.0).min_calls(300)).contains("min_calls"));
    new(Metric::RequestsPerSecond, Below, 1.0).min_calls(299).check().unwrap();
}

#[test]
fn own_metrics_have_rules_of_their_own() {
    let own = |metric, threshold| {
        let rule = Rule::new("rule", metric, Comparison::Below, threshold);
        rule.scope(Scope::OwnMetric("orders".to_owned()))
    };
    for metric in Metric::ALL {
        let is_allowed = metric.is_time() || OF_OWN_METRICS.contains(&metric);
        assert_eq!(own(metric, 1.0).check().is_ok(), is_allowed, "{metric}");
    }
    own(Metric::Value, -20.0).check().unwrap();
    assert!(refused(own(Metric::Value, f64::NAN)).ends_with("allowed: any number"));
    assert!(
        refused(own(Metric::Value, 1.0).scope(Scope::Matched))
            .ends_with("allowed: own_metric for the metric value")
    );
    let nameless = own(Metric::Value, 1.0).scope(Scope::OwnMetric(String::new()));
    assert!(refused(nameless).contains("such as \"orders\""));
}

#[test]
fn a_budget_is_only_for_burn_rates_and_a_burn_rate_only_for_a_budget() {
    let (hour, minutes) = (Duration::from_secs(3_600), Duration::from_secs(300));
    let burn = || Scope::Burn(Burn { objective: "availability".to_owned(), long: hour, short: minutes });
    let new = |metric| Rule::new("rule", metric, Comparison::Above, 2.0);
    new(Metric::BurnRate).scope(burn()).check().unwrap();
    let allowed = "allowed: burn with burn_rate, as the rules of an objective have";
    assert!(refused(new(Metric::BurnRate)).ends_with(allowed));
    assert!(refused(new(Metric::BurnRate).scope(Scope::EachRoute)).ends_with(allowed));
    for metric in [Metric::Errors, Metric::ErrorRate, Metric::P99, Metric::Calls] {
        assert!(refused(new(metric).scope(burn())).ends_with(allowed), "{metric}");
    }
}

#[test]
fn a_setting_out_of_range_is_refused_with_what_is_allowed() {
    let new = |name: &str| Rule::new(name, Metric::ErrorRate, Comparison::Above, 5.0);
    for name in ["", "a b", "a\n", &"x".repeat(65)] {
        assert!(refused(new(name)).ends_with("allowed: 1 to 64 letters a to z, digits, and \"_-.\""));
    }
    let rate = |rate| Rule::new("rate", Metric::ErrorRate, Comparison::Above, rate);
    assert_eq!(refused(rate(101.0)), "rule \"rate\": threshold is 101; allowed: 0 to 100 (per cent)");
    assert!(refused(rate(f64::NAN)).starts_with("rule \"rate\": threshold is NaN"));
    assert_eq!(refused(rule().clear(3.0)), "rule \"slow\": clear is 3; allowed: at most the threshold, 2");
    let few = Rule::new("few", Metric::Calls, Comparison::Below, 2.0);
    assert_eq!(refused(few.clear(1.0)), "rule \"few\": clear is 1; allowed: at least the threshold, 2");
    assert!(refused(rule().window(Window::SinceReset)).ends_with("allowed: 1m, 5m, 1h, 24h"));
    assert!(
        refused(rule().for_at_least(Duration::from_secs(86_401)))
            .ends_with("for is 86401s; allowed: 0 to 24 h")
    );
    rule().for_at_least(Duration::from_secs(86_400)).check().unwrap();
    let second = Duration::from_secs(1);
    assert!(refused(rule().remind_every(second)).ends_with("allowed: 0 (none), or a minute or longer"));
    assert!(refused(rule().scope(Scope::Route(String::new()))).contains("such as \"/items/{id}\""));
    let row = Rule::new("row", Metric::ConsecutiveErrors, Comparison::AtLeast, 5.0);
    row.check().unwrap();
    assert!(
        refused(row.scope(Scope::EachRoute))
            .ends_with("scope is each_route; allowed: service or matched for consecutive_errors")
    );
    let tokens = Rule::new("tokens", Metric::WrongTokens, Comparison::AtLeast, 5.0);
    tokens.check().unwrap();
    assert!(
        refused(tokens.scope(Scope::Matched))
            .ends_with("scope is matched; allowed: service for wrong_tokens")
    );
}

#[test]
fn a_scope_has_its_name_and_the_route_or_the_metric_that_it_is_about() {
    let (route, metric) = (Scope::Route("/items".to_owned()), Scope::OwnMetric("orders".to_owned()));
    let scopes = [Scope::Service, Scope::Matched, Scope::EachRoute, route, metric];
    let all = scopes.each_ref().map(|scope| (scope.name(), scope.route(), scope.own_metric()));
    let expected = [
        ("service", None, None),
        ("matched", None, None),
        ("each_route", None, None),
        ("route", Some("/items"), None),
        ("own_metric", None, Some("orders")),
    ];
    assert_eq!(all, expected);
}
