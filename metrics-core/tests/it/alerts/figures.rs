//! Which figures rules are about: every metric, routes, traces, the application's own metrics.

use super::*;

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

/// A request that ended as the middleware's do, with a trace.
fn traced(registry: &Registry, route: &str, status: u16, millis: u64, trace: u128) {
    traced_outcome(registry, route, Outcome::Status(status), millis, trace);
}

/// Like [`traced`], however it ended.
fn traced_outcome(registry: &Registry, route: &str, outcome: Outcome, millis: u64, trace: u128) {
    let (recorder, endpoint) = (registry.recorder(), registry.endpoint("GET", route));
    let elapsed = Duration::from_millis(millis);
    let trace = TraceId::new(trace).map(|trace| TraceContext { trace, parent: None, sampled: true });
    let nanos = elapsed.as_nanos() as u64;
    recorder.record_outcome(endpoint, outcome, elapsed);
    if recorder.ranks(endpoint, nanos) {
        recorder.list_slow(endpoint, outcome, nanos, &RequestContext::from(trace));
    }
    if outcome.is_error() {
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
fn each_metric_has_the_example_that_shows_what_it_is_about_and_others_have_none() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    for (outcome, millis, trace) in [
        (Outcome::Panicked, 20, 1),
        (Outcome::Status(503), 20, 2),
        (Outcome::Status(404), 20, 3),
        (Outcome::Status(200), 9_000, 4),
        (Outcome::Aborted, 20, 5),
    ] {
        traced_outcome(&registry, "/a", outcome, millis, trace);
        // So that the order of errors is that of their times.
        std::thread::sleep(Duration::from_millis(2));
    }
    registry.counter("jobs").unwrap().add(7);
    registry.timer("db").unwrap().record(Duration::from_secs(5));
    let _under_way = registry.recorder().start();
    history.tick();
    let (own, time) = (|| Scope::OwnMetric("jobs".to_owned()), || Scope::OwnMetric("db".to_owned()));
    let table = [
        (Metric::ErrorRate, Scope::Service, 3),
        (Metric::Errors, Scope::Service, 3),
        (Metric::ClientErrorRate, Scope::Service, 3),
        (Metric::ClientErrors, Scope::Service, 3),
        (Metric::ServerErrorRate, Scope::Service, 2),
        (Metric::ServerErrors, Scope::Service, 2),
        (Metric::Panicked, Scope::Service, 1),
        (Metric::Average, Scope::Service, 4),
        (Metric::P50, Scope::Service, 4),
        (Metric::P95, Scope::Service, 4),
        (Metric::P99, Scope::Service, 4),
        (Metric::P999, Scope::Service, 4),
        (Metric::Calls, Scope::Service, 0),
        (Metric::RequestsPerSecond, Scope::Service, 0),
        (Metric::InFlight, Scope::Service, 0),
        (Metric::Aborted, Scope::Service, 0),
        (Metric::Value, own(), 0),
        (Metric::Calls, time(), 0),
        // The times of a step that the application measures are not those of requests.
        (Metric::Average, time(), 0),
        (Metric::P99, time(), 0),
    ];
    let rules = table.iter().enumerate().map(|(i, (metric, scope, _))| {
        Rule::new(format!("rule_{i}"), *metric, Comparison::Above, 0.000_1).scope(scope.clone())
    });
    let notices = Alerts::new(rules).unwrap().evaluate(Moment::now(), &history);
    assert_eq!(notices.len(), table.len());
    for ((metric, scope, trace), Notice { alert, .. }) in table.iter().zip(&notices) {
        assert_eq!((alert.rule.metric, alert.trace), (*metric, TraceId::new(*trace)), "{scope:?}");
    }
    // Three errors in a row, the last of which is the example.
    let in_a_row = Rule::new("in_a_row", Metric::ConsecutiveErrors, Comparison::AtLeast, 3.0);
    let notices = Alerts::new([in_a_row]).unwrap().evaluate(Moment::now(), &history);
    assert_eq!(notices.iter().map(|notice| notice.alert.trace).collect::<Vec<_>>(), [TraceId::new(3)]);
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
