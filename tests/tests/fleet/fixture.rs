//! Three instances of the demo under load, and the figures of their fleet.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::Example;

/// How often the instances write, in milliseconds.
pub(crate) const INTERVAL: &str = "300";

/// An instance of the demo that writes to this Redis.
pub(crate) fn instance(url: &str, name: &str) -> Example {
    let arguments = ["--workers", "1", "--redis", url, "--instance", name, "--interval", INTERVAL];
    Example::full(&arguments)
}

/// How many servers are killed in turn, from `METRICS_TEST_FAILOVERS`; by default one. Each takes about 20 s.
pub(crate) fn failovers() -> usize {
    std::env::var("METRICS_TEST_FAILOVERS").map_or(1, |turns| turns.parse().expect("it is a number"))
}

pub(crate) fn three(url: &str) -> [Example; 3] {
    ["a", "b", "c"].map(|name| instance(url, name))
}

/// Sends requests to all instances until `during` returns. Returns how many were answered, and the result of `during`.
pub(crate) fn under_load<T>(instances: &[Example], during: impl FnOnce() -> T) -> (u64, T) {
    under_watched_load(instances, |_| during())
}

/// How long the requests of a load took.
#[derive(Default)]
pub(crate) struct Load(Mutex<Vec<Duration>>);

impl Load {
    /// The 99th percentile since the last call. To be printed only, since it depends on the machine.
    pub(crate) fn p99(&self) -> Duration {
        let mut took = std::mem::take(&mut *self.0.lock().unwrap());
        took.sort();
        took.get(took.len() * 99 / 100).copied().unwrap_or_default()
    }
}

/// Like [`under_load`], but `during` can see how long the requests take.
pub(crate) fn under_watched_load<T>(instances: &[Example], during: impl FnOnce(&Load) -> T) -> (u64, T) {
    let (stop, sent, load) = (AtomicBool::new(false), AtomicU64::new(0), Load::default());
    let result = thread::scope(|scope| {
        for instance in instances {
            let (stop, sent, load) = (&stop, &sent, &load);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let turn = sent.fetch_add(1, Ordering::Relaxed);
                    let begun = Instant::now();
                    let path = if turn % 10 == 0 { "/items/4711" } else { "/api/v1/orders/7" };
                    let status = instance.client().send("GET", path).status;
                    load.0.lock().unwrap().push(begun.elapsed());
                    assert_eq!(status, if turn % 10 == 0 { 404 } else { 200 });
                    assert!(
                        begun.elapsed() < Duration::from_secs(2),
                        "a request waited {:?}",
                        begun.elapsed()
                    );
                    thread::sleep(Duration::from_millis(1));
                }
            });
        }
        // Also after a panic, so that the threads end.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| during(&load)));
        stop.store(true, Ordering::Relaxed);
        result
    });
    (sent.into_inner(), result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Waits until the fleet has had this many calls according to this instance. It must never show more.
pub(crate) fn settled(instance: &Example, calls: u64) -> Value {
    until(instance, "fleet/summary", |body| {
        assert!(body["stale"] == true || body["total_calls"].as_u64() <= Some(calls), "over {calls}: {body}");
        body["stale"] == false && body["total_calls"] == calls
    })
}

/// Resets the fleet, and waits until all instances have taken up the new epoch.
pub(crate) fn reset(instances: &[Example]) {
    instances[0].client().metrics("POST", "fleet/reset");
    until(&instances[0], "fleet/instances", |body| {
        body["stale"] == false && body["instances"].as_array().unwrap().len() == instances.len()
    });
}

/// Asks until the answer is as wanted.
pub(crate) fn until(instance: &Example, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let begun = Instant::now();
        let body = instance.client().metrics("GET", name);
        assert!(begun.elapsed() < Duration::from_secs(5), "{name} took {:?}", begun.elapsed());
        if wanted(&body) {
            return body;
        }
        assert!(Instant::now() < deadline, "{name}: {body}");
        thread::sleep(Duration::from_millis(100));
    }
}
