//! Lists of counts, bit by bit: most are small, and most of those beside a small one are small, too.
//!
//! A list is its length, the order `k`, the number of bytes, and these: for each count its exponential Golomb code of order
//! `k`, the highest bits first. That of `n` is `n + 2^k` in binary, behind one 0 for each of its bits beyond `k + 1`. A
//! count of 0 is followed by the code (of order 0) of how many more there are, and stands for all of them. The last byte is
//! filled up with zeros. An empty list is its length alone.

use super::bytes::{Reader, Writer};
use super::error::DecodeError;

/// The largest order.
const MAX_ORDER: u32 = 40;

/// The largest count: what a histogram's bucket holds.
const MAX_COUNT: u64 = i64::MAX as u64;

/// Bits of the code of a number. At most 2^63 + 2^40, so that nothing overflows.
fn length(number: u64, order: u32) -> u32 {
    2 * (number + (1 << order)).ilog2() + 1 - order
}

pub(super) fn write(writer: &mut Writer, counts: &[u64]) {
    writer.number(counts.len() as u64);
    if counts.is_empty() {
        return;
    }
    let order = best_order(counts);
    writer.byte(order as u8);
    let mut bits = BitWriter::default();
    let mut rest = counts;
    while let [count, behind @ ..] = rest {
        rest = behind;
        bits.code((*count).min(MAX_COUNT), order);
        if *count == 0 {
            let run = rest.iter().position(|&count| count != 0).unwrap_or(rest.len());
            bits.code(run as u64, 0);
            rest = &rest[run..];
        }
    }
    let bytes = bits.finish();
    writer.number(bytes.len() as u64);
    writer.0.extend_from_slice(&bytes);
}

/// Reads a list of `allowed` counts at most into `counts`, which is cleared first.
pub(super) fn read(
    reader: &mut Reader<'_>,
    allowed: usize,
    counts: &mut Vec<u64>,
) -> Result<(), DecodeError> {
    counts.clear();
    let wanted = reader.number()?;
    let length = usize::try_from(wanted).ok().filter(|&length| length <= allowed);
    let length = length.ok_or(DecodeError::TooMany { what: "buckets", count: wanted, allowed })?;
    if length == 0 {
        return Ok(());
    }
    let order = u32::from(reader.byte()?);
    if order > MAX_ORDER {
        return Err(DecodeError::Counts);
    }
    let bytes = reader.count("bytes of buckets", usize::MAX)?;
    let mut bits = BitReader::new(reader.bytes(bytes)?);
    // At most `allowed`, which the caller bounds.
    counts.reserve(length);
    while counts.len() < length {
        let count = bits.code(order)?;
        if count > MAX_COUNT {
            return Err(DecodeError::Counts);
        }
        counts.push(count);
        if count == 0 {
            let run = bits.code(0)?;
            if run > (length - counts.len()) as u64 {
                return Err(DecodeError::Counts);
            }
            counts.resize(counts.len() + run as usize, 0);
        }
    }
    if bits.is_done() { Ok(()) } else { Err(DecodeError::Counts) }
}

/// The order that takes the fewest bits, among those near the mean.
fn best_order(counts: &[u64]) -> u32 {
    let used = counts.iter().filter(|&&count| count != 0);
    let (number, sum) = used.clone().fold((0_u64, 0_u64), |(n, sum), &c| (n + 1, sum.saturating_add(c)));
    let mean = sum.checked_div(number).unwrap_or(0).max(1).ilog2().min(MAX_ORDER);
    let bits = |order: u32| {
        let code = |&count: &u64| u64::from(length(count.min(MAX_COUNT), order));
        used.clone().map(code).sum::<u64>()
    };
    (mean.saturating_sub(3)..=mean).min_by_key(|&order| bits(order)).unwrap_or(0)
}

/// Appends bits, the highest of each byte first.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    /// The bits that make no whole byte yet, in the lowest places.
    open: u64,
    number: u32,
}

impl BitWriter {
    fn code(&mut self, number: u64, order: u32) {
        let shifted = number + (1 << order);
        let bits = shifted.ilog2() + 1;
        self.put(0, bits - order - 1);
        if bits > 32 {
            self.put(shifted >> 32, bits - 32);
        }
        self.put(shifted & u64::from(u32::MAX), bits.min(32));
    }

    /// Appends the lowest `bits` bits, of which there are no more than 63; above them all are 0.
    fn put(&mut self, value: u64, bits: u32) {
        // In halves, so that what is open always has room.
        if bits > 32 {
            self.put(value >> 32, bits - 32);
            return self.put(value & u64::from(u32::MAX), 32);
        }
        self.open = self.open << bits | value;
        self.number += bits;
        while self.number >= 8 {
            self.number -= 8;
            self.bytes.push((self.open >> self.number) as u8);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.number > 0 {
            self.bytes.push((self.open << (8 - self.number)) as u8);
        }
        self.bytes
    }
}

/// Takes bits off the front.
struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits that were taken.
    at: usize,
}

impl<'a> BitReader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next 56 bits or more, in the highest places; behind the end there are zeros.
    fn peek(&self) -> u64 {
        let from = self.at / 8;
        let word = match self.bytes.get(from..from + 8) {
            Some(word) => u64::from_be_bytes(word.try_into().unwrap_or_default()),
            None => {
                let rest = self.bytes.get(from..).unwrap_or_default();
                rest.iter().enumerate().fold(0, |word, (i, &byte)| word | u64::from(byte) << (56 - 8 * i))
            }
        };
        word << (self.at % 8)
    }

    fn code(&mut self, order: u32) -> Result<u64, DecodeError> {
        let next = self.peek();
        let zeros = next.leading_zeros();
        let bits = zeros + order + 1;
        // Nearly always all of the code is there.
        let shifted = if zeros + bits <= 56 {
            self.at += (zeros + bits) as usize;
            next << zeros >> (u64::BITS - bits)
        } else {
            self.long_code(order)?
        };
        if self.at > self.bytes.len() * 8 {
            return Err(DecodeError::Counts);
        }
        shifted.checked_sub(1 << order).ok_or(DecodeError::Counts)
    }

    #[cold]
    fn long_code(&mut self, order: u32) -> Result<u64, DecodeError> {
        let end = self.bytes.len() * 8;
        let mut zeros = 0;
        while self.peek() >> 63 == 0 {
            zeros += 1;
            self.at += 1;
            // More than any number of 64 bits has.
            if zeros + order >= u64::BITS || self.at >= end {
                return Err(DecodeError::Counts);
            }
        }
        let mut value = 0;
        for _ in 0..=zeros + order {
            value = value << 1 | self.peek() >> 63;
            self.at += 1;
        }
        Ok(value)
    }

    /// Whether nothing is left but what fills up the last byte.
    fn is_done(&self) -> bool {
        self.bytes.len() * 8 - self.at < 8 && self.peek() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(counts: &[u64]) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer, counts);
        writer.0
    }

    fn read_back(bytes: &[u8], allowed: usize) -> Result<Vec<u64>, DecodeError> {
        let mut counts = vec![7];
        read(&mut Reader::new(bytes), allowed, &mut counts).map(|()| counts)
    }

    /// Counts of all magnitudes, and many zeros.
    fn counts() -> impl Strategy<Value = Vec<u64>> {
        let count = (0_u32..64, 0..MAX_COUNT)
            .prop_map(|(bits, count)| if bits % 3 == 0 { 0 } else { count >> (63 - bits) });
        prop::collection::vec(count, 0..300)
    }

    proptest! {
        #[test]
        fn counts_read_as_they_were_written(counts in counts()) {
            prop_assert_eq!(read_back(&written(&counts), counts.len()), Ok(counts));
        }

        #[test]
        fn whatever_the_bytes_nothing_panics_and_no_more_is_read_than_allowed(
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
    fn the_bytes_are_those_of_the_documented_example() {
        // Order 0. 1 is 010, 0 is 1 and the two more zeros 011, 2 is 011: 0101 0110 11 and zeros.
        assert_eq!(written(&[1, 0, 0, 0, 2]), [5, 0, 2, 0b0101_0110, 0b1100_0000]);
        assert_eq!(written(&[]), [0]);
        assert_eq!(read_back(&[5, 0, 2, 0b0101_0110, 0b1100_0001], 5), Err(DecodeError::Counts));
        assert_eq!(read_back(&[5, 0, 3, 0b0101_0110, 0b1100_0000, 0], 5), Err(DecodeError::Counts));
    }

    #[test]
    fn a_billion_buckets_are_refused_before_there_is_room_for_them() {
        let mut writer = Writer::default();
        writer.number(1_000_000_000);
        let refused = DecodeError::TooMany { what: "buckets", count: 1_000_000_000, allowed: 3_840 };
        assert_eq!(read_back(&writer.0, 3_840), Err(refused));
    }

    #[test]
    fn bits_and_bytes_of_the_largest_count_are_as_promised() {
        for count in [MAX_COUNT, MAX_COUNT - 1, 1 << 56, 1 << 31, (1 << 32) - 1] {
            assert_eq!(read_back(&written(&[count, 1]), 2), Ok(vec![count, 1]));
        }
    }
}
