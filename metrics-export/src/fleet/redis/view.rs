//! What is asked of the fleet: one read at a time, whoever asks, and its answer for everybody within a second.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use metrics_core::Summary;

use super::link::Link;
use super::member::Shared;
use super::read;
use crate::fleet::Fleet;

/// How long an answer, or that there is none, holds.
const FRESH: Duration = Duration::from_secs(1);

/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long somebody waits who can expect that there is none.
const IMPATIENCE: Duration = Duration::from_millis(100);

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// What was counted since the epoch began.
    SinceReset,
    /// What was counted in the minute that is under way and so many before it.
    Minutes {
        /// How many.
        minutes: u8,
        /// By endpoint, or else of all together.
        routes: bool,
    },
    /// What was counted since the epoch began; and begin the next one.
    Reset,
}

/// What was found.
#[derive(Debug)]
pub struct Answer {
    /// The reports that were found, added up, and what else was found.
    pub fleet: Fleet,
    /// Its figures; `None` where there are no reports.
    pub summary: Option<Summary>,
    /// The epoch that was read.
    pub epoch: u64,
    /// When it was read.
    pub read: SystemTime,
    /// How many bytes were read.
    pub bytes: usize,
    /// How long it took.
    pub took: Duration,
}

/// There is no answer, for the time being.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Stale {
    /// Since when.
    pub since: SystemTime,
    /// Why.
    pub reason: String,
}

/// Shared by those who ask and the thread that reads.
#[derive(Default)]
pub(super) struct View {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    answers: HashMap<Question, (Instant, Arc<Answer>)>,
    wanted: Vec<Question>,
    /// When it failed last, if it did not succeed since.
    failed: Option<(Instant, Stale)>,
    stopped: bool,
}

impl View {
    /// Waits for an answer, but not for long.
    pub(super) fn ask(&self, question: Question) -> Result<Arc<Answer>, Stale> {
        let asked = Instant::now();
        let asked_at = SystemTime::now();
        let mut state = self.lock();
        if question != Question::Reset {
            match state.answers.get(&question) {
                Some((read, answer)) if read.elapsed() < FRESH => return Ok(Arc::clone(answer)),
                _ => {}
            }
        }
        let patience = match &state.failed {
            Some((at, stale)) if at.elapsed() < FRESH => return Err(stale.clone()),
            // A reset is worth waiting for.
            Some(_) if question != Question::Reset => IMPATIENCE,
            _ => PATIENCE,
        };
        if !state.wanted.contains(&question) {
            state.wanted.push(question);
        }
        self.changed.notify_all();
        loop {
            match state.answers.get(&question) {
                Some((read, answer)) if *read >= asked => return Ok(Arc::clone(answer)),
                _ => {}
            }
            match &state.failed {
                Some((at, stale)) if *at >= asked => return Err(stale.clone()),
                _ => {}
            }
            let Some(left) = patience.checked_sub(asked.elapsed()) else {
                let known = state.failed.as_ref().map(|(_, stale)| stale.clone());
                let late = || Stale { since: asked_at, reason: "there was no answer in time".to_owned() };
                return Err(known.unwrap_or_else(late));
            };
            if state.stopped {
                return Err(Stale { since: asked_at, reason: "the service is shutting down".to_owned() });
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the thread that reads, once it has read what it reads.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Reads what is asked for, until it is stopped.
    pub(super) fn run(&self, shared: &Shared) {
        let mut link = None;
        while let Some(question) = self.next() {
            let result = read::guarded("adding up", || read_with(shared, &mut link, question));
            let mut state = self.lock();
            state.wanted.retain(|wanted| *wanted != question);
            match result {
                Ok(answer) => {
                    if question == Question::Reset {
                        state.answers.clear();
                    }
                    state.answers.insert(question, (Instant::now(), Arc::new(answer)));
                    state.failed = None;
                }
                Err(reason) => {
                    let since = state.failed.take().map_or_else(SystemTime::now, |(_, stale)| stale.since);
                    state.failed = Some((Instant::now(), Stale { since, reason }));
                    state.wanted.clear();
                    link = None;
                }
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits for something to read. Answers that are not fresh any more are dropped meanwhile: they take memory.
    fn next(&self) -> Option<Question> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(&question) = state.wanted.first() {
                return Some(question);
            }
            state.answers.retain(|_, (read, _)| read.elapsed() < FRESH);
            state = if state.answers.is_empty() {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.changed.wait_timeout(state, FRESH).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads over the link that is there, or over a new one.
fn read_with(shared: &Shared, link: &mut Option<Link>, question: Question) -> Result<Answer, String> {
    let settings = &shared.settings;
    let connect = || Link::connect(&settings.address, settings.timeout);
    if let Some(idle) = link {
        // It may have been closed meanwhile. A reset can be repeated as well, since the later one counts.
        if let Ok(answer) = read::answer(shared, idle, question) {
            return Ok(answer);
        }
    }
    read::answer(shared, link.insert(connect()?), question)
}
