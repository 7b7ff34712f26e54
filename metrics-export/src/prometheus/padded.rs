//! Short texts that are copied without a call.

/// A text of at most `N` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Padded<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Padded<N> {
    /// Panics if the text is longer.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text);
        Self { bytes, len: text.len() }
    }

    /// Appends the text. Copying all `N` bytes takes a few instructions, where copying only the text would be a call.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.len;
        out.extend_from_slice(&self.bytes);
        out.truncate(end);
    }

    #[cfg(test)]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_is_appended() {
        let mut out = b"a".to_vec();
        for text in ["", "bc", "defghijk"] {
            Padded::<8>::of(text.as_bytes()).write(&mut out);
        }
        assert_eq!(out, b"abcdefghijk");
    }
}
