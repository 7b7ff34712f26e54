//! The reader: merges the shards, and skips whatever did not change since the last reading.
//!
//! The reading thread pays for merging. Writers never wait for it, and it waits for writers only within a budget of 5
//! ms. A cell that is read while it is written costs its writer a cache miss.

mod group;

use std::borrow::Cow;
use std::sync::Arc;

use crate::histogram::Layout;
use crate::labels::endpoint::{EndpointName, Endpoints};
use crate::labels::outcome::Granularity;
use crate::read::snapshot::endpoint::EndpointSnapshot;
use crate::read::snapshot::group::GroupSnapshot;
use crate::read::snapshot::version::Versions;
use crate::record::cell::wait_budget::WaitBudget;
use crate::record::shard::Shard;
use crate::record::shard::in_flight::InFlight;
use crate::record::slot::Slots;

use self::group::{Group, Row, Scratch, SeenCells, Turn};

/// The state that one reading keeps for the next. Each registry has one, in a mutex.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The most cells of an endpoint.
    stride: usize,
    groups: Vec<Group>,
    /// By row.
    endpoints: Vec<Merged>,
    /// The number of cells in all shards when the reader last looked for new ones.
    cells_made: u64,
    totals: Totals,
    scratch: Scratch,
}

/// All endpoints together, by group, including groups in which nothing was counted.
#[derive(Debug, Clone)]
pub(crate) struct Totals {
    /// All requests but probes.
    pub(crate) matched: Vec<GroupSnapshot>,
    /// 4xx of endpoints that [catch all](EndpointName::catches_all) paths. Under [`Granularity::Outcome`] also their
    /// 5xx, which share a group with 4xx; counts tell them apart.
    pub(crate) probes: Vec<GroupSnapshot>,
}

/// An endpoint as it was last read.
#[derive(Debug)]
struct Merged {
    catches_all: bool,
    /// The sum of all beginnings and ends at the endpoint, which only grows.
    gauges: u64,
    /// By group; only groups that have cells.
    seen: Vec<SeenCells>,
    snapshot: Arc<EndpointSnapshot>,
}

impl Reader {
    /// For the registry with this key.
    pub(crate) fn new(layout: Layout, granularity: Granularity, registry: u64) -> Self {
        let slots = Slots::by(granularity);
        let groups = Group::all(slots, granularity);
        Self {
            stride: slots.stride(),
            totals: Totals { matched: empty(&groups, layout), probes: empty(&groups, layout) },
            groups,
            endpoints: Vec::new(),
            cells_made: 0,
            scratch: Scratch::new(layout, Versions::of(registry)),
        }
    }

    /// Merges all shards by endpoint. Returns one entry for each row, including endpoints that were never called.
    pub(crate) fn read(
        &mut self,
        shards: &[Arc<Shard>],
        endpoints: &Endpoints,
        epoch: u64,
    ) -> Vec<Arc<EndpointSnapshot>> {
        // Before the names, so that they include the endpoint of each counted cell.
        let cells_made = shards.iter().fold(0, |sum: u64, shard| sum.wrapping_add(shard.cells_made()));
        for name in endpoints.names_from(self.endpoints.len()) {
            self.endpoints.push(Merged::empty(name));
        }
        let look = std::mem::replace(&mut self.cells_made, cells_made) != cells_made;
        let mut turn = Turn { epoch, wait_budget: WaitBudget::new() };
        for (row, merged) in self.endpoints.iter_mut().enumerate() {
            let row = Row { shards, number: row, first_cell: row * self.stride };
            if look {
                merged.look_for_cells(&self.groups, row);
            }
            merged.read(&self.groups, row, &mut turn, &mut self.scratch, &mut self.totals);
        }
        self.endpoints.iter().map(|merged| Arc::clone(&merged.snapshot)).collect()
    }

    /// All endpoints together as they were last read.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }
}

fn empty(groups: &[Group], layout: Layout) -> Vec<GroupSnapshot> {
    groups.iter().map(|group| GroupSnapshot::empty(group.name, layout)).collect()
}

impl Merged {
    fn empty(name: Arc<EndpointName>) -> Self {
        let catches_all = name.catches_all();
        let snapshot = Arc::new(EndpointSnapshot { name, groups: Vec::new(), in_flight: 0 });
        Self { catches_all, gauges: 0, seen: Vec::new(), snapshot }
    }

    /// Looks for new cells.
    fn look_for_cells(&mut self, groups: &[Group], row: Row<'_>) {
        let mut known = std::mem::take(&mut self.seen).into_iter().peekable();
        self.seen.extend(groups.iter().enumerate().filter_map(|(at, group)| {
            let known = known.next_if(|seen| seen.group == at);
            known.unwrap_or_else(|| SeenCells::none(at)).with_new(group, row)
        }));
    }

    /// Reads the groups that changed, and adds the change to the totals.
    fn read(
        &mut self,
        groups: &[Group],
        row: Row<'_>,
        turn: &mut Turn,
        scratch: &mut Scratch,
        totals: &mut Totals,
    ) {
        let (in_flight, gauges) = InFlight::under_way(|| row.gauges());
        // Without a short cut: each group has to be looked at once.
        let changed = self.seen.iter_mut().fold(false, |any, seen| seen.look(&groups[seen.group], row) | any);
        if self.gauges == gauges && !changed {
            return;
        }
        self.gauges = gauges;
        let name = Arc::clone(&self.snapshot.name);
        // If no snapshot shares the endpoint, its groups change in place. Otherwise a group that changed by little is
        // copied.
        let mut before: Vec<_> = match Arc::get_mut(&mut self.snapshot) {
            Some(own) => std::mem::take(&mut own.groups).into_iter().rev().map(Cow::Owned).collect(),
            None => self.snapshot.groups.iter().rev().map(Cow::Borrowed).collect(),
        };
        let mut now = Vec::with_capacity(before.len());
        for seen in &mut self.seen {
            let group = &groups[seen.group];
            let are_probes = self.catches_all && group.name.has_client_errors();
            let totals = if are_probes { &mut totals.probes } else { &mut totals.matched };
            let total = &mut totals[seen.group];
            let before = before.pop_if(|before| before.group == group.name);
            now.extend(if seen.changed() {
                scratch.read(group, row, seen, before, total, turn)
            } else {
                before.map(Cow::into_owned)
            });
        }
        drop(before);
        let now = EndpointSnapshot { name, groups: now, in_flight };
        match Arc::get_mut(&mut self.snapshot) {
            Some(own) => *own = now,
            None => self.snapshot = Arc::new(now),
        }
    }
}
