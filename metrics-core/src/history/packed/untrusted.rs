//! Reads packed figures that anybody may have written, with any precision.

use super::{MAX_COUNT, Packed, put_all, put_group};
use crate::histogram::Layout;
use crate::history::coding::{Untrusted, put};
use crate::history::group_head::read_head;
use crate::history::saved_error::SavedError;

impl Packed {
    /// Writes the length and the figures.
    pub(in crate::history) fn save(&self, bytes: &mut Vec<u8>) {
        put(bytes, self.0.len() as u64);
        bytes.extend_from_slice(&self.0);
    }

    /// Reads what [`Packed::save`] wrote, with the precision `theirs`, as figures with the precision `ours`.
    ///
    /// Durations of a wider bucket are put where its middle is, so percentiles keep the error of the wider buckets.
    pub(in crate::history) fn restore(
        from: &mut Untrusted<'_>,
        theirs: Layout,
        ours: Layout,
    ) -> Result<Self, SavedError> {
        let (mut rest, mut bytes) = (from.part()?, Vec::new());
        while !rest.is_empty() {
            let mut group = read_head(&mut rest)?;
            let counts = read_buckets(rest.part()?, theirs, ours)?;
            let ends = counts.first().zip(counts.last());
            let ends = ends.map(|(first, last)| (ours.ends(first.0), ours.ends(last.0)));
            // As they were, if they can be so.
            group.extremes = group.extremes.fitted_between(ends, group.clamped);
            let mut buckets = Vec::new();
            put_all(&mut buckets, counts.into_iter());
            put_group(&mut bytes, &group, &buckets);
        }
        Ok(Self(bytes.into_boxed_slice()))
    }
}

/// The buckets in use, in order: index and count.
fn read_buckets(
    mut rest: Untrusted<'_>,
    theirs: Layout,
    ours: Layout,
) -> Result<Vec<(usize, u64)>, SavedError> {
    let (mut counts, mut next): (Vec<(usize, u64)>, u64) = (Vec::new(), 0);
    while !rest.is_empty() {
        let number = rest.number()?;
        if number & 1 == 1 {
            next = next.saturating_add(number >> 1);
            continue;
        }
        if next >= theirs.buckets() as u64 {
            return Err(SavedError::Damaged("a histogram has no such bucket"));
        }
        let (theirs_at, count) = (next as usize, number >> 1);
        next += 1;
        let at = if theirs == ours { theirs_at } else { ours.index(middle(theirs.ends(theirs_at))) };
        match counts.last_mut() {
            Some((last, sum)) if *last == at => *sum = sum.saturating_add(count).min(MAX_COUNT),
            _ if count > 0 => counts.push((at, count)),
            _ => {}
        }
    }
    Ok(counts)
}

fn middle((lowest, highest): (u64, u64)) -> u64 {
    lowest + (highest - lowest) / 2
}

#[cfg(all(test, not(miri), not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_duration_of_a_wider_bucket_is_moved_by_half_of_its_width_at_most() {
        let layouts = [1, 2, 3].map(|digits| Layout::for_digits(digits).unwrap());
        for (theirs, ours) in layouts.into_iter().flat_map(|theirs| layouts.map(|ours| (theirs, ours))) {
            for at in 0..theirs.buckets() {
                let mut bytes = Vec::new();
                put_all(&mut bytes, std::iter::once((at, 7)));
                let read = read_buckets(Untrusted::new(&bytes), theirs, ours).unwrap();
                let [(into, 7)] = read[..] else { panic!("{read:?}") };
                let ((lowest, highest), (from, until)) = (theirs.ends(at), ours.ends(into));
                let half = (highest - lowest).div_ceil(2);
                let is_balanced = from <= lowest + half && until >= highest - half;
                assert!(is_balanced, "{lowest} to {highest} is in {from} to {until}");
            }
        }
    }
}
