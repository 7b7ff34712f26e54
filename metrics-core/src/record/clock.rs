//! The clock for durations: the processor's time-stamp counter where it is reliable.

/// Nanoseconds in this number of ticks are the factor of the conversion: a power of two, so that a shift divides by it.
/// [`quanta`] divides by a power of two, too, which is smaller, so both round to the same nanosecond.
const TICKS_LOG2: u32 = 40;

/// Reads raw ticks, and converts two readings to nanoseconds.
///
/// A reading costs one `rdtsc` if the processor's counter is invariant, otherwise a call of the system's monotonic
/// clock. The first clock in a process calibrates the counter, which takes up to 200 ms.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// Decides whether the counter is used, and calibrates it.
    #[cfg(not(miri))]
    source: quanta::Clock,
    // Miri supports neither `cpuid` nor `rdtsc`.
    #[cfg(miri)]
    source: std::time::Instant,
    /// The nanoseconds of 2^[`TICKS_LOG2`] ticks.
    factor: u64,
    /// Whether the source reads the time-stamp counter, as [`time_stamp`] does without a call.
    reads_time_stamp: bool,
}

impl Clock {
    pub(crate) fn new() -> Self {
        #[cfg(not(miri))]
        let source = quanta::Clock::new();
        #[cfg(miri)]
        let source = std::time::Instant::now();
        let mut clock = Self { source, factor: 1 << TICKS_LOG2, reads_time_stamp: false };
        #[cfg(not(miri))]
        {
            clock.factor = clock.source.delta_as_nanos(0, 1 << TICKS_LOG2);
            // The system's clock counts nanoseconds, and from another start.
            if clock.factor != 1 << TICKS_LOG2 {
                let readings = [time_stamp(), Some(clock.source.raw()), time_stamp()];
                clock.reads_time_stamp = readings[0].is_some() && readings.is_sorted();
            }
        }
        clock
    }

    /// Reads the clock, in ticks of no fixed length.
    #[inline(always)]
    pub(crate) fn raw(&self) -> u64 {
        if self.reads_time_stamp
            && let Some(ticks) = time_stamp()
        {
            return ticks;
        }
        self.read_source()
    }

    #[cfg_attr(target_arch = "x86_64", cold, inline(never))]
    fn read_source(&self) -> u64 {
        #[cfg(not(miri))]
        return self.source.raw();
        #[cfg(miri)]
        return self.source.elapsed().as_nanos() as u64;
    }

    /// Returns the nanoseconds between two readings; 0 if `end` is before `start`.
    #[inline(always)]
    pub(crate) fn nanos(&self, start: u64, end: u64) -> u64 {
        let ticks = end.saturating_sub(start);
        ((u128::from(ticks) * u128::from(self.factor)) >> TICKS_LOG2) as u64
    }
}

/// Reads the processor's time-stamp counter, on processors that have one. Called only if quanta reads a counter, too.
#[inline(always)]
fn time_stamp() -> Option<u64> {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: all processors of this architecture have the instruction. An operating system can forbid it, but then
    // quanta's calibration, which comes first, would have faulted: it is called only if quanta chose the counter.
    return Some(unsafe { std::arch::x86_64::_rdtsc() });
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    return None;
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

    #[test]
    #[cfg(not(miri))]
    fn readings_are_converted_to_the_nanosecond_as_quanta_does() {
        let clock = Clock::new();
        for ticks in [0, 1, 2, 3, 127, 1_000, 2_345_678, u64::from(u32::MAX), 1 << 45, (1 << 53) + 1] {
            assert_eq!(clock.nanos(7, 7 + ticks), clock.source.delta_as_nanos(7, 7 + ticks), "{ticks}");
        }
    }

    #[test]
    #[cfg(not(miri))]
    fn readings_are_those_of_quanta() {
        let clock = Clock::new();
        for _ in 0..100 {
            let readings = [clock.source.raw(), clock.raw(), clock.source.raw()];
            assert!(readings.is_sorted(), "{readings:?}");
        }
    }
}
