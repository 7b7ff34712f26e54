//! What is saved of a history that does not fit.

use super::*;
use crate::history::packed::Packed;

#[test]
fn old_steps_of_all_requests_get_longer_before_any_of_them_is_left_out() {
    let mut clock = Clockwork::new();
    for minute in 0..1_440_u64 {
        (0..40).for_each(|i| clock.record("/", 200, 1_000 + (minute * 7 + i) % 200 * 500_000));
        clock.tick_after(SECOND * 60);
    }
    for _ in 0..60 {
        (0..10).for_each(|i| clock.record("/", 500, 1_000 + i * 500_000));
        clock.tick_after(SECOND);
    }
    let history = clock.history();
    let (whole, mut steps) = (history.save(usize::MAX).len(), Vec::new());
    for part in [1, 2, 4, 8] {
        let saved = history.save(whole / part);
        assert!(saved.len() <= whole / part);
        let after = History::resume(Registry::new(), &saved).unwrap();
        let (was, is) = (history.summary(Window::OneDay).total, after.summary(Window::OneDay).total);
        // A step of hours is in the window if half of it is.
        let bound = if part < 8 { 0.01 } else { 0.1 };
        assert!(
            (is.calls as f64 / was.calls as f64 - 1.0).abs() <= bound,
            "{part}: {} {}",
            is.calls,
            was.calls
        );
        assert_eq!(is.server_errors, 600, "{part}");
        let timeline = after.timeline();
        let all: u64 = timeline.total.all().map(|frame| calls_of(&frame.content.matched)).sum();
        assert_eq!(all, 1_440 * 40 + 600, "{part}");
        steps.push(timeline.total.all().count());
    }
    assert!(steps.is_sorted_by(|a, b| a > b), "{steps:?}");
}

fn calls_of(packed: &Packed) -> u64 {
    packed.groups().map(|(group, _)| group.calls()).sum()
}
