//! The calling thread's recorder, for threads that do not own one.

use std::cell::RefCell;
use std::sync::Weak;

use crate::record::recorder::Recorder;
use crate::registry::Registry;

thread_local! {
    /// This thread's recorders. Given back when the thread ends, or when the registry is gone and the thread makes another
    /// one.
    static RECORDERS: RefCell<Vec<Local>> = const { RefCell::new(Vec::new()) };
}

struct Local {
    registry: u64,
    alive: Weak<()>,
    recorder: Recorder,
}

/// Calls `record` with this thread's recorder of the registry; makes one at the thread's first call.
///
/// A thread that is already tearing down its thread-locals gets a recorder for this one call. So does one that records to
/// a registry for the first time inside of another one's `record`.
#[inline]
pub(crate) fn with<R>(registry: &Registry, record: impl Fn(&Recorder) -> R) -> R {
    let found = RECORDERS.try_with(|recorders| {
        let recorders = recorders.try_borrow().ok()?;
        let found = recorders.iter().find(|local| local.registry == registry.key())?;
        Some(record(&found.recorder))
    });
    match found {
        Ok(Some(result)) => result,
        _ => with_new(registry, &record),
    }
}

#[cold]
#[inline(never)]
fn with_new<R>(registry: &Registry, record: &impl Fn(&Recorder) -> R) -> R {
    let made = RECORDERS.try_with(|recorders| {
        let mut recorders = recorders.try_borrow_mut().ok()?;
        recorders.retain(|local| local.alive.strong_count() > 0);
        let (alive, recorder) = (registry.alive(), registry.recorder());
        recorders.push(Local { registry: registry.key(), alive, recorder });
        Some(recorders.len() - 1)
    });
    match made {
        Ok(Some(at)) => RECORDERS.with_borrow(|recorders| record(&recorders[at].recorder)),
        _ => record(&registry.recorder()),
    }
}
