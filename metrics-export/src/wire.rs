//! The parts of protobuf's wire format that are needed here, written straight into a buffer.

/// Writes one field after the other. Field numbers are below 16, so that a key is one byte.
#[derive(Debug)]
pub(crate) struct Wire<'a>(pub(crate) &'a mut Vec<u8>);

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const DELIMITED: u8 = 2;

impl Wire<'_> {
    pub(crate) fn uint(&mut self, field: u8, value: u64) {
        self.key(field, VARINT);
        self.varint(value);
    }

    /// A signed integer near 0, zigzag encoded.
    pub(crate) fn sint(&mut self, field: u8, value: i32) {
        self.key(field, VARINT);
        self.zigzag(value.into());
    }

    pub(crate) fn double(&mut self, field: u8, value: f64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, field: u8, text: &str) {
        self.key(field, DELIMITED);
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A nested message, or anything else that begins with its length.
    pub(crate) fn nested(&mut self, field: u8, write: impl FnOnce(&mut Self)) {
        self.key(field, DELIMITED);
        // Most lengths fit into one byte.
        let length = self.0.len();
        self.0.push(0);
        let begin = self.0.len();
        write(self);
        match self.0.len() - begin {
            short @ ..0x80 => self.0[length] = short as u8,
            long => {
                self.0[length] = long as u8 | 0x80;
                self.insert(begin, long >> 7);
            }
        }
    }

    /// One number of a packed list, zigzag encoded.
    pub(crate) fn zigzag(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// A length, without a field.
    pub(crate) fn length(&mut self, len: usize) {
        self.varint(len as u64);
    }

    fn insert(&mut self, at: usize, varint: usize) {
        let end = self.0.len();
        self.varint(varint as u64);
        let bytes = self.0.len() - end;
        self.0[at..].rotate_right(bytes);
    }

    fn key(&mut self, field: u8, wire_type: u8) {
        debug_assert!((1..16).contains(&field));
        self.0.push(field << 3 | wire_type);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Wire<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Wire(&mut out));
        out
    }

    /// The examples of the format's documentation.
    #[test]
    fn numbers_and_texts_are_written_as_described() {
        assert_eq!(written(|wire| wire.uint(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(written(|wire| wire.text(2, "testing")), b"\x12\x07testing");
        assert_eq!(written(|wire| wire.nested(3, |wire| wire.uint(1, 150))), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        for (value, encoded) in
            [(0, 0_u32), (-1, 1), (1, 2), (-2, 3), (i32::MAX, 0xffff_fffe), (i32::MIN, 0xffff_ffff)]
        {
            assert_eq!(written(|wire| wire.sint(1, value)), written(|wire| wire.uint(1, encoded.into())));
        }
        assert_eq!(written(|wire| wire.double(1, 1.0)), [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    }

    #[test]
    fn a_length_of_several_bytes_is_inserted_before_its_content() {
        let text = "x".repeat(300);
        let nested = written(|wire| wire.nested(1, |wire| wire.text(1, &text)));
        assert_eq!(nested[..6], [0x0a, 0xaf, 0x02, 0x0a, 0xac, 0x02]);
        assert_eq!(nested[6..], *text.as_bytes());
    }
}
