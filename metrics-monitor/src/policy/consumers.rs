//! Consumers: the callers behind requests, told apart without ever keeping a key.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{BuildHasher, RandomState};

use hmac_sha256::HMAC;
use metrics_core::{Consumer, Registry};

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

/// How keys become consumers.
pub struct Consumers {
    header: Option<String>,
    alias: Option<Box<Alias>>,
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

/// The consumers that one worker knows by their keys. It holds only those with a row in the registry, so it is as
/// bounded as the registry.
#[derive(Debug, Default)]
pub struct KnownConsumers(RefCell<HashMap<u128, Consumer, foldhash::fast::RandomState>>);

impl KnownConsumers {
    /// The consumer that the worker remembers, or else the one that `look_up` finds.
    fn or(&self, fingerprint: u128, look_up: impl FnOnce() -> Consumer) -> Consumer {
        if let Some(&consumer) = self.0.borrow().get(&fingerprint) {
            return consumer;
        }
        // This may run the application's own code, so nothing is borrowed meanwhile.
        let consumer = look_up();
        if let Consumer::Known(_) = consumer {
            self.0.borrow_mut().insert(fingerprint, consumer);
        }
        consumer
    }
}

impl Consumers {
    pub(crate) fn new(header: Option<String>, alias: Option<Box<Alias>>, hash_key: Option<Vec<u8>>) -> Self {
        Self {
            header,
            alias,
            hash_key: hash_key.unwrap_or_else(random_key),
            fingerprints: [RandomState::new(), RandomState::new()],
        }
    }

    /// The header with the API key; `None` if a hook of the framework identifies consumers instead.
    pub fn header(&self) -> Option<&str> {
        self.header.as_deref()
    }

    /// The consumer of a request that the service refused with this status, whatever key it has; `None` for other
    /// statuses.
    #[inline]
    pub fn of_status(status: u16) -> Option<Consumer> {
        matches!(status, 401 | 403).then_some(Consumer::Rejected)
    }

    /// The consumer of a request with this key that was answered with this status.
    #[inline]
    pub fn by_key(&self, key: &[u8], status: u16, registry: &Registry, known: &KnownConsumers) -> Consumer {
        known.or(self.fingerprint("key", key), || look_up(&self.name(key), status, registry))
    }

    /// The consumer of a request in this name that was answered with this status.
    #[inline]
    pub fn by_name(&self, name: &str, status: u16, registry: &Registry, known: &KnownConsumers) -> Consumer {
        known.or(self.fingerprint("name", name.as_bytes()), || look_up(name, status, registry))
    }

    fn fingerprint(&self, kind: &str, text: &[u8]) -> u128 {
        let [high, low] = self.fingerprints.each_ref().map(|state| u128::from(state.hash_one((kind, text))));
        high << 64 | low
    }

    /// The alias of a key, or else the first 64 bits of its keyed hash, in hexadecimal digits.
    fn name(&self, key: &[u8]) -> String {
        let alias = self.alias.as_ref().and_then(|alias| alias(std::str::from_utf8(key).ok()?));
        alias.unwrap_or_else(|| {
            let hash = HMAC::mac(key, &self.hash_key);
            hash[..8].iter().fold(String::new(), |mut name, byte| {
                write!(name, "{byte:02x}").expect("a String takes everything");
                name
            })
        })
    }
}

/// Clients can send any number of keys to routes that check none. So only a success (2xx, 3xx) registers a new one.
fn look_up(name: &str, status: u16, registry: &Registry) -> Consumer {
    if (200..400).contains(&status) {
        registry.consumer(name)
    } else {
        registry.known_consumer(name).unwrap_or(Consumer::Other)
    }
}

/// A random key of 32 bytes, as hard to guess as 128 bits: the standard library's hash keys hold that much of the
/// operating system's randomness.
fn random_key() -> Vec<u8> {
    (0..4_u64).flat_map(|i| RandomState::new().hash_one(i).to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumers(hash_key: &[u8]) -> Consumers {
        let alias = |key: &str| (key == "known").then(|| "Ann".to_owned());
        Consumers::new(Some("x-api-key".to_owned()), Some(Box::new(alias)), Some(hash_key.to_vec()))
    }

    #[test]
    fn a_key_is_shown_by_its_alias_or_by_a_hash_that_depends_on_the_hash_key() {
        let (one, two) = (consumers(b"one"), consumers(b"two"));
        assert_eq!(one.name(b"known"), "Ann");
        assert_eq!(one.name(b"secret").len(), 16);
        assert_ne!(one.name(b"secret"), two.name(b"secret"));
        assert_eq!(one.name(b"secret"), consumers(b"one").name(b"secret"));
        // Computed by another implementation of HMAC-SHA256.
        assert_eq!(one.name(b"secret"), "cc0e6f7f16fe1f72");
    }

    #[test]
    fn a_worker_remembers_only_consumers_with_a_row_and_only_a_success_makes_one() {
        let registry = Registry::builder().max_consumers(1).build().unwrap();
        let (consumers, known) = (consumers(b"one"), KnownConsumers::default());
        let of = |key: &str, status| {
            let refused = Consumers::of_status(status);
            refused.unwrap_or_else(|| consumers.by_key(key.as_bytes(), status, &registry, &known))
        };
        assert_eq!(of("first", 404), Consumer::Other);
        let first = of("first", 200);
        assert!(matches!(first, Consumer::Known(_)));
        for i in 0..100 {
            assert_eq!(of(&i.to_string(), 200), Consumer::Other);
        }
        assert_eq!(of("first", 404), first);
        assert_eq!(of("first", 403), Consumer::Rejected);
        assert_eq!(known.0.borrow().len(), 1);
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
