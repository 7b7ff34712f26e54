//! Errors in groups: by endpoint, outcome and message template.
//!
//! The error log shows the latest errors, so a storm of one error pushes the others out of it. Groups do not: each has
//! its own count and its own examples, and only a new group can take the place of another one.
//!
//! # Synchronization
//!
//! A recorder remembers the group of its latest error of each priority ([`LatestGroup`]), so the same error again is
//! one addition to the group's count. Any other error takes a shared lock on a part of `groups`, a table of the kind
//! that endpoints are interned in. A new group is made under `made`, which only recorders with a new group lock. To
//! evict a group, it is removed from the table and marked, which makes its count final: that is added to `ungrouped`,
//! and a recorder that finds the mark counts its error elsewhere. Successes touch nothing here.

mod group;
mod series;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use dashmap::DashMap;

pub(crate) use self::group::Seen;
use self::group::{Example, Group};
use crate::events::context::{MAX_PATH_BYTES, without_query};
use crate::events::error_log::{MAX_MESSAGE_BYTES, Names, RecentError};
use crate::events::error_priority::ErrorPriority;
use crate::labels::endpoint::{EndpointId, EndpointName};
use crate::labels::outcome::Outcome;
use crate::space_saving::SpaceSaving;
use crate::template::{each_piece, message_template};
use crate::text::{cut, visible};

/// Groups that are kept at most.
pub(crate) const MAX_GROUPS: usize = 1_024;

/// Groups of each priority that a recorder makes a second at most, and in one burst. Errors beyond that are counted,
/// but in no group: others could evict all groups within milliseconds otherwise.
pub(crate) const MADE_PER_SECOND: usize = 128;

/// Paths of unmatched requests that are told apart.
const MAX_PATHS: usize = 64;

/// Errors in groups, in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorGroups {
    /// The groups with errors in the window, most errors first.
    pub groups: Vec<ErrorGroup>,
    /// When the window began, by the wall clock. For display.
    pub since: SystemTime,
    /// The length of the window. It begins with a step of the trends, so it can be longer than requested.
    pub window: Duration,
    /// The length of a step of the trends.
    pub step: Duration,
    /// Errors of each priority since the start that are in no group, the most important first: those of groups that
    /// were evicted, and those of new groups that came too fast.
    pub ungrouped: [u64; 4],
    /// The number of groups since the start that were evicted by newer ones.
    pub evicted: u64,
    /// The most frequent paths of requests that matched no route, since the last reset, with the least and the highest
    /// number of errors that each can have. Empty unless recorders are given [paths](crate::RequestContext::path).
    pub unmatched_paths: Vec<(Arc<str>, u64, u64)>,
}

/// Errors of one endpoint with the same outcome, whose messages differ only in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorGroup {
    /// A hash of endpoint, outcome and template: the same in each process.
    pub id: u64,
    /// Their endpoint.
    pub endpoint: Arc<EndpointName>,
    /// How they ended.
    pub outcome: Outcome,
    /// Their [message template](crate::message_template), at most [`MAX_MESSAGE_BYTES`] bytes.
    pub template: Arc<str>,
    /// How many occurred in the window, exactly.
    pub count: u64,
    /// When the first one occurred, since the group was created.
    pub first_seen: SystemTime,
    /// When the latest one occurred.
    pub last_seen: SystemTime,
    /// How many there were in each step, the oldest first; the last step is still running.
    pub trend: Vec<u32>,
    /// The consumers with the most of them since the group was created, each with a lower bound of its errors.
    pub consumers: Vec<(Arc<str>, u64)>,
    /// The first one, and the latest ones, newest first.
    pub examples: Vec<RecentError>,
}

/// All groups of a registry.
#[derive(Debug)]
pub(crate) struct GroupTable {
    groups: DashMap<u64, Arc<Group>, foldhash::fast::RandomState>,
    /// How many groups each priority has.
    made: Mutex<[usize; 4]>,
    ungrouped: [AtomicU64; 4],
    evicted: AtomicU64,
    example_bytes: AtomicUsize,
    paths: Mutex<SpaceSaving<String>>,
}

/// An error to count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewError<'a> {
    pub(crate) endpoint: EndpointId,
    pub(crate) outcome: Outcome,
    pub(crate) priority: ErrorPriority,
    /// Without hidden characters, at most [`MAX_MESSAGE_BYTES`] bytes.
    pub(crate) message: &'a str,
    /// In nanoseconds since the registry was made.
    pub(crate) now: u64,
}

/// The group of a recorder's latest error of one priority. Floods repeat one error.
#[derive(Debug, Default)]
pub(crate) struct LatestGroup(RefCell<Option<Latest>>);

#[derive(Debug)]
struct Latest {
    endpoint: EndpointId,
    outcome: Outcome,
    message: String,
    group: Arc<Group>,
}

impl LatestGroup {
    /// Counts an error if it is the same again. Returns whether it was counted.
    #[inline]
    fn count(&self, error: &NewError<'_>) -> bool {
        self.0.borrow().as_ref().is_some_and(|latest| {
            latest.endpoint == error.endpoint
                && latest.outcome == error.outcome
                && is_same(&latest.message, error.message)
                && latest.group.count_one(error.now)
        })
    }

    /// Allocates for the first error alone.
    fn set(&self, error: &NewError<'_>, group: Arc<Group>) {
        let NewError { endpoint, outcome, message, .. } = *error;
        let mut latest = self.0.borrow_mut();
        let mut kept = latest.take().map(|latest| latest.message).unwrap_or_default();
        kept.clear();
        kept.push_str(message);
        *latest = Some(Latest { endpoint, outcome, message: kept, group });
    }

    /// Whether it is time for another example of the group.
    #[inline]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.0.borrow().as_ref().is_some_and(|latest| latest.group.is_due(now))
    }
}

/// Whether two messages are the same. Compares bytes only if there are any: most errors have no message, an empty
/// `String` points nowhere, and where C's `memcmp` compares with AVX-512, reading nothing from there takes 120 ns.
#[inline(always)]
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}

impl GroupTable {
    pub(crate) fn new() -> Self {
        Self {
            groups: DashMap::default(),
            made: Mutex::new([0; 4]),
            ungrouped: Default::default(),
            evicted: AtomicU64::new(0),
            example_bytes: AtomicUsize::new(0),
            paths: Mutex::new(SpaceSaving::new(MAX_PATHS)),
        }
    }

    /// Counts an error in its group, which is the latest one then. If there is none, it is made if `may_make` says so.
    /// Returns whether the error is in a group.
    pub(crate) fn count(
        &self,
        error: &NewError<'_>,
        latest: &LatestGroup,
        may_make: impl FnOnce() -> bool,
    ) -> bool {
        if latest.count(error) {
            return true;
        }
        let key = key(error);
        let group = self
            .count_known(key, error)
            .or_else(|| if may_make() { self.count_new(key, error) } else { None });
        let Some(group) = group else {
            // ORDERING: Relaxed; the figure orders nothing else.
            self.ungrouped[error.priority as usize].fetch_add(1, Ordering::Relaxed);
            return false;
        };
        latest.set(error, group);
        true
    }

    /// Keeps what else is kept of an error of the latest group: its consumer and, if it is time for one, an example.
    #[inline]
    pub(crate) fn keep(&self, seen: &Seen<'_>, latest: &LatestGroup, is_due: bool) {
        let latest = latest.0.borrow();
        let Some(Latest { group, .. }) = &*latest else { return };
        group.keep(seen, is_due, &self.example_bytes);
        if group.priority == ErrorPriority::Unmatched
            && let Some(path) = seen.context.path
            && let Ok(mut paths) = self.paths.try_lock()
        {
            paths.count(&*visible(without_query(path), MAX_PATH_BYTES));
        }
    }

    fn count_known(&self, key: u64, error: &NewError<'_>) -> Option<Arc<Group>> {
        let group = Arc::clone(&*self.groups.get(&key)?);
        // Whoever finds a message with the hash of another group's gets no further than its own endpoint and outcome.
        let is_same = group.endpoint == error.endpoint && group.outcome == error.outcome;
        (is_same && group.count_one(error.now)).then_some(group)
    }

    #[cold]
    fn count_new(&self, key: u64, error: &NewError<'_>) -> Option<Arc<Group>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if self.groups.contains_key(&key) {
            // Another thread made it, or it is another group with the same hash.
            return self.count_known(key, error);
        }
        if made.iter().sum::<usize>() >= MAX_GROUPS {
            self.evict(&mut made);
        }
        let template = message_template(error.message);
        let template = cut(&template, MAX_MESSAGE_BYTES).into();
        let group = Arc::new(Group::new(error.endpoint, error.outcome, error.priority, template));
        group.count_one(error.now);
        self.groups.insert(key, Arc::clone(&group));
        made[error.priority as usize] += 1;
        Some(group)
    }

    /// Removes the group that was not seen for longest, among those of the least important priority that has more than
    /// an eighth of all.
    fn evict(&self, made: &mut [usize; 4]) {
        let Some(priority) = made.iter().rposition(|&groups| groups > MAX_GROUPS / 8) else { return };
        let of_priority = self.groups.iter().filter(|entry| entry.priority as usize == priority);
        let oldest = of_priority.map(|entry| (entry.last(), *entry.key())).min();
        let Some((_, (_, group))) = oldest.and_then(|oldest| Some((oldest, self.groups.remove(&oldest.1)?)))
        else {
            return;
        };
        made[priority] -= 1;
        // ORDERING: Relaxed; the figures order nothing else.
        self.ungrouped[priority].fetch_add(group.evict(), Ordering::Relaxed);
        self.evicted.fetch_add(1, Ordering::Relaxed);
        self.example_bytes.fetch_sub(group.example_bytes(), Ordering::Relaxed);
    }

    /// Moves the trends on. Called about once a second, and before they are read.
    pub(crate) fn advance(&self, now: u64) {
        self.groups.iter().for_each(|group| group.series.advance(now / SECOND, group.count()));
    }

    /// Begins a window.
    pub(crate) fn begin_window(&self) {
        self.groups.iter().for_each(|group| group.begin_window());
        *self.paths.lock().unwrap_or_else(PoisonError::into_inner) = SpaceSaving::new(MAX_PATHS);
    }

    /// The groups with errors in a window of this length.
    pub(crate) fn read(
        &self,
        window: Duration,
        is_since_reset: bool,
        now: u64,
        names: Names<'_>,
    ) -> ErrorGroups {
        self.advance(now);
        let wall = SystemTime::now();
        let ago =
            |nanos: u64| wall.checked_sub(Duration::from_nanos(now.saturating_sub(nanos))).unwrap_or(wall);
        let mut step = Duration::ZERO;
        let mut steps = 0;
        let mut groups = Vec::new();
        for group in self.all() {
            let (trend, every) = group.series.steps(window);
            (step, steps) = (every, trend.len());
            let in_steps = trend.iter().map(|&count| u64::from(count)).sum();
            let count = if is_since_reset { group.since_reset() } else { in_steps };
            if count > 0 {
                groups.push(group.show(count, trend, ago(group.last()), names));
            }
        }
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.id.cmp(&b.id)));
        // The last step is under way for as long as `now` is into it.
        let under_way = Duration::from_nanos(now % u64::try_from(step.as_nanos()).unwrap_or(1).max(1));
        let window = match steps.checked_sub(1) {
            Some(whole) if !is_since_reset => step * whole as u32 + under_way,
            _ => window,
        };
        // ORDERING: Relaxed; each figure by itself.
        ErrorGroups {
            groups,
            since: wall.checked_sub(window).unwrap_or(wall),
            window,
            step,
            ungrouped: self.ungrouped.each_ref().map(|count| count.load(Ordering::Relaxed)),
            evicted: self.evicted.load(Ordering::Relaxed),
            unmatched_paths: self.paths(),
        }
    }

    fn paths(&self) -> Vec<(Arc<str>, u64, u64)> {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<(Arc<str>, u64, u64)> =
            paths.rows().map(|(path, least, most)| (Arc::from(path.as_str()), least, most)).collect();
        rows.sort_by(|(a, _, left), (b, _, right)| right.cmp(left).then_with(|| a.cmp(b)));
        rows
    }

    fn all(&self) -> Vec<Arc<Group>> {
        self.groups.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    /// The memory of all groups in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let groups: usize = self.all().iter().map(|group| group.bytes()).sum();
        groups + self.example_bytes.load(Ordering::Relaxed) + MAX_PATHS * (MAX_PATH_BYTES + 40)
    }
}

const SECOND: u64 = 1_000_000_000;

impl Group {
    fn show(&self, count: u64, trend: Vec<u32>, last_seen: SystemTime, names: Names<'_>) -> ErrorGroup {
        let endpoint = names.endpoints.name(self.endpoint);
        let example = |example: &Example| RecentError {
            time: example.time,
            endpoint: Arc::clone(&endpoint),
            outcome: self.outcome,
            response_time: Duration::from_nanos(example.nanos),
            message: example.message.to_string(),
            trace: example.trace,
            details: example.details.resolve(names.consumers),
        };
        let (examples, mut by_consumer): (_, Vec<_>) = self.with_kept(|kept| {
            let rows =
                kept.consumers.rows().map(|(&consumer, least, _)| (names.consumers.name(consumer), least));
            (kept.examples.iter().rev().map(example).collect(), rows.collect())
        });
        by_consumer.sort_by(|(a, left), (b, right)| right.cmp(left).then_with(|| a.cmp(b)));
        ErrorGroup {
            id: id(&endpoint, self.outcome, &self.template),
            endpoint,
            outcome: self.outcome,
            template: Arc::from(&*self.template),
            count,
            first_seen: self.first_seen,
            last_seen,
            trend,
            consumers: by_consumer,
            examples,
        }
    }
}

impl ErrorGroup {
    /// Returns the id of the group that an error belongs to.
    pub fn id_of(error: &RecentError) -> u64 {
        let template = message_template(&error.message);
        id(&error.endpoint, error.outcome, cut(&template, MAX_MESSAGE_BYTES))
    }
}

/// The key of an error's group in the table.
fn key(error: &NewError<'_>) -> u64 {
    let mut hash = Fnv::new();
    hash.add(&error.endpoint.bits().to_le_bytes());
    hash.add(&code(error.outcome).to_le_bytes());
    let mut room = MAX_MESSAGE_BYTES;
    each_piece(error.message, |piece| {
        let piece = cut(piece, room);
        room -= piece.len();
        hash.add(piece.as_bytes());
    });
    hash.0
}

/// The id that is shown. Endpoints have other ids in each process, so it is made of their names.
fn id(endpoint: &EndpointName, outcome: Outcome, template: &str) -> u64 {
    let mut hash = Fnv::new();
    for part in [&*endpoint.method, &*endpoint.route, &outcome.to_string(), template] {
        hash.add(part.as_bytes());
        hash.add(&[0]);
    }
    hash.0
}

fn code(outcome: Outcome) -> u16 {
    match outcome {
        Outcome::Status(status) => status,
        Outcome::Other => 0,
        Outcome::Aborted => 1,
        Outcome::Panicked => 2,
    }
}

/// The hash FNV-1a: short, and the same everywhere. Not against collisions on purpose, which `count_known` bounds.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0 =
            bytes.iter().fold(self.0, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::labels::endpoint::Endpoints;

    #[test]
    fn a_recorder_whose_latest_group_was_evicted_counts_its_next_error_elsewhere() {
        let (table, endpoint) = (GroupTable::new(), Endpoints::new(1, 8).intern("GET", "/"));
        let count = |message: &str, latest: &LatestGroup, now| {
            let (outcome, priority) = (Outcome::Status(500), ErrorPriority::ServerError);
            let error = NewError { endpoint, outcome, priority, message, now };
            table.count(&error, latest, || now > 0)
        };
        let total = || {
            let ungrouped: u64 = table.ungrouped.iter().map(|count| count.load(Ordering::Relaxed)).sum();
            ungrouped + table.all().iter().map(|group| group.count()).sum::<u64>()
        };
        let (latest, others) = (LatestGroup::default(), LatestGroup::default());
        (1..=3).for_each(|now| assert!(count("first", &latest, now)));
        let word = |i: usize| format!("{i:05}").bytes().map(|byte| char::from(byte + 60)).collect::<String>();
        let made = MAX_GROUPS as u64;
        (0..made).for_each(|i| assert!(count(&word(i as usize), &others, 10 + i)));
        assert_eq!((table.evicted.load(Ordering::Relaxed), total()), (1, made + 3));
        // It may not be made again.
        assert!(!count("first", &latest, 0));
        assert_eq!(total(), made + 4);
        (0..2).for_each(|_| assert!(count("first", &latest, 5_000)));
        assert_eq!(total(), made + 6);
    }

    #[test]
    fn each_priority_keeps_an_eighth_of_the_groups_whatever_comes_after_them() {
        let (table, endpoint) = (GroupTable::new(), Endpoints::new(1, 8).intern("GET", "/"));
        let word = |i: usize| format!("{i:05}").bytes().map(|byte| char::from(byte + 60)).collect::<String>();
        let count = |priority, many: usize| {
            for i in 0..many {
                let (outcome, message) = (Outcome::Status(500 + priority as u16), &*word(i));
                let error = NewError { endpoint, outcome, priority, message, now: 1 + i as u64 };
                assert!(table.count(&error, &LatestGroup::default(), || true));
            }
        };
        let [most, .., least] = ErrorPriority::ALL;
        count(least, MAX_GROUPS / 8);
        count(most, 2 * MAX_GROUPS);
        let of = |priority| table.all().iter().filter(|group| group.priority == priority).count();
        assert_eq!((of(least), of(most)), (MAX_GROUPS / 8, MAX_GROUPS - MAX_GROUPS / 8));
        // Beyond that, the least important ones go first.
        count(least, 2 * MAX_GROUPS);
        assert_eq!(of(least) + of(most), MAX_GROUPS);
        count(most, 2 * MAX_GROUPS);
        assert_eq!((of(least), of(most)), (MAX_GROUPS / 8, MAX_GROUPS - MAX_GROUPS / 8));
    }
}
