//! Endpoints and their names. A name is interned once; its id is a small index.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use serde::{Deserialize, Serialize};

use crate::labels::method::METHODS;
use crate::text::visible;

/// The longest method and the longest route, in bytes each. Longer ones are cut at a character boundary.
pub const MAX_NAME_BYTES: usize = 256;

/// The route of requests that matched no route, or whose route is unknown.
pub const UNMATCHED: &str = "_unmatched";

/// Rows for [`UNMATCHED`] besides `max_series`: one for each method. So however many routes there are, paths that match
/// none of them have rows of their own.
const UNMATCHED_ROWS: usize = METHODS.len();

/// The method and the route of the overflow endpoint, which counts the requests of all endpoints that did not fit.
const OVERFLOW: (&str, &str) = ("_OTHER", "_other");

/// An interned (method, route) of one registry. 8 bytes, `Copy`.
///
/// Using it with another registry is a bug: debug builds panic; release builds count the record under the `_other`
/// endpoint of that registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndpointId(
    /// The upper half is the registry's tag, which is never 0; the lower half is the endpoint's first cell in a shard's
    /// table. So one exclusive-or and one bounds check find the cell and reject another registry's id.
    NonZeroU64,
);

impl EndpointId {
    /// The bits, which a look-up combines with the registry's key.
    #[inline(always)]
    pub(crate) fn bits(self) -> u64 {
        self.0.get()
    }
}

/// An endpoint's name. A method contains no space. One that does shares its endpoint with the name that reads the same
/// when method and route are joined by a space.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointName {
    /// The request method, such as `GET`.
    pub method: Arc<str>,
    /// The route template, such as `/items/{id}`; never a raw path.
    pub route: Arc<str>,
}

impl EndpointName {
    fn new(method: &str, route: &str) -> Arc<Self> {
        Arc::new(Self { method: method.into(), route: route.into() })
    }

    /// Returns whether the route takes any path, known or not: [`UNMATCHED`], or one that ends with a tail, such as
    /// `/static/{path}*` or `/{tail:.*}`. Its 4xx mostly come from scanners, so they say little about the service.
    ///
    /// A template whose regular expression was removed must keep the star of its tail: `/{tail}*`, since `/{tail}` is a
    /// route of one segment.
    pub fn catches_all(&self) -> bool {
        &*self.route == UNMATCHED || ends_with_tail(&self.route)
    }
}

/// All endpoints of a registry. Off the recording path: callers keep the [`EndpointId`].
#[derive(Debug)]
pub(crate) struct Endpoints {
    key: u64,
    stride: usize,
    /// For a shift instead of a division by the stride, which is a power of two.
    stride_log2: u32,
    max_series: usize,
    ids: DashMap<Box<str>, EndpointId, foldhash::fast::RandomState>,
    /// In the order of their rows; the overflow endpoint is the first.
    names: RwLock<Vec<Arc<EndpointName>>>,
    /// How many of the [`UNMATCHED_ROWS`] are taken. Written under the lock of `names`.
    unmatched: AtomicUsize,
    /// For each row: whether its route catches all. For recorders, which take no lock.
    catch_all: Box<[AtomicBool]>,
    refused: AtomicU64,
}

impl Endpoints {
    /// Only the overflow endpoint. Each endpoint has `stride` cells in a shard.
    pub(crate) fn new(max_series: usize, stride: usize) -> Self {
        static TAGS: AtomicU64 = AtomicU64::new(0);
        // ORDERING: Relaxed; it only has to return each number once. The remainder keeps a tag in 1 ..= 2^32 - 1.
        let tag = TAGS.fetch_add(1, Ordering::Relaxed) % u64::from(u32::MAX) + 1;
        Self {
            key: tag << 32,
            stride,
            stride_log2: stride.trailing_zeros(),
            max_series,
            ids: DashMap::default(),
            names: RwLock::new(vec![EndpointName::new(OVERFLOW.0, OVERFLOW.1)]),
            unmatched: AtomicUsize::new(0),
            catch_all: (0..=max_series + UNMATCHED_ROWS).map(|_| AtomicBool::new(false)).collect(),
            refused: AtomicU64::new(0),
        }
    }

    /// The number that turns an [`EndpointId`] of this registry into its first cell, by exclusive-or.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// The most endpoints, without the overflow endpoint and the [`UNMATCHED_ROWS`].
    pub(crate) fn max(&self) -> usize {
        self.max_series
    }

    /// Cells in a shard's table: a row for each endpoint, and one for the overflow endpoint.
    pub(crate) fn cells(&self) -> usize {
        self.catch_all.len() * self.stride
    }

    /// Cells of an endpoint in a shard's table.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    pub(crate) fn overflow(&self) -> EndpointId {
        self.id(0)
    }

    /// Interns a name. Beyond `max_series` names, each new one is the overflow endpoint, and is counted as refused. The
    /// first [`UNMATCHED_ROWS`] names of unmatched paths always fit.
    pub(crate) fn intern(&self, method: &str, route: &str) -> EndpointId {
        let (method, route) = (visible(method, MAX_NAME_BYTES), visible(route, MAX_NAME_BYTES));
        let (method, route) = (&*method, &*route);
        if (method, route) == OVERFLOW {
            return self.overflow();
        }
        // A method contains no space, so the joined name is unambiguous for every method that HTTP allows.
        let joined = [method, route].join(" ");
        if let Some(id) = self.ids.get(joined.as_str()) {
            return *id;
        }
        match self.ids.entry(joined.into_boxed_str()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
                // ORDERING: Relaxed, here and below; it changes only under the lock.
                let unmatched = self.unmatched.load(Ordering::Relaxed);
                if route == UNMATCHED && unmatched < UNMATCHED_ROWS {
                    self.unmatched.store(unmatched + 1, Ordering::Relaxed);
                } else if names.len() - unmatched > self.max_series {
                    return self.refuse();
                }
                let row = names.len();
                let (id, name) = (self.id(row), EndpointName::new(method, route));
                if name.catches_all() {
                    // ORDERING: Relaxed; who has the id got it from here, or from a lock that is released after this.
                    self.catch_all[row].store(true, Ordering::Relaxed);
                }
                names.push(name);
                *vacant.insert(id)
            }
        }
    }

    /// The endpoint of a name that was interned before.
    pub(crate) fn get(&self, method: &str, route: &str) -> Option<EndpointId> {
        if (method, route) == OVERFLOW {
            return Some(self.overflow());
        }
        self.ids.get([method, route].join(" ").as_str()).map(|id| *id)
    }

    /// Whether the endpoint's route catches all. Takes no lock. False for another registry's id.
    pub(crate) fn catches_all(&self, id: EndpointId) -> bool {
        // ORDERING: Relaxed; see `intern`.
        self.catch_all.get(self.row(id)).is_some_and(|catches_all| catches_all.load(Ordering::Relaxed))
    }

    /// The name of an id. For another registry's id it is that of the overflow endpoint.
    pub(crate) fn name(&self, id: EndpointId) -> Arc<EndpointName> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(names.get(self.row(id)).unwrap_or(&names[0]))
    }

    /// The row of an id; past the end for another registry's.
    #[inline]
    pub(crate) fn row(&self, id: EndpointId) -> usize {
        usize::try_from(id.bits() ^ self.key).unwrap_or(usize::MAX) >> self.stride_log2
    }

    /// The names from row `first` on, in the order of their rows.
    pub(crate) fn names_from(&self, first: usize) -> Vec<Arc<EndpointName>> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names[first.min(names.len())..].to_vec()
    }

    /// Endpoints, including the overflow endpoint.
    pub(crate) fn len(&self) -> usize {
        self.names.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How often a name did not fit.
    pub(crate) fn refused(&self) -> u64 {
        // ORDERING: Relaxed; the figure orders nothing else.
        self.refused.load(Ordering::Relaxed)
    }

    fn refuse(&self) -> EndpointId {
        // ORDERING: Relaxed; the figure orders nothing else.
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.overflow()
    }

    fn id(&self, index: usize) -> EndpointId {
        let row = (index * self.stride) as u64;
        EndpointId(NonZeroU64::new(self.key | row).expect("a tag is not 0"))
    }
}

/// Whether a route's last parameter takes the rest of the path, slashes included.
fn ends_with_tail(route: &str) -> bool {
    const ANYTHING: [&str; 4] = [":.*}", ":.+}", ":.*?}", ":.+?}"];
    route.ends_with("}*") || ANYTHING.iter().any(|pattern| route.ends_with(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_has_the_same_id_and_other_names_have_others() {
        let endpoints = Endpoints::new(10, 8);
        let get = endpoints.intern("GET", "/a");
        assert_eq!(endpoints.intern("GET", "/a"), get);
        assert_ne!(endpoints.intern("POST", "/a"), get);
        assert_ne!(endpoints.intern("GET", "/b"), get);
        assert_eq!(&*endpoints.name(get).route, "/a");
    }

    #[test]
    fn names_that_do_not_fit_share_the_overflow_endpoint_and_are_counted_as_refused() {
        let endpoints = Endpoints::new(2, 8);
        let kept = [endpoints.intern("GET", "/0"), endpoints.intern("GET", "/1")];
        for i in 2..10 {
            assert_eq!(endpoints.intern("GET", &format!("/{i}")), endpoints.overflow());
        }
        assert_eq!(endpoints.refused(), 8);
        assert_eq!(endpoints.intern("GET", "/1"), kept[1]);
        assert_eq!(&*endpoints.name(endpoints.overflow()).route, "_other");
        assert_eq!(endpoints.names_from(0).len(), 3);
    }

    #[test]
    fn unmatched_paths_have_a_row_for_each_method_whatever_other_names_took_theirs() {
        for unmatched_first in [false, true] {
            let endpoints = Endpoints::new(20, 8);
            let unmatched = || METHODS.map(|method| endpoints.intern(method, UNMATCHED));
            let early = unmatched_first.then(unmatched);
            let routes: Vec<_> = (0..25).map(|i| endpoints.intern("GET", &format!("/{i}"))).collect();
            assert!(routes[..20].iter().all(|&id| id != endpoints.overflow()));
            assert!(routes[20..].iter().all(|&id| id == endpoints.overflow()));
            let late = unmatched();
            assert!(early.is_none_or(|early| early == late));
            for (id, method) in late.into_iter().zip(METHODS) {
                assert_eq!(
                    *endpoints.name(id),
                    EndpointName { method: method.into(), route: UNMATCHED.into() }
                );
                assert!(endpoints.catches_all(id));
            }
            // Other methods have no row of their own, and take none from routes.
            assert_eq!(endpoints.intern("BREW", UNMATCHED), endpoints.overflow());
            assert_eq!(endpoints.refused(), 6);
            assert_eq!(endpoints.len(), 1 + 20 + METHODS.len());
            assert_eq!(endpoints.cells(), endpoints.len() * 8);
        }
    }

    #[test]
    fn the_name_of_another_registrys_id_is_the_overflow_endpoint() {
        let (one, two) = (Endpoints::new(2, 8), Endpoints::new(2, 8));
        assert_eq!(&*two.name(one.intern("GET", "/a")).route, "_other");
    }

    #[test]
    fn a_route_that_would_reorder_text_is_escaped() {
        let endpoints = Endpoints::new(2, 8);
        let id = endpoints.intern("GET", "/a\u{2028}\u{2066}b");
        assert_eq!(endpoints.intern("GET", "/a\u{2028}\u{2066}b"), id);
        assert_eq!(&*endpoints.name(id).route, r"/a\u{2028}\u{2066}b");
    }

    #[test]
    fn a_long_name_is_cut_at_a_character_boundary() {
        let endpoints = Endpoints::new(2, 8);
        let id = endpoints.intern("GET", &"é".repeat(200));
        assert_eq!(endpoints.name(id).route.len(), MAX_NAME_BYTES);
    }

    #[test]
    fn an_id_tells_whether_its_route_catches_all() {
        let endpoints = Endpoints::new(200, 8);
        for row in 0..200 {
            let tail = if row % 3 == 0 { "/{tail}*" } else { "" };
            let id = endpoints.intern("GET", &format!("/{row}{tail}"));
            assert_eq!(endpoints.catches_all(id), row % 3 == 0, "{row}");
        }
        assert!(!endpoints.catches_all(endpoints.overflow()));
        let other = Endpoints::new(2, 8).intern("GET", "/{tail}*");
        assert!(!endpoints.catches_all(other));
    }

    #[test]
    fn only_unmatched_paths_and_tails_catch_all() {
        let catches_all = |route| EndpointName::new("GET", route).catches_all();
        for route in
            ["_unmatched", "/{path}*", "/static/{path}*", "/{tail:.*}", "/a/{b}/{tail:.+}", "/{t:.*?}"]
        {
            assert!(catches_all(route), "{route}");
        }
        for route in [
            "/",
            "",
            "_other",
            "/{id}",
            "/_unmatched",
            "/{id:\\d+}",
            "/{tail:.*}/edit",
            "/a*",
            "/{name:.*\\.png}",
        ] {
            assert!(!catches_all(route), "{route}");
        }
    }

    #[test]
    fn threads_that_race_for_names_never_exceed_the_cap() {
        let endpoints = Endpoints::new(50, 8);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..if cfg!(miri) { 55 } else { 100 } {
                        endpoints.intern("GET", &format!("/{i}"));
                    }
                });
            }
        });
        assert_eq!(endpoints.names_from(0).len(), 51);
    }
}
