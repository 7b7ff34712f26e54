//! Answers that callers share, wait for, or get from before.

use std::sync::mpsc;
use std::thread;

use metrics_core::EndpointName;

use super::super::question::RouteId;
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

/// Starts a reader that answers what the test sends, and shows the questions that it reads.
fn read_by_hand<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    view: &'scope View,
) -> (mpsc::Sender<Result<Answer, ReadFailed>>, mpsc::Receiver<Question>) {
    let (answers, reader) = mpsc::channel::<Result<Answer, ReadFailed>>();
    let (reading, questions) = mpsc::channel();
    scope.spawn(move || {
        view.run(|question| {
            reading.send(question).unwrap();
            reader.recv().unwrap_or(Err("no more".to_owned().into()))
        })
    });
    (answers, questions)
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
        scope.spawn(move || view.run(|_| reader.recv().unwrap_or(Err("read too often".to_owned().into()))));
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
    let questions = thread::scope(|scope| {
        let (answers, questions) = read_by_hand(scope, view);
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
        questions
    });
    assert!(questions.try_recv().is_err());
}

#[test]
fn trends_of_few_endpoints_wait_at_a_time_and_others_find_room() {
    // No thread reads.
    let view = &Arc::<View>::default();
    let name =
        |number: usize| EndpointName { method: "GET".into(), route: format!("/made-up-{number}").into() };
    let trend = |route| Question::Trend { ago: 0, minutes: 60, instance: None, route };
    let of_route = |number| Reply::new(view, trend(Some(RouteId::of(&name(number)))));
    let mut replies: Vec<_> = (0..MAX_ROUTES).map(|number| of_route(number).unwrap()).collect();
    assert_eq!(of_route(MAX_ROUTES).unwrap_err(), Busy { limit: MAX_ROUTES });
    replies.extend([of_route(0).unwrap(), Reply::new(view, trend(None)).unwrap()]);
    replies.push(Reply::new(view, QUESTION).unwrap());
    drop(replies.remove(1));
    replies.push(of_route(MAX_ROUTES).unwrap());
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
    thread::scope(|scope| {
        let (answers, questions) = read_by_hand(scope, view);
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
