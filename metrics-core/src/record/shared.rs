//! What all recorders of a registry share.
//!
//! # Synchronization
//!
//! Resets store `epoch`, one at a time; it is read when a shard is created. The types of the other fields describe how
//! they are shared.

use std::sync::Arc;

use crate::events::error_groups::GroupTable;
use crate::events::error_log::{ErrorLog, Names};
use crate::events::exemplar::Exemplars;
use crate::events::request_log::RequestLog;
use crate::histogram::Layout;
use crate::labels::consumer::Consumers;
use crate::labels::endpoint::Endpoints;
use crate::labels::outcome::Granularity;
use crate::record::cell::EPOCH_STEP;
use crate::record::clock::Clock;
use crate::record::pool::Pool;
use crate::record::shard::Shard;
use crate::record::slot::Slots;
use crate::sync::{AtomicU64, Ordering};

/// The settings of a registry, checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RegistrySettings {
    pub(crate) max_series: usize,
    pub(crate) max_consumers: usize,
    pub(crate) layout: Layout,
    pub(crate) error_log_capacity: usize,
    pub(crate) request_log_capacity: usize,
    pub(crate) granularity: Granularity,
}

/// The names, the shards and the logs of a registry, and its clock.
#[derive(Debug)]
pub(crate) struct Shared {
    layout: Layout,
    granularity: Granularity,
    endpoints: Endpoints,
    consumers: Consumers,
    pool: Pool<Shard>,
    /// The epoch of the current window: minimum and maximum restart in each. A multiple of [`EPOCH_STEP`].
    epoch: AtomicU64,
    error_log: ErrorLog,
    error_groups: GroupTable,
    request_log: RequestLog,
    exemplars: Exemplars,
    clock: Clock,
    started_ticks: u64,
}

impl Shared {
    pub(crate) fn new(settings: RegistrySettings) -> Self {
        let clock = Clock::new();
        let endpoints = Endpoints::new(settings.max_series, Slots::by(settings.granularity).stride());
        Self {
            layout: settings.layout,
            granularity: settings.granularity,
            consumers: Consumers::new(settings.max_consumers, endpoints.key()),
            endpoints,
            pool: Pool::new(),
            epoch: AtomicU64::new(0),
            error_log: ErrorLog::new(settings.error_log_capacity),
            error_groups: GroupTable::new(),
            request_log: RequestLog::new(settings.request_log_capacity),
            exemplars: Exemplars::default(),
            started_ticks: clock.raw(),
            clock,
        }
    }

    /// Leases a shard to a recorder.
    pub(crate) fn lease(&self) -> Arc<Shard> {
        // ORDERING: Relaxed; `advance_epoch` stores it before it locks the pool, and this runs under the pool's lock.
        // So a new shard is either among those that `advance_epoch` finds, or begins with the new epoch.
        self.pool.lease(|number| {
            Shard::new(
                number,
                self.layout,
                &self.endpoints,
                &self.consumers,
                self.epoch.load(Ordering::Relaxed),
            )
        })
    }

    /// Takes back a shard from a recorder, with its data.
    pub(crate) fn give_back(&self, shard: Arc<Shard>) {
        self.pool.give_back(shard);
    }

    /// The memory of all recorders, including those that are gone.
    pub(crate) fn shards(&self) -> Vec<Arc<Shard>> {
        self.pool.all()
    }

    /// The memory of all shards, in bytes: see [`Shard::bytes`].
    pub(crate) fn shard_bytes(&self) -> usize {
        self.shards().iter().map(|shard| shard.bytes()).sum()
    }

    /// The current epoch.
    pub(crate) fn epoch(&self) -> u64 {
        // ORDERING: Relaxed; only resets store it, under the lock that readers hold.
        self.epoch.load(Ordering::Relaxed)
    }

    /// Begins the next epoch. Called by one thread at a time.
    pub(crate) fn advance_epoch(&self) -> u64 {
        // ORDERING: Relaxed; see `lease`.
        let epoch = self.epoch.load(Ordering::Relaxed).wrapping_add(EPOCH_STEP);
        self.epoch.store(epoch, Ordering::Relaxed);
        self.pool.all().iter().for_each(|shard| shard.set_epoch(epoch));
        epoch
    }

    /// Tells two registries apart.
    #[inline]
    pub(crate) fn key(&self) -> u64 {
        self.endpoints.key()
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn granularity(&self) -> Granularity {
        self.granularity
    }

    pub(crate) fn slots(&self) -> &'static Slots {
        Slots::by(self.granularity)
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    pub(crate) fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    pub(crate) fn error_log(&self) -> &ErrorLog {
        &self.error_log
    }

    pub(crate) fn error_groups(&self) -> &GroupTable {
        &self.error_groups
    }

    /// What turns the ids in an event into names.
    pub(crate) fn names(&self) -> Names<'_> {
        Names { endpoints: &self.endpoints, consumers: &self.consumers }
    }

    pub(crate) fn request_log(&self) -> &RequestLog {
        &self.request_log
    }

    pub(crate) fn exemplars(&self) -> &Exemplars {
        &self.exemplars
    }

    #[inline(always)]
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Nanoseconds since the registry was made, by the recording clock.
    pub(crate) fn uptime_nanos(&self) -> u64 {
        self.uptime_nanos_at(self.clock.raw())
    }

    /// Like [`Shared::uptime_nanos`], at a reading of the clock.
    pub(crate) fn uptime_nanos_at(&self, ticks: u64) -> u64 {
        self.clock.nanos(self.started_ticks, ticks)
    }
}
