//! Lists of counts in version 1, in few bits. Neighbouring buckets hold similar counts, so a count is written as its distance from
//! the mean of the counts before it. While that mean is small most counts are zero, and runs of zeros are written
//! instead.
//!
//! A list is its length, a number of bytes, and these bytes, which hold codes, the highest bits first. The code of a
//! count depends on a running mean of the counts before, in which each count weighs an eighth; see [`Mean`].
//!
//! - While the mean is below 1: the length of the run of zeros, and, unless the list ends there, the count after it
//!   less 1. The run is in an exponential Golomb code whose order falls from 3 to 0 as the mean rises, the count in one
//!   of order 0.
//! - From 1 on: the distance of the count from the mean, in a Rice code with about half as many bits as the mean has,
//!   since counts scatter by about the square root of their mean.
//!
//! This takes about a tenth more bits than an arithmetic coder with the same mean, and is much faster to read.

#[cfg(test)]
use super::bits::BitWriter;
use super::bits::Bits;
use crate::fleet::bytes::ByteReader;
#[cfg(test)]
use crate::fleet::bytes::ByteWriter;
use crate::fleet::counts::MAX_COUNT;
use crate::fleet::error::DecodeError;

/// The mean after a run of zeros, by the length of the run and the mean before, below 1. After 39 zeros it is constant.
static AFTER_ZEROS: [[u8; Mean::ONE as usize]; 40] = {
    let mut table = [[0; Mean::ONE as usize]; 40];
    let mut mean = 0;
    while mean < table[0].len() {
        table[0][mean] = mean as u8;
        mean += 1;
    }
    let mut zeros = 1;
    while zeros < table.len() {
        let mut mean = 0;
        while mean < table[0].len() {
            let before = table[zeros - 1][mean];
            table[zeros][mean] = before - (before >> 3);
            mean += 1;
        }
        zeros += 1;
    }
    table
};

/// The running mean of the counts before, in units of 1/256.
#[derive(Clone, Copy, Default)]
struct Mean(u64);

impl Mean {
    /// 1, in the units of the mean.
    const ONE: u64 = 256;

    /// Larger counts weigh as much as this one.
    const MOST: u64 = 1 << 40;

    #[inline]
    fn is_low(self) -> bool {
        self.0 < Self::ONE
    }

    #[inline]
    fn add(&mut self, count: u64) {
        self.0 = self.0 - (self.0 >> 3) + ((count.min(Self::MOST) * Self::ONE) >> 3);
    }

    /// The same as adding zeros one by one.
    #[inline]
    fn add_zeros(&mut self, zeros: u64) {
        debug_assert!(self.is_low());
        let zeros = zeros.min(AFTER_ZEROS.len() as u64 - 1) as usize;
        self.0 = AFTER_ZEROS[zeros][(self.0 % Self::ONE) as usize].into();
    }

    /// The order of the code of a run of zeros.
    #[inline]
    fn zeros_order(self) -> u32 {
        u32::from(self.0 < 20) + u32::from(self.0 < 60) + u32::from(self.0 < 120)
    }

    #[inline]
    fn rounded(self) -> u64 {
        (self.0 + Self::ONE / 2) / Self::ONE
    }
}

/// The order of the code of a distance, for a mean of 1 or more.
#[inline]
fn distance_order(mean: u64) -> u32 {
    mean.ilog2().div_ceil(2)
}

/// The distance from the mean as a number: 0, -1, 1, -2, 2 and so on, up to twice the mean; from there on, the count
/// itself.
#[cfg(test)]
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

#[cfg(test)]
fn write(writer: &mut ByteWriter, counts: &[u64]) {
    writer.number(counts.len() as u64);
    if counts.is_empty() {
        return;
    }
    let mut bits = BitWriter::default();
    let mut mean = Mean::default();
    let mut rest = counts;
    while !rest.is_empty() {
        let low = mean.is_low();
        if low {
            let zeros = rest.iter().position(|&count| count != 0).unwrap_or(rest.len());
            bits.code(zeros as u64, mean.zeros_order());
            mean.add_zeros(zeros as u64);
            rest = &rest[zeros..];
        }
        let Some((&count, behind)) = rest.split_first() else { break };
        rest = behind;
        let count = count.min(MAX_COUNT);
        if low {
            bits.code(count - 1, 0);
        } else {
            let middle = mean.rounded();
            bits.rice_code(distance(count, middle), distance_order(middle));
        }
        mean.add(count);
    }
    let bytes = bits.finish();
    writer.number(bytes.len() as u64);
    writer.0.extend_from_slice(&bytes);
}

/// Reads a list of `allowed` counts at most.
pub(super) fn read(reader: &mut ByteReader<'_>, allowed: usize) -> Result<Vec<u64>, DecodeError> {
    let wanted = reader.number()?;
    let length = usize::try_from(wanted).ok().filter(|&length| length <= allowed);
    let length = length.ok_or(DecodeError::TooMany { what: "buckets", count: wanted, allowed })?;
    let bytes = if length == 0 { 0 } else { reader.count("bytes of buckets", usize::MAX)? };
    let mut counts = vec![0; length];
    read_bits(Bits(reader.bytes(bytes)?), &mut counts).ok_or(DecodeError::Counts)?;
    Ok(counts)
}

fn read_bits(bits: Bits<'_>, counts: &mut [u64]) -> Option<()> {
    let mut mean = Mean::default();
    let (mut bit, mut at) = (0, 0);
    while at < counts.len() {
        let count = if mean.is_low() {
            let zeros = bits.code(bit, mean.zeros_order()).found()?;
            bit = zeros.end;
            if zeros.number > (counts.len() - at) as u64 {
                return None;
            }
            mean.add_zeros(zeros.number);
            at += zeros.number as usize;
            if at == counts.len() {
                break;
            }
            let more = bits.code(bit, 0).found()?;
            bit = more.end;
            more.number.saturating_add(1)
        } else {
            let middle = mean.rounded();
            let distance = bits.rice_code(bit, distance_order(middle)).found()?;
            bit = distance.end;
            at_distance(distance.number, middle)
        };
        if count > MAX_COUNT {
            return None;
        }
        counts[at] = count;
        at += 1;
        mean.add(count);
    }
    bits.end_at(bit).then_some(())
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
        read(&mut ByteReader::new(bytes), allowed)
    }

    /// Counts of all magnitudes, and many zeros.
    fn counts() -> impl Strategy<Value = Vec<u64>> {
        let count = (0_u32..64, 0..MAX_COUNT)
            .prop_map(|(bits, count)| if bits % 3 == 0 { 0 } else { count >> (63 - bits) });
        prop::collection::vec(count, 0..300)
    }

    proptest! {
        #[test]
        fn counts_are_read_as_written(counts in counts()) {
            prop_assert_eq!(read_back(&written(&counts), counts.len()), Ok(counts));
        }

        #[test]
        fn any_bytes_are_read_without_panic_and_up_to_the_limit(
            bytes in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            if let Ok(counts) = read_back(&bytes, 500) {
                prop_assert!(counts.len() <= 500);
            }
        }

        #[test]
        fn a_list_that_is_cut_short_is_refused(counts in counts(), cut in 0.0..1.0) {
            let bytes = written(&counts);
            let kept = (bytes.len() as f64 * cut) as usize;
            prop_assert!(read_back(&bytes[..kept], counts.len()).is_err());
        }
    }

    #[test]
    fn the_bytes_match_the_documented_example() {
        // At mean 0, no zeros are 1000, and 1 less 1 is 1. At mean 32, three zeros are 111, and 2 less 1 is 010. At
        // mean 84, no zeros are 10, and 9 less 1 is 0001001. At mean 362, or 1 rounded, 9 is nine zeros and a 1.
        let bytes = [7, 4, 0b1000_1111, 0b0101_0000, 0b1001_0000, 0b0000_0100];
        assert_eq!(written(&[1, 0, 0, 0, 2, 9, 9]), bytes);
        assert_eq!(written(&[]), [0]);
        assert_eq!(read_back(&[1, 1, 0b1000_1001], 1), Err(DecodeError::Counts));
        assert_eq!(read_back(&[1, 2, 0b1000_1000, 0], 1), Err(DecodeError::Counts));
    }

    #[test]
    fn a_run_of_zeros_changes_the_mean_like_single_zeros() {
        for low in 0..Mean::ONE {
            let mut one_by_one = Mean(low);
            for zeros in 0..60 {
                let mut at_once = Mean(low);
                at_once.add_zeros(zeros);
                assert_eq!(at_once.0, one_by_one.0, "{low} {zeros}");
                one_by_one.add(0);
            }
        }
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
        }
    }
}
