//! Numbers and texts as bytes, for what a history keeps and for what it is saved as.
//!
//! A number is split into groups of seven bits, the low ones first; all but the last group have the high bit set. A
//! text is its length in bytes, and the bytes.

use super::saved_error::SavedError;

/// Bytes of the longest number.
const MAX_NUMBER_BYTES: u32 = 10;

#[inline]
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

/// Takes the number at the front of bytes that this process wrote; 0 at the end.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift = (shift + 7) % u64::BITS;
    }
    number
}

/// Bytes that anybody may have written.
#[derive(Debug)]
pub(super) struct Untrusted<'a>(&'a [u8]);

impl<'a> Untrusted<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn number(&mut self) -> Result<u64, SavedError> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let (&byte, rest) = self.0.split_first().ok_or(SavedError::Damaged("it ends too early"))?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift >= 7 * MAX_NUMBER_BYTES || bits << shift >> shift != bits {
                return Err(SavedError::Damaged("a number is too large"));
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    /// A number that is at most `most`.
    pub(super) fn at_most(&mut self, most: u64) -> Result<u64, SavedError> {
        let number = self.number()?;
        if number > most { Err(SavedError::Damaged("a number is too large")) } else { Ok(number) }
    }

    /// The number of things that follow, each of which takes at least a byte. So a list is never longer than the bytes.
    pub(super) fn count(&mut self) -> Result<usize, SavedError> {
        let count = self.at_most(self.0.len() as u64)?;
        Ok(count as usize)
    }

    /// A number of bytes, and the bytes.
    pub(super) fn part(&mut self) -> Result<Untrusted<'a>, SavedError> {
        let length = self.count()?;
        let (part, rest) = self.0.split_at_checked(length).ok_or(SavedError::Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(Untrusted(part))
    }

    /// A text of at most `most` bytes.
    pub(super) fn text(&mut self, most: usize) -> Result<&'a str, SavedError> {
        let Untrusted(bytes) = self.part()?;
        if bytes.len() > most {
            return Err(SavedError::Damaged("a name is too long"));
        }
        std::str::from_utf8(bytes).map_err(|_| SavedError::Damaged("a name is not text"))
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_of_every_size_are_read_back(
            numbers in prop::collection::vec(any::<u64>(), 0..50),
            bits in 0_u32..64,
        ) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put(&mut bytes, number >> bits));
            let (mut rest, mut untrusted) = (&*bytes, Untrusted::new(&bytes));
            for number in numbers {
                prop_assert_eq!(take(&mut rest), number >> bits);
                prop_assert_eq!(untrusted.number(), Ok(number >> bits));
            }
            prop_assert!(rest.is_empty() && untrusted.is_empty());
        }
    }

    #[test]
    fn a_number_that_does_not_fit_and_one_that_ends_too_early_are_refused() {
        let number = |bytes: &[u8]| Untrusted::new(bytes).number();
        let mut largest = [0xff; 10];
        largest[9] = 1;
        assert_eq!(number(&largest), Ok(u64::MAX));
        largest[9] = 2;
        let too_large = Err(SavedError::Damaged("a number is too large"));
        assert_eq!(number(&largest), too_large);
        assert_eq!(number(&[0x80; 11]), too_large);
        assert_eq!(number(&[0x80; 3]), Err(SavedError::Damaged("it ends too early")));
        assert_eq!(Untrusted::new(&[5, b'a']).text(9), Err(SavedError::Damaged("a number is too large")));
        assert_eq!(Untrusted::new(&[1, 0xff]).text(9), Err(SavedError::Damaged("a name is not text")));
        assert_eq!(Untrusted::new(&[2, b'a', b'b']).text(1), Err(SavedError::Damaged("a name is too long")));
    }
}
