//! Rules over the history of a service: what strangers' probes raise, and what they do not.

use super::*;

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
