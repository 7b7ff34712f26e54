//! Histograms of durations: HdrHistogram's buckets, and plain arithmetic on their counts.
//!
//! - [`layout`]: which bucket a duration lands in, and which durations a bucket stands for.
//! - [`counts`]: [`Histogram`], the counts of all buckets.
//! - [`coarse_sums`]: sums over several buckets, so that reading skips most of them.
//! - [`quantiles`]: the quantiles of one histogram or of several together.
//! - [`sum`]: adding up many histograms.
//! - [`serialized`]: the form that is written and read.

mod coarse_sums;
mod counts;
mod layout;
mod quantiles;
mod serialized;
mod sum;
#[cfg(all(test, not(miri)))]
mod tests;

pub use self::counts::{Bucket, Histogram, PrecisionMismatch};
pub use self::layout::MAX_NANOS;
pub(crate) use self::layout::{Layout, MAX_OCTAVES};
pub(crate) use self::quantiles::values_at_quantiles;
pub(crate) use self::sum::Sum;
