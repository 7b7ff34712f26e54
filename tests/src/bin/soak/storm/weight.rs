//! The memory of the service in the storm.

use crate::processes::{kept_bytes, resident_kib};
use crate::routes::ALLOCATED;
use crate::service::METRICS;
use crate::storm::clients::{Field, ask};

/// Hostile errors after which all tables are full.
const FULL: u64 = 10_000;

/// What allocated memory may grow by in MiB once all tables are full, without the history and the like, which grow for
/// a day within bounds of their own.
const GROWTH: f64 = 2.0;

/// Memory after a round, in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weight {
    errors: u64,
    allocated: f64,
    kept: f64,
    resident: f64,
}

impl Weight {
    /// Asks the service with a monitor, whose process this is.
    pub(crate) fn of(field: &Field, id: u32) -> Option<Self> {
        let allocated = ask(field, ALLOCATED)?.parse::<u64>().ok()?;
        let kept = kept_bytes(&ask(field, &format!("{METRICS}/prometheus"))?);
        let [allocated, kept] = [allocated, kept].map(|bytes| bytes as f64 / f64::from(1 << 20));
        Some(Self { errors: field.errors(), allocated, kept, resident: resident_kib(id)? / 1024.0 })
    }

    fn print(&self) {
        let Self { errors, allocated, kept, resident } = self;
        println!(
            "memory      {allocated:.2} MiB allocated after {errors} errors, of which history and shards {kept:.2}; \
             {resident:.1} resident"
        );
    }
}

/// Prints how memory grew, and complains if it did once all tables were full.
pub(crate) fn judge(weights: &[Weight]) -> Option<String> {
    let (Some(first), Some(last)) = (weights.first(), weights.last()) else {
        return Some("the service does not say how much it has allocated".to_owned());
    };
    let full = weights.iter().find(|weight| weight.errors >= FULL);
    [Some(first), full, Some(last)].into_iter().flatten().for_each(Weight::print);
    let Some(warm) = full.filter(|full| full.errors < last.errors) else {
        return Some(format!(
            "too few errors to tell whether memory grows: no round after that of error {FULL}"
        ));
    };
    let growth = (last.allocated - last.kept) - (warm.allocated - warm.kept);
    (growth > GROWTH).then(|| format!("memory grew by {growth:.2} MiB"))
}
