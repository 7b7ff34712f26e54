//! Consumers: the clients that requests are counted for, such as the owners of API keys.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::labels::endpoint::MAX_NAME_BYTES;
use crate::text::visible;

/// The client that a request is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consumer {
    /// A client that the registry knows by name: see [`Registry::consumer`](crate::Registry::consumer).
    Known(ConsumerId),
    /// The request names no client; exported as `_anonymous`.
    Anonymous,
    /// The service refused the request (401, 403), so the name it claims is ignored; exported as `_rejected`.
    Rejected,
    /// The request got no response, so the name it claims is unconfirmed; exported as `_unanswered`.
    Unanswered,
    /// The registry has no room for another client, or this one has not had a successful request yet; exported as
    /// `_other`.
    Other,
}

/// An interned consumer of one registry. 8 bytes, `Copy`. With another registry it counts as [`Consumer::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsumerId(
    /// The upper half is the registry's key, the lower half the row.
    NonZeroU64,
);

impl Consumer {
    /// The row in the tables of a registry's shards. Another registry's consumer has the row of [`Consumer::Other`].
    #[inline]
    pub(crate) fn row(self, key: u64, rows: usize) -> usize {
        match self {
            Self::Anonymous => 0,
            Self::Rejected => 1,
            Self::Unanswered => 2,
            Self::Other => 3,
            Self::Known(ConsumerId(bits)) => {
                let row = usize::try_from(bits.get() ^ key).unwrap_or(usize::MAX);
                if row < rows { row } else { 3 }
            }
        }
    }
}

/// The consumers that every registry has, in the order of their rows.
const RESERVED: [(Consumer, &str); 4] = [
    (Consumer::Anonymous, "_anonymous"),
    (Consumer::Rejected, "_rejected"),
    (Consumer::Unanswered, "_unanswered"),
    (Consumer::Other, "_other"),
];

/// The most consumers that the application vouches for.
pub(crate) const MAX_VOUCHED: usize = 10_000;

/// Who says that a name is a consumer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voucher {
    /// The application, whose names have rows of their own.
    Application,
    /// A request, whose client may have made it up.
    Request,
}

/// All consumers of a registry, by name.
#[derive(Debug)]
pub(crate) struct Consumers {
    /// The registry's: see [`Endpoints::key`](crate::labels::endpoint::Endpoints::key).
    key: u64,
    max: usize,
    ids: DashMap<Arc<str>, ConsumerId, foldhash::fast::RandomState>,
    /// In the order of their rows, without the reserved ones.
    names: RwLock<Vec<Arc<str>>>,
    reserved: Vec<Arc<str>>,
    /// How many names requests brought, and for how many the application vouches. Written under the lock of `names`.
    requested: AtomicUsize,
    vouched: AtomicUsize,
    refused: AtomicU64,
}

impl Consumers {
    pub(crate) fn new(max: usize, key: u64) -> Self {
        Self {
            key,
            max,
            ids: DashMap::default(),
            names: RwLock::default(),
            reserved: RESERVED.iter().map(|&(_, name)| name.into()).collect(),
            requested: AtomicUsize::new(0),
            vouched: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The consumer of a name if the name is known.
    pub(crate) fn get(&self, name: &str) -> Option<Consumer> {
        let name = &*visible(name, MAX_NAME_BYTES);
        let reserved =
            RESERVED.iter().find(|&&(_, reserved)| reserved == name).map(|&(consumer, _)| consumer);
        reserved.or_else(|| self.ids.get(name).map(|id| Consumer::Known(*id)))
    }

    /// Interns a name. Once there is no room for another one from this voucher, each new one is [`Consumer::Other`],
    /// and is counted as refused.
    pub(crate) fn intern(&self, name: &str, voucher: Voucher) -> Consumer {
        if let Some(known) = self.get(name) {
            return known;
        }
        let (len, max) = match voucher {
            Voucher::Application => (&self.vouched, MAX_VOUCHED),
            Voucher::Request => (&self.requested, self.max),
        };
        // So that new names take no lock once the table is full.
        if len.load(Ordering::Relaxed) >= max {
            return self.refuse();
        }
        match self.ids.entry(visible(name, MAX_NAME_BYTES).into()) {
            Entry::Occupied(known) => Consumer::Known(*known.get()),
            Entry::Vacant(vacant) => {
                let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
                let before = len.load(Ordering::Relaxed);
                if before >= max {
                    return self.refuse();
                }
                let row = (RESERVED.len() + names.len()) as u64;
                names.push(Arc::clone(vacant.key()));
                // ORDERING: Relaxed, as the loads; a thread that sees too small a length checks again under the lock.
                len.store(before + 1, Ordering::Relaxed);
                let id = ConsumerId(NonZeroU64::new(self.key | row).expect("a key is not 0"));
                vacant.insert(id);
                Consumer::Known(id)
            }
        }
    }

    /// The rows that have names by now, the reserved ones included.
    pub(crate) fn rows_in_use(&self) -> usize {
        self.reserved.len() + self.names.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Shows each name with its row, in the order of the rows. Requests that bring new names wait meanwhile.
    pub(crate) fn each_name(&self, show: impl FnMut((usize, &Arc<str>))) {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        self.reserved.iter().chain(&*names).enumerate().for_each(show);
    }

    /// All names, in the order of their rows.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        self.each_name(|(_, name)| names.push(Arc::clone(name)));
        names
    }

    /// The name of a consumer.
    pub(crate) fn name(&self, consumer: Consumer) -> Arc<str> {
        let row = consumer.row(self.key, self.rows());
        match row.checked_sub(RESERVED.len()) {
            None => Arc::clone(&self.reserved[row]),
            Some(known) => {
                let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(names.get(known).unwrap_or(&self.reserved[RESERVED.len() - 1]))
            }
        }
    }

    /// The number of consumers that requests brought.
    pub(crate) fn len(&self) -> usize {
        // ORDERING: Relaxed; the figure orders nothing else.
        self.requested.load(Ordering::Relaxed)
    }

    fn refuse(&self) -> Consumer {
        // ORDERING: Relaxed; the figure orders nothing else.
        self.refused.fetch_add(1, Ordering::Relaxed);
        Consumer::Other
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// How often a consumer did not fit.
    pub(crate) fn refused(&self) -> u64 {
        // ORDERING: Relaxed; the figure orders nothing else.
        self.refused.load(Ordering::Relaxed)
    }

    /// The number that turns a [`ConsumerId`] of this registry into its row, by exclusive-or.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// Rows in a shard's table: those of the reserved consumers, and of all others that fit.
    pub(crate) fn rows(&self) -> usize {
        RESERVED.len() + self.max + MAX_VOUCHED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_reorder_text_is_escaped_and_is_one_consumer() {
        let consumers = Consumers::new(10, 0);
        let first = consumers.intern("Ann\u{202e}\u{e0041}", Voucher::Request);
        assert_eq!(consumers.intern("Ann\u{202e}\u{e0041}", Voucher::Request), first);
        assert_eq!(consumers.get("Ann\u{202e}\u{e0041}"), Some(first));
        assert_eq!(consumers.intern(r"Ann\u{202e}\u{e0041}", Voucher::Request), first);
        assert_ne!(consumers.intern("Ann", Voucher::Request), first);
        assert!(consumers.names().iter().any(|name| &**name == r"Ann\u{202e}\u{e0041}"));
    }

    #[test]
    fn every_reserved_consumer_has_the_row_of_its_name() {
        let consumers = Consumers::new(0, 1 << 32);
        for (row, (consumer, name)) in RESERVED.into_iter().enumerate() {
            assert_eq!(consumer.row(consumers.key(), consumers.rows()), row);
            assert_eq!(&*consumers.names()[row], name);
        }
    }

    #[test]
    fn names_of_the_application_and_of_requests_do_not_take_each_others_rows() {
        let consumers = Consumers::new(2, 1 << 32);
        let known = |name: &str, voucher| matches!(consumers.intern(name, voucher), Consumer::Known(_));
        let requested = ["a", "b", "c"].map(|name| known(name, Voucher::Request));
        assert_eq!(requested, [true, true, false]);
        assert!(known("Ann", Voucher::Application) && known("c", Voucher::Application));
        // It has a row now, whoever brings it.
        assert!(known("c", Voucher::Request));
        assert_eq!((consumers.len(), consumers.refused()), (2, 1));
        // All of them would take Miri minutes.
        for i in 0..if cfg!(miri) { 64 } else { MAX_VOUCHED } {
            assert_eq!(known(&i.to_string(), Voucher::Application), i < MAX_VOUCHED - 2, "{i}");
        }
    }
}
