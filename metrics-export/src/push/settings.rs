//! How often a destination is sent to, and what waits for it meanwhile.

use std::time::Duration;

use metrics_core::RecentRequest;

/// How often a destination is sent to, and what waits for it meanwhile. What is out of its range is moved into it.
///
/// ```
/// let mut settings = metrics_export::push::PushSettings::default();
/// settings.interval = std::time::Duration::from_secs(60);
/// settings.max_errors = 100;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PushSettings {
    /// From one window to the next; default 10 s. From 10 ms to a day.
    pub interval: Duration,
    /// How long one attempt may take; default 10 s. From 10 ms to an hour.
    pub timeout: Duration,
    /// Whether windows end at multiples of the interval by the wall clock (UTC), as those of a fleet should that are added
    /// up; default: no, so that the instances of a fleet do not all send at one time.
    pub aligned: bool,
    /// Windows that wait at most; default 1. From 1 to 10,000.
    ///
    /// When there are as many, the next one is merged into the last. With 1, what failed is merged into the next window. With
    /// 2 or more, a window that was tried once is sent again exactly as it was, as destinations need that know a window which
    /// they already have by its name.
    pub max_windows: usize,
    /// The longest time that waits, all windows together; default 1 hour. What is older is dropped and counted: the oldest windows, and
    /// where there is but one for all that failed, as by default, that.
    pub max_age: Duration,
    /// Errors of the error log that wait at most; default 0, none are wanted. The oldest make room, but for those of windows that are to
    /// be sent again as they were, and are counted.
    pub max_errors: usize,
    /// Requests that took at least this long are wanted one by one; default: none.
    pub slow: Option<Duration>,
    /// The share of all requests that are wanted one by one, drawn by lot; default 0. From 0 to 1.
    ///
    /// With [`PushSettings::slow`] and this, requests get into the registry's request log only if somebody wants them; where nobody
    /// does, a request costs nothing more.
    pub sample_rate: f64,
    /// Requests of the request log that wait at most; default 1,000. The oldest make room, and are counted. Of no use unless
    /// some are wanted.
    pub max_requests: usize,
    /// Whether it tells single statuses apart: where nobody says otherwise, metrics-actix then keeps a histogram for each.
    /// Default: no.
    pub exact_statuses: bool,
    /// The longest pause after an attempt that failed; each further one is twice as long. Default 1 s. From 1 ms to a day.
    pub first_pause: Duration,
    /// The longest pause at all; default 60 s. A pause is at random between half and all of it. No shorter than the first one,
    /// and a day at most.
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
            exact_statuses: false,
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(60),
        }
    }
}

impl PushSettings {
    /// Whether it wants this request by itself.
    pub(super) fn wants(&self, request: &RecentRequest) -> bool {
        self.slow.is_some_and(|slow| request.response_time >= slow) || request.randomness < self.sample_rate
    }

    /// With the interval and the timeout of these options, where they set them.
    #[cfg(feature = "_push-http")]
    pub(crate) fn with_http(self, options: &crate::http::HttpOptions) -> Self {
        let interval = options.interval.unwrap_or(self.interval);
        Self { interval, timeout: options.timeout.unwrap_or(self.timeout), ..self }
    }

    /// Whether it wants any requests by themselves.
    pub fn want_requests(&self) -> bool {
        self.max_requests > 0 && (self.slow.is_some() || share(self.sample_rate) > 0.0)
    }

    /// These settings, each moved to the nearest end of its range.
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

/// The nearest share; 0 for what is no number.
fn share(rate: f64) -> f64 {
    if rate.is_nan() { 0.0 } else { rate.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_no_longer_than_a_clock_goes() {
        for pause in [Duration::ZERO, Duration::MAX] {
            let settings =
                PushSettings { first_pause: pause, max_pause: pause, ..PushSettings::default() }.in_range();
            let range = Duration::from_millis(1)..=Duration::from_secs(86_400);
            assert!(range.contains(&settings.first_pause) && settings.max_pause >= settings.first_pause);
            assert!(range.contains(&settings.max_pause));
        }
    }

    #[test]
    fn a_share_is_from_0_to_1() {
        assert_eq!([-1.0, 0.5, 7.0, f64::NAN].map(share), [0.0, 0.5, 1.0, 0.0]);
        let wanted = |rate, slow, max_requests| {
            PushSettings { sample_rate: rate, slow, max_requests, ..PushSettings::default() }.want_requests()
        };
        assert!(wanted(0.1, None, 1) && wanted(0.0, Some(Duration::ZERO), 1));
        assert!(!wanted(0.0, None, 1) && !wanted(f64::NAN, None, 1) && !wanted(1.0, None, 0));
    }
}
