//! Adds up the cells of one endpoint and one group of statuses.
//!
//! There are three ways, from the cheapest to the most robust:
//!
//! 1. Add the records since the last reading, from the list of latest durations in each cell. Reads no buckets, but
//!    needs a cell with few new records.
//! 2. Add up all buckets while reading them. Fails if a writer records in the meantime.
//! 3. Copy each cell before adding it, with several attempts, and accept less after that.

use std::borrow::Cow;
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::histogram::{Histogram, Layout, Sum};
use crate::labels::outcome::{Granularity, Outcome, StatusGroup};
use crate::read::snapshot::extremes::Extremes;
use crate::read::snapshot::group::GroupSnapshot;
use crate::read::snapshot::version::{Version, Versions};
use crate::record::cell::reading::{Consistency, Header, ReadMark, Reading};
use crate::record::cell::wait_budget::WaitBudget;
use crate::record::shard::in_flight::InFlight;
use crate::record::shard::{ReadCell, Shard};
use crate::record::slot::Slots;

/// A group of statuses: the cells of an endpoint whose histograms are added up.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: StatusGroup,
    cells: Vec<CellOutcomes>,
}

/// The number of a cell among an endpoint's, and the outcomes that it counts.
#[derive(Debug)]
struct CellOutcomes {
    cell: usize,
    outcomes: Vec<Outcome>,
}

impl Group {
    pub(super) fn all(slots: &Slots, granularity: Granularity) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for cell in 0..slots.stride() {
            let outcomes: Vec<_> = slots.outcomes(cell).collect();
            let Some(&first) = outcomes.first() else { continue };
            let name = StatusGroup::of(granularity, first);
            let cell = CellOutcomes { cell, outcomes };
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.cells.push(cell),
                None => groups.push(Self { name, cells: vec![cell] }),
            }
        }
        groups
    }
}

/// The state of one reading of all endpoints.
#[derive(Debug)]
pub(super) struct Turn {
    /// The current epoch.
    pub(super) epoch: u64,
    pub(super) wait_budget: WaitBudget,
}

/// One endpoint in all shards.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) shards: &'a [Arc<Shard>],
    pub(super) number: usize,
    /// The index of its first cell in the table.
    pub(super) first_cell: usize,
}

impl<'a> Row<'a> {
    pub(super) fn gauges(self) -> impl Iterator<Item = &'a InFlight> {
        self.shards.iter().filter_map(move |shard| shard.at_row(self.number))
    }

    fn cell(self, cell: &CellOutcomes, shard: usize) -> Option<&'a dyn ReadCell> {
        self.shards.get(shard)?.cell(self.first_cell + cell.cell)
    }
}

/// The mark of a cell's last reading, the outcomes that it counts, and the cell.
type Found<'a> = (ReadMark, &'a [Outcome], &'a dyn ReadCell);

/// The cells of a group as the last snapshot has them.
#[derive(Debug, Clone)]
pub(super) struct SeenCells {
    /// The number of the group.
    pub(super) group: usize,
    /// The sum of their [`changes`](ReadCell::look). These only grow, so an equal sum means that no cell changed.
    /// `None` if a cell was not read at one moment, as the changes since then are unknown.
    changes: Option<u64>,
    /// The same sum when the cells were last looked at.
    changes_now: u64,
    /// In the order of reading.
    cells: Vec<SeenCell>,
}

#[derive(Debug, Clone, Copy)]
struct SeenCell {
    /// The number of the cell in the group.
    cell: u32,
    shard: u32,
    seen: ReadMark,
}

impl SeenCells {
    pub(super) fn none(group: usize) -> Self {
        Self { group, changes: Some(0), changes_now: 0, cells: Vec::new() }
    }

    /// Adds new cells. `None` if the group still has no cells.
    pub(super) fn with_new(mut self, group: &Group, row: Row<'_>) -> Option<Self> {
        let mut known = std::mem::take(&mut self.cells).into_iter().peekable();
        for (nth, cell) in group.cells.iter().enumerate() {
            let found = (0..row.shards.len()).filter(|&shard| row.cell(cell, shard).is_some());
            self.cells.extend(found.map(|shard| {
                let new = SeenCell { cell: nth as u32, shard: shard as u32, seen: ReadMark::default() };
                let same = |known: &SeenCell| (known.cell, known.shard) == (new.cell, new.shard);
                known.next_if(same).unwrap_or(new)
            }));
        }
        (!self.cells.is_empty()).then_some(self)
    }

    /// Looks at all cells. Returns whether any changed.
    pub(super) fn look(&mut self, group: &Group, row: Row<'_>) -> bool {
        let changes = |sum: u64, (seen, _, cell): Found<'_>| sum.wrapping_add(cell.look(seen));
        self.changes_now = self.found(group, row).fold(0, changes);
        self.changed()
    }

    /// Whether any cell had changed at the last look.
    pub(super) fn changed(&self) -> bool {
        self.changes != Some(self.changes_now)
    }

    fn found<'a>(&self, group: &'a Group, row: Row<'a>) -> impl Iterator<Item = Found<'a>> {
        self.cells.iter().filter_map(move |seen| {
            let cell = &group.cells[seen.cell as usize];
            Some((seen.seen, &*cell.outcomes, row.cell(cell, seen.shard as usize)?))
        })
    }

    /// Keeps the marks of the cells if they were read at one moment, or else that they were not.
    fn set(&mut self, changes: Option<u64>, now: &[ReadMark]) {
        self.changes = changes;
        if changes.is_some() {
            self.cells.iter_mut().zip(now).for_each(|(cell, now)| cell.seen = *now);
        }
    }
}

/// The buffers for adding up, reused for all groups.
#[derive(Debug)]
pub(super) struct Scratch {
    layout: Layout,
    reading: Reading,
    histogram: Sum,
    /// The buckets of the records since the last reading.
    fresh: Vec<usize>,
    /// What a group gained, where all of its buckets were read.
    gained: Sum,
    /// The marks of the cells after this reading.
    now: Vec<ReadMark>,
    versions: Versions,
}

impl Scratch {
    pub(super) fn new(layout: Layout, versions: Versions) -> Self {
        Self {
            layout,
            reading: Reading::new(layout),
            histogram: Sum::new(layout),
            fresh: Vec::new(),
            gained: Sum::new(layout),
            now: Vec::new(),
            versions,
        }
    }

    /// Reads a group. `before` is the group as it was last read. `seen` has its cells as they were last read, and is
    /// updated. The change is added to `total`.
    pub(super) fn read(
        &mut self,
        group: &Group,
        row: Row<'_>,
        seen: &mut SeenCells,
        mut before: Option<Cow<'_, GroupSnapshot>>,
        total: &mut GroupSnapshot,
        turn: &mut Turn,
    ) -> Option<GroupSnapshot> {
        let epoch = turn.epoch;
        let cells = || seen.found(group, row);
        let sums = seen.changes.and_then(|_| self.since(cells(), epoch));
        let came_since = sums.is_some();
        let sums = sums
            .or_else(|| self.at_once(cells(), epoch))
            .unwrap_or_else(|| self.copied(cells(), epoch, &mut turn.wait_budget));
        seen.set(sums.changes, &self.now);
        let lifetime = before.as_ref().map_or(sums.lifetime, |before| sums.lifetime.widened(before.as_read));
        let empty = || Histogram::empty(self.layout);
        let histogram = if came_since {
            let mut histogram = match &mut before {
                Some(Cow::Owned(before)) => std::mem::replace(&mut before.histogram, empty()),
                Some(Cow::Borrowed(before)) => before.histogram.clone(),
                None => empty(),
            };
            for &bucket in &self.fresh {
                histogram.count(bucket);
                total.histogram.count(bucket);
            }
            histogram
        } else {
            let earlier = before.as_ref().map(|before| &before.histogram);
            // A record that stopped between its bucket and its count is removed from the buckets. Its bucket is
            // unknown, but it is one that gained since the last reading. No later reading may show less than this one.
            let histogram = self.histogram.take().cut_down_to(sums.calls(), earlier);
            self.gained.add_difference(&histogram, earlier.unwrap_or(&empty()));
            total
                .histogram
                .merge(&self.gained.take())
                .expect("all histograms of a registry have its precision");
            histogram
        };
        let version = self.versions.next();
        let now = sums.snapshot(group.name, epoch, histogram, lifetime, version)?;
        total.merge_growth(&now, before.as_deref());
        total.extremes = total.extremes.widened(now.extremes);
        Some(now)
    }

    /// Reads the records since the last reading into `fresh`.
    fn since<'a>(&mut self, cells: impl Iterator<Item = Found<'a>>, epoch: u64) -> Option<Sums> {
        let mut sums = self.begin();
        self.fresh.clear();
        for (seen, outcomes, cell) in cells {
            let header = &mut self.reading.header;
            let now = cell.read_since(header, seen, &mut |bucket| self.fresh.push(bucket))?;
            self.now.push(now);
            sums.add(outcomes, header, Consistency::One(now.records), epoch);
        }
        Some(sums)
    }

    /// Adds up cells that are not being written at the moment, with half the work of [`Scratch::copied`]. `None` if a
    /// record began in the meantime.
    fn at_once<'a>(&mut self, cells: impl Iterator<Item = Found<'a>>, epoch: u64) -> Option<Sums> {
        let mut sums = self.begin();
        for (_, outcomes, cell) in cells {
            let header = &mut self.reading.header;
            let records = self.histogram.add_octaves(|buckets| cell.add_at_once(header, buckets))?;
            self.now.push(header.seen(records));
            sums.add(outcomes, header, Consistency::One(records), epoch);
        }
        Some(sums)
    }

    /// Adds up cells, each read as well as possible.
    fn copied<'a>(
        &mut self,
        cells: impl Iterator<Item = Found<'a>>,
        epoch: u64,
        wait_budget: &mut WaitBudget,
    ) -> Sums {
        let mut sums = self.begin();
        for (_, outcomes, cell) in cells {
            let moment = cell.read(&mut self.reading, wait_budget);
            self.histogram.add_octaves(|buckets| ((), self.reading.add_buckets(buckets)));
            let header = &self.reading.header;
            if let Consistency::One(records) = moment {
                self.now.push(header.seen(records));
            }
            sums.add(outcomes, header, moment, epoch);
        }
        sums
    }

    fn begin(&mut self) -> Sums {
        self.histogram.clear();
        self.now.clear();
        Sums::default()
    }
}

/// The sums of the headers of a group's cells.
struct Sums {
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

impl Default for Sums {
    fn default() -> Self {
        Self {
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
}

impl Sums {
    fn add(&mut self, outcomes: &[Outcome], header: &Header, moment: Consistency, epoch: u64) {
        let (all, of_header) = match moment {
            Consistency::One(records) => (Some(header.changes(records)), records),
            Consistency::Header(records) => (None, records),
            Consistency::Several => (None, 0),
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
        // If the extremes are not of one moment, the buckets bound them until the next reading.
        if of_header > 0 {
            let extremes = Extremes { min: header.min, max: header.max };
            self.lifetime = self.lifetime.widened(extremes);
            if header.epoch == epoch {
                self.current = self.current.widened(extremes);
            }
        }
    }

    fn calls(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &(_, count)| sum.saturating_add(count))
    }

    /// The group, unless nothing was counted in it. `lifetime` includes the extremes of earlier epochs, which no cell
    /// keeps.
    fn snapshot(
        self,
        group: StatusGroup,
        epoch: u64,
        histogram: Histogram,
        lifetime: Extremes,
        version: Version,
    ) -> Option<GroupSnapshot> {
        let unused = self.counts.is_empty() && self.bytes == Bytes::default() && self.truncated == 0;
        (!unused || histogram.total() > 0).then(|| GroupSnapshot {
            group,
            counts: self.counts,
            sum_nanos: self.sum_nanos,
            clamped: self.clamped,
            bytes: self.bytes,
            truncated: self.truncated,
            extremes: lifetime.fitted(&histogram, self.clamped),
            histogram,
            current: (self.current != Extremes::NONE).then_some((epoch, self.current)),
            as_read: lifetime,
            version: Some(version),
        })
    }
}
