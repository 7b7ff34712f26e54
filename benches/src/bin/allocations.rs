//! Prints how many allocations each middleware adds per request to the bare app.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::process::ExitCode;
use std::rc::Rc;

use benches::middleware::{Arm, Caller, Shape};

const USAGE: &str = "\
Usage: cargo run -p benches --bin allocations

Prints how many allocations each middleware adds per request to the bare app.";

/// The system's allocator. It counts the allocations of the calling thread.
struct Counting;

thread_local! {
    /// Calls that allocated memory.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged; the thread-local count needs neither memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the promises that `System` requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; `pointer` came from `System`, as all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Requests before counting: enough for a cell to allocate the blocks of all latencies that occur.
const WARM_UP: usize = 2_000;

/// Requests per count, and number of counts. The lowest count is taken, since a request that is slower than any before
/// it opens a new octave of latencies, which allocates once.
const CALLS: usize = 1_000;
const RUNS: usize = 5;

/// All shapes of requests.
const SHAPES: [Shape; 5] = [Shape::Static, Shape::Dynamic, Shape::Nested, Shape::Unmatched, Shape::Upload];

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        None => print(),
        Some(help) if help == "--help" || help == "-h" => println!("{USAGE}"),
        Some(argument) => {
            eprintln!("allocations: unknown option {argument:?} (see --help)");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn print() {
    println!("Allocations per request, over those of the bare app.\n");
    println!("| arm | {} |", SHAPES.map(Shape::name).join(" | "));
    println!("|---|{}", "---:|".repeat(SHAPES.len()));
    let [bare, others @ ..] = Arm::ALL.map(|arm| (arm, allocations(arm)));
    println!("| {} | {} |", bare.0.name(), bare.1.map(|count| format!("({count:.2})")).join(" | "));
    for (arm, counts) in others {
        let over: Vec<String> =
            counts.iter().zip(bare.1).map(|(own, bare)| format!("{:.2}", own - bare)).collect();
        println!("| {} | {} |", arm.name(), over.join(" | "));
    }
}

/// Allocations per request of each shape, after the warm-up.
fn allocations(arm: Arm) -> [f64; SHAPES.len()] {
    let mut caller = Caller::new(arm, &Rc::new(actix_web::rt::System::new()));
    SHAPES.map(|shape| {
        caller.call(shape, WARM_UP, &|| 0);
        let count = (0..RUNS).map(|_| caller.call(shape, CALLS, &|| ALLOCATIONS.get())).min();
        count.unwrap_or_default() as f64 / CALLS as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_allocates_nothing_for_a_request_of_a_route_that_it_has_seen() {
        let (bare, ours) = (allocations(Arm::Bare), allocations(Arm::Ours));
        for (shape, (bare, ours)) in SHAPES.into_iter().zip(bare.into_iter().zip(ours)) {
            assert!(bare > 0.0, "allocations are not counted");
            // The stream that counts what is read of the body.
            let expected = if shape == Shape::Upload { 1.0 } else { 0.0 };
            // Lists of slow requests and examples of errors grow by time, so the slower a machine is, the more of its
            // requests have a part in them.
            let own = ours - bare;
            assert!((own - expected).abs() < 0.05, "{shape:?}: {own}");
        }
    }
}
