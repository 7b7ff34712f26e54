//! Figures by group of statuses, packed: most of a histogram's buckets are empty, and most counts are small.

use crate::snapshot::{GroupSnapshot, merge_groups};

/// Groups as postcard's bytes: 2 or 3 for a bucket in use, where an unpacked one takes 8, used or not.
#[derive(Debug, Clone)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    pub(super) fn new(groups: &[GroupSnapshot]) -> Self {
        let bytes = postcard::to_allocvec(groups).expect("groups are plain numbers, and memory is there");
        Self(bytes.into_boxed_slice())
    }

    pub(super) fn unpack(&self) -> Vec<GroupSnapshot> {
        postcard::from_bytes(&self.0).expect("it was packed here")
    }

    /// Adds groups of the same registry.
    pub(super) fn add(&mut self, groups: &[GroupSnapshot]) {
        let mut sum = self.unpack();
        merge_groups(&mut sum, groups).expect("figures of one registry have one precision");
        *self = Self::new(&sum);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}
