//! What is asked of the fleet: one read at a time, whoever asks, and its answer for everybody for a second, or as long as it took.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use metrics_core::Summary;

use super::link::Link;
use super::member::Shared;
use super::read;
use crate::fleet::Fleet;

/// How long an answer holds at least, and that there is none.
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

impl Answer {
    /// How long it holds: long enough that a large fleet is read half of the time at most.
    fn holds(&self) -> Duration {
        FRESH.max(self.took)
    }

    /// How long it is better than none, where the next one is not there in time.
    fn is_of_use(&self) -> Duration {
        FRESH.max(4 * self.took)
    }
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
                Some((read, answer)) if read.elapsed() < answer.holds() => return Ok(Arc::clone(answer)),
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
                match state.answers.get(&question) {
                    Some((read, answer))
                        if question != Question::Reset
                            && state.failed.is_none()
                            && read.elapsed() < answer.is_of_use() =>
                    {
                        return Ok(Arc::clone(answer));
                    }
                    _ => {}
                }
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

    /// Has what is asked for read, until it is stopped.
    pub(super) fn run(&self, mut read: impl FnMut(Question) -> Result<Answer, String>) {
        while let Some(question) = self.next() {
            let result = read(question);
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
                }
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits for something to read. Answers that are of no use any more are dropped meanwhile: they take memory.
    fn next(&self) -> Option<Question> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(&question) = state.wanted.first() {
                return Some(question);
            }
            state.answers.retain(|_, (read, answer)| read.elapsed() < answer.is_of_use());
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

/// Reads over one link as long as it works.
pub(super) fn reader(shared: Arc<Shared>) -> impl FnMut(Question) -> Result<Answer, String> {
    let mut link = None;
    move |question| {
        let result = read::guarded("adding up", || read_with(&shared, &mut link, question));
        if result.is_err() {
            link = None;
        }
        result
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// An answer that took so long to read.
    fn answer(took: Duration) -> Answer {
        let now = SystemTime::now();
        Answer { fleet: Fleet::new(now), summary: None, epoch: 0, read: now, bytes: 0, took }
    }

    const QUESTION: Question = Question::SinceReset;

    #[test]
    fn all_share_an_answer_for_as_long_as_it_took() {
        let view = &View::default();
        let (answers, reader) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || view.run(|_| reader.recv().unwrap_or(Err("read too often".to_owned()))));
            answers.send(Ok(answer(PATIENCE))).unwrap();
            let first = view.ask(QUESTION).unwrap();
            drop(answers);
            thread::sleep(FRESH);
            let second = view.ask(QUESTION).unwrap();
            assert!(Arc::ptr_eq(&first, &second));
            let other = view.ask(Question::Minutes { minutes: 1, routes: false }).unwrap_err();
            assert_eq!(other.reason, "read too often");
            view.stop();
        });
    }

    #[test]
    fn where_a_read_takes_too_long_the_one_before_is_of_use_for_a_while() {
        let asked = |question, age: Duration, failed: Option<Stale>| {
            let view = View::default();
            {
                let mut state = view.lock();
                let read = Instant::now().checked_sub(age).unwrap();
                state.answers.insert(question, (read, Arc::new(answer(Duration::from_secs(5)))));
                state.failed = failed.map(|stale| (read, stale));
            }
            // Nobody reads.
            view.ask(question).map(drop)
        };
        let away = Stale { since: SystemTime::UNIX_EPOCH, reason: "away".to_owned() };
        thread::scope(|scope| {
            let old = scope.spawn(|| asked(QUESTION, Duration::from_secs(10), None));
            let too_old = scope.spawn(|| asked(QUESTION, Duration::from_secs(20), None));
            let reset = scope.spawn(|| asked(Question::Reset, Duration::from_secs(1), None));
            let failing = scope.spawn(|| asked(QUESTION, Duration::from_secs(10), Some(away.clone())));
            assert_eq!(old.join().unwrap(), Ok(()));
            for late in [too_old, reset] {
                assert_eq!(late.join().unwrap().unwrap_err().reason, "there was no answer in time");
            }
            assert_eq!(failing.join().unwrap(), Err(away.clone()));
        });
    }
}
