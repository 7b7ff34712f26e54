//! Histograms as read from a report: only the buckets in use, since most buckets are empty.

use std::ops::Range;

use metrics_core::{Granularity, GroupParts, Histogram, PartsError, StatusGroup};

use super::bytes::ByteReader;
use super::codes::{read_group_code, read_outcomes};
use super::counts::CountList;
use super::error::DecodeError;

/// The most buckets of all histograms of a report, empty ones included: 40 MiB in memory.
const MAX_BUCKETS: usize = 4 << 20;

/// The figures of one group of statuses. Its histogram is empty; `buckets` says where the buckets are in
/// [`SparseBuckets`].
#[derive(Debug)]
pub(super) struct SparseGroup {
    pub(super) figures: GroupParts,
    pub(super) buckets: Range<usize>,
}

/// The buckets in use of a report's histograms, one histogram after the other. Ten bytes a bucket.
#[derive(Debug, Default)]
pub(super) struct SparseBuckets {
    /// The index of each bucket in its histogram.
    indexes: Vec<u16>,
    counts: Vec<u64>,
}

impl SparseBuckets {
    /// The indexes of a group's buckets in use, ascending, and their counts.
    pub(super) fn of(&self, group: &SparseGroup) -> (&[u16], &[u64]) {
        (&self.indexes[group.buckets.clone()], &self.counts[group.buckets.clone()])
    }
}

/// Reads histograms, up to [`MAX_BUCKETS`] buckets in all.
pub(super) struct HistogramReader {
    empty: Histogram,
    /// One past the last bucket of this precision.
    end: usize,
    /// How many more buckets are allowed.
    left: usize,
    /// The first `read` buckets, and room for more.
    buckets: SparseBuckets,
    /// How many buckets were read.
    read: usize,
}

impl HistogramReader {
    /// Begins to read histograms of `digits` significant digits from `bytes` bytes.
    pub(super) fn new(digits: u8, bytes: usize) -> Result<Self, DecodeError> {
        let end = Histogram::max_buckets(digits).ok_or(PartsError::Digits(digits))?;
        let empty = Histogram::from_buckets(digits, 0, &[])?;
        let mut histograms =
            Self { empty, end, left: MAX_BUCKETS, buckets: SparseBuckets::default(), read: 0 };
        // A bucket in use takes about five bits.
        histograms.make_room(2 * bytes);
        Ok(histograms)
    }

    /// Reads a group of an endpoint.
    pub(super) fn read(
        &mut self,
        reader: &mut ByteReader<'_>,
        granularity: Granularity,
    ) -> Result<SparseGroup, DecodeError> {
        let group = read_group_code(reader)?;
        let outcomes = read_outcomes(reader)?;
        let is_misplaced = |&&(outcome, _): &&_| StatusGroup::of(granularity, outcome) != group;
        if let Some(&(outcome, _)) = outcomes.iter().find(is_misplaced) {
            return Err(PartsError::Group { outcome, group, granularity }.into());
        }
        let figures = GroupParts {
            group,
            outcomes,
            sum_nanos: reader.number()?,
            min_nanos: reader.number()?,
            max_nanos: reader.number()?,
            clamped: reader.number()?,
            request_bytes: reader.number()?,
            response_bytes: reader.number()?,
            truncated: reader.number()?,
            histogram: self.empty.clone(),
        };
        Ok(SparseGroup { figures, buckets: self.read_buckets(reader)? })
    }

    /// Reads a single group with its whole histogram, as for a timer.
    pub(super) fn read_whole(
        &mut self,
        reader: &mut ByteReader<'_>,
        granularity: Granularity,
    ) -> Result<GroupParts, DecodeError> {
        let group = self.read(reader, granularity)?;
        let (indexes, counts) = self.buckets.of(&group);
        let histogram = spread_out(self.empty.significant_digits(), indexes, counts)?;
        self.read = group.buckets.start;
        Ok(GroupParts { histogram, ..group.figures })
    }

    /// Returns the buckets that were read.
    pub(super) fn into_buckets(self) -> SparseBuckets {
        self.buckets
    }

    fn read_buckets(&mut self, reader: &mut ByteReader<'_>) -> Result<Range<usize>, DecodeError> {
        let first = usize::try_from(reader.number()?).unwrap_or(usize::MAX);
        let counts = CountList::begin(reader, self.left.min(self.end))?;
        let end = first.saturating_add(counts.length());
        if end > self.end {
            return Err(PartsError::Buckets { end, allowed: self.end }.into());
        }
        self.left -= counts.length();
        if self.buckets.indexes.len() - self.read < counts.length() {
            self.make_room(2 * (self.read + counts.length()));
        }
        let begin = self.read;
        let SparseBuckets { indexes, counts: kept } = &mut self.buckets;
        let read = counts.read(&mut indexes[begin..], &mut kept[begin..])?;
        self.read += read;
        // At most 27,648, so the index fits.
        indexes[begin..self.read].iter_mut().for_each(|index| *index += first as u16);
        Ok(begin..self.read)
    }

    /// Makes room for `buckets` buckets in all, up to the limit. Growing in small steps would cost as much as reading.
    fn make_room(&mut self, buckets: usize) {
        let buckets = buckets.min(MAX_BUCKETS);
        self.buckets.indexes.resize(buckets, 0);
        self.buckets.counts.resize(buckets, 0);
    }
}

/// The whole histogram with these buckets.
pub(super) fn spread_out(digits: u8, indexes: &[u16], counts: &[u64]) -> Result<Histogram, PartsError> {
    let (Some(&first), Some(&last)) = (indexes.first(), indexes.last()) else {
        return Histogram::from_buckets(digits, 0, &[]);
    };
    let mut all = vec![0; usize::from(last - first) + 1];
    for (&index, &count) in indexes.iter().zip(counts) {
        all[usize::from(index - first)] = count;
    }
    Histogram::from_buckets(digits, first.into(), &all)
}
