//! The demo's own metrics: what a shop measures besides its requests.

use metrics_core::{Counter, Gauge, HitRatio, MetricError, Registry, Timer, UniqueCount};

/// Made once; cloned into each worker.
#[derive(Debug, Clone)]
pub(crate) struct Business {
    /// Reports that were requested.
    pub(crate) analysis_requests: Counter,
    /// Customers of the day, by their keys.
    pub(crate) daily_active_users: UniqueCount,
    /// Look-ups in the cache of items.
    pub(crate) cache: HitRatio,
    /// Queries of the database.
    pub(crate) db: Timer,
    /// Calls of the payment provider.
    pub(crate) external: Timer,
    /// Orders that wait to be sent.
    pub(crate) open_orders: Gauge,
}

impl Business {
    pub(crate) fn new(registry: &Registry) -> Result<Self, MetricError> {
        Ok(Self {
            analysis_requests: registry.counter("analysis_requests")?,
            daily_active_users: registry.unique("daily_active_users")?,
            cache: registry.hit_ratio("cache")?,
            db: registry.timer("db")?,
            external: registry.timer("external")?,
            open_orders: registry.gauge("open_orders")?,
        })
    }
}
