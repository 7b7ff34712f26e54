//! Histograms as read from a report: checked, and still encoded, since they are added up more often than shown.

use metrics_core::{GroupParts, Histogram, PartsError};

use super::bytes::ByteReader;
use super::counts::CountList;
use super::error::DecodeError;

/// The most buckets of all histograms of a report, empty ones included: 32 MiB in memory.
const MAX_BUCKETS: usize = 4 << 20;

/// The figures of one group of statuses, as read. Their histogram is empty; its buckets are in `counts`.
#[derive(Debug)]
pub(super) struct ReadGroup<'a> {
    pub(super) figures: GroupParts,
    /// The index of the first bucket.
    pub(super) first: usize,
    pub(super) counts: CountList<'a>,
}

impl ReadGroup<'_> {
    /// The group with its whole histogram, of this many significant digits.
    pub(super) fn whole(self, digits: u8) -> Result<GroupParts, PartsError> {
        let histogram = Histogram::from_buckets(digits, self.first, &self.counts.unpacked())?;
        Ok(GroupParts { histogram, ..self.figures })
    }
}

/// Reads histograms, up to [`MAX_BUCKETS`] buckets in all.
pub(super) struct HistogramReader {
    pub(super) digits: u8,
    pub(super) empty: Histogram,
    /// One past the last bucket of this precision.
    end: usize,
    /// How many more buckets are allowed.
    left: usize,
}

impl HistogramReader {
    /// Begins to read histograms of `digits` significant digits.
    pub(super) fn new(digits: u8) -> Result<Self, DecodeError> {
        let end = Histogram::max_buckets(digits).ok_or(PartsError::Digits(digits))?;
        Ok(Self { digits, empty: Histogram::from_buckets(digits, 0, &[])?, end, left: MAX_BUCKETS })
    }

    /// Reads the index of the first bucket, and the counts with `read`, which is told how many are allowed.
    pub(super) fn read<'a>(
        &mut self,
        reader: &mut ByteReader<'a>,
        read: impl FnOnce(&mut ByteReader<'a>, usize) -> Result<CountList<'a>, DecodeError>,
    ) -> Result<(usize, CountList<'a>), DecodeError> {
        let first = usize::try_from(reader.number()?).unwrap_or(usize::MAX);
        let counts = read(reader, self.left.min(self.end))?;
        let end = first.saturating_add(counts.length());
        if end > self.end {
            return Err(PartsError::Buckets { end, allowed: self.end }.into());
        }
        self.left -= counts.length();
        Ok((first, counts))
    }
}
