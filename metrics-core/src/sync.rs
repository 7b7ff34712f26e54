//! The atomics in use: the standard library's, or loom's under `--cfg metrics_loom`.
//!
//! Only what the models explore goes through here. The cfg is our own because the plain `loom` cfg also changes
//! tokio and crossbeam.

#[cfg(metrics_loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};
#[cfg(not(metrics_loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};

#[cfg(metrics_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(metrics_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Adds to a counter that has one writer.
///
/// A load and a store instead of a read-modify-write: it compiles to a plain `add [mem]`, and two writers would
/// lose counts. Who may write is decided by the shard's lease, not here.
///
/// ORDERING: Relaxed promises nothing about other memory. Whoever needs more wraps it (see `cell`).
#[inline(always)]
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

/// Locks, whether or not another thread panicked while it held the lock.
///
/// Everything that stands behind our locks is changed in steps that cannot panic half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
