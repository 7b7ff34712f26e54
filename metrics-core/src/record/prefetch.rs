//! Requests memory ahead of its use.

/// Asks the processor to load the first `bytes` of a value into its cache while the program does something else.
///
/// A hint. It does nothing on other processors than x86-64, under Miri, and in loom's models.
#[inline(always)]
#[cfg_attr(not(all(target_arch = "x86_64", not(any(miri, metrics_loom)))), expect(unused_variables))]
pub(crate) fn prefetch<T>(value: &T, bytes: usize) {
    #[cfg(all(target_arch = "x86_64", not(any(miri, metrics_loom))))]
    for offset in (0..bytes.min(size_of::<T>())).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = std::ptr::from_ref(value).cast::<i8>().wrapping_add(offset);
        // SAFETY: a prefetch neither reads nor writes, and faults at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
}
