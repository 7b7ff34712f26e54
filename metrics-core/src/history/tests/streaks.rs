//! Errors in a row, which are joined across threads and ticks.

use super::*;

/// Records these statuses, and ticks. 0 is an aborted request.
fn ticked(clock: &mut Clockwork, route: &str, statuses: &[u16]) {
    let recorder = clock.registry.recorder();
    let endpoint = clock.registry.endpoint("GET", route);
    for &status in statuses {
        let outcome = if status == 0 { Outcome::Aborted } else { Outcome::Status(status) };
        recorder.record_outcome(endpoint, outcome, SECOND);
    }
    clock.tick_after(SECOND);
}

/// The longest streak of errors in the last second, and the current one within a minute.
fn streaks(clock: &Clockwork) -> (u64, u64) {
    (clock.timeline.longest_streak(SECOND), clock.timeline.consecutive_errors(SECOND * 60))
}

#[test]
fn errors_in_a_row_are_exact_for_one_thread_whatever_came_before_and_after_them_in_a_tick() {
    let mut clock = Clockwork::new();
    ticked(&mut clock, "/a", &[200; 200]);
    assert_eq!(streaks(&clock), (0, 0));
    ticked(&mut clock, "/a", &[200, 404, 500, 503, 200, 500, 500, 200]);
    assert_eq!(streaks(&clock), (3, 0));
    // Across ticks, with quiet ones in between.
    ticked(&mut clock, "/a", &[200, 500, 500]);
    assert_eq!(streaks(&clock), (2, 2));
    ticked(&mut clock, "/a", &[]);
    assert_eq!(streaks(&clock), (0, 2));
    ticked(&mut clock, "/a", &[401, 404]);
    assert_eq!(streaks(&clock), (4, 4));
    ticked(&mut clock, "/a", &[500, 200]);
    assert_eq!(streaks(&clock), (5, 0));
    ticked(&mut clock, "/a", &[200, 304, 101, 999]);
    assert_eq!(streaks(&clock), (0, 0));
    ticked(&mut clock, "/a", &[500; 12]);
    assert_eq!(streaks(&clock), (12, 12));
    clock.tick_after(SECOND * 100);
    assert_eq!(streaks(&clock), (0, 0));
}

#[test]
fn the_newest_point_and_the_errors_in_a_row_are_those_of_the_last_tick() {
    let mut clock = Clockwork::new();
    assert!(clock.timeline.newest().is_none());
    ticked(&mut clock, "/", &[200, 500, 500]);
    ticked(&mut clock, "/", &[500, 500]);
    let history = clock.history();
    let newest = history.newest().unwrap();
    assert_eq!((newest.figures.calls, newest.span), (2, SECOND));
    assert_eq!(history.consecutive_errors(Window::OneMinute), 4);
    assert_eq!(history.most_consecutive_errors(Window::OneMinute, SECOND), 4);
}

#[test]
fn a_streak_that_ended_just_before_an_evaluation_is_seen_by_it_and_not_by_later_ones() {
    let most = |successes: usize| {
        let mut clock = Clockwork::new();
        ticked(&mut clock, "/", &[500, 500, 500]);
        (0..successes).for_each(|_| ticked(&mut clock, "/", &[200]));
        let history = clock.history();
        assert_eq!(history.consecutive_errors(Window::OneMinute), if successes > 0 { 0 } else { 3 });
        history.most_consecutive_errors(Window::OneMinute, SECOND)
    };
    assert_eq!([0, 1, 2, 3].map(most), [3, 3, 0, 0]);
}

#[test]
fn probes_and_aborted_requests_neither_lengthen_a_streak_nor_end_it() {
    let mut clock = Clockwork::new();
    ticked(&mut clock, "/{tail}*", &[404; 50]);
    assert_eq!(streaks(&clock), (0, 0));
    ticked(&mut clock, "/a", &[500, 0, 500, 0, 404]);
    assert_eq!(streaks(&clock), (3, 3));
    ticked(&mut clock, "_unmatched", &[404, 405]);
    assert_eq!(streaks(&clock), (0, 3));
    ticked(&mut clock, "/a", &[0, 500]);
    assert_eq!(streaks(&clock), (4, 4));
    // A server error and a success are what they are, wherever they come from.
    ticked(&mut clock, "_unmatched", &[503]);
    assert_eq!(streaks(&clock), (5, 5));
    ticked(&mut clock, "/{tail}*", &[200, 500]);
    assert_eq!(streaks(&clock), (1, 1));
}

#[test]
fn streaks_of_several_threads_are_joined_where_no_thread_had_a_success() {
    let mut clock = Clockwork::new();
    let endpoint = clock.registry.endpoint("GET", "/a");
    let recorders = [clock.registry.recorder(), clock.registry.recorder()];
    let record = |recorder: usize, statuses: &[u16]| {
        statuses.iter().for_each(|&status| recorders[recorder].record(endpoint, status, SECOND));
    };
    record(0, &[200, 500, 500, 500]);
    record(1, &[500; 4]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (4, 4));
    record(0, &[500; 3]);
    record(1, &[500; 3]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (10, 10));
    // The other thread goes on, and then no longer.
    record(0, &[200]);
    record(1, &[500]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (8, 1));
    record(0, &[200]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (0, 0));
}

#[test]
fn a_thread_that_is_idle_after_errors_lends_its_streak_to_no_other() {
    let mut clock = Clockwork::new();
    let endpoint = clock.registry.endpoint("GET", "/a");
    let recorders = [clock.registry.recorder(), clock.registry.recorder()];
    let record = |recorder: usize, statuses: &[u16]| {
        statuses.iter().for_each(|&status| recorders[recorder].record(endpoint, status, SECOND));
    };
    record(0, &[500; 12]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (12, 12));
    // The other thread has as many errors, each followed by a success.
    record(1, &[500, 200].repeat(20));
    clock.tick_after(SECOND);
    assert_eq!(clock.timeline.longest_streak(SECOND), 0);
    record(1, &[500, 500]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (2, 2));
    // As long as before, and yet new.
    record(1, &[200, 500, 500]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (2, 2));
}

#[test]
fn a_streak_outlives_its_recorder_and_a_success_on_the_next_one_ends_it() {
    let mut clock = Clockwork::new();
    ticked(&mut clock, "/a", &[500; 4]);
    ticked(&mut clock, "/a", &[500; 4]);
    assert_eq!(streaks(&clock), (8, 8));
    ticked(&mut clock, "/a", &[204, 500]);
    assert_eq!(streaks(&clock), (1, 1));
}
