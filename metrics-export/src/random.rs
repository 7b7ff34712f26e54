//! Random numbers that need not be secret.

use std::hash::{BuildHasher, RandomState};

/// A random UUID, version 4.
pub(crate) fn uuid() -> String {
    // A hasher with a random key of its own is the standard library's way to a random number.
    let [high, low] = [0, 1].map(|i| RandomState::new().hash_one(i));
    let (high, low) = (high & !0xf000 | 0x4000, low & !(0b11 << 62) | 0b10 << 62);
    let (first, second, third) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
    format!("{first:08x}-{second:04x}-{third:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_that_it_is_random_and_is_another_each_time() {
        let uuids = [uuid(), uuid()];
        for uuid in &uuids {
            let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!((lengths, uuid.as_bytes()[14]), (vec![8, 4, 4, 4, 12], b'4'));
            assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        }
        assert_ne!(uuids[0], uuids[1]);
    }
}
