//! Work with a time limit that the system does not offer: looking up a name can take as long as its servers please.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The most threads whose work is late at one time.
const MAX_LATE: usize = 8;

/// How many threads work at the moment, of all members.
static WORKING: AtomicUsize = AtomicUsize::new(0);

/// Counts a thread until it is dropped.
struct Working;

impl Working {
    fn begin() -> Option<Self> {
        let more = |working| (working < MAX_LATE).then_some(working + 1);
        // ORDERING: Relaxed; a number that nothing else depends on.
        let begun = WORKING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        begun.ok().map(|_| Self)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        WORKING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs `work` on a thread of its own and returns its result; `None` after `limit`, or if too many threads are late
/// already. Late work goes on, and its result is dropped.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let working = Working::begin()?;
    let (sender, receiver) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("metrics-fleet-connect".to_owned());
    let spawned = thread.spawn(move || {
        let _working = working;
        // Fails if nobody waits any longer.
        let _ = sender.send(work());
    });
    spawned.ok()?;
    receiver.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn late_work_is_given_up_and_only_so_much_of_it_goes_on() {
        let long = Duration::from_secs(60);
        assert_eq!(within(long, || 7), Some(7));
        let (end, ended) = mpsc::sync_channel::<()>(0);
        let ended = std::sync::Arc::new(std::sync::Mutex::new(ended));
        for _ in 0..2 * MAX_LATE {
            let ended = std::sync::Arc::clone(&ended);
            let hang = move || ended.lock().unwrap().recv().is_ok();
            assert_eq!(within(Duration::from_millis(1), hang), None);
        }
        assert_eq!(within(long, || 7), None);
        // All go on once what they wait for comes.
        drop(end);
        let deadline = Instant::now() + long;
        while within(long, || 7).is_none() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(10));
        }
    }
}
