//! The loop that all arms share.

use std::hint::{black_box, spin_loop};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Event;

/// One thread's part of an arm.
pub trait Worker: Send {
    /// Processes one event.
    fn record(&mut self, event: Event);

    /// Processes each event. The compiler can assume nothing about the events, nor about memory between two of them.
    fn record_all(&mut self, events: &[Event]) {
        for event in events {
            self.record(*black_box(event));
        }
    }

    /// Runs now and then, outside the measured time.
    fn maintain(&mut self) {}
}

/// Keeps a thread's writes off its neighbour's cache lines, whatever the allocator does.
#[repr(align(128))]
struct Padded<W>(W);

impl<W: Worker> Worker for Padded<W> {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.0.record(event);
    }

    fn maintain(&mut self) {
        self.0.maintain();
    }
}

/// Makes a worker for each of `threads` threads.
pub(crate) fn each<W: Worker + 'static>(
    threads: usize,
    mut worker: impl FnMut() -> W,
) -> Vec<Box<dyn Worker>> {
    (0..threads).map(|_| Box::new(Padded(worker())) as Box<dyn Worker>).collect()
}

/// The result of [`run`].
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The time that a thread took for all passes: the mean over the threads.
    pub mean: Duration,
    /// The share of the time in which all threads ran. On a busy machine they may run one after the other.
    pub overlap: f64,
}

/// Runs `workers`, each on a thread of its own, all at the same time; a single one on the calling thread.
///
/// Each makes `passes` over the events, after one uncounted pass that warms the caches.
pub fn run(workers: &mut [Box<dyn Worker>], events: &[Event], passes: u64) -> Run {
    let spans = match workers {
        [worker] => vec![timed(worker.as_mut(), events, passes, || {})],
        _ => side_by_side(workers, events, passes),
    };
    workers.iter_mut().for_each(|worker| worker.maintain());
    Run::of(&spans)
}

impl Run {
    fn of(spans: &[Range<Instant>]) -> Self {
        let sum: Duration = spans.iter().map(|span| span.end - span.start).sum();
        let mean = sum / u32::try_from(spans.len()).expect("few threads");
        let starts = || spans.iter().map(|span| span.start);
        let ends = || spans.iter().map(|span| span.end);
        let overlap = match (starts().min(), starts().max(), ends().min(), ends().max()) {
            (Some(begin), Some(all_begun), Some(one_done), Some(end)) if end > begin => {
                one_done.saturating_duration_since(all_begun).div_duration_f64(end - begin)
            }
            _ => 1.0,
        };
        Self { mean, overlap }
    }
}

fn side_by_side(workers: &mut [Box<dyn Worker>], events: &[Event], passes: u64) -> Vec<Range<Instant>> {
    let threads = workers.len();
    // A processor for each thread: on a busy machine the scheduler would let them take turns on one.
    let processors = core_affinity::get_core_ids().unwrap_or_default();
    // The threads spin, since waking one up takes as long as a pass of some arms.
    let ready = AtomicUsize::new(0);
    let all_ready = &|| {
        // ORDERING: Relaxed; it makes the threads begin together and publishes no data.
        ready.fetch_add(1, Ordering::Relaxed);
        while ready.load(Ordering::Relaxed) < threads {
            spin_loop();
        }
    };
    thread::scope(|scope| {
        let running: Vec<_> = workers
            .iter_mut()
            .enumerate()
            .map(|(number, worker)| {
                let processor = processors.get(number).copied();
                scope.spawn(move || {
                    processor.map(core_affinity::set_for_current);
                    timed(worker.as_mut(), events, passes, all_ready)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("no arm panics")).collect()
    })
}

fn timed(worker: &mut dyn Worker, events: &[Event], passes: u64, warm: impl Fn()) -> Range<Instant> {
    worker.record_all(events);
    warm();
    let start = Instant::now();
    for _ in 0..passes {
        worker.record_all(events);
    }
    start..Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_run_one_after_the_other_do_not_overlap() {
        let zero = Instant::now();
        let span = |start, end| zero + Duration::from_millis(start)..zero + Duration::from_millis(end);
        let overlap = |spans: &[_]| Run::of(spans).overlap;
        assert_eq!(overlap(&[span(0, 4)]), 1.0);
        assert_eq!(overlap(&[span(0, 4), span(0, 4)]), 1.0);
        assert_eq!(overlap(&[span(0, 3), span(1, 4)]), 0.5);
        assert_eq!(overlap(&[span(0, 2), span(3, 4)]), 0.0);
        assert_eq!(Run::of(&[span(0, 2), span(0, 4)]).mean, Duration::from_millis(3));
    }
}
