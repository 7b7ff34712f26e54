//! Lists of counts, in few bits that are fast to read. Neighbouring buckets hold similar counts, so a list is cut into
//! blocks of [`BLOCK`] counts, and each block is written in whichever of two ways is shorter:
//!
//! - Dense: the mean of the block, and the distance of each count from it.
//! - Sparse: the number of counts that are not 0, the zeros before each, and each less 1.
//!
//! Either way the numbers are in a Rice code, the order of which the block names. The low bits of all of them come
//! first and their unary parts after that, so that both are read in loops without waiting for each other; a code after
//! another would have to be read before the next one is found. This takes about a tenth more bits than a running mean
//! (version 1), and a fifth of the time to read. `docs/fleet-format.md` has the codes.

use std::borrow::Cow;

use super::bits::{BitWriter, Bits, order_bits};
use super::bytes::{ByteReader, ByteWriter};
use super::error::DecodeError;

/// The largest count, as in a histogram's bucket.
pub(super) const MAX_COUNT: u64 = i64::MAX as u64;

/// How many counts share a header. Of 64, headers would take as many bits as they save.
const BLOCK: usize = 128;

/// The largest order. The low bits of a number are read at once.
const MAX_ORDER: u32 = 56;

/// The bits in which a sparse block has the number of its counts, and a dense one the bits of its mean.
const COUNT_BITS: u32 = 7;
const MEAN_BITS: u32 = 6;

/// The bits in which an empty block has how many further ones follow, which are not written.
const EMPTY_BITS: u32 = 6;

/// The distance from the mean as a number: 0, -1, 1, -2, 2 and so on, up to twice the mean; from there on, the count
/// itself.
fn distance(count: u64, mean: u64) -> u64 {
    match count.checked_sub(mean) {
        _ if count >= 2 * mean => count,
        Some(above) => 2 * above,
        None => 2 * (mean - count) - 1,
    }
}

/// The count at a distance from the mean.
#[inline]
fn at_distance(distance: u64, mean: u64) -> u64 {
    // Without branches, which would be unpredictable: the lowest bit is the sign.
    let near = mean.wrapping_add((distance >> 1) ^ (distance & 1).wrapping_neg());
    if distance < 2 * mean { near } else { distance }
}

/// Numbers in a Rice code, and its order.
struct Rice {
    numbers: Vec<u64>,
    order: u32,
    bits: u64,
}

impl Rice {
    /// Chooses the order that takes the fewest bits, among those near the mean.
    fn new(numbers: Vec<u64>) -> Self {
        let bits = |order: u32| {
            let high = numbers.iter().fold(0_u64, |bits, &number| bits.saturating_add(number >> order));
            high.saturating_add(numbers.len() as u64 * u64::from(1 + order) + order_bits(order))
        };
        let sum: u128 = numbers.iter().copied().map(u128::from).sum();
        let mean = sum / (numbers.len() as u128).max(1);
        let about = u128::BITS - mean.leading_zeros();
        let (order, bits) = (about.saturating_sub(2)..=about)
            .map(|order| (order.min(MAX_ORDER), bits(order.min(MAX_ORDER))))
            .min_by_key(|&(_, bits)| bits)
            .expect("there are orders");
        Self { numbers, order, bits }
    }

    fn write_low(&self, writer: &mut BitWriter) {
        self.numbers.iter().for_each(|&number| writer.put(number, self.order));
    }

    fn write_high(&self, writer: &mut BitWriter) {
        self.numbers.iter().for_each(|&number| writer.unary(number >> self.order));
    }
}

fn write_block(writer: &mut BitWriter, block: &[u64]) {
    let count = |count: u64| count.min(MAX_COUNT);
    let (mut zeros, mut gaps, mut more) = (0, Vec::new(), Vec::new());
    for &each in block {
        if each == 0 {
            zeros += 1;
        } else {
            gaps.push(std::mem::take(&mut zeros));
            more.push(count(each) - 1);
        }
    }
    let sum: u128 = block.iter().map(|&each| u128::from(count(each))).sum();
    let length = block.len() as u128;
    // At most half the largest number, so that twice the mean is one, too.
    let mean = ((sum + length / 2) / length).min(u128::from(MAX_COUNT / 2)) as u64;
    let dense = Rice::new(block.iter().map(|&each| distance(count(each), mean)).collect());
    let (gaps, more) = (Rice::new(gaps), Rice::new(more));
    let mean_bits = u64::BITS - mean.leading_zeros();
    let sparse_bits = u64::from(COUNT_BITS) + if gaps.numbers.is_empty() { 0 } else { gaps.bits + more.bits };
    let dense_bits = u64::from(MEAN_BITS + mean_bits.saturating_sub(1)) + dense.bits;
    // A whole block of 128 counts is dense, since seven bits do not hold the number.
    if gaps.numbers.is_empty() || (sparse_bits < dense_bits && gaps.numbers.len() < BLOCK) {
        writer.put(0, 1);
        writer.put(gaps.numbers.len() as u64, COUNT_BITS);
        if !gaps.numbers.is_empty() {
            writer.order(gaps.order);
            writer.order(more.order);
            gaps.write_low(writer);
            more.write_low(writer);
            gaps.write_high(writer);
            more.write_high(writer);
        }
    } else {
        writer.put(1, 1);
        writer.put(mean_bits.into(), MEAN_BITS);
        // Without its highest bit, which is set.
        writer.put(mean, mean_bits.saturating_sub(1));
        writer.order(dense.order);
        dense.write_low(writer);
        dense.write_high(writer);
    }
}

/// Writes a list: its length, and, unless that is 0, the number of its bytes and these.
pub(super) fn write(writer: &mut ByteWriter, counts: &[u64]) {
    writer.number(counts.len() as u64);
    if !counts.is_empty() {
        let bytes = packed(counts);
        writer.number(bytes.len() as u64);
        writer.0.extend_from_slice(&bytes);
    }
}

fn packed(counts: &[u64]) -> Vec<u8> {
    let mut bits = BitWriter::default();
    let mut blocks = counts.chunks(BLOCK).peekable();
    let is_empty = |block: &[u64]| block.iter().all(|&count| count == 0);
    while let Some(block) = blocks.next() {
        write_block(&mut bits, block);
        if is_empty(block) {
            let more = std::iter::from_fn(|| blocks.next_if(|block| is_empty(block)));
            bits.put(more.take((1 << EMPTY_BITS) - 1).count() as u64, EMPTY_BITS);
        }
    }
    bits.finish()
}

/// A list of counts that was checked, and is still to be unpacked.
#[derive(Debug)]
pub(super) struct CountList<'a> {
    length: usize,
    bytes: Cow<'a, [u8]>,
}

impl<'a> CountList<'a> {
    /// Reads a list of `allowed` counts at most, and checks that it can be unpacked.
    pub(super) fn read(reader: &mut ByteReader<'a>, allowed: usize) -> Result<Self, DecodeError> {
        let wanted = reader.number()?;
        let length = usize::try_from(wanted).ok().filter(|&length| length <= allowed);
        let length = length.ok_or(DecodeError::TooMany { what: "buckets", count: wanted, allowed })?;
        let bytes = if length == 0 { 0 } else { reader.count("bytes of buckets", usize::MAX)? };
        let bytes = reader.bytes(bytes)?;
        if is_whole(bytes, length) {
            Ok(Self { length, bytes: bytes.into() })
        } else {
            Err(DecodeError::Counts)
        }
    }

    /// The list of these counts.
    pub(super) fn of(counts: &[u64]) -> Self {
        Self { length: counts.len(), bytes: packed(counts).into() }
    }

    /// How many counts the list has, zeros included.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// All counts.
    pub(super) fn unpacked(&self) -> Vec<u64> {
        let mut counts = vec![0; self.length];
        self.add_to(&mut counts);
        counts
    }

    /// Adds each count to the sum at its place. Both are up to [`MAX_COUNT`], and so is the sum.
    pub(super) fn add_to(&self, sums: &mut [u64]) {
        let mut bits = Bits::new(&self.bytes);
        let (mut low, mut high) = ([0; 2 * BLOCK], [0; 2 * BLOCK]);
        let mut blocks = sums[..self.length].chunks_mut(BLOCK);
        while let Some(sums) = blocks.next() {
            if bits.number(1) == 1 {
                let (low, high) = (&mut low[..sums.len()], &mut high[..sums.len()]);
                let mean = read_mean(&mut bits);
                let order = bits.order();
                bits.numbers(order, low);
                bits.unary(high);
                add_dense(sums, low, high, order, mean);
            } else {
                let length = bits.number(COUNT_BITS) as usize;
                if length == 0 {
                    blocks.by_ref().take(bits.number(EMPTY_BITS) as usize).for_each(drop);
                    continue;
                }
                let (low, high) = (&mut low[..2 * length], &mut high[..2 * length]);
                let orders = [bits.order(), bits.order()];
                bits.numbers(orders[0], &mut low[..length]);
                bits.numbers(orders[1], &mut low[length..]);
                bits.unary(high);
                let numbers = low.iter().zip(&*high).map(|(&low, &high)| (low, high));
                let gaps = numbers.clone().map(|(low, high)| high << orders[0] | low);
                let more = numbers.skip(length).map(|(low, high)| high << orders[1] | low);
                add_sparse(sums, gaps.zip(more));
            }
        }
    }
}

fn read_mean(bits: &mut Bits<'_>) -> u64 {
    match bits.number(MEAN_BITS) as u32 {
        0 => 0,
        // At most 62 bits, as a list that was written has.
        length => {
            let length = length.min(62);
            1 << (length - 1) | bits.number(length - 1)
        }
    }
}

/// Adds counts that are distances from a mean, in two parts each.
#[inline]
fn add_dense(sums: &mut [u64], low: &[u64], high: &[u64], order: u32, mean: u64) {
    let mut all = 0;
    for ((sum, &low), &high) in sums.iter_mut().zip(low).zip(high) {
        // In range even if it was not written by this library. So the sum of both fits.
        let count = at_distance(high << order | low, mean) & MAX_COUNT;
        *sum += count;
        all |= *sum;
    }
    if all > MAX_COUNT {
        limit(sums);
    }
}

/// Adds counts, each with the number of zeros before it, and less 1.
#[inline]
fn add_sparse(sums: &mut [u64], counts: impl Iterator<Item = (u64, u64)>) {
    let mut at = 0_usize;
    for (zeros, less) in counts {
        at = at.saturating_add(usize::try_from(zeros).unwrap_or(usize::MAX));
        // Past the end only if it was not written by this library.
        let Some(sum) = sums.get_mut(at) else { return };
        *sum = sum.saturating_add(less.saturating_add(1)).min(MAX_COUNT);
        at += 1;
    }
}

#[cold]
fn limit(sums: &mut [u64]) {
    sums.iter_mut().for_each(|sum| *sum = (*sum).min(MAX_COUNT));
}

/// Whether these bytes are the blocks of a list of this length, without a byte to spare.
fn is_whole(bytes: &[u8], length: usize) -> bool {
    let mut bits = Bits::new(bytes);
    let mut left = length;
    while left > 0 {
        let block = left.min(BLOCK);
        left -= block;
        if bits.number(1) == 1 {
            read_mean(&mut bits);
            let order = bits.order();
            if order > MAX_ORDER || !bits.skip(block * order as usize) || !bits.skip_unary(block as u32) {
                return false;
            }
            continue;
        }
        let numbers = bits.number(COUNT_BITS) as usize;
        if numbers > block {
            return false;
        }
        if numbers == 0 {
            let more = bits.number(EMPTY_BITS) as usize * BLOCK;
            // The last one may be short.
            if more >= left + BLOCK {
                return false;
            }
            left = left.saturating_sub(more);
            continue;
        }
        let (gaps, more) = (bits.order(), bits.order());
        if gaps.max(more) > MAX_ORDER
            || !bits.skip(numbers * (gaps + more) as usize)
            || !bits.skip_unary(2 * numbers as u32)
        {
            return false;
        }
    }
    length == 0 || bits.is_at_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(counts: &[u64]) -> Vec<u8> {
        let mut writer = ByteWriter::default();
        write(&mut writer, counts);
        writer.0
    }

    fn read_back(bytes: &[u8], allowed: usize) -> Result<Vec<u64>, DecodeError> {
        Ok(CountList::read(&mut ByteReader::new(bytes), allowed)?.unpacked())
    }

    /// Counts of all magnitudes, and many zeros.
    fn counts() -> impl Strategy<Value = Vec<u64>> {
        let count = (0_u32..64, 0..MAX_COUNT, 0_u32..4).prop_map(|(bits, count, zero)| {
            if bits % 3 == 0 || zero == 0 { 0 } else { count >> (63 - bits) }
        });
        let small = prop::collection::vec(0_u64..40, 0..300);
        let sparse = prop::collection::vec((0_u64..30).prop_map(|count| count.saturating_sub(26)), 0..600);
        prop_oneof![prop::collection::vec(count, 0..300), small, sparse]
    }

    proptest! {
        #[test]
        fn counts_are_read_as_written(counts in counts()) {
            prop_assert_eq!(read_back(&written(&counts), counts.len()), Ok(counts));
        }

        #[test]
        fn any_bytes_are_unpacked_to_counts_that_are_written_and_read_again(
            bytes in prop::collection::vec(any::<u8>(), 0..200), length in 1_u64..500
        ) {
            let mut writer = ByteWriter::default();
            writer.number(length);
            writer.number(bytes.len() as u64);
            writer.0.extend(bytes);
            if let Ok(counts) = read_back(&writer.0, 500) {
                prop_assert!(counts.iter().all(|&count| count <= MAX_COUNT));
                prop_assert_eq!(read_back(&written(&counts), 500), Ok(counts));
            }
        }

        #[test]
        fn a_list_that_is_cut_short_is_refused(counts in counts(), cut in 0.0..1.0) {
            let bytes = written(&counts);
            let kept = (bytes.len() as f64 * cut) as usize;
            prop_assert!(read_back(&bytes[..kept], counts.len()).is_err());
        }

        #[test]
        fn sums_stay_in_range(counts in counts(), before in 0..=MAX_COUNT) {
            let mut sums = vec![before; counts.len()];
            CountList::of(&counts).add_to(&mut sums);
            let expected: Vec<_> = counts.iter().map(|&count| (before + count).min(MAX_COUNT)).collect();
            prop_assert_eq!(sums, expected);
        }
    }

    #[test]
    fn the_bytes_match_the_documented_example() {
        // A 0, since it is sparse; 4 in seven bits; orders 0 and 1; the low bits of 0, 1, 8 and 8; then the ones after
        // 0, 3, 0 and 0 zeros, and after half of 0, 1, 8 and 8.
        let bytes = [7, 5, 0x08, 0x88, 0xc4, 0x87, 0x10];
        assert_eq!(written(&[1, 0, 0, 0, 2, 9, 9]), bytes);
        assert_eq!(written(&[]), [0]);
        // Nothing but padding may follow, and padding is zeros.
        let mut list = written(&[1]);
        assert_eq!(read_back(&list, 1), Ok(vec![1]));
        *list.last_mut().unwrap() |= 0x80;
        assert_eq!(read_back(&list, 1), Err(DecodeError::Counts));
    }

    #[test]
    fn a_billion_buckets_are_refused_before_memory_is_allocated() {
        let mut writer = ByteWriter::default();
        writer.number(1_000_000_000);
        let refused = DecodeError::TooMany { what: "buckets", count: 1_000_000_000, allowed: 3_840 };
        assert_eq!(read_back(&writer.0, 3_840), Err(refused));
    }

    #[test]
    fn the_largest_counts_are_read_as_written() {
        for count in [MAX_COUNT, MAX_COUNT - 1, 1 << 56, 1 << 31, (1 << 32) - 1] {
            assert_eq!(read_back(&written(&[count, 1]), 2), Ok(vec![count, 1]));
            assert_eq!(read_back(&written(&[count; 200]), 200), Ok(vec![count; 200]));
        }
    }
}
