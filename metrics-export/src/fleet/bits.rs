//! Bits as bytes, and two codes for numbers: exponential Golomb and Rice.

/// A Rice code of this many zeros or more is one of exactly as many, and an exponential Golomb code behind it.
const MAX_ZEROS: u32 = 24;

/// Appends bits, the highest of each byte first.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// The bits that make no whole byte yet, in the lowest places.
    open: u64,
    number: u32,
}

impl BitWriter {
    /// An exponential Golomb code: `number + 2^order` in binary, behind one 0 for each of its bits beyond `order + 1`.
    pub(super) fn code(&mut self, number: u64, order: u32) {
        let shifted = number + (1 << order);
        let bits = shifted.ilog2() + 1;
        self.put(0, bits - order - 1);
        if bits > 32 {
            self.put(shifted >> 32, bits - 32);
        }
        self.put(shifted & u64::from(u32::MAX), bits.min(32));
    }

    /// `number / 2^order` zeros, a 1, and the `order` lowest bits of the number.
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

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.number > 0 {
            self.bytes.push((self.open << (8 - self.number)) as u8);
        }
        self.bytes
    }
}

/// Bits, the highest of each byte first. Behind the end there are zeros, of which there is no code.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a>(pub(super) &'a [u8]);

/// A number that was read, and how many bits there are up to the end of its code.
///
/// Two words, handed on in registers: what a code means is known only once the one before is read, and the way through memory
/// that an `Option` takes makes each wait longer.
#[derive(Clone, Copy)]
pub(super) struct Code {
    pub(super) number: u64,
    pub(super) end: usize,
}

impl Code {
    /// There is no code.
    const NONE: Self = Self { number: 0, end: usize::MAX };

    #[inline]
    pub(super) fn found(self) -> Option<Self> {
        (self.end != Self::NONE.end).then_some(self)
    }
}

impl Bits<'_> {
    /// How many bits are seen together.
    const SEEN: u32 = u64::BITS - 7;

    /// [`Bits::SEEN`] bits from the bit `at` on, in the highest places.
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
        // Nearly always all of the code is there.
        if zeros + bits > Self::SEEN {
            return self.long_code(at, order);
        }
        let shifted = open << zeros >> (u64::BITS - bits);
        Code { number: shifted - (1 << order), end: at + (zeros + bits) as usize }
    }

    #[inline]
    pub(super) fn rice_code(self, at: usize, order: u32) -> Code {
        // All of it but what is behind 24 zeros: up to 24 bits, and 20 more.
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
        // No number of 64 bits has more of them.
        let Some(zeros) = (0..(u64::BITS - order) as usize).find(|&zeros| bit(at + zeros) == 1) else {
            return Code::NONE;
        };
        let end = at + 2 * zeros + order as usize + 1;
        let shifted = (at + zeros..end).fold(0, |value, at| value << 1 | bit(at));
        Code { number: shifted - (1 << order), end }
    }

    /// Whether nothing is behind the bit `at` but what fills up the last byte.
    pub(super) fn end_at(self, at: usize) -> bool {
        let left = (self.0.len() * 8).checked_sub(at);
        left.is_some_and(|left| left < 8 && self.look(at) == 0)
    }
}
