//! Who is busy among the callers without a row of their own: an estimate of bounded size. Each name with more calls than
//! 1/64 of all is listed, whatever others send.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use metrics_core::SpaceSaving;

/// Names that are counted at once.
pub(crate) const ROWS: usize = 64;

/// How long a sketch is filled. Then the next one begins, so that a list shows who is busy now.
const PERIOD: Duration = Duration::from_secs(300);

/// The calls of some name: at least and at most this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Calls {
    /// Calls that are certainly its own.
    pub(crate) at_least: u64,
    /// These, and those that may be its own.
    pub(crate) at_most: u64,
}

/// One worker's sketches of this period and the one before.
#[derive(Debug)]
pub(crate) struct Busy {
    now: Sketch,
    before: Sketch,
    begun: Instant,
}

#[derive(Debug)]
struct Sketch {
    names: SpaceSaving<String>,
    /// Calls that were not counted because a reader was reading.
    missed: u64,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { names: SpaceSaving::new(ROWS), missed: 0 }
    }
}

impl Default for Busy {
    fn default() -> Self {
        Self { now: Sketch::default(), before: Sketch::default(), begun: Instant::now() }
    }
}

impl Busy {
    /// Counts a call, and those that were missed before it.
    pub(crate) fn count(&mut self, name: &str, missed: u64, now: Instant) {
        self.turn(now);
        self.now.missed += missed;
        self.now.names.count(name);
    }

    /// Begins a new period if it is time.
    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.begun);
        if passed < PERIOD {
            return;
        }
        self.before = std::mem::take(&mut self.now);
        if passed >= 2 * PERIOD {
            self.before = Sketch::default();
        }
        self.begun = now;
    }

    fn sketches(&mut self, now: Instant) -> [&Sketch; 2] {
        self.turn(now);
        [&self.now, &self.before]
    }
}

impl Sketch {
    /// The most calls that a name without a row may have.
    fn unseen(&self) -> u64 {
        self.names.unseen() + self.missed
    }
}

/// Adds up the sketches of all workers. The names with the most calls come first; at most [`ROWS`].
pub(crate) fn busiest<'a>(
    sketches: impl Iterator<Item = &'a mut Busy>,
    now: Instant,
) -> Vec<(String, Calls)> {
    let mut sums: HashMap<String, Calls> = HashMap::new();
    let mut unseen = 0;
    for sketch in sketches.flat_map(|busy| busy.sketches(now)) {
        let without_row = sketch.unseen();
        unseen += without_row;
        for (name, at_least, at_most) in sketch.names.rows() {
            let sum = sums.entry(name.clone()).or_default();
            sum.at_least += at_least;
            sum.at_most += at_most + sketch.missed - without_row;
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    for (_, calls) in &mut sums {
        calls.at_most += unseen;
    }
    sums.sort_by(|(a, left), (b, right)| {
        (right.at_least, right.at_most).cmp(&(left.at_least, left.at_most)).then_with(|| a.cmp(b))
    });
    sums.truncate(ROWS);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busy_ones_are_listed_however_many_names_others_make_up() {
        let (mut one, mut two, now) = (Busy::default(), Busy::default(), Instant::now());
        for i in 0..50_000 {
            one.count(&format!("made up {i}"), 0, now);
            two.count(&format!("made up {}", i / 2), 0, now);
            if i % 10 == 0 {
                one.count("Ann", 0, now);
            }
            if i % 20 == 0 {
                two.count("Ann", 0, now);
                two.count("Ben", 0, now);
            }
        }
        let list = busiest([&mut one, &mut two].into_iter(), now);
        assert_eq!(list.len(), ROWS);
        for (name, calls) in [("Ann", 7_500), ("Ben", 2_500)] {
            let (_, bounds) = list[..2].iter().find(|(known, _)| known == name).unwrap();
            assert!(bounds.at_least <= calls && calls <= bounds.at_most, "{name} {bounds:?}");
            assert!(bounds.at_least > calls / 2, "{name} {bounds:?}");
        }
    }

    #[test]
    fn a_few_names_are_counted_exactly_and_missed_calls_may_be_anybodys() {
        let (mut busy, now) = (Busy::default(), Instant::now());
        for _ in 0..3 {
            busy.count("Ann", 0, now);
        }
        busy.count("Ben", 2, now);
        let list = busiest([&mut busy].into_iter(), now);
        let calls = |at_least, at_most| Calls { at_least, at_most };
        assert_eq!(list, [("Ann".to_owned(), calls(3, 5)), ("Ben".to_owned(), calls(1, 3))]);
    }

    #[test]
    fn calls_of_ten_minutes_ago_are_forgotten() {
        let (mut busy, now) = (Busy::default(), Instant::now());
        busy.count("Ann", 0, now);
        let mut names = |seconds| {
            let now = now + Duration::from_secs(seconds);
            busiest([&mut busy].into_iter(), now).len()
        };
        assert_eq!([0, 299, 301, 599].map(&mut names), [1; 4]);
        assert_eq!(names(602), 0);
    }
}
