//! One group of errors: what is counted of it, and its examples.
//!
//! # Synchronization
//!
//! Whoever records an error of the group adds to `count` and stores `last`, both relaxed: they order nothing. An
//! eviction marks the group in the same word. So of an error and an eviction, either the eviction sees the error
//! counted, or the recorder sees the mark and counts it elsewhere. `kept` is locked by recorders that find it free, and
//! by readers for as long as it takes to copy it. A recorder that finds it locked keeps no example. `baseline` is
//! stored by resets, one at a time.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::series::Series;
use crate::events::context::{EventDetails, RequestContext};
use crate::events::error_priority::ErrorPriority;
use crate::labels::consumer::Consumer;
use crate::labels::endpoint::EndpointId;
use crate::labels::outcome::Outcome;
use crate::labels::trace::TraceContext;
use crate::space_saving::SpaceSaving;

/// Examples of a group at most: the first one, and the latest ones.
pub(crate) const MAX_EXAMPLES: usize = 3;

/// Heap memory of all examples, above which a group keeps one. A group without any may still keep its first one.
pub(crate) const MAX_EXAMPLE_BYTES: usize = 384 << 10;

/// Consumers of a group that are told apart.
const MAX_CONSUMERS: usize = 8;

/// The shortest time between two examples of a group, in nanoseconds, once it has [`MAX_EXAMPLES`].
const EXAMPLE_EVERY: u64 = 1_000_000_000;

/// In the count of a group that was evicted.
const EVICTED: u64 = 1 << 63;

/// Errors of one endpoint with the same outcome, whose messages differ only in numbers.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) endpoint: EndpointId,
    pub(crate) outcome: Outcome,
    pub(crate) priority: ErrorPriority,
    pub(crate) template: Box<str>,
    pub(crate) first_seen: SystemTime,
    count: AtomicU64,
    /// When the latest was counted, in nanoseconds since the registry was made.
    last: AtomicU64,
    /// When the next example may be kept, likewise.
    example_due: AtomicU64,
    /// The count at the last reset.
    baseline: AtomicU64,
    pub(crate) series: Series,
    kept: Mutex<Kept>,
}

/// What takes a lock.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) examples: Vec<Example>,
    pub(crate) consumers: SpaceSaving<Consumer>,
}

/// One error of a group.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    pub(crate) time: SystemTime,
    pub(crate) nanos: u64,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) message: Box<str>,
    pub(crate) details: EventDetails,
}

impl Example {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.message.len() + self.details.heap_bytes()
    }
}

/// An error that is counted: what a recorder knows of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) time: SystemTime,
    pub(crate) nanos: u64,
    pub(crate) message: &'a str,
    pub(crate) context: &'a RequestContext<'a>,
    pub(crate) worker: u32,
    /// In nanoseconds since the registry was made.
    pub(crate) now: u64,
}

impl Group {
    pub(crate) fn new(
        endpoint: EndpointId,
        outcome: Outcome,
        priority: ErrorPriority,
        template: Box<str>,
    ) -> Self {
        Self {
            endpoint,
            outcome,
            priority,
            template,
            first_seen: SystemTime::now(),
            count: AtomicU64::new(0),
            last: AtomicU64::new(0),
            example_due: AtomicU64::new(0),
            baseline: AtomicU64::new(0),
            series: Series::default(),
            kept: Mutex::new(Kept { examples: Vec::new(), consumers: SpaceSaving::new(MAX_CONSUMERS) }),
        }
    }

    /// Counts an error. Returns false if the group was evicted before: then the error belongs elsewhere.
    #[inline]
    pub(crate) fn count_one(&self, now: u64) -> bool {
        // ORDERING: Relaxed, as all in this file; each figure by itself, and the mark is in the same word as the count.
        let is_counted = self.count.fetch_add(1, Ordering::Relaxed) & EVICTED == 0;
        if is_counted {
            self.last.store(now, Ordering::Relaxed);
        }
        is_counted
    }

    /// Lets no more errors in. Returns how many it has.
    pub(crate) fn evict(&self) -> u64 {
        self.count.fetch_or(EVICTED, Ordering::Relaxed) & !EVICTED
    }

    /// Whether it is time for another example.
    #[inline]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now >= self.example_due.load(Ordering::Relaxed)
    }

    /// Counts an error for its consumer, and keeps it as an example if [it is time](Group::is_due) for one. Does
    /// nothing while another thread does the same, or reads. `bytes` is the heap memory of all examples.
    pub(crate) fn keep(&self, seen: &Seen<'_>, is_due: bool, bytes: &AtomicUsize) {
        if !is_due && seen.context.consumer.is_none() {
            return;
        }
        let Ok(mut kept) = self.kept.try_lock() else { return };
        if let Some(consumer) = &seen.context.consumer {
            kept.consumers.count(consumer);
        }
        if is_due {
            self.keep_example(&mut kept.examples, seen, bytes);
        }
    }

    fn keep_example(&self, examples: &mut Vec<Example>, seen: &Seen<'_>, bytes: &AtomicUsize) {
        let example = Example {
            time: seen.time,
            nanos: seen.nanos,
            trace: seen.context.trace,
            message: seen.message.into(),
            details: EventDetails::new(seen.context, seen.worker),
        };
        let room = bytes.load(Ordering::Relaxed) < MAX_EXAMPLE_BYTES;
        let max = if room { MAX_EXAMPLES } else { 1 };
        while examples.len() >= max {
            // The first one stays while there are others.
            let gone = examples.remove(usize::from(examples.len() > 1));
            bytes.fetch_sub(gone.bytes(), Ordering::Relaxed);
        }
        bytes.fetch_add(example.bytes(), Ordering::Relaxed);
        // A thousand groups have one example each.
        examples.reserve_exact(1);
        examples.push(example);
        if examples.len() >= max {
            self.example_due.store(seen.now + EXAMPLE_EVERY, Ordering::Relaxed);
        }
    }

    /// How many errors it has.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed) & !EVICTED
    }

    /// How many errors it has since the last reset.
    pub(crate) fn since_reset(&self) -> u64 {
        self.count().saturating_sub(self.baseline.load(Ordering::Relaxed))
    }

    /// Begins a window.
    pub(crate) fn begin_window(&self) {
        self.baseline.store(self.count(), Ordering::Relaxed);
    }

    /// When its latest error was, in nanoseconds since the registry was made.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Its examples and consumers. Recorders keep nothing meanwhile.
    pub(crate) fn with_kept<R>(&self, read: impl FnOnce(&Kept) -> R) -> R {
        read(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The heap memory of its examples, in bytes.
    pub(crate) fn example_bytes(&self) -> usize {
        self.with_kept(|kept| kept.examples.iter().map(Example::bytes).sum())
    }

    /// Its memory without its examples, in bytes; about that of its consumers.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.template.len() + self.series.heap_bytes() + MAX_CONSUMERS * 32
    }
}
