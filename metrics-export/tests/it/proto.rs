//! A small parser of protobuf's wire format: fields by number, without a schema.

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Field {
    Varint(u64),
    Double(f64),
    Bytes(Vec<u8>),
}

/// A message: its fields in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message(Vec<(u64, Field)>);

impl Message {
    pub(crate) fn parse(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Varint(varint(&mut bytes)),
                1 => Field::Double(f64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
                2 => {
                    let length = varint(&mut bytes);
                    Field::Bytes(take(&mut bytes, length as usize).to_vec())
                }
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &Field> {
        self.0.iter().filter(move |(known, _)| *known == number).map(|(_, field)| field)
    }

    pub(crate) fn messages(&self, number: u64) -> Vec<Self> {
        let bytes = self.all(number).map(|field| match field {
            Field::Bytes(bytes) => Self::parse(bytes),
            other => panic!("{other:?} is not a message"),
        });
        bytes.collect()
    }

    pub(crate) fn text(&self, number: u64) -> String {
        match self.all(number).next() {
            Some(Field::Bytes(bytes)) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("{other:?} is not a text"),
        }
    }

    pub(crate) fn uint(&self, number: u64) -> u64 {
        match self.all(number).next() {
            Some(&Field::Varint(value)) => value,
            other => panic!("{other:?} is not a number"),
        }
    }

    pub(crate) fn sint(&self, number: u64) -> i64 {
        zigzag(self.uint(number))
    }

    pub(crate) fn double(&self, number: u64) -> f64 {
        match self.all(number).next() {
            Some(&Field::Double(value)) => value,
            other => panic!("{other:?} is not a double"),
        }
    }

    /// A packed list of signed numbers; empty if the field is missing.
    pub(crate) fn sints(&self, number: u64) -> Vec<i64> {
        let Some(Field::Bytes(bytes)) = self.all(number).next() else { return Vec::new() };
        let (mut bytes, mut values) = (bytes.as_slice(), Vec::new());
        while !bytes.is_empty() {
            values.push(zigzag(varint(&mut bytes)));
        }
        values
    }
}

/// Parses length-delimited messages.
pub(crate) fn delimited(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let length = varint(&mut bytes);
        messages.push(Message::parse(take(&mut bytes, length as usize)));
    }
    messages
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for position in 0.. {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
