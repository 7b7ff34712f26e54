//! The reader: merges what the shards hold, and skips what did not change since it last looked.
//!
//! All cost of merging is paid here, by whoever asks. Writers are never waited for and never made to wait; a cell that
//! is read while it is written to costs its writer a cache miss.

use std::sync::Arc;

use crate::cell::{Header, at_rest};
use crate::endpoint::{EndpointName, Endpoints};
use crate::histogram::Sum;
use crate::layout::Layout;
use crate::outcome::{Outcome, StatusGroup};
use crate::place::Places;
use crate::shard::Shard;
use crate::snapshot::{EndpointSnapshot, Extremes, GroupSnapshot};

/// The state that reading leaves behind for the next reading. One a registry, behind a mutex.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The outcomes that a cell counts, by group.
    outcomes: Vec<Vec<Outcome>>,
    granularity: crate::Granularity,
    /// By row.
    endpoints: Vec<Merged>,
    header: Header,
    sum: Sum,
}

/// An endpoint as it was last read.
#[derive(Debug)]
struct Merged {
    /// The sum of the versions of all its cells. Versions only grow, so an equal sum means that no cell changed. `None`
    /// when a cell was being written to, which the sum would not show.
    stamp: Option<u64>,
    snapshot: Arc<EndpointSnapshot>,
}

impl Reader {
    pub(crate) fn new(layout: Layout, places: &Places) -> Self {
        Self {
            outcomes: (0..places.stride()).map(|group| places.outcomes(group).collect()).collect(),
            granularity: places.granularity(),
            endpoints: Vec::new(),
            header: Header::default(),
            sum: Sum::new(layout),
        }
    }

    /// Merges all shards, by endpoint: one entry for each row, also for endpoints that were never called.
    ///
    /// `epoch` is the current one.
    pub(crate) fn read(
        &mut self,
        shards: &[Arc<Shard>],
        endpoints: &Endpoints,
        epoch: u64,
    ) -> Vec<Arc<EndpointSnapshot>> {
        for name in endpoints.names_from(self.endpoints.len()) {
            self.endpoints.push(Merged::empty(name));
        }
        for row in 0..self.endpoints.len() {
            let stamp = self.stamp(shards, row);
            if stamp.is_none() || stamp != self.endpoints[row].stamp {
                self.merge(shards, row, epoch);
            }
        }
        self.endpoints.iter().map(|merged| Arc::clone(&merged.snapshot)).collect()
    }

    fn stamp(&self, shards: &[Arc<Shard>], row: usize) -> Option<u64> {
        let mut stamp = 0_u64;
        for shard in shards {
            for cell in (0..self.outcomes.len()).filter_map(|group| shard.cell(self.at(row, group))) {
                let version = cell.version();
                if !at_rest(version) {
                    return None;
                }
                stamp = stamp.wrapping_add(version);
            }
        }
        Some(stamp)
    }

    fn merge(&mut self, shards: &[Arc<Shard>], row: usize, epoch: u64) {
        let mut stamp = Some(0_u64);
        let mut groups = Vec::new();
        for group in 0..self.outcomes.len() {
            if let Some(merged) = self.merge_group(shards, row, group, epoch, &mut stamp) {
                groups.push(merged);
            }
        }
        let merged = &mut self.endpoints[row];
        merged.snapshot = Arc::new(EndpointSnapshot { name: Arc::clone(&merged.snapshot.name), groups });
        merged.stamp = stamp;
    }

    fn merge_group(
        &mut self,
        shards: &[Arc<Shard>],
        row: usize,
        group: usize,
        epoch: u64,
        stamp: &mut Option<u64>,
    ) -> Option<GroupSnapshot> {
        let outcomes = &self.outcomes[group];
        let mut counts = vec![0_u64; outcomes.len()];
        let (mut sum_nanos, mut clamped) = (0_u64, 0_u64);
        let (mut lifetime, mut current) = (Extremes::NONE, Extremes::NONE);
        for shard in shards {
            let Some(cell) = shard.cell(self.at(row, group)) else { continue };
            // The header first: the buckets then hold at least what it counts.
            cell.read_header(&mut self.header);
            let header = &self.header;
            *stamp = match *stamp {
                Some(stamp) if at_rest(header.version) => Some(stamp.wrapping_add(header.version)),
                _ => None,
            };
            for (sum, count) in counts.iter_mut().zip(&header.counts) {
                *sum = sum.wrapping_add(*count);
            }
            sum_nanos = sum_nanos.wrapping_add(header.sum);
            clamped += header.clamped;
            let extremes = Extremes { min: header.min, max: header.max };
            lifetime = lifetime.widened(extremes);
            if header.epoch == epoch {
                current = current.widened(extremes);
            }
            self.sum.add_octaves(|buckets| cell.add_buckets(buckets));
        }
        let histogram = self.sum.take();
        let first = *outcomes.first()?;
        let counts: Vec<_> = outcomes.iter().copied().zip(counts).filter(|&(_, count)| count > 0).collect();
        if counts.is_empty() && histogram.total() == 0 {
            return None;
        }
        let group = StatusGroup::of(self.granularity, first);
        // A cell keeps the extremes of one epoch only, so those of earlier ones are carried along from read to read.
        let before = self.endpoints[row].snapshot.groups.iter().find(|before| before.group == group);
        lifetime = before.map_or(lifetime, |before| lifetime.widened(before.extremes));
        Some(GroupSnapshot {
            group,
            counts,
            sum_nanos,
            clamped,
            extremes: lifetime.fitted(&histogram, clamped),
            histogram,
            current: (current != Extremes::NONE).then_some((epoch, current)),
        })
    }

    fn at(&self, row: usize, group: usize) -> usize {
        row * self.outcomes.len() + group
    }
}

impl Merged {
    fn empty(name: Arc<EndpointName>) -> Self {
        Self { stamp: None, snapshot: Arc::new(EndpointSnapshot { name, groups: Vec::new() }) }
    }
}
