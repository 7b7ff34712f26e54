//! Consumers: the callers behind requests, identified without ever keeping a key.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use hmac_sha256::HMAC;
use metrics_core::{Consumer, MAX_NAME_BYTES, Registry, visible};

use super::busy::{Busy, Calls, busiest};

/// The caller of a request, as the application's hook identifies it.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// A secret key, such as an API key. It is shown as a keyed hash, or by its alias.
    Secret(String),
    /// A name that may be shown, such as a tenant's.
    Name(String),
}

impl fmt::Debug for Identity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret(..)"),
            Self::Name(name) => f.debug_tuple("Name").field(name).finish(),
        }
    }
}

pub(crate) type Alias = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Maps keys to consumers.
pub struct Consumers {
    header: Option<String>,
    alias: Option<Box<Alias>>,
    /// The routes whose answers vouch for a key; `None` for all.
    routes: Option<Vec<String>>,
    /// The workers' sketches of who is busy among those without a row.
    busy: Mutex<Vec<Weak<Mutex<Busy>>>>,
    /// The key of the keyed hash, without which a hash reveals nothing.
    hash_key: Vec<u8>,
    /// Hash keys for the tables of the workers: two 64-bit SipHashes under random keys.
    fingerprints: [RandomState; 2],
}

impl fmt::Debug for Consumers {
    /// Without the hash key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumers").finish_non_exhaustive()
    }
}

/// Most keys and names that a worker knows; 2 MiB. Of more than that, it forgets all and looks them up again.
///
/// Many keys can share one row: those with the same alias, and names that are the same once they are cut.
const MAX_KNOWN: usize = 1 << 16;

/// The consumers that one worker knows by their keys: at most 65,536, and only those with a row in the registry.
/// Those without a row are in a sketch.
#[derive(Debug, Default)]
pub struct KnownConsumers {
    known: RefCell<HashMap<u128, Consumer, foldhash::fast::RandomState>>,
    /// Locked by this worker and by readers. While a reader has it, the worker does not wait.
    busy: Arc<Mutex<Busy>>,
    /// Calls that are not in the sketch yet.
    missed: Cell<u64>,
}

impl KnownConsumers {
    /// The consumer that the worker remembers, or else the one that `look_up` finds.
    fn or(&self, fingerprint: u128, look_up: impl FnOnce() -> Consumer) -> Consumer {
        if let Some(&consumer) = self.known.borrow().get(&fingerprint) {
            return consumer;
        }
        // This may run the application's own code, so nothing is borrowed meanwhile.
        let consumer = look_up();
        if let Consumer::Known(_) = consumer {
            let mut known = self.known.borrow_mut();
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(fingerprint, consumer);
        }
        consumer
    }

    /// Counts a call of a consumer without a row.
    fn count_other(&self, name: &str) {
        // As the registry would show it.
        let name = visible(name, MAX_NAME_BYTES);
        match self.busy.try_lock() {
            Ok(mut busy) => busy.count(&name, self.missed.take(), Instant::now()),
            Err(_) => self.missed.set(self.missed.get() + 1),
        }
    }
}

impl Consumers {
    pub(crate) fn new(
        header: Option<String>,
        alias: Option<Box<Alias>>,
        routes: Option<Vec<String>>,
        hash_key: Option<Vec<u8>>,
    ) -> Self {
        Self {
            header,
            alias,
            routes,
            busy: Mutex::default(),
            hash_key: hash_key.unwrap_or_else(random_key),
            fingerprints: [RandomState::new(), RandomState::new()],
        }
    }

    /// Tells hash keys apart, without telling them.
    #[cfg(feature = "redis")]
    pub(crate) fn key_fingerprint(&self) -> [u8; 32] {
        HMAC::mac(b"metrics: fingerprint of the hash key", &self.hash_key)
    }

    /// Returns the header with the API key; `None` if a hook of the framework identifies consumers instead.
    pub fn header(&self) -> Option<&str> {
        self.header.as_deref()
    }

    /// Returns the consumer of a request that the service refused with this status, whatever key it has; `None` for
    /// other statuses.
    #[inline]
    pub fn of_status(status: u16) -> Option<Consumer> {
        matches!(status, 401 | 403).then_some(Consumer::Rejected)
    }

    /// Creates the state of a new worker.
    pub fn worker(&self) -> KnownConsumers {
        let known = KnownConsumers::default();
        let mut all = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|busy| busy.strong_count() > 0);
        all.push(Arc::downgrade(&known.busy));
        known
    }

    /// The consumers without a row that had the most calls in the last five to ten minutes, at most 64.
    pub(crate) fn busiest_others(&self) -> Vec<(String, Calls)> {
        let all: Vec<_> = {
            let all = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        let mut locked: Vec<_> =
            all.iter().map(|busy| busy.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        busiest(locked.iter_mut().map(|busy| &mut **busy), Instant::now())
    }

    /// Returns the consumer of a request with this method and key that was answered with this status. `route` is only
    /// called, for the route's name, if the worker does not know the key.
    #[inline]
    pub fn by_key<R: AsRef<str>>(
        &self,
        key: &[u8],
        method: &str,
        status: u16,
        route: impl FnOnce() -> R,
        registry: &Registry,
        known: &KnownConsumers,
    ) -> Consumer {
        known.or(self.fingerprint("key", key), || {
            if let Some(alias) = self.alias(key) {
                return or_other(registry.vouched_consumer(&alias), &alias, known);
            }
            self.look_up(&self.hash(key), method, status, route, registry, known)
        })
    }

    /// Like [`Consumers::by_key`], for a name that may be shown.
    #[inline]
    pub fn by_name<R: AsRef<str>>(
        &self,
        name: &str,
        method: &str,
        status: u16,
        route: impl FnOnce() -> R,
        registry: &Registry,
        known: &KnownConsumers,
    ) -> Consumer {
        let fingerprint = self.fingerprint("name", name.as_bytes());
        known.or(fingerprint, || self.look_up(name, method, status, route, registry, known))
    }

    /// Clients can send any number of keys to routes that check none. So only a success registers a new one, and only
    /// on a route that vouches for it.
    fn look_up<R: AsRef<str>>(
        &self,
        name: &str,
        method: &str,
        status: u16,
        route: impl FnOnce() -> R,
        registry: &Registry,
        known: &KnownConsumers,
    ) -> Consumer {
        let consumer = if is_success(method, status) && self.vouches(route) {
            registry.consumer(name)
        } else {
            registry.known_consumer(name).unwrap_or(Consumer::Other)
        };
        or_other(consumer, name, known)
    }

    /// Whether a success on a route means that the key is genuine.
    fn vouches<R: AsRef<str>>(&self, route: impl FnOnce() -> R) -> bool {
        let Some(routes) = &self.routes else { return true };
        let route = route();
        let route = route.as_ref();
        routes.iter().any(|known| known == route || known.ends_with('/') && route.starts_with(known.as_str()))
    }

    fn fingerprint(&self, kind: &str, text: &[u8]) -> u128 {
        let [high, low] = self.fingerprints.each_ref().map(|state| u128::from(state.hash_one((kind, text))));
        high << 64 | low
    }

    fn alias(&self, key: &[u8]) -> Option<String> {
        self.alias.as_ref()?(std::str::from_utf8(key).ok()?)
    }

    /// The first 64 bits of a key's keyed hash, in hexadecimal digits.
    fn hash(&self, key: &[u8]) -> String {
        let hash = HMAC::mac(key, &self.hash_key);
        hash[..8].iter().fold(String::new(), |mut name, byte| {
            write!(name, "{byte:02x}").expect("a String takes everything");
            name
        })
    }
}

/// An answer that only a genuine key gets on a route that checks keys: 2xx, 304, which stands for a 200, and the switch
/// to a WebSocket. A redirect may lead to a login. A CORS middleware answers `OPTIONS` before keys are
/// checked.
fn is_success(method: &str, status: u16) -> bool {
    method != "OPTIONS" && matches!(status, 101 | 200..=299 | 304)
}

/// Counts the call in the sketch if the consumer has no row.
fn or_other(consumer: Consumer, name: &str, known: &KnownConsumers) -> Consumer {
    if consumer == Consumer::Other {
        known.count_other(name);
    }
    consumer
}

/// A random key of 32 bytes, as hard to guess as 128 bits: the standard library's hash keys hold that much of the
/// operating system's randomness.
fn random_key() -> Vec<u8> {
    (0..4_u64).flat_map(|i| RandomState::new().hash_one(i).to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumers(hash_key: &[u8], routes: Option<&[&str]>) -> Consumers {
        let alias = |key: &str| (key == "known").then(|| "Ann".to_owned());
        let routes = routes.map(|routes| routes.iter().map(|route| route.to_string()).collect());
        Consumers::new(Some("x-api-key".to_owned()), Some(Box::new(alias)), routes, Some(hash_key.to_vec()))
    }

    #[test]
    fn a_key_is_shown_by_its_alias_or_by_a_hash_that_depends_on_the_hash_key() {
        let (one, two) = (consumers(b"one", None), consumers(b"two", None));
        assert_eq!((one.alias(b"known").as_deref(), one.alias(b"secret")), (Some("Ann"), None));
        assert_eq!(one.hash(b"secret").len(), 16);
        assert_ne!(one.hash(b"secret"), two.hash(b"secret"));
        assert_eq!(one.hash(b"secret"), consumers(b"one", None).hash(b"secret"));
        // Computed by another implementation of HMAC-SHA256.
        assert_eq!(one.hash(b"secret"), "cc0e6f7f16fe1f72");
    }

    #[test]
    fn a_worker_remembers_only_consumers_with_a_row_and_only_a_success_makes_one() {
        let registry = Registry::builder().max_consumers(1).build().unwrap();
        let consumers = consumers(b"one", None);
        let known = consumers.worker();
        let of = |key: &str, status| {
            let refused = Consumers::of_status(status);
            refused
                .unwrap_or_else(|| consumers.by_key(key.as_bytes(), "GET", status, || "/", &registry, &known))
        };
        assert!([101, 200, 204, 304].into_iter().all(|status| is_success("GET", status)));
        assert!(
            ![100, 301, 302, 303, 307, 308, 404, 500].into_iter().any(|status| is_success("GET", status))
        );
        assert!(![200, 204].into_iter().any(|status| is_success("OPTIONS", status)));
        assert_eq!(of("first", 404), Consumer::Other);
        // To a login, perhaps.
        assert_eq!(of("first", 302), Consumer::Other);
        // It only ever opens web sockets.
        let first = of("first", 101);
        assert!(matches!(first, Consumer::Known(_)));
        for i in 0..100 {
            assert_eq!(of(&i.to_string(), 200), Consumer::Other);
        }
        assert_eq!(of("first", 404), first);
        assert_eq!(of("first", 403), Consumer::Rejected);
        assert_eq!(known.known.borrow().len(), 1);
        // The alias has a row whatever others sent, and whatever its first answer is.
        let Consumer::Known(_) = of("known", 404) else { panic!("an alias has no row") };
        assert_eq!(registry.known_consumer("Ann"), Some(of("known", 200)));
    }

    #[test]
    fn a_success_vouches_for_a_key_only_on_the_routes_that_check_keys() {
        let registry = Registry::new();
        let consumers = consumers(b"one", Some(&["/orders/{id}", "/admin/"]));
        let known = consumers.worker();
        let of = |name: &str, route| consumers.by_name(name, "GET", 200, || route, &registry, &known);
        for (name, route) in
            [("a", "/"), ("a", "/orders"), ("a", "/orders/{id}/lines"), ("a", "/admin"), ("a", "_unmatched")]
        {
            assert_eq!(of(name, route), Consumer::Other, "{route}");
        }
        let a = of("a", "/orders/{id}");
        assert!(matches!(a, Consumer::Known(_)) && matches!(of("b", "/admin/users"), Consumer::Known(_)));
        assert_eq!(of("a", "/"), a);
        // What was counted before a row was made shows up among the others.
        let calls = Calls { at_least: 5, at_most: 5 };
        assert_eq!(consumers.busiest_others(), [("a".to_owned(), calls)]);
    }

    #[test]
    fn a_worker_does_not_wait_for_a_reader_of_its_sketch() {
        let (registry, consumers) =
            (Registry::builder().max_consumers(0).build().unwrap(), consumers(b"one", None));
        let known = consumers.worker();
        let call = || consumers.by_name("a", "GET", 200, || "/", &registry, &known);
        let reading = known.busy.lock().unwrap();
        assert_eq!([call(), call()], [Consumer::Other; 2]);
        drop(reading);
        call();
        let list = consumers.busiest_others();
        assert_eq!(list, [("a".to_owned(), Calls { at_least: 1, at_most: 3 })]);
    }

    #[test]
    fn a_worker_forgets_its_keys_once_too_many_share_a_row() {
        let alias = |_: &str| Some("Ann".to_owned());
        let consumers = Consumers::new(Some("x-api-key".to_owned()), Some(Box::new(alias)), None, None);
        let (registry, known) = (Registry::new(), consumers.worker());
        let of =
            |key: usize| consumers.by_key(key.to_string().as_bytes(), "GET", 200, || "/", &registry, &known);
        let ann = of(0);
        assert!(matches!(ann, Consumer::Known(_)));
        for key in 1..=MAX_KNOWN {
            assert_eq!(of(key), ann);
        }
        assert_eq!(known.known.borrow().len(), 1);
    }

    #[test]
    fn names_of_callers_without_a_row_are_cut_and_made_visible_as_those_with_one() {
        let (registry, consumers) =
            (Registry::builder().max_consumers(0).build().unwrap(), consumers(b"one", None));
        let known = consumers.worker();
        for name in [format!("a\u{202e}{}", "x".repeat(MAX_NAME_BYTES)), "b\n".to_owned()] {
            consumers.by_name(&name, "GET", 200, || "/", &registry, &known);
        }
        let names: Vec<_> = consumers.busiest_others().into_iter().map(|(name, _)| name).collect();
        assert!(names[0].starts_with("a\\u{202e}x") && names[0].len() == MAX_NAME_BYTES, "{names:?}");
        assert_eq!(names[1], "b\\n");
    }

    #[test]
    fn a_secret_does_not_show_up_in_debug_output() {
        assert_eq!(format!("{:?}", Identity::Secret("hunter2".to_owned())), "Secret(..)");
    }

    #[test]
    fn random_keys_differ() {
        assert_ne!(random_key(), random_key());
        assert_eq!(random_key().len(), 32);
    }
}
