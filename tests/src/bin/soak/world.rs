//! What all parts of the soak share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::life::Life;
use crate::mutex::lock;

/// The place of an instance: one life follows another.
#[derive(Debug)]
pub(crate) struct Slot {
    name: &'static str,
    current: Mutex<Arc<Life>>,
    all: Mutex<Vec<Arc<Life>>>,
}

impl Slot {
    pub(crate) fn start(name: &'static str, redis: &str) -> Result<Self, String> {
        let life = Arc::new(Life::start(format!("{name}-1"), redis)?);
        Ok(Self { name, current: Mutex::new(Arc::clone(&life)), all: Mutex::new(vec![life]) })
    }

    /// The life that clients call. It may have ended already.
    pub(crate) fn current(&self) -> Arc<Life> {
        Arc::clone(&lock(&self.current))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Life>> {
        lock(&self.all).clone()
    }

    /// Ends the current life and starts the next one.
    pub(crate) fn restart(&self, signal: &str, redis: &str) -> Result<(), String> {
        let ended = self.current().end(signal);
        let number = lock(&self.all).len() + 1;
        let life = Arc::new(Life::start(format!("{}-{number}", self.name), redis)?);
        lock(&self.all).push(Arc::clone(&life));
        *lock(&self.current) = life;
        ended
    }
}

/// What all parts share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) slots: [Slot; 2],
    pub(crate) redis: String,
    pub(crate) begun: Instant,
    pub(crate) ends: Instant,
    /// Load and faults end now.
    pub(crate) stop: AtomicBool,
    /// Whether hostile clients have their turn.
    pub(crate) is_hostile: AtomicBool,
    /// Requests that were sent, without those of hostile clients that no figure counts.
    pub(crate) requests: AtomicU64,
    /// Those of hostile clients.
    pub(crate) refused: AtomicU64,
    /// What must not happen.
    complaints: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn new(slots: [Slot; 2], redis: String, lasts: Duration) -> Self {
        Self {
            slots,
            redis,
            begun: Instant::now(),
            ends: Instant::now() + lasts,
            stop: AtomicBool::new(false),
            is_hostile: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            complaints: Mutex::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.ends
    }

    /// Sleeps, in pieces, for this long or until the end. Returns whether it goes on.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.is_over() && Instant::now() < until {
            std::thread::sleep((until - Instant::now()).min(Duration::from_millis(50)));
        }
        !self.is_over()
    }

    pub(crate) fn lives(&self) -> Vec<Arc<Life>> {
        self.slots.iter().flat_map(Slot::all).collect()
    }

    pub(crate) fn complain(&self, complaint: String) {
        let mut complaints = lock(&self.complaints);
        // One of a kind is printed for each of the first hundred.
        if complaints.len() < 100 {
            eprintln!("[{:.1} s] {complaint}", self.begun.elapsed().as_secs_f64());
            complaints.push(complaint);
        }
    }

    /// Keeps the error, if there is one.
    pub(crate) fn check(&self, result: Result<(), String>) {
        if let Err(complaint) = result {
            self.complain(complaint);
        }
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        lock(&self.complaints).clone()
    }
}
