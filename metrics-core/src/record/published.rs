//! A pointer that is set once: how a writer hands new memory to readers.
//!
//! # Synchronization
//!
//! `pointer` changes once, from null to a box's address. [`Published::publish`] stores it, and any thread loads it. A
//! reader that sees the address sees everything that was stored into the box before it was published.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;

use crate::sync::{AtomicPtr, Ordering};

/// A slot for one `Box<T>`, empty at first. Readable without a lock.
#[repr(transparent)]
pub(crate) struct Published<T> {
    pointer: AtomicPtr<T>,
    owns: PhantomData<Box<T>>,
}

// SAFETY: a shared `Published` returns `&T` and takes `Box<T>`, from any thread: `T: Send + Sync` allows both.
unsafe impl<T: Send + Sync> Sync for Published<T> {}
// SAFETY: it owns its box and nothing else.
unsafe impl<T: Send> Send for Published<T> {}

impl<T> Published<T> {
    pub(crate) fn empty() -> Self {
        Self { pointer: AtomicPtr::new(std::ptr::null_mut()), owns: PhantomData }
    }

    /// Creates `len` empty slots. The memory is allocated zeroed, so that the pages of a large table that are never
    /// used are never resident.
    pub(crate) fn table(len: usize) -> Box<[Self]> {
        if cfg!(metrics_loom) || len == 0 {
            return (0..len).map(|_| Self::empty()).collect();
        }
        let layout = Layout::array::<Self>(len).expect("a table is far smaller than the address space");
        // SAFETY: the layout is not of size 0: `len` is not 0 and a slot is a pointer wide.
        let start = unsafe { alloc_zeroed(layout) }.cast::<Self>();
        if start.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: `start` was allocated by the global allocator with the layout of a slice of `len` slots, and the
        // all-zero bit pattern is an empty slot: a slot is `repr(transparent)` over a null `AtomicPtr`.
        unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, len)) }
    }

    /// Returns the published value, if there is one.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        // ORDERING: Acquire; pairs with the Release in `publish`. Seeing the address implies seeing the contents.
        let pointer = self.pointer.load(Ordering::Acquire);
        // SAFETY: it is null, or it came from `Box::into_raw` in `publish` and is freed by `drop`, which has `&mut
        // self`.
        unsafe { pointer.as_ref() }
    }

    /// Publishes a value, unless one was already published. Returns the one that stays.
    #[cold]
    pub(crate) fn publish(&self, value: Box<T>) -> &T {
        let fresh = Box::into_raw(value);
        // ORDERING: Release on success pairs with the Acquire in `get`; Acquire on failure, since the winner's box is
        // then read. One writer owns a slot, so failure is not expected, but soundness must not depend on that.
        let raced =
            self.pointer.compare_exchange(std::ptr::null_mut(), fresh, Ordering::Release, Ordering::Acquire);
        let stays = match raced {
            Ok(_) => fresh,
            Err(winner) => {
                // SAFETY: `fresh` came from `Box::into_raw` above and was not published, so no other thread has it.
                drop(unsafe { Box::from_raw(fresh) });
                winner
            }
        };
        // SAFETY: as in `get`; `stays` is not null.
        unsafe { &*stays }
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        // ORDERING: Relaxed; `&mut self` already orders this after every use.
        let pointer = self.pointer.load(Ordering::Relaxed);
        if !pointer.is_null() {
            // SAFETY: it came from `Box::into_raw` in `publish`, and `&mut self` means that no reference is left.
            drop(unsafe { Box::from_raw(pointer) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Published").field(&self.get()).finish()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_first_value_stays_and_later_ones_are_freed() {
        let slot = Published::empty();
        let (first, second) = (Arc::new(1), Arc::new(2));
        assert!(slot.get().is_none());
        assert_eq!(**slot.publish(Box::new(Arc::clone(&first))), 1);
        assert_eq!(**slot.publish(Box::new(Arc::clone(&second))), 1);
        assert_eq!(Arc::strong_count(&second), 1);
        assert_eq!(Arc::strong_count(&first), 2);
        drop(slot);
        assert_eq!(Arc::strong_count(&first), 1);
    }

    #[test]
    fn a_table_begins_empty_and_frees_what_was_published() {
        let value = Arc::new(());
        let table = Published::table(5);
        assert!(table.iter().all(|slot| slot.get().is_none()));
        table[3].publish(Box::new(Arc::clone(&value)));
        drop(table);
        assert_eq!(Arc::strong_count(&value), 1);
        assert!(Published::<u8>::table(0).is_empty());
    }
}

#[cfg(all(test, metrics_loom))]
mod model {
    use super::*;
    use crate::sync::{AtomicU64, model};
    use loom::sync::Arc;
    use loom::thread;

    /// A reader that sees the address sees the contents.
    ///
    /// Fails when the Release in `publish` is weakened to Relaxed, or the Acquire in `get` (each tried alone): the
    /// contents are then read without being ordered after their initialisation.
    #[test]
    fn publishing_a_cell_publishes_its_contents() {
        model(|| {
            let slot = Arc::new(Published::<AtomicU64>::empty());
            let writer = thread::spawn({
                let slot = Arc::clone(&slot);
                move || {
                    let fresh = Box::new(AtomicU64::new(0));
                    fresh.store(7, Ordering::Relaxed);
                    slot.publish(fresh);
                }
            });
            if let Some(value) = slot.get() {
                assert_eq!(value.load(Ordering::Relaxed), 7);
            }
            writer.join().unwrap();
        });
    }

    /// When two threads publish, both continue with the same value.
    ///
    /// Fails when the Release in `publish` is weakened to Relaxed, or the Acquire (each tried alone).
    #[test]
    fn publishing_twice_returns_the_same_value_to_both() {
        model(|| {
            let slot = Arc::new(Published::<AtomicU64>::empty());
            let publish = |slot: &Published<AtomicU64>, value| {
                slot.publish(Box::new(AtomicU64::new(value))).load(Ordering::Relaxed)
            };
            let other = thread::spawn({
                let slot = Arc::clone(&slot);
                move || publish(&slot, 1)
            });
            let ours = publish(&slot, 2);
            assert_eq!(other.join().unwrap(), ours);
        });
    }
}
