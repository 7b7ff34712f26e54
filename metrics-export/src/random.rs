//! Random numbers that need not be secret.

use std::hash::{BuildHasher, RandomState};

/// A random number. The standard library's only source is a hasher with a random key.
fn bits() -> u64 {
    RandomState::new().hash_one(0)
}

/// A random share, from 0 up to and including 1.
pub(crate) fn share() -> f64 {
    bits() as f64 / u64::MAX as f64
}

/// A random UUID, version 4.
#[cfg(any(feature = "datadog", feature = "otlp"))]
pub(crate) fn uuid() -> String {
    let (high, low) = (bits() & !0xf000 | 0x4000, bits() & !(0b11 << 62) | 0b10 << 62);
    let (first, second, third) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
    format!("{first:08x}-{second:04x}-{third:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_in_range_and_differ() {
        let shares: Vec<_> = std::iter::repeat_with(share).take(100).collect();
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        assert!(shares.iter().any(|share| *share != shares[0]));
    }

    #[cfg(any(feature = "datadog", feature = "otlp"))]
    #[test]
    fn each_uuid_is_different_and_of_version_4() {
        let uuids = [uuid(), uuid()];
        for uuid in &uuids {
            let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!((lengths, uuid.as_bytes()[14]), (vec![8, 4, 4, 4, 12], b'4'));
            assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        }
        assert_ne!(uuids[0], uuids[1]);
    }
}
