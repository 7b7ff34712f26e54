//! The thread that moves a monitor's history on, once a second.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The time between two ticks.
const EVERY: Duration = Duration::from_secs(1);

/// A thread that does something once a second, until this is dropped or stopped. A panic ends only the turn it happens
/// in.
#[derive(Debug)]
pub(crate) struct Ticker {
    /// Nothing is ever sent. The thread ends when this is dropped.
    stop: Mutex<Option<Sender<()>>>,
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start a thread.
    pub(crate) fn start(tick: impl FnMut() + Send + 'static) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        thread::Builder::new().name("metrics-ticker".to_owned()).spawn(move || run(tick, &stopped, EVERY))?;
        Ok(Self { stop: Mutex::new(Some(stop)) })
    }

    /// Ends the thread after its current turn.
    pub(crate) fn stop(&self) {
        // Nothing panics while it is locked.
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn run(mut tick: impl FnMut(), stopped: &Receiver<()>, every: Duration) {
    let mut next = Instant::now() + every;
    loop {
        match stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
            // A panic ends this turn alone: without the thread, alerts would silently stop.
            Err(RecvTimeoutError::Timeout) => drop(catch_unwind(AssertUnwindSafe(&mut tick))),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        // Missed ticks are skipped: the next one covers their time.
        let now = Instant::now();
        while next <= now {
            next += every;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn it_ticks_until_it_is_stopped_and_skips_missed_ticks() {
        let ticks = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = channel::<()>();
        let thread = {
            let ticks = Arc::clone(&ticks);
            let every = Duration::from_millis(10);
            let tick = move || {
                // The first tick takes as long as a hundred.
                if ticks.fetch_add(1, Ordering::Relaxed) == 0 {
                    thread::sleep(every * 100);
                }
            };
            thread::spawn(move || run(tick, &stopped, every))
        };
        let begun = Instant::now();
        while ticks.load(Ordering::Relaxed) < 3 && begun.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(1));
        }
        drop(stop);
        thread.join().unwrap();
        let ticks = ticks.load(Ordering::Relaxed);
        assert!((3..50).contains(&ticks), "{ticks}");
    }

    #[test]
    fn a_panic_ends_only_one_turn() {
        let (stop, stopped) = channel::<()>();
        let (done, turns) = channel();
        let thread = thread::spawn(move || {
            let mut turn = 0;
            let tick = move || {
                turn += 1;
                let _ = done.send(turn);
                assert_ne!(turn, 1, "as the test wants it");
            };
            run(tick, &stopped, Duration::from_millis(1));
        });
        assert_eq!((turns.recv(), turns.recv()), (Ok(1), Ok(2)));
        drop(stop);
        thread.join().unwrap();
    }
}
