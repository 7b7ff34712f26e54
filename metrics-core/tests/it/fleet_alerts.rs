//! Alerts of a fleet: states that another process takes up, and the newest version beside the rest.

use std::time::{Duration, Instant, SystemTime};

use metrics_core::alert::{
    Alerts, Burn, Change, Comparison, EventId, Metric, Moment, NewestVersion, Notice, Rule, Scope, Severity,
    State,
};
use metrics_core::objective::Objective;
use metrics_core::{Figures, Registry, Summary, Window};

use crate::figure_source::Source;

const SECOND: Duration = Duration::from_secs(1);

/// How often a fleet has new figures.
const EVERY: Duration = Duration::from_secs(10);

fn failed(errors: u64) -> Figures {
    Figures { calls: 100, errors, server_errors: errors, ..Figures::default() }
}

/// A time, so long after the start of both clocks.
fn at(start: Instant, seconds: u64) -> Moment {
    let after = Duration::from_secs(seconds);
    Moment { monotonic: start + after, wall: SystemTime::UNIX_EPOCH + 1_000_000 * SECOND + after }
}

fn told(notices: &[Notice]) -> Vec<(Change, &str)> {
    notices.iter().map(|Notice { change, alert, .. }| (*change, &*alert.rule.name)).collect()
}

fn rules() -> Vec<Rule> {
    let errors =
        |name: &str| Rule::new(name, Metric::ErrorRate, Comparison::Above, 5.0).window(Window::OneMinute);
    vec![
        errors("at_once").remind_every(100 * SECOND),
        errors("later").for_at_least(30 * SECOND),
        errors("each").scope(Scope::EachRoute),
    ]
}

#[test]
fn another_process_goes_on_where_the_first_one_stopped() {
    let start = Instant::now();
    let mut first = Alerts::of_fleet(rules(), EVERY).unwrap();
    let bad = Source {
        total: failed(10),
        routes: vec![("/a", failed(0)), ("/b", failed(10))],
        ..Source::default()
    };
    assert_eq!(
        told(&first.evaluate(at(start, 0), &bad)),
        [(Change::Firing, "at_once"), (Change::Firing, "each")]
    );
    assert_eq!(told(&first.evaluate(at(start, 20), &bad)), []);
    let saved = first.save(at(start, 20));
    assert_eq!(saved.alerts.len(), 3);

    // Its monotonic clock began at another time.
    let other = start.checked_add(5_000 * SECOND).unwrap();
    let mut second = Alerts::of_fleet(rules(), EVERY).unwrap();
    second.resume(at(other, 30), &saved);
    assert_eq!(second.save(at(other, 30)), saved);
    let alerts = second.alerts();
    assert!(alerts.iter().all(|alert| alert.of_fleet));
    assert_eq!(
        alerts.iter().map(|alert| alert.state).collect::<Vec<_>>(),
        [State::Firing, State::Firing, State::Pending]
    );
    // Nothing that was told is told again, and what was pending goes on.
    assert_eq!(told(&second.evaluate(at(other, 30), &bad)), [(Change::Firing, "later")]);
    assert_eq!(told(&second.evaluate(at(other, 101), &bad)), [(Change::Reminder, "at_once")]);
    let good = Source::default();
    let ended = second.evaluate(at(other, 140), &good);
    assert_eq!(
        told(&ended),
        [(Change::Resolved, "at_once"), (Change::Resolved, "later"), (Change::Resolved, "each")]
    );
    assert_eq!(ended[2].alert.endpoint.as_deref().map(|name| &*name.route), Some("/b"));
}

/// Rules of which only two alerts can be held at once.
fn of_two(rules: impl IntoIterator<Item = Rule>) -> Alerts {
    Alerts::of_fleet(rules, EVERY).unwrap().limited_to(2, |_, _| 1)
}

fn each(name: &str, severity: Severity) -> Rule {
    let rule = Rule::new(name, Metric::ErrorRate, Comparison::Above, 5.0).window(Window::OneMinute);
    rule.scope(Scope::EachRoute).severity(severity)
}

fn of_routes(failing: &[&'static str]) -> Source {
    Source { routes: failing.iter().map(|route| (*route, failed(10))).collect(), ..Source::default() }
}

/// The routes of firing or pending alerts of each rule.
fn held(alerts: &Alerts) -> Vec<(String, String)> {
    let open = alerts.alerts().into_iter().filter(|alert| alert.state > State::Resolved);
    open.map(|alert| {
        (alert.rule.name.clone(), alert.endpoint.map_or(String::new(), |name| name.route.to_string()))
    })
    .collect()
}

#[test]
fn alerts_without_room_are_counted_and_not_told_until_there_is_room() {
    let start = Instant::now();
    let mut alerts = of_two([each("each", Severity::Warning)]);
    let notices = alerts.evaluate(at(start, 0), &of_routes(&["/a", "/b", "/c", "/d"]));
    assert_eq!(told(&notices), [(Change::Firing, "each"); 2]);
    assert_eq!((held(&alerts).len(), alerts.left_out()), (2, 2));
    assert_eq!(alerts.changes().count(), 2);
    // What was told stays, also if others begin.
    let notices = alerts.evaluate(at(start, 30), &of_routes(&["/0", "/a", "/b"]));
    assert_eq!((told(&notices), alerts.left_out()), (vec![], 1));
    assert_eq!(held(&alerts).iter().map(|(_, route)| &**route).collect::<Vec<_>>(), ["/a", "/b"]);
    // Its end is told, and what had no room is told now. The resolved one takes room, and goes first.
    let notices = alerts.evaluate(at(start, 60), &of_routes(&["/0", "/b"]));
    assert_eq!(told(&notices), [(Change::Firing, "each"), (Change::Resolved, "each")]);
    assert_eq!((held(&alerts).len(), alerts.left_out()), (2, 0));
    assert!(alerts.alerts().iter().all(|alert| alert.state == State::Firing));
}

#[test]
fn the_least_severe_give_way_and_of_these_the_newest_pending_ones() {
    let start = Instant::now();
    let later = each("later", Severity::Warning).for_at_least(90 * SECOND);
    let critical = each("critical", Severity::Critical).for_at_least(30 * SECOND);
    let mut alerts = of_two([later, critical, each("at_once", Severity::Warning)]);
    let named = |names: &[(&str, &str)]| {
        names.iter().map(|(rule, route)| ((*rule).to_owned(), (*route).to_owned())).collect::<Vec<_>>()
    };
    // A pending critical one, and one that fires, before those that are pending.
    alerts.evaluate(at(start, 0), &of_routes(&["/a"]));
    assert_eq!(held(&alerts), named(&[("at_once", "/a"), ("critical", "/a")]));
    assert_eq!(alerts.left_out(), 1);
    // A second critical one takes the room of an alert that was told, so its end is told.
    let notices = alerts.evaluate(at(start, 30), &of_routes(&["/a", "/b"]));
    assert_eq!(told(&notices), [(Change::Firing, "critical"), (Change::Resolved, "at_once")]);
    let ended = &notices[1].alert;
    assert!(ended.gave_way() && !notices[0].alert.gave_way());
    assert_eq!(
        ended.to_string(),
        "GET /a: error rate 10 % over 1 min (limit 5 %); no longer tracked: more severe alerts took its room"
    );
    assert_eq!((ended.started, ended.since), (Some(at(start, 0).wall), Some(at(start, 30).wall)));
    assert_eq!(held(&alerts), named(&[("critical", "/a"), ("critical", "/b")]));
    assert_eq!(alerts.left_out(), 4);
    // Only a third one has none. Another process holds no more of what this one saved.
    let notices = alerts.evaluate(at(start, 60), &of_routes(&["/a", "/b", "/c"]));
    assert_eq!(told(&notices), [(Change::Firing, "critical")]);
    assert_eq!(held(&alerts), named(&[("critical", "/a"), ("critical", "/b")]));
    let mut one =
        Alerts::of_fleet([each("critical", Severity::Critical)], EVERY).unwrap().limited_to(1, |_, _| 1);
    one.resume(at(start, 61), &alerts.save(at(start, 60)));
    assert_eq!(held(&one), named(&[("critical", "/a")]));
    assert_eq!(one.left_out(), 1);
    // What that one told and this one dropped ends with the next evaluation, once.
    let ended = one.evaluate(at(start, 90), &of_routes(&["/a", "/b"]));
    assert_eq!(told(&ended), [(Change::Resolved, "critical")]);
    assert_eq!(ended[0].alert.endpoint.as_deref().map(|name| &*name.route), Some("/b"));
    assert_eq!(told(&one.evaluate(at(start, 120), &of_routes(&["/a", "/b"]))), []);
}

#[test]
fn states_of_rules_that_are_gone_or_of_another_scope_are_left_out() {
    let start = Instant::now();
    let mut first = Alerts::of_fleet(rules(), EVERY).unwrap();
    let bad = Source { total: failed(10), routes: vec![("/b", failed(10))], ..Source::default() };
    first.evaluate(at(start, 0), &bad);
    let changed = Rule::new("each", Metric::ErrorRate, Comparison::Above, 5.0);
    let mut second = Alerts::of_fleet([changed], EVERY).unwrap();
    second.resume(at(start, 10), &first.save(at(start, 0)));
    assert_eq!(second.firing(), []);
}

#[test]
fn rules_of_a_fleet_are_evaluated_when_its_figures_are_new() {
    let start = Instant::now();
    let mut alerts = Alerts::of_fleet(rules(), EVERY).unwrap();
    let due = |alerts: &Alerts, seconds| alerts.due(at(start, seconds)).count();
    assert_eq!(due(&alerts, 0), 3);
    alerts.evaluate(at(start, 0), &Source::default());
    assert_eq!([1, 9, 10, 30].map(|seconds| due(&alerts, seconds)), [0, 0, 2, 3]);
}

#[test]
fn the_newest_version_is_compared_with_the_rest_once_both_have_enough_calls() {
    let rule = |metric| {
        let rule = Rule::new("canary", metric, Comparison::Above, 1.5).scope(Scope::NewestVersion);
        Alerts::of_fleet([rule.min_calls(500)], EVERY).unwrap()
    };
    let times = |calls, millis| Figures { calls, p99: Duration::from_millis(millis), ..Figures::default() };
    let source = |newest, rest| Source {
        newest: Some(NewestVersion { version: "1.3.0".into(), newest, rest }),
        ..Source::default()
    };
    let start = Instant::now();
    let mut slow = rule(Metric::P99);
    assert_eq!(slow.evaluate(at(start, 0), &source(times(499, 300), times(9_000, 100))), []);
    assert_eq!(slow.evaluate(at(start, 10), &source(times(9_000, 300), times(499, 100))), []);
    assert_eq!(slow.evaluate(at(start, 20), &source(times(500, 150), times(500, 100))), []);
    let notices = slow.evaluate(at(start, 30), &source(times(500, 180), times(500, 100)));
    let said = "P99 of version 1.3.0 is 1.8 times that of the rest over 5 min (limit 1.5)";
    assert_eq!(notices[0].alert.to_string(), said);
    // Taken back: there is one version only.
    let notices = slow.evaluate(at(start, 40), &Source::default());
    assert_eq!(told(&notices), [(Change::Resolved, "canary")]);
    assert_eq!(
        notices[0].alert.to_string(),
        "P99 of version 1.3.0 unknown: fewer than two versions have calls in 5 min"
    );
    // Nothing is a multiple of no errors: the rest counts as if it had one.
    let rate = |errors| Figures { calls: 1_000, errors, ..Figures::default() };
    let mut fails = rule(Metric::ErrorRate);
    assert_eq!(fails.evaluate(at(start, 0), &source(rate(1), rate(0))), []);
    let notices = fails.evaluate(at(start, 10), &source(rate(2), rate(0)));
    assert_eq!(notices[0].alert.value, Some(2.0));
}

#[test]
fn rules_that_a_fleet_has_no_figures_for_are_refused_and_so_are_its_own_in_one_instance() {
    let refused = |rule: Rule| Alerts::of_fleet([rule], EVERY).unwrap_err().to_string();
    let rule = |metric| Rule::new("rule", metric, Comparison::AtLeast, 5.0);
    assert!(
        refused(rule(Metric::ConsecutiveErrors)).contains("metric is consecutive_errors; allowed: any other")
    );
    assert!(refused(rule(Metric::WrongTokens)).contains("metric is wrong_tokens; allowed: any other"));
    assert!(refused(rule(Metric::Errors).window(Window::OneDay)).ends_with("1m, 5m, 1h in a fleet"));
    let canary = |metric| rule(metric).scope(Scope::NewestVersion);
    assert!(refused(canary(Metric::Calls)).contains("metric is calls; allowed: a rate or a time"));
    let below = Rule::new("rule", Metric::P99, Comparison::Below, 0.5).scope(Scope::NewestVersion);
    assert!(refused(below).ends_with("allowed: > or >= for newest_version"));
    canary(Metric::P99).check_of_fleet().unwrap();
    let alone = Alerts::new([canary(Metric::P99)]).unwrap_err().to_string();
    assert!(alone.contains("scope is newest_version; allowed: only in a rule of a fleet"), "{alone}");
    let burns = Objective::availability(99.9).burn_rules();
    burns[0].check_of_fleet().unwrap();
    assert!(matches!(&burns[1].scope, Scope::Burn(Burn { .. })));
    assert!(refused(burns[1].clone()).ends_with("up to 1 h in a fleet, which keeps no more minutes"));
}

#[test]
fn an_event_id_is_read_as_it_is_written() {
    let id = EventId::new(0xab_cdef);
    assert_eq!(id.to_string(), "00000000000000000000000000abcdef");
    assert_eq!(EventId::parse(&id.to_string()), Some(id));
    for other in ["", "abcdef", "+0000000000000000000000000abcdef", "g0000000000000000000000000abcdef"] {
        assert_eq!(EventId::parse(other), None, "{other}");
    }
}

#[test]
fn a_summary_of_matched_requests_has_no_4xx_of_paths_without_a_route() {
    let registry = Registry::new();
    let record = |route: &str, status, millis| {
        let endpoint = registry.endpoint("GET", route);
        registry.record(endpoint, status, Duration::from_millis(millis));
    };
    for (route, status, millis) in [
        ("/a", 404, 1),
        ("/a", 200, 1),
        ("_unmatched", 404, 900),
        ("_unmatched", 500, 1),
        ("/files/{path}*", 404, 1),
    ] {
        record(route, status, millis);
    }
    let snapshot = registry.snapshot();
    let (all, matched) = (snapshot.summary(), snapshot.summary_of_matched());
    assert_eq!((all.total.calls, all.total.client_errors), (5, 3));
    assert_eq!((matched.total.calls, matched.total.client_errors, matched.total.server_errors), (3, 1, 1));
    assert!(matched.total.p99 < Duration::from_millis(2));
    let calls = |summary: &Summary, route: &str| {
        summary.endpoints.iter().find(|known| *known.name.route == *route).unwrap().figures.calls
    };
    assert_eq!(["/a", "_unmatched", "/files/{path}*"].map(|route| calls(&matched, route)), [2, 1, 0]);
}
