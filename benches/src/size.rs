//! The size of a service.

use std::str::FromStr;

use serde::Serialize;

use crate::workload::MAX_ROUTES;

/// The size of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Number of routes, at most 1,000. Every shard has seen each of them.
    pub endpoints: usize,
    /// Number of threads that record.
    pub shards: usize,
    /// Significant digits of latencies.
    pub digits: u8,
}

impl Size {
    /// The size that the design's figures are for.
    pub(crate) const TYPICAL: Self = Self::of(200, 16);

    /// A size with the default precision.
    pub(crate) const fn of(endpoints: usize, shards: usize) -> Self {
        Self { endpoints, shards, digits: 2 }
    }

    /// From 10 endpoints on one thread to more than most services have.
    pub const GRID: [Self; 9] = [
        Self::of(10, 1),
        Self::of(10, 16),
        Self::of(10, 64),
        Self::of(200, 1),
        Self::TYPICAL,
        Self::of(200, 64),
        Self::of(1_000, 1),
        Self::of(1_000, 16),
        Self::of(1_000, 64),
    ];

    /// The name that `FromStr` reads, such as `200x16x2`.
    pub fn name(&self) -> String {
        let Self { endpoints, shards, digits } = self;
        format!("{endpoints}x{shards}x{digits}")
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let size = || {
            let mut numbers = name.split('x');
            let endpoints = numbers.next()?.parse().ok().filter(|&endpoints| endpoints <= MAX_ROUTES)?;
            let (shards, digits) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
            let valid = (1..=3).contains(&digits) && numbers.next().is_none();
            valid.then_some(Self { endpoints, shards, digits })
        };
        size().ok_or_else(|| format!("{name:?} is not a size; one looks like 200x16x2"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_it_is_written() {
        for size in Size::GRID {
            assert_eq!(size.name().parse(), Ok(size));
        }
        for name in ["", "200", "200x16", "200x16x4", "200x16x2x1", "2000x16x2"] {
            assert!(name.parse::<Size>().is_err(), "{name:?}");
        }
    }
}
