//! The bits of version 1, and their two codes for numbers: exponential Golomb and Rice.

/// A Rice code that would need this many zeros or more has exactly this many, followed by an exponential Golomb code.
const MAX_ZEROS: u32 = 24;

/// Appends bits, the highest of each byte first.
#[cfg(test)]
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet, in the lowest places.
    open: u64,
    /// How many bits are in `open`.
    number: u32,
}

#[cfg(test)]
impl BitWriter {
    /// Appends an exponential Golomb code: one 0 for each bit of `number + 2^order` beyond `order + 1`, and then
    /// `number + 2^order` in binary.
    pub(super) fn code(&mut self, number: u64, order: u32) {
        let shifted = number + (1 << order);
        let bits = shifted.ilog2() + 1;
        self.put(0, bits - order - 1);
        if bits > 32 {
            self.put(shifted >> 32, bits - 32);
        }
        self.put(shifted & u64::from(u32::MAX), bits.min(32));
    }

    /// Appends a Rice code: `number / 2^order` zeros, a 1, and the `order` lowest bits of the number.
    pub(super) fn rice_code(&mut self, number: u64, order: u32) {
        if number >> order < u64::from(MAX_ZEROS) {
            self.put(0, (number >> order) as u32);
            self.put(1, 1);
            self.put(number & ((1 << order) - 1), order);
        } else {
            self.put(0, MAX_ZEROS);
            self.code(number - (u64::from(MAX_ZEROS) << order), order);
        }
    }

    /// Appends the lowest `bits` bits, at most 63; the bits above them are 0.
    fn put(&mut self, value: u64, bits: u32) {
        // In halves, so that they always fit into `open`.
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

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.number > 0 {
            self.bytes.push((self.open << (8 - self.number)) as u8);
        }
        self.bytes
    }
}

/// Bits, the highest of each byte first. After the end follow zeros, which are not a code.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a>(pub(super) &'a [u8]);

/// A number that was read, and the position of the bit after its code.
///
/// Two words, returned in registers. Each code can only be read once the one before is known, so a detour through
/// memory, as for an `Option`, would delay each of them.
#[derive(Clone, Copy)]
pub(super) struct Code {
    pub(super) number: u64,
    pub(super) end: usize,
}

impl Code {
    /// Not a code.
    const NONE: Self = Self { number: 0, end: usize::MAX };

    #[inline]
    pub(super) fn found(self) -> Option<Self> {
        (self.end != Self::NONE.end).then_some(self)
    }
}

impl Bits<'_> {
    /// How many bits [`Bits::look`] returns.
    const SEEN: u32 = u64::BITS - 7;

    /// Returns [`Bits::SEEN`] bits from the bit `at` on, in the highest places.
    #[inline]
    fn look(self, at: usize) -> u64 {
        let word = match self.0.get(at / 8..).and_then(<[u8]>::first_chunk) {
            Some(&word) => u64::from_be_bytes(word),
            None => self.look_at_end(at),
        };
        word << (at % 8)
    }

    #[cold]
    fn look_at_end(self, at: usize) -> u64 {
        let rest = self.0.iter().skip(at / 8).copied().chain(std::iter::repeat(0));
        rest.take(8).fold(0, |word, byte| word << 8 | u64::from(byte))
    }

    #[inline]
    pub(super) fn code(self, at: usize, order: u32) -> Code {
        let open = self.look(at);
        let zeros = open.leading_zeros();
        let bits = zeros + order + 1;
        // Nearly all codes fit.
        if zeros + bits > Self::SEEN {
            return self.long_code(at, order);
        }
        let shifted = open << zeros >> (u64::BITS - bits);
        Code { number: shifted - (1 << order), end: at + (zeros + bits) as usize }
    }

    #[inline]
    pub(super) fn rice_code(self, at: usize, order: u32) -> Code {
        // Without the long form after 24 zeros, a code has up to 24 bits, and 20 more.
        let open = self.look(at);
        let zeros = open.leading_zeros();
        if zeros >= MAX_ZEROS {
            return self.long_rice_code(at, order);
        }
        let low = open << (zeros + 1) >> 1 >> (u64::BITS - 1 - order);
        Code { number: u64::from(zeros) << order | low, end: at + (zeros + 1 + order) as usize }
    }

    #[cold]
    fn long_rice_code(self, at: usize, order: u32) -> Code {
        let Code { number, end } = self.code(at + MAX_ZEROS as usize, order);
        let number = number.checked_add(u64::from(MAX_ZEROS) << order);
        number.map_or(Code::NONE, |number| Code { number, end })
    }

    #[cold]
    fn long_code(self, at: usize, order: u32) -> Code {
        let bit = |at: usize| self.look(at) >> 63;
        // No number of 64 bits has more zeros.
        let Some(zeros) = (0..(u64::BITS - order) as usize).find(|&zeros| bit(at + zeros) == 1) else {
            return Code::NONE;
        };
        let end = at + 2 * zeros + order as usize + 1;
        let shifted = (at + zeros..end).fold(0, |value, at| value << 1 | bit(at));
        Code { number: shifted - (1 << order), end }
    }

    /// Whether only the padding of the last byte follows the bit `at`.
    pub(super) fn end_at(self, at: usize) -> bool {
        let left = (self.0.len() * 8).checked_sub(at);
        left.is_some_and(|left| left < 8 && self.look(at) == 0)
    }
}
