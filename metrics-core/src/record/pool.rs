//! Leases of shards to recorders.
//!
//! # Synchronization
//!
//! A shard is either in `free` or leased, and changes hands only under the mutex. The mutex orders the hand-over, so
//! the next recorder sees every store of the one before. Recording takes no lock. Creating and dropping a recorder
//! takes it, for the length of a `Vec` push or pop.

use std::sync::Arc;

use crate::sync::{Mutex, lock};

/// All shards of a registry. Their number is the most that were leased at once.
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

    /// Leases a free shard, or a new one, which is made with its number: its position among all.
    pub(crate) fn lease(&self, make: impl FnOnce(u32) -> S) -> Arc<S> {
        let mut shards = lock(&self.shards);
        shards.free.pop().unwrap_or_else(|| {
            let shard = Arc::new(make(shards.all.len() as u32));
            shards.all.push(Arc::clone(&shard));
            shard
        })
    }

    /// Returns a shard to the pool, with its data.
    pub(crate) fn give_back(&self, shard: Arc<S>) {
        lock(&self.shards).free.push(shard);
    }

    /// Returns all shards, leased or not, in the order of their creation. The order never changes: readers identify a
    /// shard by its position.
    pub(crate) fn all(&self) -> Vec<Arc<S>> {
        lock(&self.shards).all.clone()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_returned_shard_is_leased_before_a_new_one_is_created() {
        let pool = Pool::new();
        let (first, second) = (pool.lease(|_| 1), pool.lease(|_| 2));
        pool.give_back(first);
        assert_eq!(*pool.lease(|_| 3), 1);
        assert_eq!(*pool.lease(|_| 3), 3);
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

    /// A thread that ends passes its shard to the next one, which continues its counts; a reader never sees more.
    ///
    /// Fails when `lease` returns a shard that is leased, and when the threads return their shard before they write to
    /// it (each tried): two threads then write to one shard.
    #[test]
    fn a_shard_changes_hands_without_losing_a_count() {
        model(|| {
            let pool = loom::sync::Arc::new(Pool::new());
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let pool = loom::sync::Arc::clone(&pool);
                    thread::spawn(move || {
                        let shard = pool.lease(|_| AtomicU64::new(0));
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

    /// A shard that is created while a reset advances the epoch is either found by the reset, or begins with the new
    /// epoch.
    ///
    /// Fails when `lease` creates the shard outside its lock, and when the shards are listed before the epoch is stored
    /// (each tried).
    #[test]
    fn a_shard_that_is_created_during_a_reset_is_in_the_new_epoch() {
        model(|| {
            let shared = loom::sync::Arc::new((Pool::new(), AtomicU64::new(0)));
            let writer = thread::spawn({
                let shared = loom::sync::Arc::clone(&shared);
                move || drop(shared.0.lease(|_| AtomicU64::new(shared.1.load(Ordering::Relaxed))))
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
