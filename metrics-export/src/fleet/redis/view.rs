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

/// How long somebody waits for a reset that is under way: longer than any read.
const UNDER_WAY: Duration = Duration::from_secs(20);

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

/// There is no answer, for the time being. Of a [reset](Question::Reset) the reason says whether it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Stale {
    /// Since when.
    pub since: SystemTime,
    /// Why.
    pub reason: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) reason: String,
    /// Whether a reset was asked for, and nobody knows whether Redis did it.
    pub(super) may_be_reset: bool,
}

impl From<String> for Failed {
    fn from(reason: String) -> Self {
        Self { reason, may_be_reset: false }
    }
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
    /// What is being read.
    begun: Option<Question>,
    /// When it failed last, if it did not succeed since.
    failed: Option<(Instant, Stale)>,
    /// Whether that was a reset of which nobody knows whether Redis did it.
    may_be_reset: bool,
    stopped: bool,
}

impl State {
    /// What somebody is told who asked, and gets no answer.
    fn told(&self, question: Question, stale: &Stale) -> Stale {
        let Stale { since, reason } = stale.clone();
        let reason = match question {
            Question::Reset if self.may_be_reset => format!("whether it was reset is not known: {reason}"),
            Question::Reset => format!("nothing was reset: {reason}"),
            _ => reason,
        };
        Stale { since, reason }
    }
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
            Some((at, stale)) if at.elapsed() < FRESH && question != Question::Reset => {
                return Err(stale.clone());
            }
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
                Some((at, stale)) if *at >= asked => return Err(state.told(question, stale)),
                _ => {}
            }
            // One that has begun cannot be taken back.
            let is_under_way = question == Question::Reset && state.begun == Some(question);
            let patience = if is_under_way { UNDER_WAY } else { patience };
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
                if question == Question::Reset {
                    state.wanted.retain(|wanted| *wanted != question);
                    state.may_be_reset = is_under_way;
                }
                return Err(state.told(question, &known.unwrap_or_else(late)));
            };
            if state.stopped && !is_under_way {
                let stopped = Stale { since: asked_at, reason: "the service is shutting down".to_owned() };
                state.may_be_reset = false;
                return Err(state.told(question, &stopped));
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
    pub(super) fn run(&self, mut read: impl FnMut(Question) -> Result<Answer, Failed>) {
        while let Some(question) = self.next() {
            let result = read(question);
            let mut state = self.lock();
            state.wanted.retain(|wanted| *wanted != question);
            state.begun = None;
            match result {
                Ok(answer) => {
                    if question == Question::Reset {
                        state.answers.clear();
                    }
                    state.answers.insert(question, (Instant::now(), Arc::new(answer)));
                    state.failed = None;
                }
                Err(Failed { reason, may_be_reset }) => {
                    state.may_be_reset = may_be_reset;
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
                state.begun = Some(question);
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
pub(super) fn reader(shared: Arc<Shared>) -> impl FnMut(Question) -> Result<Answer, Failed> {
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
fn read_with(shared: &Shared, link: &mut Option<Link>, question: Question) -> Result<Answer, Failed> {
    let settings = &shared.settings;
    let connect = || Link::connect(&settings.address, settings.timeout);
    if let Some(idle) = link {
        // It may have been closed meanwhile. What was perhaps reset is not read again: it would be the figures of the next epoch.
        match read::answer(shared, idle, question) {
            Err(failed) if !failed.may_be_reset => {}
            known => return known,
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
            scope.spawn(move || {
                view.run(|_| reader.recv().unwrap_or(Err("read too often".to_owned().into())))
            });
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
            assert_eq!(too_old.join().unwrap().unwrap_err().reason, "there was no answer in time");
            let reset = reset.join().unwrap().unwrap_err().reason;
            assert_eq!(reset, "nothing was reset: there was no answer in time");
            assert_eq!(failing.join().unwrap(), Err(away.clone()));
        });
    }

    #[test]
    fn a_reset_that_nobody_waits_for_any_more_is_not_done_and_one_that_has_begun_is_waited_for() {
        let view = &View::default();
        let (answers, reader) = mpsc::channel::<Result<Answer, Failed>>();
        let (reading, questions) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                view.run(|question| {
                    reading.send(question).unwrap();
                    reader.recv().unwrap_or(Err("no more".to_owned().into()))
                })
            });
            // Behind another read that takes too long.
            let other = scope.spawn(|| view.ask(QUESTION));
            assert_eq!(questions.recv(), Ok(QUESTION));
            let given_up = view.ask(Question::Reset).unwrap_err();
            assert_eq!(given_up.reason, "nothing was reset: there was no answer in time");
            other.join().unwrap().unwrap_err();
            answers.send(Ok(answer(Duration::ZERO))).unwrap();

            let reset = scope.spawn(|| view.ask(Question::Reset).map(drop));
            // The one that was given up is not among them.
            assert_eq!(questions.recv(), Ok(Question::Reset));
            thread::sleep(PATIENCE + FRESH);
            answers.send(Ok(answer(Duration::ZERO))).unwrap();
            assert_eq!(reset.join().unwrap(), Ok(()));

            let lost = scope.spawn(|| view.ask(Question::Reset).map(drop));
            assert_eq!(questions.recv(), Ok(Question::Reset));
            answers.send(Err(Failed { reason: "timed out".to_owned(), may_be_reset: true })).unwrap();
            let lost = lost.join().unwrap().unwrap_err();
            assert_eq!(lost.reason, "whether it was reset is not known: timed out");
            view.stop();
        });
        assert!(questions.try_recv().is_err());
    }
}
