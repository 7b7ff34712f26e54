//! The reader: merges what the shards hold, and skips what did not change since it last looked.
//!
//! All cost of merging is paid here, by whoever asks. Writers are never waited for and never made to wait; a cell that
//! is read while it is written to costs its writer a cache miss.

use std::sync::Arc;

use crate::cell::{Bytes, Moment, Patience, Reading};
use crate::endpoint::{EndpointName, Endpoints};
use crate::histogram::Sum;
use crate::layout::Layout;
use crate::outcome::{Granularity, Outcome, StatusGroup};
use crate::place::Places;
use crate::shard::{Gauge, ReadCell, Shard};
use crate::snapshot::{EndpointSnapshot, Extremes, GroupSnapshot};

/// The state that reading leaves behind for the next reading. One a registry, behind a mutex.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Cells that an endpoint can have.
    stride: usize,
    groups: Vec<Group>,
    /// By row.
    endpoints: Vec<Merged>,
    reading: Reading,
    sum: Sum,
}

/// The cells whose histograms are added up.
#[derive(Debug)]
struct Group {
    name: StatusGroup,
    cells: Vec<CellOutcomes>,
}

/// A cell among an endpoint's, and the outcomes that it counts.
#[derive(Debug)]
struct CellOutcomes {
    cell: usize,
    outcomes: Vec<Outcome>,
}

/// An endpoint as it was last read.
#[derive(Debug)]
struct Merged {
    /// The sum of its cells' [`changes`](ReadCell::changes). They only grow, so an equal sum means that no cell changed.
    /// `None` when a cell was not read at one moment.
    stamp: Option<u64>,
    snapshot: Arc<EndpointSnapshot>,
}

impl Reader {
    pub(crate) fn new(layout: Layout, granularity: Granularity) -> Self {
        let places = Places::by(granularity);
        let mut groups: Vec<Group> = Vec::new();
        for cell in 0..places.stride() {
            let outcomes: Vec<_> = places.outcomes(cell).collect();
            let Some(&first) = outcomes.first() else { continue };
            let name = StatusGroup::of(granularity, first);
            let cell = CellOutcomes { cell, outcomes };
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.cells.push(cell),
                None => groups.push(Group { name, cells: vec![cell] }),
            }
        }
        Self {
            stride: places.stride(),
            groups,
            endpoints: Vec::new(),
            reading: Reading::new(layout),
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
        let mut patience = Patience::new();
        for row in 0..self.endpoints.len() {
            if self.endpoints[row].stamp != Some(self.changes(shards, row)) {
                self.merge(shards, row, epoch, &mut patience);
            }
        }
        self.endpoints.iter().map(|merged| Arc::clone(&merged.snapshot)).collect()
    }

    /// Grows with everything that is written for an endpoint.
    fn changes(&self, shards: &[Arc<Shard>], row: usize) -> u64 {
        let cells = row * self.stride..(row + 1) * self.stride;
        let cells = shards.iter().flat_map(|shard| cells.clone().filter_map(|at| shard.cell(at)));
        let gauges = shards.iter().filter_map(|shard| shard.at_row(row));
        let changes =
            cells.map(ReadCell::changes).chain(gauges.flat_map(|gauge| [gauge.ended(), gauge.begun()]));
        changes.fold(0, u64::wrapping_add)
    }

    fn merge(&mut self, shards: &[Arc<Shard>], row: usize, epoch: u64, patience: &mut Patience) {
        let (in_flight, changes) = Gauge::under_way(|| shards.iter().filter_map(|shard| shard.at_row(row)));
        let mut stamp = Some(changes);
        let before = &self.endpoints[row].snapshot;
        let groups = self
            .groups
            .iter()
            .filter_map(|group| {
                let cells = || {
                    group.cells.iter().flat_map(|cell| {
                        let at = row * self.stride + cell.cell;
                        let found = shards.iter().filter_map(move |shard| shard.cell(at));
                        found.map(|found| (&*cell.outcomes, found))
                    })
                };
                let mut merge = GroupMerge::new(&mut self.reading, &mut self.sum, epoch);
                if !cells().all(|(outcomes, cell)| merge.add_at_once(outcomes, cell)) {
                    merge = merge.anew();
                    cells().for_each(|(outcomes, cell)| merge.add(outcomes, cell, patience));
                }
                stamp = stamp.zip(merge.changes).map(|(sum, changes): (u64, u64)| sum.wrapping_add(changes));
                merge.finish(group.name, before.groups.iter().find(|before| before.group == group.name))
            })
            .collect();
        let snapshot = Arc::new(EndpointSnapshot { name: Arc::clone(&before.name), groups, in_flight });
        self.endpoints[row] = Merged { stamp, snapshot };
    }
}

/// The cells of one endpoint and one group of statuses, being added up.
struct GroupMerge<'a> {
    reading: &'a mut Reading,
    histogram: &'a mut Sum,
    epoch: u64,
    /// `None` once a cell was not read at one moment.
    changes: Option<u64>,
    counts: Vec<(Outcome, u64)>,
    sum_nanos: u64,
    clamped: u64,
    bytes: Bytes,
    truncated: u64,
    lifetime: Extremes,
    current: Extremes,
}

impl<'a> GroupMerge<'a> {
    fn new(reading: &'a mut Reading, histogram: &'a mut Sum, epoch: u64) -> Self {
        Self {
            reading,
            histogram,
            epoch,
            changes: Some(0),
            counts: Vec::new(),
            sum_nanos: 0,
            clamped: 0,
            bytes: Bytes::default(),
            truncated: 0,
            lifetime: Extremes::NONE,
            current: Extremes::NONE,
        }
    }

    /// Without any cell.
    fn anew(self) -> Self {
        self.histogram.clear();
        Self::new(self.reading, self.histogram, self.epoch)
    }

    /// Adds a cell that nobody writes to at the moment: with half of the work that [`GroupMerge::add`] is. Gives `false` if
    /// somebody did; the cells have to be added anew then.
    fn add_at_once(&mut self, outcomes: &[Outcome], cell: &dyn ReadCell) -> bool {
        let header = &mut self.reading.header;
        let records = self.histogram.add_octaves(|buckets| cell.add_at_once(header, buckets));
        records.map(|records| self.add_header(outcomes, Moment::One(records))).is_some()
    }

    /// Adds a cell, as well as it can be read.
    fn add(&mut self, outcomes: &[Outcome], cell: &dyn ReadCell, patience: &mut Patience) {
        let moment = cell.read(self.reading, patience);
        self.histogram.add_octaves(|buckets| ((), self.reading.add_buckets(buckets)));
        self.add_header(outcomes, moment);
    }

    fn add_header(&mut self, outcomes: &[Outcome], moment: Moment) {
        let header = &self.reading.header;
        let (all, of_header) = match moment {
            Moment::One(records) => (Some(header.changes(records)), records),
            Moment::Header(records) => (None, records),
            Moment::Several => (None, 0),
        };
        self.changes = self.changes.zip(all).map(|(sum, changes)| sum.wrapping_add(changes));
        for (&outcome, &count) in outcomes.iter().zip(&header.counts).filter(|&(_, &count)| count > 0) {
            match self.counts.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, sum)) => *sum = sum.wrapping_add(count),
                None => self.counts.push((outcome, count)),
            }
        }
        self.sum_nanos = self.sum_nanos.wrapping_add(header.sum);
        self.clamped = self.clamped.wrapping_add(header.clamped);
        self.bytes.request = self.bytes.request.wrapping_add(header.bytes.request);
        self.bytes.response = self.bytes.response.wrapping_add(header.bytes.response);
        self.truncated = self.truncated.wrapping_add(header.truncated);
        // Extremes that are not of one moment are left to the buckets, and to the next reading.
        if of_header > 0 {
            let extremes = Extremes { min: header.min, max: header.max };
            self.lifetime = self.lifetime.widened(extremes);
            if header.epoch == self.epoch {
                self.current = self.current.widened(extremes);
            }
        }
    }

    /// `before` is the group as it was last read: a cell keeps the extremes of one epoch only, so those of earlier ones
    /// are carried along.
    fn finish(self, group: StatusGroup, before: Option<&GroupSnapshot>) -> Option<GroupSnapshot> {
        let calls = self.counts.iter().fold(0, |sum: u64, &(_, count)| sum.saturating_add(count));
        // A record that stopped between its bucket and its count is shown in neither. Which bucket that is nobody knows, but
        // it is one that gained since the last reading; and no later reading can show less than this.
        let histogram = self.histogram.take().cut_down_to(calls, before.map(|before| &before.histogram));
        let unused = self.counts.is_empty() && self.bytes == Bytes::default() && self.truncated == 0;
        if unused && histogram.total() == 0 {
            return None;
        }
        let lifetime = before.map_or(self.lifetime, |before| self.lifetime.widened(before.as_read));
        Some(GroupSnapshot {
            group,
            counts: self.counts,
            sum_nanos: self.sum_nanos,
            clamped: self.clamped,
            bytes: self.bytes,
            truncated: self.truncated,
            extremes: lifetime.fitted(&histogram, self.clamped),
            histogram,
            current: (self.current != Extremes::NONE).then_some((self.epoch, self.current)),
            as_read: lifetime,
        })
    }
}

impl Merged {
    fn empty(name: Arc<EndpointName>) -> Self {
        Self { stamp: None, snapshot: Arc::new(EndpointSnapshot { name, groups: Vec::new(), in_flight: 0 }) }
    }
}
