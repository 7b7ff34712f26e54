//! The clock for durations: the processor's time-stamp counter where it is reliable.

/// Reads raw ticks, and converts two readings to nanoseconds.
///
/// A reading costs one `rdtsc` if the processor's counter is invariant, otherwise a call of the system's monotonic
/// clock. The first clock in a process calibrates the counter, which takes up to 200 ms.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    #[cfg(not(miri))]
    source: quanta::Clock,
    // Miri supports neither `cpuid` nor `rdtsc`.
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

    /// Reads the clock, in ticks of no fixed length.
    #[inline(always)]
    pub(crate) fn raw(&self) -> u64 {
        #[cfg(not(miri))]
        return self.source.raw();
        #[cfg(miri)]
        return self.source.elapsed().as_nanos() as u64;
    }

    /// Returns the nanoseconds between two readings; 0 if `end` is before `start`.
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
    fn a_clock_that_steps_back_measures_zero() {
        let clock = Clock::new();
        let now = clock.raw();
        assert_eq!(clock.nanos(now, now.saturating_sub(1)), 0);
        assert_eq!(clock.nanos(now, now), 0);
        assert_eq!(clock.nanos(u64::MAX, 0), 0);
    }
}
