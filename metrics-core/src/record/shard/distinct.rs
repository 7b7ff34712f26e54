//! How many distinct values there are: a HyperLogLog for each of two days.
//!
//! # Synchronization
//!
//! One thread inserts, anybody reads. A day has the slot of its parity. Within a day registers only grow, so a reader sees
//! no more than there is; where the day before the day before still has the slot, the writer takes `day` off, clears the
//! registers, and puts the new day on. A reader that finds the same day on before and behind its loads has read nothing
//! of another one: `day` is stored with Release behind the clearing, and the fences order the rest as in `sync::begin`.

use std::hash::BuildHasher;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::sync::{AtomicU64, Ordering, fence};

/// Bits of a hash that choose the register.
const PRECISION: u32 = 13;

const REGISTERS: usize = 1 << PRECISION;

/// Registers in a word.
const PACKED: usize = 8;

const WORDS: usize = if cfg!(metrics_loom) { 1 } else { REGISTERS / PACKED };

/// On no slot's day.
const NO_DAY: u64 = u64::MAX;

/// What one writer inserted today and on the day before.
#[derive(Debug)]
pub(crate) struct Distinct([Day; 2]);

#[derive(Debug)]
struct Day {
    day: AtomicU64,
    /// One byte a register.
    words: [AtomicU64; WORDS],
}

/// The UTC day of a moment, counted from 1970.
pub(crate) fn day_of(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)
}

/// The same for the same value in every process of one build, so that the figures of a fleet can be merged.
pub(crate) fn hash(value: &[u8]) -> u64 {
    foldhash::quality::FixedState::default().hash_one(value)
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
            // ORDERING: Release fence; pairs with the Acquire fence behind a reader's loads. A reader that sees a register
            // cleared, or of the new day, also sees that the day is off.
            fence(Ordering::Release);
            words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
            // ORDERING: Release; pairs with the Acquire in `add_to`. Seeing the day implies seeing its registers cleared.
            day.store(today, Ordering::Release);
        }
        let register = hash as usize % (words.len() * PACKED);
        // The rest of the hash, with a bit behind it that ends every run of zeros.
        let run = (hash >> PRECISION | 1 << (u64::BITS - PRECISION)).trailing_zeros() + 1;
        let (word, shift) = (&words[register / PACKED], register % PACKED * 8);
        let old = word.load(Ordering::Relaxed);
        if old >> shift & 0xff < u64::from(run) {
            word.store(old & !(0xff << shift) | u64::from(run) << shift, Ordering::Relaxed);
        }
    }

    /// Adds what was inserted on a day, unless a later one has its place.
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
            sum.add(&seen);
        }
    }
}

/// The registers of a HyperLogLog; empty where nothing was inserted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub(crate) struct Registers(Vec<u8>);

impl Registers {
    /// How many there are, unless nothing was inserted.
    pub(crate) const LEN: usize = REGISTERS;

    fn add(&mut self, words: &[u64]) {
        self.0.resize(words.len() * PACKED, 0);
        for (ours, theirs) in self.0.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())) {
            *ours = (*ours).max(theirs);
        }
    }

    /// Adds the values of another one.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            *ours = (*ours).max(*theirs);
        }
    }

    /// About how many distinct values were inserted. Ertl's estimator, which needs no correction at either end of the range
    /// (arXiv:1702.01284, algorithm 6).
    pub(crate) fn estimate(&self) -> u64 {
        let mut runs = [0_u32; (u64::BITS - PRECISION + 2) as usize];
        for &register in &self.0 {
            runs[usize::from(register)] += 1;
        }
        let m = self.0.len() as f64;
        let [none, some @ .., longest] = runs;
        if self.0.is_empty() || f64::from(none) == m {
            return 0;
        }
        let mut z = m * tau(1.0 - f64::from(longest) / m);
        for run in some.into_iter().rev() {
            z = 0.5 * (z + f64::from(run));
        }
        z += m * sigma(f64::from(none) / m);
        (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

impl From<Registers> for Vec<u8> {
    fn from(registers: Registers) -> Self {
        registers.0
    }
}

impl TryFrom<Vec<u8>> for Registers {
    type Error = String;

    fn try_from(registers: Vec<u8>) -> Result<Self, Self::Error> {
        let longest = (u64::BITS - PRECISION + 1) as u8;
        match registers.iter().find(|&&register| register > longest) {
            _ if !registers.is_empty() && registers.len() != REGISTERS => {
                Err(format!("there are {} registers; allowed: 0 or {REGISTERS}", registers.len()))
            }
            Some(register) => Err(format!("a register is {register}; allowed: 0 to {longest}")),
            None => Ok(Self(registers)),
        }
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    fn registers(distinct: &Distinct, day: u64) -> Registers {
        let mut sum = Registers::default();
        distinct.add_to(day, &mut sum);
        sum
    }

    #[test]
    fn the_estimate_is_right_to_within_a_few_standard_errors_from_one_to_a_million() {
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
    fn a_day_starts_anew_and_the_one_before_is_kept() {
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
    fn merged_registers_are_those_of_all_values() {
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
        for hostile in ["[1]".to_owned(), format!("[53{}]", ",0".repeat(REGISTERS - 1))] {
            assert!(serde_json::from_str::<Registers>(&hostile).is_err());
        }
    }
}

#[cfg(all(test, metrics_loom))]
mod model {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    /// A writer whose day turns while a reader looks at the day before the day before: it gets that day's registers, or
    /// nothing.
    ///
    /// Fails without the Release fence, and without the Acquire fence (each tried).
    #[test]
    fn a_reader_never_sees_registers_of_another_day() {
        crate::sync::model(|| {
            let distinct = Arc::new(Distinct::new());
            // The longest run, in a register, and then a run of 1 in another one.
            distinct.insert(0, 0);
            let writer = {
                let distinct = Arc::clone(&distinct);
                thread::spawn(move || distinct.insert(1 | 1 << PRECISION, 2))
            };
            let mut sum = Registers::default();
            distinct.add_to(0, &mut sum);
            assert!(sum.0.is_empty() || (sum.0[0] == 52 && sum.0[1] == 0), "{:?}", sum.0);
            writer.join().unwrap();
        });
    }
}
