//! Which single requests are kept in addition to the figures: failed and slow ones, and a random sample.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use metrics_core::TraceContext;
use metrics_export::push::TraceHeaders;

/// Which requests are captured. Fixed when the monitor is built.
#[derive(Debug, Clone, PartialEq)]
pub struct CapturePolicy {
    /// A request that took this long is slow, for exemplars; [`u64::MAX`] without exemplars.
    pub exemplar_nanos: u64,
    /// Whether exemplars are kept.
    pub exemplars: bool,
    /// Whether a trace that the caller does not record may be an exemplar.
    pub unsampled_exemplars: bool,
    /// An exporter wants each request that took this long; [`u64::MAX`] if none does.
    pub slow_nanos: u64,
    /// The share of all requests that an exporter wants, from 0 to 1; the largest, if several do.
    pub share: f64,
    /// The headers from which traces are read, the first valid one first.
    pub trace_headers: Vec<TraceHeaders>,
    /// The headers with the id of a request, in lower case; the first one that a request has counts.
    pub request_id_headers: Vec<String>,
    /// Whether the paths of failed and slow requests are kept.
    pub keep_paths: bool,
}

impl CapturePolicy {
    /// The default headers with the id of a request.
    pub const REQUEST_ID_HEADERS: [&str; 2] = ["x-request-id", "x-amzn-trace-id"];

    /// Returns the duration below which a request needs no closer look, unless it failed. This is the one comparison
    /// that each request pays for.
    pub fn threshold_nanos(&self) -> u64 {
        if self.share > 0.0 { 0 } else { self.exemplar_nanos.min(self.slow_nanos) }
    }

    /// Returns whether a slow or failed request of this trace is kept as an exemplar. By default the trace must be
    /// sampled, as in OpenTelemetry's default filter, since a link to a trace that nobody recorded leads nowhere.
    pub fn is_exemplar(&self, trace: &TraceContext) -> bool {
        self.exemplars && (trace.sampled || self.unsampled_exemplars)
    }

    /// Returns whether an exporter wants a request, given its random number.
    pub fn is_wanted(&self, nanos: u64, randomness: f64) -> bool {
        nanos >= self.slow_nanos || randomness < self.share
    }
}

/// A duration in nanoseconds; [`u64::MAX`] for none, and for one that is longer.
pub(crate) fn threshold(duration: Option<Duration>) -> u64 {
    duration.and_then(|duration| duration.as_nanos().try_into().ok()).unwrap_or(u64::MAX)
}

/// What was captured of a request whose body is still being sent.
#[derive(Debug, Clone, Copy)]
pub struct Captured {
    /// Its place in a trace.
    pub trace: Option<TraceContext>,
    /// Its random number.
    pub randomness: f64,
}

/// A random number generator for one thread: Marsaglia's xorshift, <https://doi.org/10.18637/jss.v008.i14>. Not for
/// secrets.
#[derive(Debug)]
pub struct Sampler(Cell<u64>);

impl Default for Sampler {
    fn default() -> Self {
        // A hasher with a random key is the standard library's source of randomness. Never 0, which xorshift cannot
        // leave.
        Self(Cell::new(RandomState::new().hash_one(0) | 1))
    }
}

impl Sampler {
    /// Returns a random number from 0 to below 1.
    #[inline]
    pub fn draw(&self) -> f64 {
        let mut bits = self.0.get();
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        self.0.set(bits);
        // A float holds 53 bits.
        (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_spread_evenly() {
        let sampler = Sampler::default();
        let drawn: Vec<f64> = (0..100_000).map(|_| sampler.draw()).collect();
        assert!(drawn.iter().all(|number| (0.0..1.0).contains(number)));
        for share in [0.01, 0.1, 0.5] {
            let below = drawn.iter().filter(|number| **number < share).count() as f64 / 100_000.0;
            // Ten standard deviations.
            let tolerance = 10.0 * (share * (1.0 - share) / 100_000.0_f64).sqrt();
            assert!((below - share).abs() < tolerance, "{below} for {share}");
        }
    }

    #[test]
    fn without_exemplars_and_exporters_no_request_is_captured() {
        let nothing = CapturePolicy {
            exemplar_nanos: u64::MAX,
            exemplars: false,
            unsampled_exemplars: false,
            slow_nanos: u64::MAX,
            share: 0.0,
            trace_headers: Vec::new(),
            request_id_headers: Vec::new(),
            keep_paths: false,
        };
        assert_eq!(nothing.threshold_nanos(), u64::MAX);
        assert!(!nothing.is_wanted(1 << 60, 0.0));
        let slow = CapturePolicy { slow_nanos: 5, ..nothing };
        assert_eq!(slow.threshold_nanos(), 5);
        assert_eq!(CapturePolicy { exemplar_nanos: 3, ..slow.clone() }.threshold_nanos(), 3);
        assert!(slow.is_wanted(5, 1.0) && !slow.is_wanted(4, 0.0));
        let some = CapturePolicy { share: 0.1, ..slow };
        assert!(some.threshold_nanos() == 0 && some.is_wanted(0, 0.0999) && !some.is_wanted(0, 0.1));
    }

    #[test]
    fn only_a_sampled_trace_is_an_exemplar_unless_all_are_asked_for() {
        let policy = |exemplars, unsampled_exemplars| CapturePolicy {
            exemplar_nanos: 1,
            exemplars,
            unsampled_exemplars,
            slow_nanos: u64::MAX,
            share: 0.0,
            trace_headers: TraceHeaders::DEFAULT.to_vec(),
            request_id_headers: Vec::new(),
            keep_paths: false,
        };
        let trace = metrics_core::TraceId::new(1).unwrap();
        let kept = |policy: CapturePolicy| {
            [false, true].map(|sampled| policy.is_exemplar(&TraceContext { trace, parent: None, sampled }))
        };
        assert_eq!(kept(policy(true, false)), [false, true]);
        assert_eq!(kept(policy(true, true)), [true, true]);
        assert_eq!(kept(policy(false, true)), [false, false]);
    }
}
