//! Medians and quartiles.

/// The median of some measurements, and how far they scatter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    /// Half the interquartile range.
    pub(crate) noise: f64,
}

impl Spread {
    /// NaN if there are no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        if values.is_empty() {
            return Self { median: f64::NAN, noise: f64::NAN };
        }
        values.sort_by(f64::total_cmp);
        let [lower, median, upper] = [0.25, 0.5, 0.75].map(|quantile| interpolated(&values, quantile));
        Self { median, noise: (upper - lower) / 2.0 }
    }
}

fn interpolated(sorted: &[f64], quantile: f64) -> f64 {
    let at = quantile * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Spread { median: 2.5, noise: 0.75 });
        assert_eq!(Spread::of([5.0, 1.0, 3.0]), Spread { median: 3.0, noise: 1.0 });
        assert_eq!(Spread::of([7.0]), Spread { median: 7.0, noise: 0.0 });
    }
}
