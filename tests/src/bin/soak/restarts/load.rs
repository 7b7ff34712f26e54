//! What is counted, and when: so that it is known what each window and step must have.

/// The life whose requests are those that a kill may lose.
pub(crate) const TAIL: u64 = 0;

/// How much the clocks of processes may differ from this one, in milliseconds: a thread is interrupted between reading
/// two clocks.
const SLACK: f64 = 500.0;

/// Some requests of one life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) life: u64,
    pub(crate) first: u64,
    pub(crate) calls: u64,
}

impl Batch {
    pub(crate) fn is_tail(self) -> bool {
        self.life == TAIL
    }

    /// Each life has a route of its own, so that its figures can be told from those of others.
    pub(crate) fn route(self) -> String {
        format!("/lives/{}", self.life)
    }
}

/// Status and duration of a request. Those of tails are all alike, so that any of them can be lost.
pub(crate) fn request(life: u64, number: u64) -> (u16, u64) {
    if life == TAIL {
        return (200, 5_000_000);
    }
    let mut random = fastrand::Rng::with_seed(life << 32 | number);
    let status = match random.u32(0..20) {
        0 => 500,
        1 | 2 => 404,
        _ => 200,
    };
    // From 65 us to 270 ms.
    (status, (65_536.0 * (12.0_f64 * random.f64()).exp2()) as u64)
}

/// When a process counted which requests, in milliseconds by this process's wall clock.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    life: u64,
    calls: u64,
    begun: f64,
    ended: f64,
}

impl Ledger {
    /// These calls were counted at some time between the two.
    pub(crate) fn note(&mut self, life: u64, calls: u64, begun: f64, ended: f64) {
        self.0.push(Entry { life, calls, begun, ended });
    }

    pub(crate) fn calls(&self) -> u64 {
        self.0.iter().map(|entry| entry.calls).sum()
    }

    pub(crate) fn calls_of(&self, life: u64) -> u64 {
        self.0.iter().filter(|entry| entry.life == life).map(|entry| entry.calls).sum()
    }

    /// The fewest and the most calls that were counted between the two times.
    pub(crate) fn between(&self, from: f64, until: f64) -> [u64; 2] {
        self.some_between(from, until, |_| true)
    }

    /// The same of one life.
    pub(crate) fn of_life_between(&self, life: u64, from: f64, until: f64) -> [u64; 2] {
        self.some_between(from, until, |entry| entry.life == life)
    }

    fn some_between(&self, from: f64, until: f64, is_one: impl Fn(&Entry) -> bool) -> [u64; 2] {
        let sum = |slack: f64, is_in: fn(&Entry, f64, f64) -> bool| {
            let (from, until) = (from + slack, until - slack);
            let entries = self.0.iter().filter(|entry| is_one(entry) && is_in(entry, from, until));
            entries.map(|entry| entry.calls).sum()
        };
        let surely = sum(SLACK, |entry, from, until| entry.begun >= from && entry.ended <= until);
        let perhaps = sum(-SLACK, |entry, from, until| entry.ended >= from && entry.begun <= until);
        [surely, perhaps]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_an_edge_is_only_perhaps_within() {
        let mut ledger = Ledger::default();
        ledger.note(1, 3, 10_000.0, 10_010.0);
        ledger.note(2, 4, 20_000.0, 20_010.0);
        assert_eq!((ledger.calls(), ledger.calls_of(2)), (7, 4));
        assert_eq!(ledger.between(0.0, 30_000.0), [7, 7]);
        assert_eq!(ledger.between(10_100.0, 30_000.0), [4, 7]);
        assert_eq!(ledger.between(12_000.0, 19_900.0), [0, 4]);
        assert_eq!(ledger.of_life_between(2, 0.0, 20_600.0), [4, 4]);
        assert_eq!(ledger.of_life_between(2, 0.0, 15_000.0), [0, 0]);
    }

    #[test]
    fn requests_of_a_life_differ_and_are_the_same_each_time() {
        let all: Vec<_> = (0..200).map(|number| request(3, number)).collect();
        assert_eq!(all, (0..200).map(|number| request(3, number)).collect::<Vec<_>>());
        let with = |status| all.iter().filter(|(of, _)| *of == status).count();
        assert!(with(200) > 100 && with(404) > 5 && with(500) > 1, "{all:?}");
    }
}
