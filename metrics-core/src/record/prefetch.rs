//! Asking for memory ahead of its use.

/// Bytes that come into the cache at a time.
const LINE: usize = 64;

/// Asks the processor for the first `bytes` of a value, so that they are on their way while something else is done. A hint: where
/// there is no such instruction, or no model of it, nothing happens.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T, bytes: usize) {
    let lines = (0..bytes.min(size_of::<T>())).step_by(LINE);
    #[cfg(all(target_arch = "x86_64", not(any(miri, metrics_loom))))]
    lines.for_each(|offset| {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = std::ptr::from_ref(value).cast::<i8>().wrapping_add(offset);
        // SAFETY: a prefetch neither reads nor writes, and faults at no address whatever.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    });
    #[cfg(not(all(target_arch = "x86_64", not(any(miri, metrics_loom)))))]
    drop(lines);
}
