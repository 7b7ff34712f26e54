//! Leases: which shard belongs to which recorder.
//!
//! # Synchronization
//!
//! A shard is in `free` or leased, never both, and changes hands under the mutex only. Whoever gets a shard therefore
//! sees every store of the recorder that had it before: the mutex orders the hand-over. Recording takes no lock; making
//! and dropping a recorder does, for the length of a `Vec` push or pop.

use std::sync::Arc;

use crate::sync::{Mutex, lock};

/// All shards of a registry. Their number is the most that were ever leased at once.
#[derive(Debug)]
pub(crate) struct Pool<S> {
    shards: Mutex<Shards<S>>,
}

#[derive(Debug)]
struct Shards<S> {
    all: Vec<Arc<S>>,
    free: Vec<Arc<S>>,
}

impl<S> Pool<S> {
    pub(crate) fn new() -> Self {
        Self { shards: Mutex::new(Shards { all: Vec::new(), free: Vec::new() }) }
    }

    /// Leases a shard that was given back, or makes one.
    pub(crate) fn lease(&self, make: impl FnOnce() -> S) -> Arc<S> {
        let mut shards = lock(&self.shards);
        shards.free.pop().unwrap_or_else(|| {
            let shard = Arc::new(make());
            shards.all.push(Arc::clone(&shard));
            shard
        })
    }

    /// Gives a shard back, with its data.
    pub(crate) fn give_back(&self, shard: Arc<S>) {
        lock(&self.shards).free.push(shard);
    }

    /// All shards, leased or not, in the order in which they were made: it never changes, and readers know them by it.
    pub(crate) fn all(&self) -> Vec<Arc<S>> {
        lock(&self.shards).all.clone()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_was_given_back_is_leased_again_before_one_is_made() {
        let pool = Pool::new();
        let (first, second) = (pool.lease(|| 1), pool.lease(|| 2));
        pool.give_back(first);
        assert_eq!(*pool.lease(|| 3), 1);
        assert_eq!(*pool.lease(|| 3), 3);
        drop(second);
        assert_eq!(pool.all().len(), 3);
    }
}

#[cfg(all(test, metrics_loom))]
mod model {
    use super::*;
    use crate::sync::{AtomicU64, Ordering, add, model};
    use loom::thread;

    fn sum(shards: Vec<Arc<AtomicU64>>) -> u64 {
        shards.iter().map(|shard| shard.load(Ordering::Relaxed)).sum()
    }

    /// A thread that ends hands its shard to the next one, which goes on from its counts; a reader never sees more.
    ///
    /// Fails when `lease` hands out a shard that is leased, and when the threads give their shard back before they
    /// write to it (each tried): two threads then write to one shard.
    #[test]
    fn a_shard_changes_hands_without_losing_a_count() {
        model(|| {
            let pool = loom::sync::Arc::new(Pool::new());
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let pool = loom::sync::Arc::clone(&pool);
                    thread::spawn(move || {
                        let shard = pool.lease(|| AtomicU64::new(0));
                        add(&shard, 1);
                        pool.give_back(shard);
                    })
                })
                .collect();
            assert!(sum(pool.all()) <= 2);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(sum(pool.all()), 2);
        });
    }

    /// A shard that is made while the epoch steps is found by whoever steps it, or begins with the new epoch.
    ///
    /// Fails when `lease` makes the shard outside its lock, and when the shards are listed before the epoch is stored
    /// (each tried).
    #[test]
    fn a_shard_that_is_made_during_a_reset_is_in_the_new_epoch() {
        model(|| {
            let shared = loom::sync::Arc::new((Pool::new(), AtomicU64::new(0)));
            let writer = thread::spawn({
                let shared = loom::sync::Arc::clone(&shared);
                move || drop(shared.0.lease(|| AtomicU64::new(shared.1.load(Ordering::Relaxed))))
            });
            // As in `Shared::advance_epoch`.
            let (pool, epoch) = &*shared;
            epoch.store(1, Ordering::Relaxed);
            pool.all().iter().for_each(|shard| shard.store(1, Ordering::Relaxed));
            writer.join().unwrap();
            assert_eq!(sum(pool.all()), 1);
        });
    }
}
