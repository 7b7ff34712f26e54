//! The distinct values of two days: a HyperLogLog for each.
//!
//! # Synchronization
//!
//! One thread inserts; any thread reads. Even and odd days have a slot each. Within a day registers only grow, so a
//! reader never sees a value that was not inserted. To reuse the slot of two days ago, the writer sets `day` to
//! `NO_DAY`, clears the registers, and then sets the new day. A reader that finds the same day before and after its
//! loads has read nothing of another day: `day` is stored with Release after the clearing, and the fences order the
//! rest as in `sync::begin`.

use crate::hyperloglog::{PACKED, REGISTERS, Registers, rank};
use crate::sync::{AtomicU64, Ordering, fence};

const WORDS: usize = if cfg!(metrics_loom) { 1 } else { REGISTERS / PACKED };

/// The day of a slot that is unused, or is being cleared.
const NO_DAY: u64 = u64::MAX;

/// One writer's distinct values of today and the day before.
#[derive(Debug)]
pub(crate) struct Distinct([Day; 2]);

#[derive(Debug)]
struct Day {
    day: AtomicU64,
    /// One byte per register.
    words: [AtomicU64; WORDS],
}

impl Distinct {
    pub(crate) fn new() -> Self {
        let day = || Day { day: AtomicU64::new(NO_DAY), words: std::array::from_fn(|_| AtomicU64::new(0)) };
        Self([day(), day()])
    }

    /// Called by the one writer.
    pub(crate) fn insert(&self, hash: u64, today: u64) {
        let Day { day, words } = &self.0[today as usize % 2];
        // ORDERING: Relaxed, here and of the words; this thread wrote them last.
        if day.load(Ordering::Relaxed) != today {
            day.store(NO_DAY, Ordering::Relaxed);
            // ORDERING: Release fence; pairs with the Acquire fence after a reader's loads. A reader that sees a
            // register cleared, or of the new day, also sees `NO_DAY` or the new day.
            fence(Ordering::Release);
            words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
            // ORDERING: Release; pairs with the Acquire in `add_to`. Seeing the day implies seeing its registers
            // cleared.
            day.store(today, Ordering::Release);
        }
        let register = hash as usize % (words.len() * PACKED);
        let rank = rank(hash);
        let (word, shift) = (&words[register / PACKED], register % PACKED * 8);
        let old = word.load(Ordering::Relaxed);
        if old >> shift & 0xff < rank {
            word.store(old & !(0xff << shift) | rank << shift, Ordering::Relaxed);
        }
    }

    /// Adds the values of a day to `sum`, unless a later day uses its slot.
    pub(crate) fn add_to(&self, wanted: u64, sum: &mut Registers) {
        let Day { day, words } = &self.0[wanted as usize % 2];
        // ORDERING: Acquire; pairs with the Release in `insert`.
        if day.load(Ordering::Acquire) != wanted {
            return;
        }
        let seen: Vec<u64> = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        // ORDERING: Acquire fence; see `insert`.
        fence(Ordering::Acquire);
        if day.load(Ordering::Relaxed) == wanted {
            sum.add_words(&seen);
        }
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::hyperloglog::hash;

    fn registers(distinct: &Distinct, day: u64) -> Registers {
        let mut sum = Registers::default();
        distinct.add_to(day, &mut sum);
        sum
    }

    #[test]
    fn the_estimate_is_within_a_few_standard_errors_from_one_to_a_million() {
        let distinct = Distinct::new();
        let mut next = 1;
        for i in 0..1_000_000_u64 {
            distinct.insert(hash(&i.to_le_bytes()), 7);
            distinct.insert(hash(&(i / 2).to_le_bytes()), 7);
            let inserted = i + 1;
            if inserted == next {
                let estimate = registers(&distinct, 7).estimate();
                let error = (estimate as f64 - inserted as f64).abs() / inserted as f64;
                assert!(error < 3.5 * 0.0115, "{inserted} {estimate}");
                next = (next * 5).div_ceil(4);
            }
        }
        assert_eq!(registers(&distinct, 8).estimate(), 0);
    }

    #[test]
    fn a_day_starts_at_zero_and_the_day_before_is_kept() {
        let distinct = Distinct::new();
        let insert = |value: u64, day| distinct.insert(hash(&value.to_le_bytes()), day);
        let estimates = |day| registers(&distinct, day).estimate();
        (0..10).for_each(|i| insert(i, 3));
        (0..4).for_each(|i| insert(i, 4));
        assert_eq!((estimates(3), estimates(4), estimates(5)), (10, 4, 0));
        insert(1, 5);
        assert_eq!((estimates(3), estimates(4), estimates(5)), (0, 4, 1));
    }

    #[test]
    fn merged_registers_are_the_registers_of_all_values() {
        let (a, b, both) = (Distinct::new(), Distinct::new(), Distinct::new());
        for i in 0..5_000_u64 {
            let hash = hash(&i.to_le_bytes());
            if i < 3_000 {
                a.insert(hash, 1);
            }
            if i >= 2_000 {
                b.insert(hash, 1);
            }
            both.insert(hash, 1);
        }
        let mut merged = Registers::default();
        merged.merge(&registers(&a, 1));
        merged.merge(&registers(&b, 1));
        assert_eq!(merged, registers(&both, 1));
        let text = serde_json::to_string(&merged).unwrap();
        assert_eq!(serde_json::from_str::<Registers>(&text).unwrap(), merged);
        let with_rank = |rank: u64| format!("[{rank}{}]", ",0".repeat(REGISTERS - 1));
        for hostile in ["[1]".to_owned(), with_rank(53)] {
            assert!(serde_json::from_str::<Registers>(&hostile).is_err());
        }
        // The largest rank is that of a hash without a one.
        let rarest: Registers = serde_json::from_str(&with_rank(rank(0))).unwrap();
        assert_eq!((rank(0), rarest.estimate()), (52, 1));
    }
}

#[cfg(all(test, metrics_loom))]
mod model {
    use super::*;
    use crate::hyperloglog::PRECISION;
    use loom::sync::Arc;
    use loom::thread;

    /// While the writer reuses the slot of two days ago, a reader of that day gets its registers or nothing.
    ///
    /// Fails without the Release fence, and without the Acquire fence (each tried).
    #[test]
    fn a_reader_never_sees_registers_of_another_day() {
        crate::sync::model(|| {
            let distinct = Arc::new(Distinct::new());
            // The highest rank in one register, and then rank 1 in another one.
            distinct.insert(0, 0);
            let writer = {
                let distinct = Arc::clone(&distinct);
                thread::spawn(move || distinct.insert(1 | 1 << PRECISION, 2))
            };
            let mut sum = Registers::default();
            distinct.add_to(0, &mut sum);
            assert!(matches!(Vec::from(sum.clone()).as_slice(), [] | [52, 0, ..]), "{sum:?}");
            writer.join().unwrap();
        });
    }
}
