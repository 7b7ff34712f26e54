//! Compares what the service says with what the model counted.

use std::collections::BTreeMap;

use metrics_core::{ConsumerSnapshot, EndpointSummary, Outcome, Snapshot, Summary};
use serde_json::Value;

use crate::client::Client;
use crate::input::Own;
use crate::model::{Calls, Counts, Figures, Logged, Series};

impl Client {
    /// Compares all figures.
    pub fn check(&mut self) {
        let registry = self.metrics.registry();
        let summary = registry.summary();
        self.compare_window(&summary);
        assert_eq!((registry.in_flight(), summary.in_flight), (self.model.in_flight, self.model.in_flight));
        assert_eq!(summary.open_streams, self.model.open_streams);
        assert_eq!(of_consumers(registry.window().consumers()), consumers(&self.model.window));

        let snapshot = registry.snapshot();
        assert_eq!(of_snapshot(&snapshot), series(&self.model.total));
        assert_eq!(of_consumers(snapshot.consumers()), consumers(&self.model.total));
        let health = snapshot.health();
        assert!(
            health.endpoints <= health.max_series && health.consumers <= health.max_consumers,
            "{health:?}"
        );
        self.compare_errors();
    }

    /// Ends the window.
    pub fn reset(&mut self) {
        let closed = self.metrics.registry().reset();
        self.compare_window(&closed);
        self.model.reset();
    }

    fn compare_window(&self, summary: &Summary) {
        let window = series(&self.model.window);
        assert_eq!(of_summary(&summary.endpoints), window);
        let total = &summary.total;
        let sum = |count: &dyn Fn(&Counts) -> u64| window.values().map(count).sum::<u64>();
        let calls = |is: fn(Outcome) -> bool| {
            sum(&|counts| {
                counts.outcomes.iter().filter(|(outcome, _)| is(**outcome)).map(|(_, calls)| calls).sum()
            })
        };
        assert_eq!(
            [total.calls, total.errors, total.client_errors, total.server_errors, total.panicked],
            [
                calls(|_| true),
                calls(|outcome| outcome.is_error()),
                calls(|outcome| outcome.is_client_error()),
                calls(|outcome| outcome.is_server_error()),
                calls(|outcome| outcome == Outcome::Panicked),
            ]
        );
        let truncated = sum(&|counts| counts.truncated);
        assert_eq!(
            [total.truncated, total.aborted, total.request_bytes, total.response_bytes],
            [
                truncated,
                truncated + calls(|outcome| outcome == Outcome::Aborted),
                sum(&|counts| counts.request_bytes),
                sum(&|counts| counts.response_bytes),
            ]
        );
        assert!(total.min <= total.p50 && total.p50 <= total.p99 && total.p99 <= total.max, "{total:?}");
    }

    /// Each error is in the log, or counted as too many.
    fn compare_errors(&mut self) {
        let registry = self.metrics.registry();
        let logged = registry.errors_after(&mut self.errors);
        assert_eq!(self.errors.missed(), 0);
        let expected = &mut self.model.errors;
        for error in logged {
            let name = (&*error.endpoint.method, &*error.endpoint.route);
            let error = (name, error.outcome, error.message);
            let found = expected.iter().position(|expected| *expected == error);
            expected
                .swap_remove(found.unwrap_or_else(|| panic!("logged: {error:?}; expected: {expected:?}")));
        }
        for error in expected.drain(..) {
            self.thinned[priority(&error)] += 1;
        }
        assert_eq!(registry.errors_missing().map(|missing| missing.thinned), self.thinned);
    }

    /// Checks the answer of an endpoint.
    pub fn check_answer(&mut self, own: Own, status: u16, content_type: &str, body: &[u8]) {
        if content_type.starts_with("application/json") {
            let body: Value = serde_json::from_slice(body).expect("an answer is valid JSON");
            assert_eq!(body["success"], status < 400);
            if status < 400 {
                self.check_data(own, &body["data"]);
            }
        } else if content_type.starts_with("text/plain") && content_type.contains("0.0.4") {
            // gzip's first byte is no UTF-8.
            if let Ok(text) = std::str::from_utf8(body) {
                assert_eq!(scraped(text), scrapable(&self.model.total), "{text}");
            }
        }
    }

    fn check_data(&mut self, own: Own, data: &Value) {
        let is_since_reset = ["", "top=1000", "window=reset"].contains(&own.query());
        match own.endpoint() {
            "/reset" => {
                self.check_total(data);
                self.model.reset();
            }
            "/summary" if is_since_reset => self.check_total(data),
            "/routes" if is_since_reset => {
                let routes = data["routes"].as_array().expect("routes are a list").iter();
                let routes =
                    routes.map(|route| ((text(&route["method"]), text(&route["route"])), of_json(route)));
                let window = series(&self.model.window);
                let window = window.iter().map(|(name, counts)| (*name, Json::of([counts])));
                assert_eq!(non_zero(routes), window.collect());
            }
            "/consumers" if own.query() == "top=1000" => {
                let listed = data["consumers"].as_array().expect("consumers are a list").iter();
                let calls = |consumer: &Value| (number(&consumer["calls"]), number(&consumer["errors"]));
                let listed = listed.map(|consumer| (text(&consumer["consumer"]), calls(consumer)));
                assert_eq!(non_zero(listed), consumers(&self.model.window));
            }
            _ => {}
        }
    }

    fn check_total(&self, data: &Value) {
        let window = series(&self.model.window);
        let expected = Json::of(window.values());
        assert_eq!(of_json(data), Json { in_flight: self.model.in_flight, ..expected });
        assert_eq!(number(&data["open_streams"]), self.model.open_streams);
    }
}

/// The figures of a summary or a route in JSON.
#[derive(Debug, Default, PartialEq, Eq)]
struct Json {
    calls: u64,
    errors: u64,
    aborted: u64,
    panicked: u64,
    request_bytes: u64,
    response_bytes: u64,
    in_flight: u64,
    statuses: BTreeMap<String, u64>,
}

impl Json {
    fn of<'a>(counts: impl IntoIterator<Item = &'a Counts>) -> Self {
        let mut json = Self::default();
        for counts in counts {
            for (&outcome, &calls) in &counts.outcomes {
                json.calls += calls;
                json.errors += if outcome.is_error() { calls } else { 0 };
                json.aborted += if outcome == Outcome::Aborted { calls } else { 0 };
                json.panicked += if outcome == Outcome::Panicked { calls } else { 0 };
                *json.statuses.entry(outcome.to_string()).or_default() += calls;
            }
            json.aborted += counts.truncated;
            json.request_bytes += counts.request_bytes;
            json.response_bytes += counts.response_bytes;
            json.in_flight += counts.in_flight;
        }
        json
    }
}

fn of_json(data: &Value) -> Json {
    let statuses = data["statuses"].as_object().expect("statuses are an object");
    Json {
        calls: number(&data["total_calls"]),
        errors: number(&data["total_errors"]),
        aborted: number(&data["aborted"]),
        panicked: number(&data["panicked"]),
        request_bytes: number(&data["request_bytes"]),
        response_bytes: number(&data["response_bytes"]),
        in_flight: number(&data["in_flight"]),
        statuses: statuses.iter().map(|(status, calls)| (status.clone(), number(calls))).collect(),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// What is not all zero.
fn non_zero<K: Ord, V: Default + PartialEq>(all: impl Iterator<Item = (K, V)>) -> BTreeMap<K, V> {
    all.filter(|(_, counts)| *counts != V::default()).collect()
}

fn series(figures: &Figures) -> BTreeMap<Series<'_>, Counts> {
    non_zero(figures.series.iter().map(|(name, counts)| (*name, counts.clone())))
}

fn of_summary(endpoints: &[EndpointSummary]) -> BTreeMap<Series<'_>, Counts> {
    non_zero(endpoints.iter().map(|endpoint| {
        let figures = &endpoint.figures;
        let counts = Counts {
            outcomes: figures.outcomes.iter().copied().collect(),
            truncated: figures.truncated,
            request_bytes: figures.request_bytes,
            response_bytes: figures.response_bytes,
            in_flight: endpoint.in_flight,
        };
        ((&*endpoint.name.method, &*endpoint.name.route), counts)
    }))
}

fn of_snapshot(snapshot: &Snapshot) -> BTreeMap<Series<'_>, Counts> {
    non_zero(snapshot.endpoints().map(|endpoint| {
        let mut counts = Counts { in_flight: endpoint.in_flight(), ..Counts::default() };
        for group in endpoint.groups() {
            assert_eq!(group.histogram().total(), group.calls());
            counts.outcomes.extend(group.outcomes().iter().copied());
            counts.truncated += group.truncated();
            counts.request_bytes += group.request_bytes();
            counts.response_bytes += group.response_bytes();
        }
        ((&*endpoint.name().method, &*endpoint.name().route), counts)
    }))
}

fn consumers(figures: &Figures) -> BTreeMap<&str, Calls> {
    non_zero(figures.consumers.iter().map(|(name, calls)| (&**name, *calls)))
}

fn of_consumers(consumers: &[ConsumerSnapshot]) -> BTreeMap<&str, Calls> {
    non_zero(consumers.iter().map(|consumer| (&*consumer.name, (consumer.calls, consumer.errors))))
}

/// The place of an error's priority among all of them.
fn priority(((_, route), outcome, _): &Logged) -> usize {
    match outcome {
        Outcome::Panicked => 0,
        Outcome::Status(500..) => 1,
        _ if *route == "_unmatched" || route.ends_with("}*") => 3,
        _ => 2,
    }
}

/// Calls by method, route and status, as Prometheus gets them.
type Scraped<'a> = BTreeMap<(Series<'a>, String), u64>;

fn scraped(text: &str) -> Scraped<'_> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("http_requests_total{"));
    non_zero(lines.map(|line| {
        let (labels, calls) = line.rsplit_once("} ").expect("a sample has labels and a value");
        let value = |name: &str| {
            let (_, value) = labels.split_once(&format!("{name}=\"")).expect("each series has this label");
            value.split('"').next().unwrap_or_default()
        };
        let name = ((value("method"), value("route")), value("status").to_owned());
        (name, calls.parse().expect("a count is whole"))
    }))
}

/// Requests without a response are in families of their own.
fn scrapable(figures: &Figures) -> Scraped<'_> {
    let has_response = |outcome: &Outcome| !matches!(outcome, Outcome::Aborted | Outcome::Panicked);
    let all = figures.series.iter().flat_map(|(name, counts)| {
        let answered = counts.outcomes.iter().filter(move |(outcome, _)| has_response(outcome));
        answered.map(|(outcome, calls)| ((*name, outcome.to_string()), *calls))
    });
    all.collect()
}
