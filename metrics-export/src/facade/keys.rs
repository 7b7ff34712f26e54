//! Handles by key, with a look-up that takes no lock.
//!
//! # Synchronization
//!
//! A hash table of fixed size with open addressing, whose slots are filled once and never emptied. So a look-up needs
//! no lock: it probes until it finds the key or a free slot. One thread fills slots at a time: the one that holds the
//! lock of the names.

use std::sync::OnceLock;

use metrics::Key;

/// The number of slots, as a power of two.
const SLOT_BITS: u32 = 10;

/// The number of slots that a key is looked for in. A key that finds them all taken is not kept.
const PROBES: usize = 16;

/// The maximum size of a key in bytes. Larger keys are not kept, so a table stays below 1.5 MiB.
const MAX_KEY_BYTES: usize = 1024;

/// The size of a label without its text, in bytes.
const LABEL_BYTES: usize = size_of::<metrics::Label>();

#[derive(Debug)]
pub(super) struct KeyTable<H> {
    slots: Box<[Slot<H>]>,
}

type Slot<H> = OnceLock<Box<(Key, H)>>;

impl<H> KeyTable<H> {
    pub(super) fn new() -> Self {
        Self { slots: (0..1 << SLOT_BITS).map(|_| OnceLock::new()).collect() }
    }

    #[inline]
    pub(super) fn get(&self, key: &Key) -> Option<&H> {
        for slot in self.probes(key) {
            let (kept, handle) = &**slot.get()?;
            if kept == key {
                return Some(handle);
            }
        }
        None
    }

    /// Stores a key's handle if there is room. Only one thread calls this at a time.
    pub(super) fn keep(&self, key: &Key, handle: H) {
        let labels = key.labels().map(|label| LABEL_BYTES + label.key().len() + label.value().len());
        if key.name().len() + labels.sum::<usize>() > MAX_KEY_BYTES || self.get(key).is_some() {
            return;
        }
        if let Some(free) = self.probes(key).find(|slot| slot.get().is_none()) {
            free.get_or_init(|| Box::new((key.clone(), handle)));
        }
    }

    #[inline]
    fn probes(&self, key: &Key) -> impl Iterator<Item = &Slot<H>> {
        // Fibonacci hashing (Knuth, TAOCP 3, 6.4), since the facade's hash does not mix its last bits.
        let first = key.get_hash().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SLOT_BITS);
        let mask = self.slots.len() - 1;
        (0..PROBES).map(move |probe| &self.slots[(first as usize + probe) & mask])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_key_is_found_and_the_table_does_not_grow() {
        let keys = KeyTable::new();
        let key = |i| Key::from_parts(format!("name_{i}"), &[("label", format!("{i}"))]);
        for i in 0..10_000_u32 {
            assert_eq!(keys.get(&key(i)), None);
            keys.keep(&key(i), i);
            keys.keep(&key(i), i + 1);
        }
        let found: Vec<u32> = (0..10_000).filter(|&i| keys.get(&key(i)) == Some(&i)).collect();
        assert!(found.len() > 1000 && found.len() <= 1024, "{}", found.len());
        assert_eq!(found[..200], (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn a_large_key_is_not_kept() {
        let keys = KeyTable::new();
        let large = Key::from_parts("name", &[("label", "x".repeat(MAX_KEY_BYTES))]);
        keys.keep(&large, 1);
        assert_eq!(keys.get(&large), None);
    }
}
