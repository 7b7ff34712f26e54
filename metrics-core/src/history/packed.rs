//! Figures by group of statuses, packed: most of a histogram's buckets are empty, and most counts are small.

mod untrusted;

use std::ops::Range;

use super::coding::{put, take};
use super::group_head;
use super::tiers::Content;
use crate::histogram::Layout;
use crate::read::snapshot::group::GroupSnapshot;

/// Groups, one after the other. Each is its [head](group_head), the length of its buckets in bytes, and the buckets. A
/// bucket in use takes 2 or 3 bytes; unpacked, every bucket takes 8, used or not. Adding frames up needs no histogram
/// of each.
///
/// The buckets are [numbers](super::coding) in order. An even number is twice the count of the next bucket; an odd one
/// is twice the length of a run of empty buckets, plus 1.
///
/// A history is saved in this form, so it must not change: a later form has another version of the format.
#[derive(Debug, Clone)]
pub(super) struct Packed(Box<[u8]>);

/// The buckets of one packed group.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedBuckets<'a>(&'a [u8]);

impl Packed {
    pub(super) fn new(groups: &[GroupSnapshot]) -> Self {
        let mut bytes = Vec::new();
        for group in groups {
            let mut buckets = Vec::new();
            put_all(&mut buckets, group.histogram.indexed());
            put_group(&mut bytes, group, &buckets);
        }
        Self(bytes.into_boxed_slice())
    }

    /// Each group without its durations, and its buckets.
    pub(super) fn groups(&self) -> impl Iterator<Item = (GroupSnapshot, PackedBuckets<'_>)> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let group = group_head::take_head(&mut rest);
            let length = take(&mut rest) as usize;
            let (buckets, after) = rest.split_at(length);
            rest = after;
            Some((group, PackedBuckets(buckets)))
        })
    }

    /// Adds groups of the same registry.
    pub(super) fn add(&mut self, later: &Self) {
        let mut more: Vec<_> = later.groups().collect();
        let (mut bytes, mut merged) = (Vec::with_capacity(self.0.len() + later.0.len()), Vec::new());
        for (mut group, buckets) in self.groups() {
            let same = more.iter().position(|(theirs, _)| theirs.group == group.group);
            let Some((theirs, their_buckets)) = same.map(|at| more.swap_remove(at)) else {
                put_group(&mut bytes, &group, buckets.0);
                continue;
            };
            group.merge_counts(&theirs);
            merged.clear();
            put_all(&mut merged, sums(buckets, their_buckets));
            put_group(&mut bytes, &group, &merged);
        }
        for (group, buckets) in more {
            put_group(&mut bytes, &group, buckets.0);
        }
        *self = Self(bytes.into_boxed_slice());
    }
}

impl Content for Packed {
    fn absorb(&mut self, later: Self) {
        self.add(&later);
    }

    fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}

impl PackedBuckets<'_> {
    /// Adds the counts to `sums`, which has one element for each bucket. Returns the span of octaves that have any.
    pub(super) fn add_to(self, sums: &mut [u64], layout: Layout) -> Range<usize> {
        let mut ends: Option<(usize, usize)> = None;
        for (index, count) in self {
            sums[index] = sums[index].saturating_add(count);
            ends = Some((ends.map_or(index, |(first, _)| first), index));
        }
        ends.map_or(0..0, |(first, last)| layout.octave(first)..layout.octave(last) + 1)
    }
}

impl<'a> IntoIterator for PackedBuckets<'a> {
    type Item = (usize, u64);
    type IntoIter = Counts<'a>;

    fn into_iter(self) -> Counts<'a> {
        Counts { rest: self.0, next: 0 }
    }
}

/// The buckets that are not empty: index and count.
#[derive(Debug)]
pub(super) struct Counts<'a> {
    rest: &'a [u8],
    /// The bucket of the next count.
    next: usize,
}

impl Iterator for Counts<'_> {
    type Item = (usize, u64);

    #[inline]
    fn next(&mut self) -> Option<(usize, u64)> {
        while !self.rest.is_empty() {
            let number = take(&mut self.rest);
            if number & 1 == 0 {
                let index = self.next;
                self.next += 1;
                return Some((index, number >> 1));
            }
            self.next += (number >> 1) as usize;
        }
        None
    }
}

/// The sums of two groups' buckets.
fn sums<'a>(ours: PackedBuckets<'a>, theirs: PackedBuckets<'a>) -> impl Iterator<Item = (usize, u64)> {
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    std::iter::from_fn(move || match (ours.peek(), theirs.peek()) {
        (Some((a, _)), Some((b, _))) if a == b => {
            let ((index, a), (_, b)) = (ours.next()?, theirs.next()?);
            Some((index, a.saturating_add(b).min(MAX_COUNT)))
        }
        (Some((a, _)), Some((b, _))) if a > b => theirs.next(),
        (None, _) => theirs.next(),
        _ => ours.next(),
    })
}

/// The largest count that fits: twice the count is a `u64`.
const MAX_COUNT: u64 = u64::MAX >> 1;

fn put_group(bytes: &mut Vec<u8>, group: &GroupSnapshot, buckets: &[u8]) {
    group_head::put_head(bytes, group);
    put(bytes, buckets.len() as u64);
    bytes.extend_from_slice(buckets);
}

fn put_all(bytes: &mut Vec<u8>, counts: impl Iterator<Item = (usize, u64)>) {
    let mut next = 0;
    for (index, count) in counts {
        if index > next {
            put(bytes, ((index - next) as u64) << 1 | 1);
        }
        put(bytes, count.min(MAX_COUNT) << 1);
        next = index + 1;
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::Histogram;
    use crate::labels::outcome::{Outcome, StatusGroup};

    const LAYOUT: Layout = Layout::TWO_DIGITS;

    fn group(digit: u8, counts: &[(usize, u64)]) -> GroupSnapshot {
        let mut buckets = vec![0; LAYOUT.buckets()];
        counts.iter().for_each(|&(at, count)| buckets[at] = count);
        let histogram = Histogram::from_counts(LAYOUT, 0, &buckets);
        let calls = histogram.total();
        let name = StatusGroup::Class(digit);
        let counts = vec![(Outcome::Status(u16::from(digit) * 100), calls)];
        GroupSnapshot { counts, sum_nanos: calls, histogram, ..GroupSnapshot::empty(name, LAYOUT) }
    }

    fn unpacked(packed: &Packed) -> Vec<GroupSnapshot> {
        let groups = packed.groups().map(|(group, buckets)| {
            let mut counts = vec![0; LAYOUT.buckets()];
            let octaves = buckets.add_to(&mut counts, LAYOUT);
            let used = |at: &usize| counts[*at] > 0;
            assert!((0..counts.len()).filter(used).all(|at| octaves.contains(&LAYOUT.octave(at))));
            GroupSnapshot { histogram: Histogram::from_counts(LAYOUT, 0, &counts), ..group }
        });
        groups.collect()
    }

    fn counts() -> impl Strategy<Value = Vec<(usize, u64)>> {
        let count = prop_oneof![1_u64..4, 1_u64..1_000_000, Just(u64::MAX >> 2)];
        prop::collection::vec((0..LAYOUT.buckets(), count), 0..200)
    }

    #[test]
    fn adjacent_buckets_with_small_counts_take_a_byte_each() {
        let bytes = |buckets: usize| {
            let counts: Vec<_> = (0..buckets).map(|at| (1_000 + at, 9)).collect();
            Packed::new(&[group(2, &counts)]).heap_bytes()
        };
        assert_eq!(bytes(50) - bytes(40), 10);
    }

    #[test]
    fn a_sum_beyond_the_largest_count_is_read_back_as_that() {
        let most = group(2, &[(7, MAX_COUNT)]);
        let mut packed = Packed::new(std::slice::from_ref(&most));
        packed.add(&Packed::new(&[most]));
        let counts: Vec<_> = unpacked(&packed)[0].histogram.buckets().map(|bucket| bucket.count).collect();
        assert_eq!(counts, [i64::MAX as u64]);
    }

    proptest! {
        #[test]
        fn packed_groups_are_read_back_and_add_up(ours in counts(), theirs in counts(), more in counts()) {
            let (ours, theirs, more) = (group(2, &ours), group(2, &theirs), group(5, &more));
            let mut packed = Packed::new(std::slice::from_ref(&ours));
            prop_assert_eq!(unpacked(&packed), [ours.clone()]);
            packed.add(&Packed::new(&[more.clone(), theirs.clone()]));
            let mut sum = ours;
            sum.merge(&theirs).unwrap();
            prop_assert_eq!(unpacked(&packed), [sum, more]);
        }
    }
}
