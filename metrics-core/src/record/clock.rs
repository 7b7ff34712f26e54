//! The clock that durations are measured with: the processor's time-stamp counter where it is reliable.

/// Reads raw ticks and turns two readings into nanoseconds.
///
/// A reading costs one `rdtsc` where the processor's counter is invariant, else a call of the system's monotonic clock.
/// The first clock in a process calibrates the counter, which takes up to 200 ms.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    #[cfg(not(miri))]
    source: quanta::Clock,
    // Miri knows neither `cpuid` nor `rdtsc`.
    #[cfg(miri)]
    source: std::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(not(miri))]
            source: quanta::Clock::new(),
            #[cfg(miri)]
            source: std::time::Instant::now(),
        }
    }

    /// A reading, in ticks of no fixed length.
    #[inline(always)]
    pub(crate) fn raw(&self) -> u64 {
        #[cfg(not(miri))]
        return self.source.raw();
        #[cfg(miri)]
        return self.source.elapsed().as_nanos() as u64;
    }

    /// Nanoseconds between two readings; 0 if the later one is earlier.
    #[inline(always)]
    pub(crate) fn nanos(&self, start: u64, end: u64) -> u64 {
        #[cfg(not(miri))]
        return self.source.delta_as_nanos(start, end);
        #[cfg(miri)]
        return end.saturating_sub(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_steps_back_yields_zero() {
        let clock = Clock::new();
        let now = clock.raw();
        assert_eq!(clock.nanos(now, now.saturating_sub(1)), 0);
        assert_eq!(clock.nanos(now, now), 0);
        assert_eq!(clock.nanos(u64::MAX, 0), 0);
    }
}
