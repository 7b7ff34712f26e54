//! Atomics that note which cache lines a thread writes: in unit tests, `sync` hands them out instead of the standard
//! library's.
//!
//! Each write notes its address in the log of its thread, while the thread [keeps one](lines_written). There is no
//! method that would write without that.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// The bytes of a cache line on the processors that Rust runs on most.
const LINE: usize = 64;

thread_local! {
    /// The lines that were written, by number; `None` while nobody asks.
    static LINES: RefCell<Option<BTreeSet<usize>>> = const { RefCell::new(None) };
}

/// The numbers of the cache lines that the calling thread writes by way of these atomics during a call.
pub(crate) fn lines_written(call: impl FnOnce()) -> BTreeSet<usize> {
    LINES.set(Some(BTreeSet::new()));
    call();
    LINES.take().unwrap_or_default()
}

#[inline(always)]
fn note<T>(written: &T) {
    // A thread that ends has no log any more.
    let noted = LINES.try_with(|lines| {
        if let Some(lines) = &mut *lines.borrow_mut() {
            lines.insert(std::ptr::from_ref(written).addr() / LINE);
        }
    });
    noted.ok();
}

macro_rules! logged {
    ($name:ident, $value:ty) => {
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub(crate) struct $name(std::sync::atomic::$name);

        #[allow(dead_code, reason = "not every width is used in every way")]
        impl $name {
            pub(crate) const fn new(value: $value) -> Self {
                Self(std::sync::atomic::$name::new(value))
            }

            #[inline(always)]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.0.load(order)
            }

            #[inline(always)]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                note(self);
                self.0.store(value, order);
            }

            #[inline(always)]
            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                note(self);
                self.0.fetch_add(value, order)
            }

            #[inline(always)]
            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                note(self);
                self.0.compare_exchange_weak(current, new, success, failure)
            }
        }
    };
}

logged!(AtomicU16, u16);
logged!(AtomicU32, u32);
logged!(AtomicU64, u64);

#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicPtr<T>(std::sync::atomic::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    pub(crate) const fn new(pointer: *mut T) -> Self {
        Self(std::sync::atomic::AtomicPtr::new(pointer))
    }

    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        self.0.load(order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        note(self);
        self.0.compare_exchange(current, new, success, failure)
    }
}
