//! Lanes: what takes long is computed here, on the monitor's own threads, and never on those of a runtime.
//!
//! An application can occupy all blocking threads of its runtime, and it is then that people look at the figures. So
//! the monitor has threads of its own, in separate lanes, so that slow scrapes delay no answer and a slow fleet delays
//! neither. Each lane has a bounded queue, out of which endpoints take turns: however many jobs wait for one of them, a
//! job for another one is next. A client that gives up drops its [`Ticket`], which frees its place there.
//!
//! The threads start when they are first needed. They end at [`Lanes::close`], once the queue is empty.

#[cfg(feature = "redis")]
mod reservation;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

#[cfg(feature = "redis")]
use crate::policy::peer::Source;

/// Different jobs that may wait for each endpoint. Those that take nothing but a window have fewer.
pub(crate) const MAX_JOBS: usize = 48;

/// The lanes of a monitor.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Renders scrapes: two at a time, for two servers that watch each other.
    pub(crate) scrapes: Lane,
    /// Computes local answers. Two threads, so that one slow answer delays no other.
    pub(crate) reads: Lane,
    /// Writes the fleet's answers. Those that still wait for a Redis have a reservation in it, and no thread.
    #[cfg(feature = "redis")]
    pub(crate) fleet: Lane,
    /// Computes events when they are due: one for each connection waits.
    pub(crate) events: Lane,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            // Never full: `joined.rs` bounds what waits for each endpoint.
            scrapes: Lane::new("metrics-scrape", 2, MAX_JOBS),
            reads: Lane::new("metrics-read", 2, 16 * MAX_JOBS),
            #[cfg(feature = "redis")]
            // As many as a member lets wait for the fleet.
            fleet: Lane::new("metrics-fleet-json", 1, 256),
            events: Lane::new("metrics-events", 1, super::live::MAX_LISTENERS),
        }
    }
}

impl Lanes {
    fn all(&self) -> impl Iterator<Item = &Lane> {
        #[cfg(feature = "redis")]
        let fleet = Some(&self.fleet);
        #[cfg(not(feature = "redis"))]
        let fleet = None;
        [&self.scrapes, &self.reads, &self.events].into_iter().chain(fleet)
    }

    /// Accepts no more jobs. Jobs that wait for a thread still run, and so do jobs with a reservation. Jobs that
    /// wait for their time are dropped.
    pub(crate) fn close(&self) {
        self.all().for_each(Lane::close);
    }

    /// Whether no more jobs are accepted.
    pub(crate) fn are_closed(&self) -> bool {
        self.reads.queue.lock().is_closed
    }

    /// Waits until no job waits or runs, for at most `timeout`. Returns whether that is so.
    pub(crate) fn wait_until_idle(&self, timeout: Duration) -> bool {
        let begun = Instant::now();
        self.all().all(|lane| lane.wait_until_idle(timeout.saturating_sub(begun.elapsed())))
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        // Does not wait: a lane's own thread may drop the last clone of the monitor.
        self.close();
    }
}

/// Some threads with one queue.
#[derive(Debug)]
pub(crate) struct Lane {
    queue: Arc<Queue>,
}

/// Why a job is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full, or the system has no thread to spare.
    Busy,
    /// As much waits as one address may have wait.
    BusyAddress,
    /// The monitor is being shut down.
    Closed,
}

/// Buffers that each thread keeps between its jobs, so that a compressed scrape allocates nothing but its answer.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    #[cfg(feature = "gzip")]
    pub(crate) packed: Vec<u8>,
}

type Job = Box<dyn FnOnce(&mut Scratch) + Send>;

struct Queue {
    name: &'static str,
    /// Threads at most.
    threads: usize,
    /// Jobs that wait at most.
    capacity: usize,
    state: Mutex<LaneState>,
    /// For the threads: there is a job, or the lane was closed.
    work: Condvar,
    /// For [`Lanes::wait_until_idle`]: a thread has nothing to do, or has ended, or a job or a reservation was
    /// given up.
    rest: Condvar,
}

#[derive(Default)]
struct LaneState {
    waiting: VecDeque<Waiting>,
    /// The number of the last job for each subject that began.
    served: HashMap<&'static str, u64>,
    begun: u64,
    /// Places for jobs that are not ready yet.
    reserved: usize,
    /// Those that an address has, if any, with those of its jobs that wait.
    #[cfg(feature = "redis")]
    reserved_for: HashMap<Source, usize>,
    threads: usize,
    /// Threads that wait for a job.
    idle: usize,
    next_id: u64,
    is_closed: bool,
}

struct Waiting {
    id: u64,
    /// What it is for: subjects take turns.
    subject: &'static str,
    /// Not before this; `None` for as soon as possible.
    due: Option<Instant>,
    job: Job,
}

impl Lane {
    fn new(name: &'static str, threads: usize, capacity: usize) -> Self {
        let (state, work, rest) = (Mutex::default(), Condvar::new(), Condvar::new());
        Self { queue: Arc::new(Queue { name, threads, capacity, state, work, rest }) }
    }

    /// Runs a job as soon as a thread is free.
    #[cfg(test)]
    pub(crate) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<Ticket<T>, Refused> {
        self.run_for(self.queue.name, job)
    }

    /// Runs a job for a subject as soon as a thread is free and it is the subject's turn.
    pub(crate) fn run_for<T: Send + 'static>(
        &self,
        subject: &'static str,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<Ticket<T>, Refused> {
        self.submit(subject, None, job)
    }

    /// Runs a job at a given time.
    pub(crate) fn run_at<T: Send + 'static>(
        &self,
        due: Instant,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<Ticket<T>, Refused> {
        self.submit(self.queue.name, Some(due), job)
    }

    fn submit<T: Send + 'static>(
        &self,
        subject: &'static str,
        due: Option<Instant>,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<Ticket<T>, Refused> {
        let (job, receiver) = with_receiver(job);
        let state = self.queue.accepting()?;
        let id = self.queue.push(state, subject, due, job)?;
        Ok(Ticket { receiver, id, queue: Arc::clone(&self.queue) })
    }

    fn close(&self) {
        let mut state = self.queue.lock();
        state.is_closed = true;
        let (timed, ready) = state.waiting.drain(..).partition(|waiting| waiting.due.is_some());
        state.waiting = ready;
        drop(state);
        self.queue.work.notify_all();
        // Not while it is locked: what a job holds may close the lane once more when it is dropped.
        drop::<VecDeque<Waiting>>(timed);
    }

    fn wait_until_idle(&self, timeout: Duration) -> bool {
        let Queue { rest, .. } = &*self.queue;
        let is_busy = |state: &mut LaneState| {
            !state.waiting.is_empty() || state.reserved > 0 || state.idle < state.threads
        };
        let waited = rest.wait_timeout_while(self.queue.lock(), timeout, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// A job that sends its result.
fn with_receiver<T: Send + 'static>(
    job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
) -> (Job, oneshot::Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    // The receiver may be gone: the client gave up while the job ran.
    (Box::new(move |scratch| drop(sender.send(job(scratch)))), receiver)
}

impl LaneState {
    /// Takes the next job that is due: the oldest one of the subject whose turn was longest ago.
    fn take_next(&mut self, now: Instant) -> Option<Waiting> {
        let is_due = |waiting: &Waiting| waiting.due.is_none_or(|due| due <= now);
        let due = self.waiting.iter().enumerate().filter(|(_, waiting)| is_due(waiting));
        let (next, _) = due.min_by_key(|(_, waiting)| self.served.get(waiting.subject))?;
        let next = self.waiting.remove(next)?;
        self.begun += 1;
        self.served.insert(next.subject, self.begun);
        Some(next)
    }
}

impl Queue {
    /// The state, if one more job is accepted.
    fn accepting(&self) -> Result<MutexGuard<'_, LaneState>, Refused> {
        let state = self.lock();
        if state.is_closed {
            return Err(Refused::Closed);
        }
        if state.waiting.len() + state.reserved >= self.capacity {
            return Err(Refused::Busy);
        }
        Ok(state)
    }

    /// Adds a job, and starts a thread if all are occupied.
    fn push(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, LaneState>,
        subject: &'static str,
        due: Option<Instant>,
        job: Job,
    ) -> Result<u64, Refused> {
        if state.waiting.len() >= state.idle && state.threads < self.threads {
            let queue = Arc::clone(self);
            match thread::Builder::new().name(self.name.to_owned()).spawn(move || queue.work()) {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads == 0 => {
                    // What a job holds may lock it when it is dropped.
                    drop(state);
                    return Err(Refused::Busy);
                }
                // Those that run will come to it.
                Err(_) => {}
            }
        }
        let id = state.next_id;
        state.next_id += 1;
        state.waiting.push_back(Waiting { id, subject, due, job });
        drop(state);
        self.work.notify_one();
        Ok(id)
    }

    /// Takes a job out of the queue, unless it has begun.
    fn forget(&self, id: u64) {
        let mut state = self.lock();
        let position = state.waiting.iter().position(|waiting| waiting.id == id);
        let forgotten = position.and_then(|position| state.waiting.remove(position));
        drop(state);
        if forgotten.is_some() {
            self.rest.notify_all();
        }
    }

    /// A thread of the lane.
    fn work(&self) {
        let mut scratch = Scratch::default();
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if let Some(next) = state.take_next(now) {
                drop(state);
                // A panic ends this job alone: its ticket says so, and the next job finds new buffers.
                if catch_unwind(AssertUnwindSafe(|| (next.job)(&mut scratch))).is_err() {
                    scratch = Scratch::default();
                }
                state = self.lock();
            } else if state.is_closed {
                state.threads -= 1;
                drop(state);
                self.rest.notify_all();
                return;
            } else {
                let first = state.waiting.iter().filter_map(|waiting| waiting.due).min();
                let left = first.map(|first| first.saturating_duration_since(now));
                state.idle += 1;
                self.rest.notify_all();
                state = self.wait(state, left);
                state.idle -= 1;
            }
        }
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, LaneState>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, LaneState> {
        match left {
            Some(left) => self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The result of a job, when it is there; `None` if the job panicked, or was dropped when the lane was closed.
///
/// Dropping the ticket takes the job out of the queue, unless it has begun.
#[derive(Debug)]
#[must_use = "a ticket that is dropped takes its job out of the queue"]
pub(crate) struct Ticket<T> {
    receiver: oneshot::Receiver<T>,
    id: u64,
    queue: Arc<Queue>,
}

impl<T> Future for Ticket<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.receiver).poll(cx).map(Result::ok)
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.queue.forget(self.id);
    }
}

#[cfg(test)]
mod tests;
