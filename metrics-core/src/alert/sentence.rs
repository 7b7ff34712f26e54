//! An alert as a sentence: "GET /items/{id}: 3,694 errors in 5 min (limit 10)".

use std::fmt;

use super::condition::{Comparison, Metric, Unit};
use super::notice::{Alert, State};
use super::rule::Rule;
use crate::history::Window;

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { metric, comparison, threshold, clear, window, .. } = &*self.rule;
        let (name, unit) = (Name::of(*metric), metric.unit());
        if let Some(endpoint) = self.endpoint.as_deref() {
            write!(f, "{} {}: ", endpoint.method, endpoint.route)?;
        }
        let window = match window {
            Window::OneMinute => "1 min",
            Window::FiveMinutes => "5 min",
            Window::OneHour => "1 h",
            Window::OneDay => "24 h",
            Window::SinceReset => "this window",
        };
        let Some(value) = self.value else { return write!(f, "{name} unknown: no calls in {window}") };
        match name {
            Name::Level(name) => write!(f, "{name} {} over {window}", Number(value, unit))?,
            Name::Rate(name) => write!(f, "{} {name} over {window}", Number(value, unit))?,
            Name::Count(one, many) => {
                let name = if value == 1.0 { one } else { many };
                write!(f, "{} {name} in {window}", Number(value, unit))?;
            }
            Name::Now(one, many) => {
                write!(f, "{} {}", Number(value, unit), if value == 1.0 { one } else { many })?;
            }
        }
        let limit = if comparison.is_upwards() { "limit" } else { "minimum" };
        write!(f, " ({limit} {}", Number(*threshold, unit))?;
        // Only the threshold for resolving keeps it firing.
        if self.state == State::Firing && !comparison.holds(value, *threshold) {
            let side = match comparison {
                Comparison::Above | Comparison::Below => "at",
                Comparison::AtLeast => "below",
                Comparison::AtMost => "above",
            };
            write!(f, ", resolves {side} {}", Number(*clear, unit))?;
        }
        f.write_str(")")
    }
}

/// What a metric is called in a sentence.
#[derive(Debug, Clone, Copy)]
enum Name {
    /// `error rate 7.5 % over 5 min`
    Level(&'static str),
    /// `250 requests/s over 5 min`
    Rate(&'static str),
    /// `1 error in 5 min`, `2 errors in 5 min`
    Count(&'static str, &'static str),
    /// `1 request in flight`, `2 requests in flight`
    Now(&'static str, &'static str),
}

impl Name {
    const fn of(metric: Metric) -> Self {
        match metric {
            Metric::ErrorRate => Self::Level("error rate"),
            Metric::ClientErrorRate => Self::Level("client error rate"),
            Metric::ServerErrorRate => Self::Level("server error rate"),
            Metric::Average => Self::Level("average response time"),
            Metric::P50 => Self::Level("p50 response time"),
            Metric::P95 => Self::Level("p95 response time"),
            Metric::P99 => Self::Level("p99 response time"),
            Metric::P999 => Self::Level("p99.9 response time"),
            Metric::Errors => Self::Count("error", "errors"),
            Metric::ConsecutiveErrors => Self::Count("consecutive error", "consecutive errors"),
            Metric::Calls => Self::Count("call", "calls"),
            Metric::RequestsPerSecond => Self::Rate("requests/s"),
            Metric::InFlight => Self::Now("request in flight", "requests in flight"),
            Metric::Aborted => Self::Count("aborted request", "aborted requests"),
            Metric::Panicked => Self::Count("panic", "panics"),
            Metric::WrongTokens => Self::Count("wrong token", "wrong tokens"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Level(name) | Self::Rate(name) | Self::Count(_, name) | Self::Now(_, name)) = self;
        f.write_str(name)
    }
}

/// A number with its unit, rounded to thousandths, its thousands separated by commas.
struct Number(f64, Unit);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, unit) = *self;
        let text = ((value * 1e3).round() / 1e3).to_string();
        let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
        for (i, digit) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        f.write_str(fraction)?;
        f.write_str(match unit {
            Unit::PerCent => " %",
            Unit::Seconds => " s",
            Unit::Calls => "",
        })
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::labels::endpoint::EndpointName;

    fn alert(rule: Rule, value: f64) -> Alert {
        let rule = Arc::new(rule);
        Alert { rule, endpoint: None, state: State::Firing, value: Some(value), since: None, started: None }
    }

    fn above(metric: Metric, threshold: f64) -> Rule {
        Rule::new("rule", metric, Comparison::Above, threshold)
    }

    #[test]
    fn every_metric_has_a_sentence_with_its_value_and_its_limit() {
        for (metric, value, expected) in [
            (Metric::ErrorRate, 7.5, "error rate 7.5 % over 5 min (limit 2 %)"),
            (Metric::ClientErrorRate, 100.0, "client error rate 100 % over 5 min (limit 2 %)"),
            (Metric::ServerErrorRate, 2.0004, "server error rate 2 % over 5 min (limit 2 %)"),
            (Metric::Average, 3.25, "average response time 3.25 s over 5 min (limit 2 s)"),
            (Metric::P50, 1_000.0, "p50 response time 1,000 s over 5 min (limit 2 s)"),
            (Metric::P95, 6.0, "p95 response time 6 s over 5 min (limit 2 s)"),
            (Metric::P99, 6.0, "p99 response time 6 s over 5 min (limit 2 s)"),
            (Metric::P999, 6.0, "p99.9 response time 6 s over 5 min (limit 2 s)"),
            (Metric::Errors, 3_694.0, "3,694 errors in 5 min (limit 2)"),
            (Metric::ConsecutiveErrors, 12.0, "12 consecutive errors in 5 min (limit 2)"),
            (Metric::Calls, 1_234_567.0, "1,234,567 calls in 5 min (limit 2)"),
            (Metric::RequestsPerSecond, 1_250.123_4, "1,250.123 requests/s over 5 min (limit 2)"),
            (Metric::InFlight, 120.0, "120 requests in flight (limit 2)"),
            (Metric::Aborted, 5.0, "5 aborted requests in 5 min (limit 2)"),
            (Metric::Panicked, 5.0, "5 panics in 5 min (limit 2)"),
        ] {
            assert_eq!(alert(above(metric, 2.0), value).to_string(), expected);
        }
    }

    #[test]
    fn one_is_singular_too_few_has_a_minimum_and_a_route_comes_first() {
        let one = Rule::new("one", Metric::Errors, Comparison::AtLeast, 1.0).window(Window::OneHour);
        let name = EndpointName { method: "GET".into(), route: "/items/{id}".into() };
        let one = Alert { endpoint: Some(Arc::new(name)), ..alert(one, 1.0) };
        assert_eq!(one.to_string(), "GET /items/{id}: 1 error in 1 h (limit 1)");
        let few = Rule::new("few", Metric::Calls, Comparison::Below, 1_000.0).window(Window::OneDay);
        assert_eq!(alert(few, 0.0).to_string(), "0 calls in 24 h (minimum 1,000)");
        let unknown = Alert { value: None, ..alert(above(Metric::ErrorRate, 5.0), 0.0) };
        assert_eq!(unknown.to_string(), "error rate unknown: no calls in 5 min");
    }

    #[test]
    fn an_alert_that_fires_on_below_its_threshold_says_when_it_resolves() {
        let firing = |comparison, clear| {
            alert(Rule::new("rule", Metric::Errors, comparison, 10.0).clear(clear), 9.5).to_string()
        };
        assert_eq!(firing(Comparison::Above, 8.0), "9.5 errors in 5 min (limit 10, resolves at 8)");
        assert_eq!(firing(Comparison::AtLeast, 8.0), "9.5 errors in 5 min (limit 10, resolves below 8)");
        let few = |comparison| {
            alert(Rule::new("rule", Metric::Calls, comparison, 10.0).clear(12.0), 11.0).to_string()
        };
        assert_eq!(few(Comparison::Below), "11 calls in 5 min (minimum 10, resolves at 12)");
        assert_eq!(few(Comparison::AtMost), "11 calls in 5 min (minimum 10, resolves above 12)");
        let resolved = Alert { state: State::Resolved, ..alert(above(Metric::Errors, 10.0).clear(8.0), 8.0) };
        assert_eq!(resolved.to_string(), "8 errors in 5 min (limit 10)");
    }
}
