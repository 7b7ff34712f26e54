//! The arms of memory.

use std::str::FromStr;

use crate::figures::OURS;
use crate::size::Size;
use crate::worker::Worker;
use crate::workload::Routes;
use crate::{ours, peers};

/// Something that keeps a service's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// Ours.
    Ours,
    /// A plain `hdrhistogram` for each thread and route, without counts by status.
    Hdrhistogram,
    /// `histogram`'s atomic histogram for each route and status, which all threads share.
    Histogram,
    /// `prometheus`: counts by route and status, and eleven buckets for each route, which all threads share. It has no
    /// digits.
    Prometheus,
}

/// The arm's state before anything is recorded.
pub(super) struct Held {
    /// The recorder of each thread.
    pub(super) workers: Vec<Box<dyn Worker>>,
    /// Reads the figures once, if a reading keeps memory.
    pub(super) read: Box<dyn Fn()>,
}

impl Arm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ours, Self::Hdrhistogram, Self::Histogram, Self::Prometheus];

    /// Its name in tables, in JSON and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => OURS,
            Self::Hdrhistogram => "hdrhistogram",
            Self::Histogram => "histogram",
            Self::Prometheus => "prometheus",
        }
    }

    pub(super) fn hold(self, routes: Routes, size: Size) -> Held {
        let Size { shards, digits, .. } = size;
        let unread = |workers| Held { workers, read: Box::new(|| {}) };
        match self {
            Self::Ours => {
                let (registry, workers) = ours::owned_of_digits(routes, shards, digits);
                Held { workers, read: Box::new(move || drop(registry.summary())) }
            }
            Self::Hdrhistogram => unread(peers::hdrhistogram_of_digits(routes, shards, digits)),
            Self::Histogram => unread(peers::histogram_of_digits(routes, shards, digits)),
            Self::Prometheus => unread(peers::prometheus_cached(routes, shards)),
        }
    }
}

impl FromStr for Arm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|arm| arm.name() == name).ok_or_else(|| {
            format!("{name:?} is not an arm; the arms are {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}
