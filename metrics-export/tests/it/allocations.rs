//! Allocations of a scrape: a text format makes none once the buffer is large enough.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use metrics_export::prometheus::{Exposition, Format};

use crate::snapshots::{exporters, resources, with_everything};

/// The system's allocator, with a count of each thread's allocations.
struct Counting;

thread_local! {
    /// The number of allocations of the calling thread.
    pub(crate) static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is forwarded unchanged; the count is a thread-local that needs neither memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller upholds the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; `pointer` came from `System`, since `alloc` returns no others.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_text_format_allocates_nothing_from_the_second_scrape_on() {
    let (snapshot, exporters) = (with_everything(), exporters());
    let exposition =
        Exposition::builder().top_consumers(10).constant_label("env", "prod").created(true).build().unwrap();
    for (format, allowed) in [(Format::Text, 0), (Format::OpenMetrics, 0), (Format::Protobuf, 12)] {
        let mut buffer = Vec::new();
        exposition.render_with(&snapshot, &resources(), &exporters, format, &mut buffer);
        let before = ALLOCATIONS.get();
        exposition.render_with(&snapshot, &resources(), &exporters, format, &mut buffer);
        let allocations = ALLOCATIONS.get() - before;
        assert!(allocations <= allowed, "{format:?}: {allocations}");
    }
}
