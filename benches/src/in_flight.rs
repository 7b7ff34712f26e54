//! Requests in flight, for arms that read the clock.

/// The requests that a thread has in flight.
///
/// A single one would take as long as two clock reads, about 25 ns: far below any real latency, and in buckets that no
/// real request touches. With this many, each takes 1 µs or more.
const IN_FLIGHT: usize = 64;

/// When each request in flight started.
pub(crate) struct InFlight<T> {
    starts: [T; IN_FLIGHT],
    oldest: usize,
}

impl<T> InFlight<T> {
    pub(crate) fn new(mut start: impl FnMut() -> T) -> Self {
        Self { starts: std::array::from_fn(|_| start()), oldest: 0 }
    }

    /// Starts a request, and returns the start of the one that ends.
    #[inline(always)]
    pub(crate) fn replace_oldest(&mut self, start: T) -> T {
        let oldest = self.oldest % IN_FLIGHT;
        self.oldest = oldest + 1;
        std::mem::replace(&mut self.starts[oldest], start)
    }
}
