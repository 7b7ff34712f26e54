//! When what the process uses is read: every second, or every ten if nothing happens.
//!
//! A reading opens a dozen files of the system, which takes longer than all else that an idle monitor does. So an idle
//! service is read every ten seconds, and whenever somebody asks. A sample says how long it is; its figures are totals,
//! means or maxima over that time, so no length makes them wrong.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event_loops::{EventLoops, Loads};
use super::process::ProcessReader;
use super::resources::Resources;

/// The time between two samples while there is something to see.
const EVERY: Duration = Duration::from_secs(1);

/// The time between two samples of an idle process.
const IDLE_EVERY: Duration = Duration::from_secs(10);

/// How early a sample may come. Otherwise, one late tick would make it skip the next one.
const EARLY: Duration = Duration::from_millis(200);

/// A process that uses more of a processor, or whose event loop was busier, is not idle. In per cent.
const BUSY_PERCENT: f64 = 5.0;

/// Takes the samples of a monitor.
#[derive(Debug)]
pub(crate) struct Sampler {
    resources: Arc<Resources>,
    readers: Mutex<Readers>,
}

#[derive(Debug)]
struct Readers {
    process: ProcessReader,
    event_loops: EventLoops,
    /// What the event loops did since the last sample.
    loads: Loads,
    /// When they were last asked.
    asked: Instant,
    /// The last sample.
    sampled: Instant,
    /// Whether that sample was of a busy process.
    was_busy: bool,
}

impl Sampler {
    /// Reads the process for the first time, so that a scrape in the first second finds figures.
    pub(crate) fn new(resources: &Arc<Resources>, event_loops: EventLoops) -> Self {
        let process = ProcessReader::new(resources);
        let now = Instant::now();
        let (loads, was_busy) = (Loads::default(), false);
        let readers = Readers { process, event_loops, loads, asked: now, sampled: now, was_busy };
        Self { resources: Arc::clone(resources), readers: Mutex::new(readers) }
    }

    /// Asks the event loops, and takes a sample if one is due. Called once a second. `is_in_use` says whether requests
    /// were counted since the last call, or somebody looks on.
    pub(crate) fn tick(&self, is_in_use: bool) {
        let mut readers = self.lock();
        readers.ask();
        if is_due(readers.sampled.elapsed(), is_in_use || readers.was_busy || readers.loads.are_busy()) {
            readers.sample(&self.resources);
        }
    }

    /// Takes a sample now, unless there is one of this second. For those who read samples, on a thread of the monitor.
    pub(crate) fn refresh(&self) {
        let mut readers = self.lock();
        if is_due(readers.sampled.elapsed(), true) {
            readers.ask();
            readers.sample(&self.resources);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Readers> {
        // A panic while it is locked is a bug of ours, and leaves figures that are valid.
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_due(elapsed: Duration, is_in_use: bool) -> bool {
    elapsed + EARLY >= if is_in_use { EVERY } else { IDLE_EVERY }
}

impl Readers {
    fn ask(&mut self) {
        let now = Instant::now();
        let elapsed = now - std::mem::replace(&mut self.asked, now);
        self.loads.add(&self.event_loops.read(), elapsed);
    }

    fn sample(&mut self, resources: &Resources) {
        let loads = std::mem::take(&mut self.loads);
        let are_busy = loads.are_busy();
        let cpu_percent = self.process.sample(resources, loads);
        self.was_busy = are_busy || cpu_percent.is_some_and(|percent| percent > BUSY_PERCENT);
        self.sampled = Instant::now();
    }
}

impl Loads {
    fn are_busy(&self) -> bool {
        self.busy_percent().any(|percent| percent > BUSY_PERCENT)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::event_loops::EventLoopLoad;
    use super::*;

    const ALL: Duration = Duration::MAX;

    /// A sampler whose only event loop is this busy; each time that it is asked, its lag is a millisecond more.
    fn sampler(busy_percent: f64) -> Sampler {
        let asked = AtomicU64::new(0);
        let event_loops = EventLoops::new(move || {
            let lag = Duration::from_millis(asked.fetch_add(1, Ordering::Relaxed));
            vec![EventLoopLoad { lag, busy_percent }]
        });
        Sampler::new(&Arc::default(), event_loops)
    }

    /// Makes the last sample this old, in milliseconds.
    fn age(sampler: &Sampler, millis: u64) {
        let mut readers = sampler.lock();
        readers.sampled = Instant::now().checked_sub(Duration::from_millis(millis)).unwrap();
        // What this test itself uses is not the subject.
        readers.was_busy = false;
    }

    #[test]
    fn an_idle_process_is_sampled_every_ten_seconds_and_one_in_use_every_second() {
        let sampler = sampler(1.0);
        let samples = |in_use, millis| {
            age(&sampler, millis);
            let before = sampler.resources.points(ALL).len();
            sampler.tick(in_use);
            sampler.resources.points(ALL).len() - before
        };
        assert_eq!((samples(false, 1_000), samples(false, 9_000), samples(false, 9_900)), (0, 0, 1));
        assert_eq!((samples(true, 500), samples(true, 900), samples(true, 5_000)), (0, 1, 1));
    }

    #[test]
    fn a_busy_event_loop_is_sampled_every_second() {
        let sampler = sampler(50.0);
        age(&sampler, 1_000);
        sampler.tick(false);
        assert_eq!(sampler.resources.points(ALL).len(), 1);
    }

    #[test]
    fn a_sample_has_the_longest_lag_of_its_time_and_whoever_reads_gets_one_of_this_second() {
        let sampler = sampler(1.0);
        (0..5).for_each(|_| sampler.tick(false));
        age(&sampler, 5_000);
        sampler.refresh();
        sampler.refresh();
        let points = sampler.resources.points(ALL);
        let [point] = points.as_slice() else { panic!("{points:?}") };
        assert_eq!(point.worker_lags, [Duration::from_millis(5)]);
        assert!((point.worker_busy_percent[0] - 1.0).abs() < 1e-9, "{point:?}");
    }
}
