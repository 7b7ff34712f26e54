//! How often an exporter sends, and how much may wait meanwhile.

use std::time::Duration;

use metrics_core::RecentRequest;

/// A header, or a group of headers, with the place of a request in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceHeaders {
    /// `traceparent`, of W3C's Trace Context.
    W3c,
    /// `x-datadog-trace-id` and its companions.
    Datadog,
    /// `sentry-trace`.
    Sentry,
    /// `b3`, Zipkin's single header.
    B3,
    /// `x-b3-traceid` and its companions, Zipkin's headers.
    B3Multi,
}

impl TraceHeaders {
    /// The default order.
    pub const DEFAULT: [Self; 3] = [Self::W3c, Self::Datadog, Self::Sentry];
}

/// How often an exporter sends, and how much may wait meanwhile. Values out of range are clamped.
///
/// ```
/// let mut settings = metrics_export::push::PushSettings::default();
/// settings.interval = std::time::Duration::from_secs(60);
/// settings.max_errors = 100;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PushSettings {
    /// Time between windows; default: 10 s. From 10 ms to a day.
    pub interval: Duration,
    /// How long one attempt may take; default: 10 s. From 10 ms to an hour.
    pub timeout: Duration,
    /// Whether windows end at multiples of the interval by the wall clock (UTC), so that the windows of several
    /// instances can be added up; default: no, so that instances do not all send at once.
    pub aligned: bool,
    /// The maximum number of waiting windows; default: 1. From 1 to 10,000.
    ///
    /// Beyond it, the next window is merged into the last. With 1, a window that failed is merged into the next. With 2
    /// or more, a window that was tried is sent again unchanged, for destinations that recognise windows they already
    /// have.
    pub max_windows: usize,
    /// The longest time that all waiting windows may cover together; default: 1 hour. Older windows are dropped and
    /// counted. If all failed windows were merged into one, as by default, that one is dropped.
    pub max_age: Duration,
    /// The maximum number of waiting errors; default: 0, none are wanted. Beyond that, the least important ones by
    /// [priority](metrics_core::ErrorPriority) are dropped and counted, the oldest first; those of windows that are
    /// sent again unchanged stay.
    pub max_errors: usize,
    /// Selects single requests that took at least this long; default: none.
    pub slow: Option<Duration>,
    /// Selects a random sample of all requests, from 0 to 1; default: 0.
    ///
    /// The registry logs a request only if some exporter selects it by this or by [`PushSettings::slow`]; if none does,
    /// requests cost nothing extra.
    pub sample_rate: f64,
    /// The maximum number of waiting selected requests; default: 1,000. Beyond that, the oldest are dropped and
    /// counted.
    pub max_requests: usize,
    /// Whether windows have consumers; default: no. If none of a service's exporters wants them, no window has any.
    ///
    /// Each window that waits has its own copy of all consumers that were ever seen: 56 bytes for each.
    pub consumers: bool,
    /// Whether single statuses matter; default: no. If so, the monitor keeps a histogram for each status, unless the
    /// builder is given a registry.
    pub exact_statuses: bool,
    /// The headers from which traces are read, the first valid one first; default: `None`, those of
    /// [`TraceHeaders::DEFAULT`]. A request has one trace, so the first exporter with an order of its own decides for
    /// all.
    pub trace_headers: Option<Vec<TraceHeaders>>,
    /// The longest pause after the first failure; it doubles with each further one. Default: 1 s. From 1 ms to a day.
    pub first_pause: Duration,
    /// The longest pause; default: 60 s. Each pause is random, between half and all of it. From `first_pause` to a day.
    pub max_pause: Duration,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            aligned: false,
            max_windows: 1,
            max_age: Duration::from_secs(3_600),
            max_errors: 0,
            slow: None,
            sample_rate: 0.0,
            max_requests: 1_000,
            consumers: false,
            exact_statuses: false,
            trace_headers: None,
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(60),
        }
    }
}

impl PushSettings {
    /// Whether the exporter selects this request.
    pub(super) fn wants(&self, request: &RecentRequest) -> bool {
        self.slow.is_some_and(|slow| request.response_time >= slow) || request.randomness < self.sample_rate
    }

    /// Takes over interval and timeout of these options, if they are set.
    #[cfg(feature = "_push-http")]
    pub(crate) fn with_http(self, options: &crate::http::HttpOptions) -> Self {
        let interval = options.interval.unwrap_or(self.interval);
        Self { interval, timeout: options.timeout.unwrap_or(self.timeout), ..self }
    }

    /// Returns whether the exporter selects any single requests.
    pub fn want_requests(&self) -> bool {
        self.max_requests > 0 && (self.slow.is_some() || share(self.sample_rate) > 0.0)
    }

    /// Moves each setting to the nearest end of its range.
    pub(super) fn in_range(self) -> Self {
        let (least, day) = (Duration::from_millis(10), Duration::from_secs(86_400));
        let first_pause = self.first_pause.clamp(Duration::from_millis(1), day);
        Self {
            interval: self.interval.clamp(least, day),
            timeout: self.timeout.clamp(least, Duration::from_secs(3_600)),
            max_windows: self.max_windows.clamp(1, 10_000),
            sample_rate: share(self.sample_rate),
            first_pause,
            max_pause: self.max_pause.clamp(first_pause, day),
            ..self
        }
    }
}

/// The nearest share from 0 to 1; 0 for NaN.
fn share(rate: f64) -> f64 {
    if rate.is_nan() { 0.0 } else { rate.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_moved_into_their_range() {
        for pause in [Duration::ZERO, Duration::MAX] {
            let settings =
                PushSettings { first_pause: pause, max_pause: pause, ..PushSettings::default() }.in_range();
            let range = Duration::from_millis(1)..=Duration::from_secs(86_400);
            assert!(range.contains(&settings.first_pause) && settings.max_pause >= settings.first_pause);
            assert!(range.contains(&settings.max_pause));
        }
    }

    #[test]
    fn a_share_is_moved_into_0_to_1() {
        assert_eq!([-1.0, 0.5, 7.0, f64::NAN].map(share), [0.0, 0.5, 1.0, 0.0]);
        let wanted = |rate, slow, max_requests| {
            PushSettings { sample_rate: rate, slow, max_requests, ..PushSettings::default() }.want_requests()
        };
        assert!(wanted(0.1, None, 1) && wanted(0.0, Some(Duration::ZERO), 1));
        assert!(!wanted(0.0, None, 1) && !wanted(f64::NAN, None, 1) && !wanted(1.0, None, 0));
    }
}
