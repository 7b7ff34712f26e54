//! An alert as a sentence: "GET /items/{id}: 3,694 errors in 5 min (limit 10)".

use std::fmt;
use std::time::Duration;

use super::condition::{Comparison, Metric, Unit};
use super::notice::{Alert, State};
use super::rule::{Burn, Rule, Scope};
use crate::history::Window;

/// How much of the name of a version is shown, in bytes.
const MAX_VERSION_BYTES: usize = 64;

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)?;
        if self.gave_way() {
            f.write_str("; no longer tracked: more severe alerts took its room")?;
        }
        Ok(())
    }
}

impl Alert {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { metric, comparison, threshold, clear, window, .. } = &*self.rule;
        let (name, unit) = (Name::of(*metric), metric.unit());
        match (self.endpoint.as_deref(), &self.rule.scope) {
            (Some(endpoint), _) => write!(f, "{} {}: ", endpoint.method, endpoint.route)?,
            (None, Scope::Route(name) | Scope::OwnMetric(name)) => write!(f, "{name}: ")?,
            _ => {}
        }
        if self.not_seen && self.state != State::Firing {
            let what = if self.rule.scope.route().is_some() { "route" } else { "metric" };
            return write!(f, "{what} not seen for an hour");
        }
        if let Scope::Burn(burn) = &self.rule.scope {
            return write_burn(f, burn, self.value, *threshold);
        }
        if self.rule.scope == Scope::NewestVersion {
            return write_newest_version(f, self);
        }
        let window = length(*window);
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
            Name::Value => write!(f, "{}", Number(value, unit))?,
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
        f.write_str(")")?;
        if self.not_seen {
            f.write_str("; not seen for an hour")?;
        }
        Ok(())
    }
}

/// `availability: burn rate 16.2 over 1 h and 5 min (limit 14.4)`
fn write_burn(f: &mut fmt::Formatter<'_>, burn: &Burn, value: Option<f64>, threshold: f64) -> fmt::Result {
    let Burn { objective, long, short } = burn;
    let (long, short) = (Length(*long), Length(*short));
    let Some(value) = value else { return write!(f, "{objective}: burn rate unknown: no calls in {short}") };
    let (value, threshold) = (Number(value, Unit::Calls), Number(threshold, Unit::Calls));
    write!(f, "{objective}: burn rate {value} over {long} and {short} (limit {threshold})")
}

/// `P99 of version 1.3.0 is 1.8 times that of the rest over 5 min (limit 1.5)`
fn write_newest_version(f: &mut fmt::Formatter<'_>, alert: &Alert) -> fmt::Result {
    let Rule { metric, threshold, window, .. } = &*alert.rule;
    let (name, window) = (Name::of(*metric), length(*window));
    match alert.version.as_deref() {
        Some("") => write!(f, "{name} of the unnamed version")?,
        Some(version) => write!(f, "{name} of version {}", crate::text::visible(version, MAX_VERSION_BYTES))?,
        None => write!(f, "{name} of the newest version")?,
    }
    let Some(value) = alert.value else {
        return write!(f, " unknown: fewer than two versions have calls in {window}");
    };
    let (value, threshold) = (Number(value, Unit::Calls), Number(*threshold, Unit::Calls));
    write!(f, " is {value} times that of the rest over {window} (limit {threshold})")
}

fn length(window: Window) -> &'static str {
    match window {
        Window::OneMinute => "1 min",
        Window::FiveMinutes => "5 min",
        Window::OneHour => "1 h",
        Window::OneDay => "24 h",
        Window::SinceReset => "this window",
    }
}

/// Whole hours, or else minutes.
struct Length(Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds if seconds > 0 && seconds.is_multiple_of(3_600) => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} min", seconds / 60),
        }
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
    /// `orders: 12`
    Value,
}

impl Name {
    const fn of(metric: Metric) -> Self {
        match metric {
            Metric::ErrorRate => Self::Level("error rate"),
            Metric::ClientErrorRate => Self::Level("client error rate"),
            Metric::ServerErrorRate => Self::Level("server error rate"),
            Metric::Average => Self::Level("average response time"),
            Metric::P50 => Self::Level("P50"),
            Metric::P95 => Self::Level("P95"),
            Metric::P99 => Self::Level("P99"),
            Metric::P999 => Self::Level("P99.9"),
            Metric::Errors => Self::Count("error", "errors"),
            Metric::ClientErrors => Self::Count("client error", "client errors"),
            Metric::ServerErrors => Self::Count("server error", "server errors"),
            Metric::ConsecutiveErrors => Self::Count("error in a row", "errors in a row"),
            Metric::Calls => Self::Count("call", "calls"),
            Metric::RequestsPerSecond => Self::Rate("requests/s"),
            Metric::InFlight => Self::Now("request in flight", "requests in flight"),
            Metric::Aborted => Self::Count("aborted request", "aborted requests"),
            Metric::Panicked => Self::Count("panic", "panics"),
            Metric::WrongTokens => Self::Count("wrong token", "wrong tokens"),
            Metric::Value => Self::Value,
            Metric::BurnRate => Self::Level("burn rate"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(name) | Self::Rate(name) | Self::Count(_, name) | Self::Now(_, name) => {
                f.write_str(name)
            }
            Self::Value => f.write_str("value"),
        }
    }
}

/// A number with its unit, its thousands separated by commas. Rounded to thousandths; times under a second to tenths of
/// a millisecond, or to microseconds.
struct Number(f64, Unit);

impl Number {
    /// The number to show, its decimals, and what follows it.
    fn scaled(&self) -> (f64, i32, &'static str) {
        match *self {
            Self(value, Unit::PerCent) => (value, 3, " %"),
            Self(value, Unit::Calls) => (value, 3, ""),
            Self(0.0, Unit::Seconds) => (0.0, 0, " s"),
            // The limits are where rounding would show 1,000.
            Self(value, Unit::Seconds) if value < 0.999_5e-6 => (value * 1e9, 0, " ns"),
            Self(value, Unit::Seconds) if value < 0.999_5e-3 => (value * 1e6, 0, " us"),
            Self(value, Unit::Seconds) if value < 0.999_95 => (value * 1e3, 1, " ms"),
            Self(value, Unit::Seconds) => (value, 3, " s"),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, decimals, suffix) = self.scaled();
        let ten = 10_f64.powi(decimals);
        // May be -0, which is not below 0.
        let rounded = (value * ten).round() / ten;
        if rounded < 0.0 {
            f.write_str("-")?;
        }
        let text = rounded.abs().to_string();
        let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
        for (i, digit) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        f.write_str(fraction)?;
        f.write_str(suffix)
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::labels::endpoint::EndpointName;

    fn alert(rule: Rule, value: f64) -> Alert {
        let rule = Arc::new(rule);
        Alert {
            rule,
            endpoint: None,
            state: State::Firing,
            value: Some(value),
            since: None,
            started: None,
            trace: None,
            not_seen: false,
            of_fleet: false,
            version: None,
        }
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
            (Metric::P50, 1_000.0, "P50 1,000 s over 5 min (limit 2 s)"),
            (Metric::P95, 6.0, "P95 6 s over 5 min (limit 2 s)"),
            (Metric::P99, 6.0, "P99 6 s over 5 min (limit 2 s)"),
            (Metric::P999, 6.0, "P99.9 6 s over 5 min (limit 2 s)"),
            (Metric::Errors, 3_694.0, "3,694 errors in 5 min (limit 2)"),
            (Metric::ClientErrors, 3.0, "3 client errors in 5 min (limit 2)"),
            (Metric::ServerErrors, 3.0, "3 server errors in 5 min (limit 2)"),
            (Metric::ConsecutiveErrors, 12.0, "12 errors in a row in 5 min (limit 2)"),
            (Metric::Calls, 1_234_567.0, "1,234,567 calls in 5 min (limit 2)"),
            (Metric::RequestsPerSecond, 1_250.123_4, "1,250.123 requests/s over 5 min (limit 2)"),
            (Metric::InFlight, 120.0, "120 requests in flight (limit 2)"),
            (Metric::Aborted, 5.0, "5 aborted requests in 5 min (limit 2)"),
            (Metric::Panicked, 5.0, "5 panics in 5 min (limit 2)"),
            (Metric::Value, 1_234.5, "1,234.5 (limit 2)"),
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
    fn times_are_shown_in_the_unit_that_suits_them() {
        let p95 = |value| {
            let text = alert(above(Metric::P95, 5.0), value).to_string();
            text.strip_suffix(" over 5 min (limit 5 s, resolves at 5 s)").unwrap_or(&text).to_owned()
        };
        for (seconds, expected) in [
            (203.4e-6, "P95 203 us"),
            (0.3e-6, "P95 300 ns"),
            (999.4e-6, "P95 999 us"),
            (0.999_5e-6, "P95 1 us"),
            (999.6e-6, "P95 1 ms"),
            (0.999_5e-3, "P95 1 ms"),
            (12.34e-3, "P95 12.3 ms"),
            (0.999_96, "P95 1 s"),
            (0.999_95, "P95 1 s"),
            (0.0, "P95 0 s"),
        ] {
            assert_eq!(p95(seconds), expected);
        }
        assert_eq!(alert(above(Metric::Value, 0.0), -0.000_1).to_string(), "0 (limit 0, resolves at 0)");
        assert_eq!(alert(above(Metric::Value, -2_000.0), -1_234.5).to_string(), "-1,234.5 (limit -2,000)");
        assert_eq!(alert(above(Metric::P99, 0.25), 1.5).to_string(), "P99 1.5 s over 5 min (limit 250 ms)");
    }

    #[test]
    fn a_name_that_was_not_seen_for_an_hour_is_said_to_be() {
        let few = |scope| Rule::new("few", Metric::Calls, Comparison::Below, 1.0).scope(scope);
        let route = few(Scope::Route("/itmes".to_owned()));
        let firing = Alert { not_seen: true, ..alert(route.clone(), 0.0) };
        assert_eq!(firing.to_string(), "/itmes: 0 calls in 5 min (minimum 1); not seen for an hour");
        let inactive = Alert { state: State::Inactive, value: None, ..firing };
        assert_eq!(inactive.to_string(), "/itmes: route not seen for an hour");
        let own =
            Rule::new("own", Metric::Value, Comparison::Above, 1.0).scope(Scope::OwnMetric("ordres".into()));
        let own = Alert { state: State::Inactive, not_seen: true, ..alert(own, 0.0) };
        assert_eq!(own.to_string(), "ordres: metric not seen for an hour");
        assert_eq!(Alert { not_seen: false, ..own }.to_string(), "ordres: 0 (limit 1)");
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
