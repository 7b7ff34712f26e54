//! A recorder for each thread that does not own one.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use crate::record::recorder::Recorder;
use crate::record::shared::{RegistrySettings, Shared};

/// The recorders that threads keep for a registry. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct LocalRecorders {
    shared: Arc<Shared>,
    /// Tells threads that keep a recorder whether the registry or a handle of it still exists.
    alive: Arc<()>,
}

thread_local! {
    /// This thread's recorders. A recorder is dropped when the thread ends, or when its registry is gone and the thread
    /// creates another recorder.
    static RECORDERS: RefCell<Vec<Local>> = const { RefCell::new(Vec::new()) };
}

struct Local {
    registry: u64,
    alive: Weak<()>,
    recorder: Recorder,
}

impl LocalRecorders {
    pub(crate) fn new(settings: RegistrySettings) -> Self {
        Self { shared: Arc::new(Shared::new(settings)), alive: Arc::new(()) }
    }

    #[inline(always)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Calls `record` with this thread's recorder, which is created at the thread's first call.
    ///
    /// A thread that already tears down its thread-locals gets a recorder for this one call. So does one that records
    /// to a registry for the first time inside of another registry's `record`.
    #[inline]
    pub(crate) fn with<R>(&self, record: impl Fn(&Recorder) -> R) -> R {
        let found = RECORDERS.try_with(|recorders| {
            let recorders = recorders.try_borrow().ok()?;
            let found = recorders.iter().find(|local| local.registry == self.shared.key())?;
            Some(record(&found.recorder))
        });
        match found {
            Ok(Some(result)) => result,
            _ => self.with_new(&record),
        }
    }

    #[cold]
    #[inline(never)]
    fn with_new<R>(&self, record: &impl Fn(&Recorder) -> R) -> R {
        let recorder = || Recorder::new(Arc::clone(&self.shared));
        let made = RECORDERS.try_with(|recorders| {
            let mut recorders = recorders.try_borrow_mut().ok()?;
            recorders.retain(|local| local.alive.strong_count() > 0);
            let alive = Arc::downgrade(&self.alive);
            recorders.push(Local { registry: self.shared.key(), alive, recorder: recorder() });
            Some(recorders.len() - 1)
        });
        match made {
            Ok(Some(at)) => RECORDERS.with_borrow(|recorders| record(&recorders[at].recorder)),
            _ => record(&recorder()),
        }
    }
}
