//! The thread that keeps a monitor's history going.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often it ticks.
const EVERY: Duration = Duration::from_secs(1);

/// A thread that does something once a second, until this is dropped or stopped. A panic in it ends no more than its turn.
#[derive(Debug)]
pub(crate) struct Ticker {
    /// Nothing is ever sent; the thread ends when this is gone.
    stop: Mutex<Option<Sender<()>>>,
}

impl Ticker {
    /// Begins to tick.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn start(tick: impl FnMut() + Send + 'static) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        thread::Builder::new().name("metrics-ticker".to_owned()).spawn(move || run(tick, &stopped, EVERY))?;
        Ok(Self { stop: Mutex::new(Some(stop)) })
    }

    /// Lets it tick no more.
    pub(crate) fn stop(&self) {
        // Nothing can panic while it is locked.
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn run(mut tick: impl FnMut(), stopped: &Receiver<()>, every: Duration) {
    let mut next = Instant::now() + every;
    loop {
        match stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
            // A panic ends this turn alone: without the thread no alert would be raised any more, and nobody would be told.
            Err(RecvTimeoutError::Timeout) => drop(catch_unwind(AssertUnwindSafe(&mut tick))),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        // Ticks that were missed are not made up for: the next one covers their time.
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
    fn it_ticks_until_it_is_stopped_and_makes_up_for_nothing() {
        let ticks = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = channel::<()>();
        let thread = {
            let ticks = Arc::clone(&ticks);
            let every = Duration::from_millis(10);
            let tick = move || {
                // The first one takes as long as a hundred should.
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
    fn a_panic_ends_no_more_than_one_turn() {
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
