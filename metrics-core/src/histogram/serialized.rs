//! How a histogram is written and read.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::counts::Histogram;
use super::layout::Layout;

/// Each bucket's count in order; a run of empty buckets is minus its length.
#[derive(Serialize, Deserialize)]
struct Runs {
    digits: u8,
    counts: Vec<i64>,
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Runs::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Runs::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

impl From<&Histogram> for Runs {
    fn from(histogram: &Histogram) -> Self {
        let mut counts = Vec::new();
        let mut next = 0;
        for (index, count) in histogram.indexed() {
            if index > next {
                counts.push(-((index - next) as i64));
            }
            counts.push(count as i64);
            next = index + 1;
        }
        Self { digits: histogram.significant_digits(), counts }
    }
}

impl TryFrom<Runs> for Histogram {
    type Error = String;

    fn try_from(runs: Runs) -> Result<Self, Self::Error> {
        let layout = Layout::for_digits(runs.digits)
            .ok_or_else(|| format!("digits is {}; allowed: 1 to 3", runs.digits))?;
        let mut counts = Vec::new();
        let mut first = 0;
        for run in runs.counts {
            let length = if run < 0 { run.unsigned_abs() } else { 1 };
            let end = (first + counts.len()) as u64;
            if end.saturating_add(length) > layout.buckets() as u64 {
                return Err(format!("counts has more than {} buckets", layout.buckets()));
            }
            match u64::try_from(run) {
                Ok(count) => counts.push(count),
                Err(_) if counts.is_empty() => first += length as usize,
                Err(_) => counts.resize(counts.len() + length as usize, 0),
            }
        }
        Ok(Self::from_counts(layout, first, &counts))
    }
}
