//! The atomics in use: the standard library's, loom's under `--cfg metrics_loom`, or in other unit tests those that log
//! which cache lines a thread writes.
//!
//! Only the atomics that the models explore go through here. The cfg is our own because the plain `loom` cfg also
//! changes tokio and crossbeam.

#[cfg(all(test, not(metrics_loom)))]
pub(crate) mod logged;

#[cfg(all(test, not(metrics_loom)))]
pub(crate) use logged::{AtomicPtr, AtomicU16, AtomicU32, AtomicU64};
#[cfg(metrics_loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(any(test, metrics_loom)))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU16, AtomicU32, AtomicU64};
#[cfg(not(metrics_loom))]
pub(crate) use std::sync::atomic::{Ordering, fence};

#[cfg(metrics_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(metrics_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Adds to a counter that has one writer.
///
/// A load and a store instead of a read-modify-write: it compiles to a plain `add [mem]`, and two writers would lose
/// counts. The shard's lease decides who may write.
///
/// ORDERING: Relaxed promises nothing about other memory. Callers that need more wrap it (see `cell`).
#[inline(always)]
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.store(own(counter).wrapping_add(amount), Ordering::Relaxed);
}

/// Like [`add`], but stops at the largest number: for amounts that clients choose.
#[inline(always)]
pub(crate) fn add_saturating(counter: &AtomicU64, amount: u64) {
    counter.store(own(counter).saturating_add(amount), Ordering::Relaxed);
}

/// Begins a write that readers must see as a whole: the first half of a sequence lock's version.
///
/// A reader sums up the [ended](end) counts, loads the rest, and loads `begun` last, with an Acquire fence after each
/// of the first two steps. If both are equal, it has read all writes that were ended and no part of any other.
#[inline(always)]
pub(crate) fn begin(begun: &AtomicU64) {
    add(begun, 1);
    // ORDERING: Release fence; pairs with the reader's Acquire fence before it loads `begun`. A reader that sees one of
    // the stores that follow also sees this write begun.
    fence(Ordering::Release);
}

/// Ends a write: the second half of the version.
#[inline(always)]
pub(crate) fn end(ended: &AtomicU64) {
    // ORDERING: Release; pairs with the reader's Acquire fence after its load. Seeing this write ended implies seeing
    // all of it.
    ended.store(own(ended).wrapping_add(1), Ordering::Release);
}

/// Loads a word that only the calling thread stores.
///
/// To loom it is not a load, but a check that no other thread stores. Loom compares a store only with the last access
/// to the word: a writer's own load would hide the reader's load before it, and a model would explore next to nothing.
///
/// ORDERING: Relaxed; the last store is this thread's, or the lease orders it before this thread's.
#[inline(always)]
pub(crate) fn own(word: &AtomicU64) -> u64 {
    #[cfg(not(metrics_loom))]
    return word.load(Ordering::Relaxed);
    // SAFETY: the only precondition of loom's load without synchronisation is that no store races with it, and loom
    // fails the model if one does.
    #[cfg(metrics_loom)]
    return unsafe { word.unsync_load() };
}

/// Locks, even if another thread panicked while it held the lock.
///
/// All data behind our locks changes in steps that cannot panic half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Explores the executions of a model in which threads are preempted at most three times; `LOOM_MAX_PREEMPTIONS` sets
/// another bound.
///
/// Without a bound, some models take more than a minute. Every weakening in the models' notes fails within the bound.
#[cfg(all(test, metrics_loom))]
pub(crate) fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(run);
}
