//! HyperLogLog: an estimate of the number of distinct values, in 8 KiB.

use std::hash::BuildHasher;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Bits of a hash that choose the register.
pub(crate) const PRECISION: u32 = 13;

/// Registers of an estimate: a standard error of 1.04 / sqrt(8,192) = 1.15 %.
pub(crate) const REGISTERS: usize = 1 << PRECISION;

/// Registers in a word of a writer's memory.
pub(crate) const PACKED: usize = 8;

/// The UTC day of a moment, counted from 1970.
pub(crate) fn day_of(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)
}

/// Hashes a value. The hash is the same in every process of one build, so that the figures of a fleet can be merged.
pub(crate) fn hash(value: &[u8]) -> u64 {
    foldhash::quality::FixedState::default().hash_one(value)
}

/// The rank of a hash: one more than the number of trailing zeros above the register's bits. A register keeps the
/// largest rank.
#[inline]
pub(crate) fn rank(hash: u64) -> u64 {
    // The bit above the rest of the hash ends every run of zeros.
    u64::from((hash >> PRECISION | 1 << (u64::BITS - PRECISION)).trailing_zeros() + 1)
}

/// The registers of a HyperLogLog; empty before the first value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub(crate) struct Registers(Vec<u8>);

impl Registers {
    /// Adds the values of a writer, whose registers are packed eight to a word.
    pub(crate) fn add_words(&mut self, words: &[u64]) {
        self.0.resize(words.len() * PACKED, 0);
        for (ours, theirs) in self.0.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())) {
            *ours = (*ours).max(theirs);
        }
    }

    /// Adds the values of another HyperLogLog.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            *ours = (*ours).max(*theirs);
        }
    }

    /// Estimates the number of distinct values. Ertl's estimator needs no correction for small numbers
    /// (arXiv:1702.01284, algorithm 6). His correction for large ones is left out, since it changes nothing below
    /// 10^18.
    pub(crate) fn estimate(&self) -> u64 {
        let mut runs = [0_u32; (u64::BITS - PRECISION + 2) as usize];
        for &register in &self.0 {
            runs[usize::from(register)] += 1;
        }
        let m = self.0.len() as f64;
        let [none, some @ ..] = runs;
        if f64::from(none) == m {
            return 0;
        }
        let mut z = 0.0;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_run_is_estimated_too() {
        let mut registers = vec![1; REGISTERS];
        registers[7] = (u64::BITS - PRECISION + 1) as u8;
        let estimate = |registers: &[u8]| Registers::try_from(registers.to_vec()).map(|all| all.estimate());
        // 8,192 squared over 2 ln 2 times half of 8,191.
        assert_eq!(estimate(&registers), Ok(11_820));
        registers[7] += 1;
        assert_eq!(estimate(&registers), Err("a register is 53; allowed: 0 to 52".to_owned()));
    }
}
