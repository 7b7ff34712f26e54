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

/// Single endpoints whose trends may wait to be read, or are being read.
const MAX_ROUTES: usize = 4;

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
    /// Returns an error if the answer is not known yet and [`MAX_WAITING`] callers wait already, or the trends of
    /// [`MAX_ROUTES`] other endpoints are to be read.
    pub(super) fn ask(&self, question: Question) -> Result<Asked, Busy> {
        let mut state = self.lock();
        if let Some(known) = state.known(question) {
            return Ok(Asked::Known(known));
        }
        if state.waiting.len() >= MAX_WAITING {
            return Err(Busy { limit: MAX_WAITING });
        }
        // Each reads every instance's report of each minute, and others wait for that.
        let is_of_route = |question: &Question| matches!(question, Question::Trend { route: Some(_), .. });
        let of_routes = state.wanted.iter().filter(|wanted| is_of_route(wanted)).count();
        if is_of_route(&question) && !state.wanted.contains(&question) && of_routes >= MAX_ROUTES {
            return Err(Busy { limit: MAX_ROUTES });
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
mod tests;
