//! What all parts of the soak share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::life::Life;
use crate::mutex::lock;
use crate::turn::{Board, Group};

/// The place of an instance: one life follows another.
#[derive(Debug)]
pub(crate) struct Slot {
    name: &'static str,
    pub(crate) group: Group,
    current: Mutex<Arc<Life>>,
    all: Mutex<Vec<Arc<Life>>>,
}

impl Slot {
    pub(crate) fn start(name: &'static str, redis: &str, group: Group) -> Result<Self, String> {
        let life = Arc::new(Life::start(format!("{name}-1"), redis, group)?);
        Ok(Self { name, group, current: Mutex::new(Arc::clone(&life)), all: Mutex::new(vec![life]) })
    }

    /// The life that clients call. It may have ended already.
    pub(crate) fn current(&self) -> Arc<Life> {
        Arc::clone(&lock(&self.current))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Life>> {
        lock(&self.all).clone()
    }

    /// Ends the current life and starts the next one. Nothing arrives any more of those that ended before.
    pub(crate) fn restart(&self, signal: &str, redis: &str) -> Result<(), String> {
        let ended = self.current().end(signal);
        let before = self.all();
        before.iter().rev().skip(1).for_each(|life| life.received.forget());
        let number = before.len() + 1;
        let life = Arc::new(Life::start(format!("{}-{number}", self.name), redis, self.group)?);
        lock(&self.all).push(Arc::clone(&life));
        *lock(&self.current) = life;
        ended
    }
}

/// What all parts share.
#[derive(Debug)]
pub(crate) struct World {
    /// What is compared.
    pub(crate) slots: [Slot; 2],
    /// The same service without a monitor, for the times of answers.
    pub(crate) bare: [Slot; 2],
    pub(crate) redis: String,
    pub(crate) begun: Instant,
    pub(crate) ends: Instant,
    /// Load and faults end now.
    pub(crate) stop: AtomicBool,
    pub(crate) board: Board,
    /// Requests that were sent, without those of hostile clients that no figure counts.
    pub(crate) requests: AtomicU64,
    /// Those of hostile clients.
    pub(crate) refused: AtomicU64,
    /// What must not happen.
    complaints: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn new(slots: [Slot; 2], bare: [Slot; 2], redis: String, lasts: Duration) -> Self {
        Self {
            slots,
            bare,
            redis,
            begun: Instant::now(),
            ends: Instant::now() + lasts,
            stop: AtomicBool::new(false),
            board: Board::default(),
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

    /// Also those without a monitor.
    pub(crate) fn all_slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().chain(&self.bare)
    }

    /// Waits until clients of this kind have their turn. Returns false at the end.
    pub(crate) fn waits_for(&self, group: Group, is_hostile: bool) -> bool {
        while !self.is_over() {
            if self.board.waits_for(group, is_hostile, Duration::from_millis(200)) {
                return true;
            }
        }
        false
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
