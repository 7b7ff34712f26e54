//! The calling thread's recorder, for threads that do not own one.

use std::cell::RefCell;
use std::sync::Weak;

use crate::recorder::Recorder;
use crate::registry::Registry;

thread_local! {
    /// This thread's recorders, the one used last in front. Given back when the thread ends, or when the registry is
    /// gone and the thread looks for one that is not in front.
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
/// another registry inside of `record`, unless that registry is the one used last.
#[inline]
pub(crate) fn with<R>(registry: &Registry, record: impl Fn(&Recorder) -> R) -> R {
    let found = RECORDERS.try_with(|recorders| {
        let recorders = recorders.try_borrow().ok()?;
        let front = recorders.first().filter(|front| front.registry == registry.key())?;
        Some(record(&front.recorder))
    });
    match found {
        Ok(Some(result)) => result,
        _ => with_searched(registry, &record),
    }
}

#[cold]
#[inline(never)]
fn with_searched<R>(registry: &Registry, record: &impl Fn(&Recorder) -> R) -> R {
    let in_front = RECORDERS.try_with(|recorders| {
        let Ok(mut recorders) = recorders.try_borrow_mut() else { return false };
        recorders.retain(|local| local.alive.strong_count() > 0);
        match recorders.iter().position(|local| local.registry == registry.key()) {
            Some(at) => recorders.swap(0, at),
            None => {
                let (alive, recorder) = (registry.alive(), registry.recorder());
                recorders.insert(0, Local { registry: registry.key(), alive, recorder });
            }
        }
        true
    });
    match in_front {
        Ok(true) => RECORDERS.with_borrow(|recorders| record(&recorders[0].recorder)),
        _ => record(&registry.recorder()),
    }
}
