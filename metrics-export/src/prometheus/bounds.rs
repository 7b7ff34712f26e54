//! The upper bounds of the classic buckets.

use super::padded::Padded;

/// The default bounds of the classic buckets, in seconds.
///
/// OpenTelemetry's semantic conventions for HTTP recommend those from 0.005 to 10, without 3. The additional ones are
/// for services that answer faster, and for a limit of 3 s.
pub const DEFAULT_DURATION_BOUNDS: [f64; 18] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 3.0, 5.0, 7.5,
    10.0,
];

/// The maximum number of bounds.
pub(crate) const MAX_BOUNDS: usize = 64;

/// The lowest bound: 1 ns, the unit of recorded durations.
const MIN_SECONDS: f64 = 1e-9;

/// The highest bound: below the last bucket of every layout, which also holds clamped durations.
pub(crate) const MAX_SECONDS: f64 = 60.0;

/// The longest label: 17 digits, a point and an exponent of two digits take 23 bytes, and the rest 7.
const MAX_LABEL: usize = 32;

/// An upper bound, in each form in which it is used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bound {
    pub(crate) seconds: f64,
    pub(crate) nanos: u64,
    /// The `le` label as text, and what follows it. Its value always has a decimal point or an exponent, so all formats
    /// agree on it.
    pub(crate) label: Padded<MAX_LABEL>,
}

impl Bound {
    fn new(seconds: f64) -> Self {
        let label = Padded::of(format!("le=\"{seconds:?}\"}} ").as_bytes());
        Self { seconds, nanos: (seconds * 1e9).round() as u64, label }
    }

    /// Returns the bounds; `None` unless they are in range and ascending.
    pub(crate) fn all(seconds: &[f64]) -> Option<Vec<Self>> {
        let in_range = seconds.iter().all(|bound| (MIN_SECONDS..=MAX_SECONDS).contains(bound));
        let bounds: Vec<_> = seconds.iter().map(|&bound| Self::new(bound)).collect();
        let ascending = bounds.is_sorted_by(|a, b| a.nanos < b.nanos);
        ((1..=MAX_BOUNDS).contains(&bounds.len()) && in_range && ascending).then_some(bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_has_a_label_with_a_decimal_point_and_its_nanoseconds() {
        let bounds = Bound::all(&DEFAULT_DURATION_BOUNDS).unwrap();
        assert_eq!((bounds[0].label.as_bytes(), bounds[0].nanos), (&b"le=\"0.0005\"} "[..], 500_000));
        assert_eq!((bounds[17].label.as_bytes(), bounds[17].nanos), (&b"le=\"10.0\"} "[..], 10_000_000_000));
        assert_eq!(Bound::new(1e-9).nanos, 1);
    }

    #[test]
    fn bounds_out_of_range_or_not_ascending_are_refused() {
        for wrong in [
            &[][..],
            &[0.0],
            &[-1.0],
            &[f64::NAN],
            &[f64::INFINITY],
            &[60.1],
            &[1e-10],
            &[1.0, 1.0],
            &[2.0, 1.0],
            &[1.0, 1.000_000_000_1],
            &[1.0; 65],
        ] {
            assert_eq!(Bound::all(wrong), None, "{wrong:?}");
        }
        assert!(Bound::all(&[1e-9, 60.0]).is_some());
    }
}
