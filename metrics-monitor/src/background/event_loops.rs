//! What a framework reports of its workers' event loops.

use std::fmt;
use std::time::Duration;

/// The load of one event loop since the last reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventLoopLoad {
    /// The longest delay; while the loop is stuck, how long it has been so far.
    pub lag: Duration,
    /// The percentage of time in which it ran tasks, 0 to 100.
    pub busy_percent: f64,
}

/// Reads the event loops of all workers. The monitor calls it about once a second, on threads of its own.
pub struct EventLoops(Box<dyn Fn() -> Vec<EventLoopLoad> + Send>);

impl EventLoops {
    /// Creates it from a function that returns one entry per worker.
    pub fn new(read: impl Fn() -> Vec<EventLoopLoad> + Send + 'static) -> Self {
        Self(Box::new(read))
    }

    pub(crate) fn read(&self) -> Vec<EventLoopLoad> {
        (self.0)()
    }
}

impl Default for EventLoops {
    /// No event loops.
    fn default() -> Self {
        Self::new(Vec::new)
    }
}

/// What each event loop did over several readings.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    /// The longest lag of each.
    pub(crate) lags: Vec<Duration>,
    /// How long each was busy, in per cent times seconds.
    busy: Vec<f64>,
    /// The time of all readings.
    seconds: f64,
}

impl Loads {
    /// Adds a reading of this time.
    pub(crate) fn add(&mut self, loads: &[EventLoopLoad], time: Duration) {
        let seconds = time.as_secs_f64();
        self.seconds += seconds;
        // A worker that is gone has no figures any more. A new one comes last.
        self.lags.resize(loads.len(), Duration::ZERO);
        self.busy.resize(loads.len(), 0.0);
        for ((load, lag), busy) in loads.iter().zip(&mut self.lags).zip(&mut self.busy) {
            *lag = load.lag.max(*lag);
            *busy += load.busy_percent * seconds;
        }
    }

    /// The share of the time in which each ran tasks, in per cent.
    pub(crate) fn busy_percent(&self) -> impl Iterator<Item = f64> {
        self.busy.iter().map(|busy| busy / self.seconds.max(1e-9))
    }
}

impl fmt::Debug for EventLoops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoops").finish_non_exhaustive()
    }
}
