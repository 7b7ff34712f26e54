//! Numbers and texts as bytes: a writer, and a reader that checks everything.

use std::borrow::Cow;

use metrics_core::visible;

use super::error::DecodeError;

/// Appends to a buffer.
#[derive(Debug, Default)]
pub(super) struct ByteWriter(pub(super) Vec<u8>);

impl ByteWriter {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Appends LEB128: seven bits a byte, the lowest first, the highest bit set on all bytes but the last.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// Appends the number of bytes, and the bytes in UTF-8.
    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Appends a part that can be skipped: the number of its bytes, and what `write` writes.
    pub(super) fn part(&mut self, write: impl FnOnce(&mut Self)) {
        let mut part = Self::default();
        write(&mut part);
        self.number(part.0.len() as u64);
        self.0.append(&mut part.0);
    }
}

/// Reads from the front of a slice.
#[derive(Debug)]
pub(super) struct ByteReader<'a>(&'a [u8]);

impl<'a> ByteReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(DecodeError::CutShort)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&byte, rest) = self.0.split_first().ok_or(DecodeError::CutShort)?;
        self.0 = rest;
        Ok(byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(DecodeError::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::Number)
    }

    /// Reads the number of bytes of a part, and returns a reader of these.
    pub(super) fn part(&mut self) -> Result<Self, DecodeError> {
        let length = self.count("bytes of a part", usize::MAX)?;
        self.bytes(length).map(Self)
    }

    /// Like [`number`](Self::number), or 0 at the end: an older writer does not have the field.
    pub(super) fn number_if_any(&mut self) -> Result<u64, DecodeError> {
        if self.left() == 0 { Ok(0) } else { self.number() }
    }

    /// Reads how many elements follow. Each takes at least one byte, so a number above the bytes left is refused before
    /// anything is allocated.
    pub(super) fn count(&mut self, what: &'static str, allowed: usize) -> Result<usize, DecodeError> {
        let count = self.number()?;
        match usize::try_from(count) {
            Ok(count) if count <= allowed => {
                if count <= self.left() {
                    Ok(count)
                } else {
                    Err(DecodeError::CutShort)
                }
            }
            _ => Err(DecodeError::TooMany { what, count, allowed }),
        }
    }

    /// Reads a text, with hidden characters escaped, since anyone who can write to the Redis chose it.
    pub(super) fn text(&mut self, what: &'static str, longest: usize) -> Result<Cow<'a, str>, DecodeError> {
        self.raw_text(what, longest).map(|text| visible(text, longest))
    }

    /// Reads a text as it was written.
    pub(super) fn raw_text(&mut self, what: &'static str, longest: usize) -> Result<&'a str, DecodeError> {
        let length = self.count(what, longest)?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| DecodeError::Text { what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_reads_as_it_was_written(number: u64) {
            let mut writer = ByteWriter::default();
            writer.number(number);
            let mut reader = ByteReader::new(&writer.0);
            prop_assert_eq!(reader.number(), Ok(number));
            prop_assert_eq!(reader.left(), 0);
        }
    }

    #[test]
    fn a_number_over_64_bits_is_refused() {
        let mut longest = [0xff; 10];
        longest[9] = 1;
        assert_eq!(ByteReader::new(&longest).number(), Ok(u64::MAX));
        longest[9] = 2;
        assert_eq!(ByteReader::new(&longest).number(), Err(DecodeError::Number));
        assert_eq!(ByteReader::new(&[0x80; 11]).number(), Err(DecodeError::Number));
        assert_eq!(ByteReader::new(&[0x80]).number(), Err(DecodeError::CutShort));
    }

    #[test]
    fn a_length_is_checked_against_the_bytes_left_before_anything_else() {
        let refused = ByteReader::new(&[200, 1]).count("things", 100);
        assert_eq!(refused, Err(DecodeError::TooMany { what: "things", count: 200, allowed: 100 }));
        assert_eq!(ByteReader::new(&[5, 1]).text("bytes", 100), Err(DecodeError::CutShort));
        assert_eq!(ByteReader::new(&[1, 0xff]).text("bytes", 100), Err(DecodeError::Text { what: "bytes" }));
    }
}
