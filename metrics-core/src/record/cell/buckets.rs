//! A reader's copy of a cell's buckets.

use std::ops::Range;

use super::RARE;
use crate::histogram::{Layout, MAX_OCTAVES};

/// A copy of a cell's buckets.
#[derive(Debug)]
pub(super) struct BucketCopy {
    layout: Layout,
    pub(super) counts: Vec<u64>,
    /// A bit for each octave of `counts` that was read. The other octaves still hold the counts of another cell.
    pub(super) octaves: u64,
    pub(super) rare: [u16; RARE],
}

const _: () = assert!(MAX_OCTAVES <= u64::BITS as usize);

impl BucketCopy {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, counts: vec![0; layout.buckets()], octaves: 0, rare: [0; RARE] }
    }

    /// The octaves that were read, and their counts.
    fn octaves(&self) -> impl Iterator<Item = (usize, &[u64])> {
        let blocks = self.counts.chunks_exact(self.layout.buckets_per_octave()).enumerate();
        blocks.filter(|(octave, _)| self.has(*octave))
    }

    fn has(&self, octave: usize) -> bool {
        self.octaves & (1 << octave) != 0
    }

    /// The buckets of the records without a block, one for each record.
    fn rare(&self) -> impl Iterator<Item = usize> {
        self.rare.iter().filter_map(|&rare| bucket_of(rare))
    }

    fn total(&self) -> u64 {
        let counts = self.octaves().flat_map(|(_, counts)| counts);
        counts.fold(self.rare().count() as u64, |sum, &count| sum.wrapping_add(count))
    }

    pub(super) fn add_to(&self, sums: &mut [u64]) -> Range<usize> {
        let mut span = 0..0;
        for (octave, counts) in self.octaves() {
            let sums =
                &mut sums[octave * self.layout.buckets_per_octave()..][..self.layout.buckets_per_octave()];
            sums.iter_mut().zip(counts).for_each(|(sum, &count)| *sum = sum.wrapping_add(count));
            widen(&mut span, octave);
        }
        for index in self.rare() {
            sums[index] = sums[index].wrapping_add(1);
            widen(&mut span, self.layout.octave(index));
        }
        span
    }

    /// Removes records that were not there `before`, until at most `total` are left or there is no such record.
    pub(super) fn cut_down_to(&mut self, total: u64, before: &Self) {
        let mut excess = self.total().saturating_sub(total);
        for (at, rare) in self.rare.iter_mut().enumerate() {
            if excess > 0 && before.rare[at] != *rare {
                *rare = 0;
                excess -= 1;
            }
        }
        let half = self.layout.buckets_per_octave();
        for octave in (0..self.layout.octaves()).filter(|octave| self.octaves & (1 << octave) != 0) {
            for at in octave * half..(octave + 1) * half {
                let gained = self.counts[at] - if before.has(octave) { before.counts[at] } else { 0 };
                let cut = gained.min(excess);
                self.counts[at] -= cut;
                excess -= cut;
            }
        }
    }
}

/// The bucket of an entry of [`Cell`](super::Cell)'s `rare`.
pub(super) fn bucket_of(rare: u16) -> Option<usize> {
    usize::from(rare).checked_sub(1)
}

/// Widens a span of octaves to include one more.
pub(super) fn widen(span: &mut Range<usize>, octave: usize) {
    *span = if Range::is_empty(span) {
        octave..octave + 1
    } else {
        span.start.min(octave)..span.end.max(octave + 1)
    };
}
