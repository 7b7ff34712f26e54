//! Bits as bytes, the lowest of each byte first, and three codes: plain numbers, unary numbers, and orders.

/// Appends bits, the lowest of each byte first.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet, in the lowest places.
    open: u64,
    /// How many bits are in `open`, less than eight.
    number: u32,
}

impl BitWriter {
    /// Appends the lowest `bits` bits, at most 63; the bits above them are ignored.
    pub(super) fn put(&mut self, value: u64, bits: u32) {
        // In halves, so that they always fit into `open`.
        if bits > 32 {
            self.put(value, 32);
            return self.put(value >> 32, bits - 32);
        }
        self.open |= (value & ((1 << bits) - 1)) << self.number;
        self.number += bits;
        while self.number >= 8 {
            self.bytes.push(self.open as u8);
            self.open >>= 8;
            self.number -= 8;
        }
    }

    /// Appends `number` zeros and a one.
    pub(super) fn unary(&mut self, number: u64) {
        (0..number / 32).for_each(|_| self.put(0, 32));
        let rest = (number % 32) as u32;
        self.put(1 << rest, rest + 1);
    }

    /// Appends an order: three bits, of which 7 says that six more bits hold it.
    pub(super) fn order(&mut self, order: u32) {
        if order < LONG_ORDER {
            return self.put(order.into(), 3);
        }
        self.put(LONG_ORDER.into(), 3);
        self.put(order.into(), 6);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.number > 0 {
            self.bytes.push(self.open as u8);
        }
        self.bytes
    }
}

/// The first order that three bits do not hold.
const LONG_ORDER: u32 = 7;

/// How many bits an order takes.
pub(super) fn order_bits(order: u32) -> u64 {
    if order < LONG_ORDER { 3 } else { 9 }
}

/// Reads bits, the lowest of each byte first. After the end follow zeros.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The position of the next bit.
    at: usize,
}

impl<'a> Bits<'a> {
    /// How many bits [`look`](Self::look) returns at least.
    const SEEN: u32 = u64::BITS - 7;

    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// At least [`Bits::SEEN`] bits from the bit `at` on, in the lowest places.
    #[inline]
    fn look(&self, at: usize) -> u64 {
        let word = match self.bytes.get(at / 8..).and_then(<[u8]>::first_chunk) {
            Some(&word) => u64::from_le_bytes(word),
            None => self.look_at_end(at),
        };
        word >> (at % 8)
    }

    #[cold]
    fn look_at_end(&self, at: usize) -> u64 {
        let rest = self.bytes.iter().skip(at / 8).take(8).enumerate();
        rest.fold(0, |word, (place, &byte)| word | u64::from(byte) << (8 * place))
    }

    /// Reads a number of `bits` bits, at most 63.
    #[inline]
    pub(super) fn number(&mut self, bits: u32) -> u64 {
        if bits > Self::SEEN {
            let low = self.number(32);
            return low | self.number(bits - 32) << 32;
        }
        let number = self.look(self.at) & ((1 << bits) - 1);
        self.at += bits as usize;
        number
    }

    /// Reads an order.
    #[inline]
    pub(super) fn order(&mut self) -> u32 {
        match self.number(3) as u32 {
            LONG_ORDER => self.number(6) as u32,
            order => order,
        }
    }

    /// Reads numbers of `bits` bits, at most 56, as many as `numbers` has.
    #[inline]
    pub(super) fn numbers(&mut self, bits: u32, numbers: &mut [u64]) {
        if bits == 0 {
            return numbers.fill(0);
        }
        let mask = (1 << bits) - 1;
        let at_once = Self::SEEN / bits;
        for numbers in numbers.chunks_mut(at_once as usize) {
            let mut word = self.look(self.at);
            self.at += bits as usize * numbers.len();
            for number in numbers {
                *number = word & mask;
                word >>= bits;
            }
        }
    }

    /// Reads unary numbers, as many as `numbers` has. Those beyond the end of the bits stay as they are.
    #[inline]
    pub(super) fn unary(&mut self, numbers: &mut [u64]) {
        let mut numbers = numbers.iter_mut();
        // Where the number began, by the places of the current word, and so below 0 if it began in one before.
        let mut begun = 0_i64;
        while numbers.len() > 0 && self.at < self.end() {
            let mut word = self.look(self.at);
            let seen = u64::BITS as usize - self.at % 8;
            while word != 0 {
                let Some(number) = numbers.next() else { break };
                let one = i64::from(word.trailing_zeros());
                *number = (one - begun) as u64;
                begun = one + 1;
                word &= word - 1;
            }
            if numbers.len() == 0 && begun > 0 {
                self.at += begun as usize;
                return;
            }
            begun -= seen as i64;
            self.at += seen;
        }
    }

    /// Skips bits. Returns whether there were that many.
    pub(super) fn skip(&mut self, bits: usize) -> bool {
        self.at = self.at.saturating_add(bits);
        self.at <= self.end()
    }

    /// Skips unary numbers. Returns whether there were that many.
    pub(super) fn skip_unary(&mut self, mut numbers: u32) -> bool {
        while numbers > 0 {
            if self.at >= self.end() {
                return false;
            }
            let mut word = self.look(self.at);
            let ones = word.count_ones();
            if ones < numbers {
                numbers -= ones;
                self.at += 64 - self.at % 8;
                continue;
            }
            (1..numbers).for_each(|_| word &= word - 1);
            self.at += word.trailing_zeros() as usize + 1;
            numbers = 0;
        }
        true
    }

    /// Whether only the padding of the last byte is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.end().checked_sub(self.at).is_some_and(|left| left < 8 && self.look(self.at) == 0)
    }

    fn end(&self) -> usize {
        self.bytes.len() * 8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(
            numbers in prop::collection::vec((any::<u64>(), 0_u32..=56), 0..50),
            unary in prop::collection::vec(0_u64..200, 0..50), order in 0_u32..64
        ) {
            let mut writer = BitWriter::default();
            numbers.iter().for_each(|&(number, bits)| writer.put(number, bits));
            unary.iter().for_each(|&number| writer.unary(number));
            writer.order(order);
            let bytes = writer.finish();
            let mut bits = Bits::new(&bytes);
            for &(number, length) in &numbers {
                prop_assert_eq!(bits.number(length), number & ((1 << length) - 1));
            }
            let mut skipping = bits;
            let mut read = vec![0; unary.len()];
            bits.unary(&mut read);
            prop_assert_eq!(read, unary.clone());
            prop_assert!(skipping.skip_unary(unary.len() as u32));
            prop_assert_eq!(skipping.at, bits.at);
            prop_assert_eq!(bits.order(), order);
            prop_assert!(bits.is_at_end());
            prop_assert!(!bits.skip(8) && !skipping.skip_unary(1_000));
        }
    }
}
