//! Each record falls into exactly one window while windows are closed and threads come and go.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use metrics_core::{EndpointId, Figures, MAX_NANOS, Outcome, Recorder, Registry, Summary};

use crate::support::{OUTCOMES, Rng, assert_in_order, calls, scaled, sum_nanos};

const ROUTES: [&str; 6] = ["/0", "/1", "/2", "/3", "/4", "/5"];

/// The load of one run.
struct Load {
    /// Threads that record at the same time.
    lanes: u64,
    /// Minimum records of each lane. A lane goes on until the last window is closed.
    records: u64,
    /// Records of one short-lived thread.
    chunk: u64,
    /// Minimum number of windows that are closed while the lanes record.
    resets: u64,
}

#[test]
fn resets_lose_nothing_and_double_nothing_while_threads_come_and_go() {
    each_record_falls_into_one_window(&Load {
        lanes: scaled(8, 3),
        records: scaled(100_000, 200),
        chunk: scaled(1_000, 50),
        resets: scaled(200, 3),
    });
}

#[test]
#[ignore = "takes minutes: run with --ignored"]
fn ten_thousand_resets_lose_nothing_and_double_nothing() {
    each_record_falls_into_one_window(&Load { lanes: 8, records: 10_000_000, chunk: 20_000, resets: 10_000 });
}

fn each_record_falls_into_one_window(load: &Load) {
    let registry = Registry::new();
    let endpoints = ROUTES.map(|route| registry.endpoint("GET", route));
    let (resets, done) = (AtomicU64::new(0), AtomicBool::new(false));

    let close_windows = || {
        let mut closed = Tally::default();
        while !done.load(Ordering::Relaxed) || resets.load(Ordering::Relaxed) < load.resets {
            closed += Tally::of(&registry.reset());
            resets.fetch_add(1, Ordering::Relaxed);
        }
        closed
    };
    let fill_lane = |lane: u64| {
        let mut sent = Tally::default();
        let mut chunk = 0;
        while chunk * load.chunk < load.records || resets.load(Ordering::Relaxed) < load.resets {
            let rng = Rng::new(chunk * load.lanes + lane);
            let mut records = load.chunk;
            if chunk * load.chunk >= load.records {
                // Enough records: leave the processors to the readers.
                thread::sleep(Duration::from_millis(1));
                records /= 20;
            }
            sent += send_from_a_new_thread(&registry, &endpoints, rng, records, chunk);
            chunk += 1;
        }
        sent
    };

    let (mut sent, mut received) = (Tally::default(), Tally::default());
    thread::scope(|scope| {
        let resetters = [scope.spawn(close_windows), scope.spawn(close_windows)];
        let lanes: Vec<_> = (0..load.lanes).map(|lane| scope.spawn(move || fill_lane(lane))).collect();
        lanes.into_iter().for_each(|lane| sent += lane.join().unwrap());
        done.store(true, Ordering::Relaxed);
        resetters.into_iter().for_each(|resetter| received += resetter.join().unwrap());
    });
    let tail = registry.reset();
    received += Tally::of(&tail);

    println!("{} records, {} resets", sent.calls(), resets.load(Ordering::Relaxed) + 1);
    assert!(sent.calls() >= load.lanes * load.records);
    assert_eq!(received, sent);

    let snapshot = registry.snapshot();
    assert_eq!(calls(&snapshot), sent.calls());
    assert_eq!(sum_nanos(&snapshot), sent.nanos.iter().sum::<u128>());
    assert_eq!(snapshot.histogram().total(), sent.calls());
    assert_eq!(snapshot.in_flight(), 0);
    assert_eq!(registry.summary().total, Figures::default());
}

/// Records from a new thread, in one of several ways, and waits for its end.
fn send_from_a_new_thread(
    registry: &Registry,
    endpoints: &[EndpointId; ROUTES.len()],
    mut rng: Rng,
    records: u64,
    way: u64,
) -> Tally {
    // Moved into the thread, which drops it.
    let lent = way.is_multiple_of(4).then(|| registry.recorder());
    let thread = move || {
        let mut sent = Tally::default();
        match (way % 4, lent) {
            (_, Some(recorder)) => send(&recorder, endpoints, &mut rng, records, &mut sent),
            (1, None) => send(&registry.recorder(), endpoints, &mut rng, records, &mut sent),
            // A new recorder every few records.
            (2, None) => {
                for _ in 0..10 {
                    send(&registry.recorder(), endpoints, &mut rng, records / 10, &mut sent);
                }
            }
            // The thread's own recorder.
            _ => {
                for _ in 0..records {
                    let (at, outcome, nanos) = request(&mut rng);
                    match outcome {
                        Outcome::Status(status) => registry.record_nanos(endpoints[at], status, nanos),
                        Outcome::Other => registry.record_nanos(endpoints[at], 99, nanos),
                        _ => registry.with_recorder(|recorder| {
                            recorder.record_outcome(endpoints[at], outcome, Duration::from_nanos(nanos));
                        }),
                    }
                    sent.add(at, outcome, nanos);
                }
            }
        }
        sent
    };
    thread::scope(|scope| scope.spawn(thread).join().unwrap())
}

fn send(
    recorder: &Recorder,
    endpoints: &[EndpointId; ROUTES.len()],
    rng: &mut Rng,
    records: u64,
    sent: &mut Tally,
) {
    for _ in 0..records {
        let (at, outcome, nanos) = request(rng);
        let nanos = match outcome {
            _ if nanos.is_multiple_of(64) => recorder.finish(recorder.start(), endpoints[at], outcome),
            Outcome::Status(status) => {
                recorder.record_nanos(endpoints[at], status, nanos);
                nanos
            }
            _ => {
                recorder.record_outcome(endpoints[at], outcome, Duration::from_nanos(nanos));
                nanos
            }
        };
        sent.add(at, outcome, nanos);
    }
}

/// An endpoint, an outcome and a duration, which is sometimes over the maximum.
fn request(rng: &mut Rng) -> (usize, Outcome, u64) {
    (rng.below(ROUTES.len() as u64) as usize, rng.pick(&OUTCOMES), rng.log_uniform(37))
}

/// What was recorded, or what was read: by endpoint and outcome.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    calls: [[u64; OUTCOMES.len()]; ROUTES.len()],
    nanos: [u128; ROUTES.len()],
    clamped: [u64; ROUTES.len()],
}

impl Tally {
    fn of(summary: &Summary) -> Self {
        let mut tally = Self::default();
        for endpoint in &summary.endpoints {
            let at = ROUTES.iter().position(|&route| route == &*endpoint.name.route).unwrap();
            for &(outcome, count) in &endpoint.figures.outcomes {
                let known = OUTCOMES.iter().position(|&known| known == outcome).unwrap();
                tally.calls[at][known] += count;
            }
            tally.nanos[at] += endpoint.figures.sum.as_nanos();
            tally.clamped[at] += endpoint.figures.clamped;
            assert_eq!(endpoint.figures.calls, tally.calls[at].iter().sum::<u64>());
        }
        assert_eq!(summary.total.calls, tally.calls());
        assert_eq!(summary.total.sum.as_nanos(), tally.nanos.iter().sum::<u128>());
        assert_eq!(summary.total.clamped, tally.clamped.iter().sum::<u64>());
        assert_in_order(&summary.total);
        tally
    }

    fn add(&mut self, at: usize, outcome: Outcome, nanos: u64) {
        let known = OUTCOMES.iter().position(|&known| known == outcome).unwrap();
        self.calls[at][known] += 1;
        self.nanos[at] += u128::from(nanos);
        self.clamped[at] += u64::from(nanos > MAX_NANOS);
    }

    fn calls(&self) -> u64 {
        self.calls.as_flattened().iter().sum()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let ours = self.calls.as_flattened_mut().iter_mut();
        ours.zip(other.calls.as_flattened()).for_each(|(ours, theirs)| *ours += theirs);
        self.nanos.iter_mut().zip(other.nanos).for_each(|(ours, theirs)| *ours += theirs);
        self.clamped.iter_mut().zip(other.clamped).for_each(|(ours, theirs)| *ours += theirs);
    }
}
