//! Compares a service that has something with one that does not, in turns.

use std::fmt;
use std::time::Duration;

/// The 99th percentiles of two services that were called in short turns, so that other load on the machine hits both.
/// Only printed, never asserted.
#[derive(Debug, Default)]
pub struct Turns {
    /// Pairs of neighbouring turns, in microseconds.
    pairs: Vec<[f64; 2]>,
}

impl Turns {
    /// Adds one turn of each service.
    pub fn push(&mut self, without: Duration, with: Duration) {
        self.pairs.push([without, with].map(|p99| p99.as_secs_f64() * 1e6));
    }

    /// The median of the differences between neighbouring turns, and its standard error, in microseconds.
    pub fn difference(&self) -> [f64; 2] {
        let differences = sorted(self.pairs.iter().map(|pair| pair[1] - pair[0]));
        // The standard error of a median, if the middle half of the differences is normally distributed.
        let spread = (quantile(&differences, 0.75) - quantile(&differences, 0.25)) / 1.349;
        [quantile(&differences, 0.5), 1.253 * spread / (self.pairs.len() as f64).sqrt()]
    }
}

impl fmt::Display for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |figure: fn(&[f64; 2]) -> f64| sorted(self.pairs.iter().map(figure));
        let (without, with) = (quantile(&of(|pair| pair[0]), 0.5), quantile(&of(|pair| pair[1]), 0.5));
        let [difference, error] = self.difference();
        let bound = (0.05 * without).max(50.0);
        let verdict = if difference <= bound { "within" } else { "OVER" };
        write!(
            f,
            "P99 {without:.0} us without, {with:.0} us with; {difference:+.0} us, \
             standard error {error:.0} us, in {} pairs of turns: {verdict} 5 % or 50 us",
            self.pairs.len()
        )
    }
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<_> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn quantile(sorted: &[f64], quantile: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * quantile).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_between_neighbouring_turns_and_the_wider_bound_judges_them() {
        let turns = |pairs: &[[u64; 2]]| {
            let mut turns = Turns::default();
            pairs.iter().for_each(|pair| {
                let [without, with] = pair.map(Duration::from_micros);
                turns.push(without, with);
            });
            turns.to_string()
        };
        let calm = turns(&[[100, 140], [900, 940], [300, 345]]);
        assert!(calm.starts_with("P99 300 us without, 345 us with; +40 us, "), "{calm}");
        assert!(calm.ends_with("in 3 pairs of turns: within 5 % or 50 us"), "{calm}");
        assert!(turns(&[[100, 160], [100, 150], [100, 151]]).contains("OVER"));
        assert!(turns(&[[2_000, 2_090]]).contains("within"));
    }
}
