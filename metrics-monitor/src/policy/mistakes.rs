//! Mistakes in how an application uses the monitor. Each is logged once, and shown as long as it lasts.
//!
//! # Synchronization
//!
//! What was told is under a lock, which nobody takes while all is well. The flag says only whether a middleware was
//! ever built, and implies nothing about other memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};

/// A mistake in how an application uses the monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mistake {
    /// Requests pass through the middleware twice. The outer one counts them.
    WrappedTwice,
    /// Several threads build their own monitors of the same name, so each sees only a part of the requests.
    BuiltPerWorker,
    /// The endpoints are called, but no app has the middleware, and nothing was recorded.
    NeverWrapped,
    /// Another service answers where the endpoints are mounted.
    Shadowed {
        /// A path of an endpoint that was not reached.
        path: String,
    },
    /// An excluded route cannot match any template.
    ExcludedWithoutSlash {
        /// The setting, such as `exclude`.
        setting: &'static str,
        /// What it was set to.
        route: String,
    },
    /// The process was forked after the monitor was built, so that its threads are missing.
    Forked,
    /// Labels of one of the application's own metrics have more values than a registry has room for.
    TooManyLabels {
        /// The first metric with too many.
        metric: String,
    },
}

impl Mistake {
    /// Returns a short name, by which the dashboard finds its text.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrappedTwice => "wrapped_twice",
            Self::BuiltPerWorker => "built_per_worker",
            Self::NeverWrapped => "never_wrapped",
            Self::Shadowed { .. } => "shadowed",
            Self::ExcludedWithoutSlash { .. } => "excluded_without_slash",
            Self::Forked => "forked",
            Self::TooManyLabels { .. } => "too_many_labels",
        }
    }

    /// Returns what the mistake is about, such as a path; may be empty.
    pub fn subject(&self) -> &str {
        match self {
            Self::Shadowed { path } => path,
            Self::ExcludedWithoutSlash { route, .. } => route,
            Self::TooManyLabels { metric } => metric,
            _ => "",
        }
    }

    /// Returns what is wrong, and what to change.
    pub fn message(&self) -> String {
        match self {
            Self::WrappedTwice => {
                "requests pass through the middleware twice, and only the outer one counts them; wrap it once, around the \
                 App"
                    .to_owned()
            }
            Self::BuiltPerWorker => {
                "each worker builds its own monitor, which sees only a part of the requests; build one outside the \
                 closure that creates the apps, and clone it"
                    .to_owned()
            }
            Self::NeverWrapped => {
                "no app has the middleware, so no request is counted; add .wrap(metrics.middleware()) to the App"
                    .to_owned()
            }
            Self::Shadowed { path } => format!(
                "another service answers {path}, so the monitor's endpoint is never reached; configure the monitor's \
                 routes before scopes and services with the same path"
            ),
            Self::ExcludedWithoutSlash { setting, route } => {
                format!("{setting}({route:?}) excludes nothing, because routes start with a slash; write {:?}", format!("/{route}"))
            }
            Self::Forked => "the process forked after the monitor was built, so history, alerts and exporters do not run \
                             in this copy; fork first, then build"
                .to_owned(),
            Self::TooManyLabels { metric } => format!(
                "{metric:?} has too many sets of labels, which are counted as _other, or more than four labels, which \
                 are left out; use few labels, with few values"
            ),
        }
    }
}

/// The mistakes of one monitor.
#[derive(Debug)]
pub struct Mistakes {
    service: String,
    told: Mutex<BTreeMap<&'static str, Mistake>>,
    is_wrapped: AtomicBool,
    built_in: u32,
    built_by: ThreadId,
}

/// Monitors that were built by the thread that also serves with them, for [`Mistakes::wrapped`].
static BUILT_BY_WORKERS: Mutex<Vec<Weak<Mistakes>>> = Mutex::new(Vec::new());

/// A lock, also after a panic: what it guards is valid after each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mistakes {
    /// For a monitor that is being built by this thread.
    pub(crate) fn new(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            told: Mutex::default(),
            is_wrapped: AtomicBool::new(false),
            built_in: std::process::id(),
            built_by: thread::current().id(),
        }
    }

    /// Notes a mistake, and logs it if it is the first of its kind.
    #[cold]
    pub fn tell(&self, mistake: Mistake) {
        let mut told = lock(&self.told);
        if !told.contains_key(mistake.code()) {
            log::warn!(target: "metrics_monitor", "{}: {}", self.service, mistake.message());
            told.insert(mistake.code(), mistake);
        }
    }

    /// Notes that a middleware was built on this thread, for the apps that it serves.
    pub fn wrapped(self: &Arc<Self>) {
        // ORDERING: Relaxed; see the module.
        self.is_wrapped.store(true, Ordering::Relaxed);
        if self.built_by != thread::current().id() {
            return;
        }
        let mut built = lock(&BUILT_BY_WORKERS);
        built.retain(|other| other.strong_count() > 0);
        if built.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(self))) {
            return;
        }
        let others: Vec<_> = built.iter().filter_map(Weak::upgrade).collect();
        built.push(Arc::downgrade(self));
        drop(built);
        // Those of the same thread are of apps that it serves one after the other, such as in tests.
        let same = |other: &Arc<Self>| other.service == self.service && other.built_by != self.built_by;
        for other in others.into_iter().filter(same) {
            other.tell(Mistake::BuiltPerWorker);
            self.tell(Mistake::BuiltPerWorker);
        }
    }

    /// The endpoints are asked. `has_recorded` says whether anything was recorded.
    pub(crate) fn asked(&self, has_recorded: impl FnOnce() -> bool) {
        self.asked_in(std::process::id());
        // ORDERING: Relaxed; see the module.
        if !self.is_wrapped.load(Ordering::Relaxed) && !has_recorded() {
            self.tell(Mistake::NeverWrapped);
        }
    }

    /// The endpoints are asked in this process.
    fn asked_in(&self, process: u32) {
        if process != self.built_in {
            self.tell(Mistake::Forked);
        }
    }

    /// Returns the mistakes that still apply, in the order of their codes.
    pub fn all(&self) -> Vec<Mistake> {
        // ORDERING: Relaxed; see the module.
        let is_wrapped = self.is_wrapped.load(Ordering::Relaxed);
        let told = lock(&self.told);
        let lasts = |mistake: &&Mistake| !(is_wrapped && **mistake == Mistake::NeverWrapped);
        told.values().filter(lasts).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(mistakes: &Mistakes) -> Vec<&'static str> {
        mistakes.all().iter().map(Mistake::code).collect()
    }

    #[test]
    fn a_process_other_than_the_one_that_built_the_monitor_is_a_fork() {
        let mistakes = Mistakes::new("fork");
        mistakes.asked_in(std::process::id());
        assert_eq!(codes(&mistakes), [""; 0]);
        mistakes.asked_in(std::process::id() + 1);
        assert_eq!(codes(&mistakes), ["forked"]);
    }

    #[test]
    fn a_middleware_that_is_built_later_ends_its_mistake() {
        let mistakes = Arc::new(Mistakes::new("late"));
        mistakes.asked(|| true);
        assert_eq!(codes(&mistakes), [""; 0], "what records without a middleware is no mistake");
        mistakes.asked(|| false);
        assert_eq!(codes(&mistakes), ["never_wrapped"]);
        mistakes.wrapped();
        assert_eq!(codes(&mistakes), [""; 0]);
    }

    #[test]
    fn monitors_of_one_name_that_threads_build_for_themselves_are_a_mistake() {
        let by_worker = |service: &'static str| {
            let worker = thread::spawn(move || {
                let mistakes = Arc::new(Mistakes::new(service));
                mistakes.wrapped();
                mistakes
            });
            worker.join().unwrap()
        };
        let (first, of_another_name) = (by_worker("worker-1"), by_worker("worker-2"));
        assert_eq!((codes(&first), codes(&of_another_name)), (vec![], vec![]));
        let second = by_worker("worker-1");
        assert_eq!((codes(&first), codes(&second)), (vec!["built_per_worker"], vec!["built_per_worker"]));
        assert_eq!(codes(&of_another_name), [""; 0]);
        let shared = Arc::new(Mistakes::new("worker-1"));
        let clone = Arc::clone(&shared);
        thread::spawn(move || clone.wrapped()).join().unwrap();
        assert_eq!(codes(&shared), [""; 0], "it was built elsewhere, and cloned");
    }
}
