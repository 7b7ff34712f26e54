//! Callers who wait for the fleet's figures, and the answers that they share.
//!
//! One thread reads, one question at a time. All callers share its answer for a second, or for as long as it took to
//! read. A second thread ends the wait of callers whose time is over. Callers themselves hold no thread: each has a
//! oneshot.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::oneshot::{self, Receiver, Sender};
use super::question::{Answer, Busy, Question, ReadFailed, Stale};

/// How long an answer, or the news that there is none, holds at least.
const FRESH: Duration = Duration::from_secs(1);

/// How long a caller waits for an answer.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// How long a caller waits for a reset that was already sent: longer than any read takes.
const MAX_RESET_WAIT: Duration = Duration::from_secs(20);

/// How long a caller waits after the last read failed.
const MAX_WAIT_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// How many callers may wait at one time.
const MAX_WAITING: usize = 256;

/// How long no caller asks until the reader rests.
const REST_AFTER: Duration = Duration::from_secs(60);

type Outcome = Result<Arc<Answer>, Stale>;

/// What reads the answers.
pub(super) trait Read {
    /// Reads the answer to a question.
    fn read(&mut self, question: Question) -> Result<Answer, ReadFailed>;

    /// Drops what it keeps for the next question, since none came for a minute.
    fn rest(&mut self) {}
}

/// What the reading thread does next.
enum Next {
    Read(Question),
    Rest,
}

/// The result of asking a question.
pub(super) enum Asked {
    /// The answer is known already.
    Known(Outcome),
    /// The answer will be sent.
    Waiting(WaiterId, Receiver<Outcome>),
}

/// Tells the callers of one view apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaiterId(u64);

/// Shared by callers, the thread that reads, and the thread that watches deadlines.
#[derive(Default)]
pub(super) struct View {
    state: Mutex<ViewState>,
    /// A question is to be read, or the view was stopped.
    wanted: Condvar,
    /// A deadline is new or gone, or the view was stopped.
    deadlines: Condvar,
}

#[derive(Default)]
struct ViewState {
    answers: HashMap<Question, (Instant, Arc<Answer>)>,
    /// Questions to read, first come first served, and the one that is being read.
    wanted: Vec<Question>,
    /// The question that is being read.
    begun: Option<Question>,
    /// When the last question came; `None` once the reader rests.
    idle_since: Option<Instant>,
    /// When reading failed last; `None` after a success.
    failed: Option<(Instant, Stale)>,
    waiting: Vec<Waiter>,
    next_id: u64,
    stopped: bool,
}

struct Waiter {
    id: WaiterId,
    question: Question,
    asked: Instant,
    asked_at: SystemTime,
    max_wait: Duration,
    sender: Sender<Outcome>,
}

impl View {
    /// Asks a question. Does not block.
    ///
    /// # Errors
    ///
    /// If the answer is not known yet and [`MAX_WAITING`] callers wait already.
    pub(super) fn ask(&self, question: Question) -> Result<Asked, Busy> {
        let mut state = self.lock();
        if let Some(known) = state.known(question) {
            return Ok(Asked::Known(known));
        }
        if state.waiting.len() >= MAX_WAITING {
            return Err(Busy { limit: MAX_WAITING });
        }
        let (sender, receiver) = oneshot::channel();
        let id = WaiterId(state.next_id);
        state.next_id += 1;
        // A reset is worth waiting for.
        let expects_none = state.failed.is_some() && question != Question::Reset;
        let max_wait = if expects_none { MAX_WAIT_AFTER_FAILURE } else { MAX_WAIT };
        let (asked, asked_at) = (Instant::now(), SystemTime::now());
        state.waiting.push(Waiter { id, question, asked, asked_at, max_wait, sender });
        if !state.wanted.contains(&question) {
            state.wanted.push(question);
        }
        drop(state);
        self.wanted.notify_all();
        self.deadlines.notify_all();
        Ok(Asked::Waiting(id, receiver))
    }

    /// Removes a caller who gave up, and the question if no other caller waits for it and reading has not begun.
    pub(super) fn withdraw(&self, id: WaiterId) {
        let mut state = self.lock();
        let Some(at) = state.waiting.iter().position(|waiter| waiter.id == id) else { return };
        let waiter = state.waiting.swap_remove(at);
        state.forget_unless_waited_for(waiter.question);
        drop(state);
        self.deadlines.notify_all();
    }

    /// Ends both threads, the reading one after its current read. Answers all callers, except those whose reset was
    /// sent.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        let is_under_way = state.begun == Some(Question::Reset);
        let ended = state.take_waiting(|waiter| !(is_under_way && waiter.question == Question::Reset));
        let ended = ended.into_iter().map(|waiter| {
            let stale = refusal(waiter.question, shutting_down(waiter.asked_at), false);
            (waiter.sender, Err(stale))
        });
        let ended: Vec<_> = ended.collect();
        drop(state);
        self.wanted.notify_all();
        self.deadlines.notify_all();
        send_all(ended);
    }

    /// Reads what is asked for, until the view is stopped.
    pub(super) fn run(&self, mut reader: impl Read) {
        while let Some(next) = self.next() {
            match next {
                Next::Read(question) => {
                    let ended = self.take_in(question, reader.read(question));
                    self.deadlines.notify_all();
                    send_all(ended);
                }
                Next::Rest => reader.rest(),
            }
        }
    }

    /// Ends the wait of callers whose time is over, until the view is stopped and no caller waits.
    pub(super) fn keep_time(&self) {
        let mut state = self.lock();
        loop {
            let late = state.take_late(Instant::now());
            if !late.is_empty() {
                drop(state);
                send_all(late);
                state = self.lock();
                continue;
            }
            let deadline = state.waiting.iter().map(|waiter| waiter.asked + state.max_wait(waiter)).min();
            state = match deadline {
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.deadlines.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None if state.stopped => return,
                None => self.deadlines.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Keeps the result of a read. Returns what to send to whom.
    fn take_in(
        &self,
        question: Question,
        result: Result<Answer, ReadFailed>,
    ) -> Vec<(Sender<Outcome>, Outcome)> {
        let mut state = self.lock();
        state.wanted.retain(|wanted| *wanted != question);
        state.begun = None;
        match result {
            Ok(answer) => {
                let answer = Arc::new(answer);
                if question == Question::Reset {
                    state.answers.clear();
                }
                state.answers.insert(question, (Instant::now(), Arc::clone(&answer)));
                state.failed = None;
                let answered = state.take_waiting(|waiter| waiter.question == question);
                answered.into_iter().map(|waiter| (waiter.sender, Ok(Arc::clone(&answer)))).collect()
            }
            Err(ReadFailed { reason, may_be_reset }) => {
                let since = state.failed.take().map_or_else(SystemTime::now, |(_, stale)| stale.since);
                let stale = Stale { since, reason };
                state.failed = Some((Instant::now(), stale.clone()));
                state.wanted.clear();
                let all = std::mem::take(&mut state.waiting).into_iter();
                all.map(|waiter| (waiter.sender, Err(refusal(waiter.question, stale.clone(), may_be_reset))))
                    .collect()
            }
        }
    }

    /// Waits for a question. Meanwhile drops answers that are too old to be used, since they take memory, and has the
    /// reader rest once.
    fn next(&self) -> Option<Next> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(&question) = state.wanted.first() {
                state.begun = Some(question);
                state.idle_since = Some(Instant::now());
                return Some(Next::Read(question));
            }
            state.answers.retain(|_, (read, answer)| read.elapsed() < usable_for(answer));
            let idle = state.idle_since.map(|since| since.elapsed());
            if idle >= Some(REST_AFTER) {
                state.idle_since = None;
                return Some(Next::Rest);
            }
            let until_rest = idle.map(|idle| REST_AFTER - idle);
            let pause = if state.answers.is_empty() { until_rest } else { Some(FRESH) };
            state = match pause {
                None => self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(pause) => {
                    self.wanted.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, ViewState> {
        // No code under the lock leaves the state half changed, so a poisoned one is fine.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ViewState {
    /// The answer, if it is known without reading.
    fn known(&self, question: Question) -> Option<Outcome> {
        let is_reset = question == Question::Reset;
        match (self.answers.get(&question), &self.failed) {
            (Some((read, answer)), _) if !is_reset && read.elapsed() < fresh_for(answer) => {
                Some(Ok(Arc::clone(answer)))
            }
            (_, Some((at, stale))) if !is_reset && at.elapsed() < FRESH => Some(Err(stale.clone())),
            _ if self.stopped => Some(Err(refusal(question, shutting_down(SystemTime::now()), false))),
            _ => None,
        }
    }

    /// How long this caller waits. A reset that was sent cannot be taken back, so it gets longer.
    fn max_wait(&self, waiter: &Waiter) -> Duration {
        let is_under_way = waiter.question == Question::Reset && self.begun == Some(Question::Reset);
        if is_under_way { MAX_RESET_WAIT } else { waiter.max_wait }
    }

    /// Removes all callers whose time is over. Returns what to send to each: an old answer that is still usable, or why
    /// there is none.
    fn take_late(&mut self, now: Instant) -> Vec<(Sender<Outcome>, Outcome)> {
        let waiting = std::mem::take(&mut self.waiting);
        let (late, waiting): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|waiter| now >= waiter.asked + self.max_wait(waiter));
        self.waiting = waiting;
        let is_under_way = self.begun == Some(Question::Reset);
        let mut outcomes = Vec::with_capacity(late.len());
        for Waiter { question, asked_at, sender, .. } in late {
            let outcome = match (self.answers.get(&question), &self.failed) {
                (Some((read, answer)), None)
                    if question != Question::Reset && read.elapsed() < usable_for(answer) =>
                {
                    Ok(Arc::clone(answer))
                }
                (_, failed) => {
                    let late = || Stale { since: asked_at, reason: "there was no answer in time".to_owned() };
                    let stale = failed.as_ref().map_or_else(late, |(_, stale)| stale.clone());
                    Err(refusal(question, stale, is_under_way))
                }
            };
            // Other questions stay, so that the next caller finds an answer. A reset is done for a caller or not at
            // all.
            if question == Question::Reset {
                self.forget_unless_waited_for(question);
            }
            outcomes.push((sender, outcome));
        }
        outcomes
    }

    fn take_waiting(&mut self, mut take: impl FnMut(&Waiter) -> bool) -> Vec<Waiter> {
        let waiting = std::mem::take(&mut self.waiting);
        let (taken, waiting) = waiting.into_iter().partition(|waiter| take(waiter));
        self.waiting = waiting;
        taken
    }

    /// Drops a question without waiting callers, unless it is being read.
    fn forget_unless_waited_for(&mut self, question: Question) {
        if self.begun != Some(question) && !self.waiting.iter().any(|waiter| waiter.question == question) {
            self.wanted.retain(|wanted| *wanted != question);
        }
    }
}

/// How long all callers share an answer: a large fleet is read at most half of the time.
fn fresh_for(answer: &Answer) -> Duration {
    FRESH.max(answer.took)
}

/// How long an answer is better than none, if the next one is not ready in time.
fn usable_for(answer: &Answer) -> Duration {
    FRESH.max(4 * answer.took)
}

fn shutting_down(since: SystemTime) -> Stale {
    Stale { since, reason: "the service is shutting down".to_owned() }
}

/// What a caller gets instead of an answer. After a reset it says whether the reset was done.
fn refusal(question: Question, stale: Stale, may_be_reset: bool) -> Stale {
    let Stale { since, reason } = stale;
    let reason = match question {
        Question::Reset if may_be_reset => format!("it is unknown whether the fleet was reset: {reason}"),
        Question::Reset => format!("nothing was reset: {reason}"),
        _ => reason,
    };
    Stale { since, reason }
}

/// Sends to each caller. Not under the lock, since wakers are foreign code.
fn send_all(outcomes: Vec<(Sender<Outcome>, Outcome)>) {
    for (sender, outcome) in outcomes {
        sender.send(outcome);
    }
}

#[cfg(test)]
impl<F: FnMut(Question) -> Result<Answer, ReadFailed>> Read for F {
    fn read(&mut self, question: Question) -> Result<Answer, ReadFailed> {
        self(question)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::super::reply::Reply;
    use super::*;

    /// An answer that took this long to read.
    fn answer(took: Duration) -> Answer {
        let now = SystemTime::now();
        let fleet = crate::fleet::Fleet::new(now);
        Answer { fleet, summary: None, trend: Vec::new(), epoch: 0, read: now, bytes: 0, took }
    }

    const QUESTION: Question = Question::SinceReset;

    fn ask(view: &Arc<View>, question: Question) -> Outcome {
        Reply::new(view, question).unwrap().wait()
    }

    #[test]
    fn the_reader_rests_once_after_no_question_came_for_a_while() {
        struct Resting(mpsc::Sender<()>);
        impl Read for Resting {
            fn read(&mut self, _: Question) -> Result<Answer, ReadFailed> {
                Ok(answer(Duration::ZERO))
            }

            fn rest(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let view = &Arc::<View>::default();
        let (rests, rested) = mpsc::channel();
        thread::scope(|scope| {
            view.lock().idle_since = Instant::now().checked_sub(REST_AFTER);
            scope.spawn(move || view.run(Resting(rests)));
            rested.recv_timeout(Duration::from_secs(30)).unwrap();
            assert_eq!(view.lock().idle_since, None);
            // After a question it may rest again, later.
            ask(view, QUESTION).unwrap();
            assert!(view.lock().idle_since.is_some());
            view.stop();
        });
        assert!(rested.recv().is_err());
    }

    #[test]
    fn all_share_an_answer_for_as_long_as_it_took() {
        let view = &Arc::<View>::default();
        let (answers, reader) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                view.run(|_| reader.recv().unwrap_or(Err("read too often".to_owned().into())))
            });
            answers.send(Ok(answer(MAX_WAIT))).unwrap();
            let first = ask(view, QUESTION).unwrap();
            drop(answers);
            thread::sleep(FRESH);
            let second = ask(view, QUESTION).unwrap();
            assert!(Arc::ptr_eq(&first, &second));
            let other = ask(view, Question::Minutes { minutes: 1, routes: false }).unwrap_err();
            assert_eq!(other.reason, "read too often");
            view.stop();
        });
    }

    #[test]
    fn when_a_read_takes_too_long_the_answer_before_it_is_used_for_a_while() {
        let asked = |question, age: Duration, failed: Option<Stale>| {
            let view = Arc::<View>::default();
            {
                let mut state = view.lock();
                let read = Instant::now().checked_sub(age).unwrap();
                state.answers.insert(question, (read, Arc::new(answer(Duration::from_secs(5)))));
                state.failed = failed.map(|stale| (read, stale));
            }
            // No thread reads.
            thread::scope(|scope| {
                scope.spawn(|| view.keep_time());
                let outcome = ask(&view, question).map(drop);
                view.stop();
                outcome
            })
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
    fn a_reset_without_waiting_callers_is_not_done_and_one_that_has_begun_is_waited_for() {
        let view = &Arc::<View>::default();
        let (answers, reader) = mpsc::channel::<Result<Answer, ReadFailed>>();
        let (reading, questions) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                view.run(|question| {
                    reading.send(question).unwrap();
                    reader.recv().unwrap_or(Err("no more".to_owned().into()))
                })
            });
            scope.spawn(|| view.keep_time());
            // After another read that takes too long.
            let other = scope.spawn(|| ask(view, QUESTION));
            assert_eq!(questions.recv(), Ok(QUESTION));
            let given_up = ask(view, Question::Reset).unwrap_err();
            assert_eq!(given_up.reason, "nothing was reset: there was no answer in time");
            drop(Reply::new(view, Question::Reset).unwrap());
            other.join().unwrap().unwrap_err();
            answers.send(Ok(answer(Duration::ZERO))).unwrap();

            let reset = scope.spawn(|| ask(view, Question::Reset).map(drop));
            // The two that were given up are not read.
            assert_eq!(questions.recv(), Ok(Question::Reset));
            thread::sleep(MAX_WAIT + FRESH);
            answers.send(Ok(answer(Duration::ZERO))).unwrap();
            assert_eq!(reset.join().unwrap(), Ok(()));

            let lost = scope.spawn(|| ask(view, Question::Reset).map(drop));
            assert_eq!(questions.recv(), Ok(Question::Reset));
            answers.send(Err(ReadFailed { reason: "timed out".to_owned(), may_be_reset: true })).unwrap();
            let lost = lost.join().unwrap().unwrap_err();
            assert_eq!(lost.reason, "it is unknown whether the fleet was reset: timed out");
            view.stop();
        });
        assert!(questions.try_recv().is_err());
    }

    #[test]
    fn a_dropped_reply_frees_its_place_and_its_question_unless_another_caller_waits() {
        // No thread reads.
        let view = &Arc::<View>::default();
        let mut replies: Vec<_> = (0..MAX_WAITING).map(|_| Reply::new(view, QUESTION).unwrap()).collect();
        assert_eq!(Reply::new(view, QUESTION).unwrap_err(), Busy { limit: MAX_WAITING });
        drop(replies.pop());
        replies.push(Reply::new(view, Question::Reset).unwrap());
        assert_eq!(view.lock().wanted, [QUESTION, Question::Reset]);
        drop(replies.pop());
        assert_eq!(view.lock().wanted, [QUESTION]);
        assert_eq!(view.lock().waiting.len(), MAX_WAITING - 1);
        replies.drain(1..);
        assert_eq!(view.lock().wanted, [QUESTION]);
        drop(replies);
        let state = view.lock();
        assert_eq!((state.wanted.len(), state.waiting.len()), (0, 0));
    }

    #[test]
    fn a_known_answer_takes_no_place() {
        let view = &Arc::<View>::default();
        let _others: Vec<_> = (0..MAX_WAITING).map(|_| Reply::new(view, Question::Reset).unwrap()).collect();
        view.lock().answers.insert(QUESTION, (Instant::now(), Arc::new(answer(Duration::ZERO))));
        ask(view, QUESTION).unwrap();
    }

    #[test]
    fn stopping_answers_all_callers_but_those_whose_reset_was_sent() {
        let view = &Arc::<View>::default();
        let (answers, reader) = mpsc::channel::<Result<Answer, ReadFailed>>();
        let (reading, questions) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                view.run(|question| {
                    reading.send(question).unwrap();
                    reader.recv().unwrap()
                })
            });
            let keeper = scope.spawn(|| view.keep_time());
            let reset = Reply::new(view, Question::Reset).unwrap();
            assert_eq!(questions.recv(), Ok(Question::Reset));
            let waiting: Vec<_> = (0..3).map(|_| Reply::new(view, QUESTION).unwrap()).collect();
            let begun = Instant::now();
            view.stop();
            for reply in waiting {
                assert_eq!(reply.wait().unwrap_err().reason, "the service is shutting down");
            }
            let late = ask(view, QUESTION).unwrap_err();
            assert_eq!(late.reason, "the service is shutting down");
            assert!(begun.elapsed() < MAX_WAIT);
            answers.send(Ok(answer(Duration::ZERO))).unwrap();
            assert!(reset.wait().is_ok());
            keeper.join().unwrap();
            let late = ask(view, Question::Reset).unwrap_err();
            assert_eq!(late.reason, "nothing was reset: the service is shutting down");
        });
    }
}
