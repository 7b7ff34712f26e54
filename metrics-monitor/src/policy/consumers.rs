//! On whose behalf a request is made, without ever keeping a key.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{BuildHasher, RandomState};

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use hmac_sha256::HMAC;
use metrics_core::{Consumer, Registry};

/// How a request says on whose behalf it is made: see [`Builder::consumer`](crate::Builder::consumer).
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// A key that nobody may see, such as an API key: it is shown as a keyed hash, or by its alias.
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

pub(crate) type Identify = dyn Fn(&HttpRequest) -> Option<Identity> + Send + Sync;
pub(crate) type Alias = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where consumers come from, and what they are called.
pub(crate) struct Consumers {
    pub(crate) source: Source,
    pub(crate) alias: Option<Box<Alias>>,
    /// What keys are hashed with, so that a hash tells nothing to those who do not know it.
    pub(crate) hash_key: Vec<u8>,
    /// Hashes keys for the tables of the workers: two 64-bit SipHashes under random keys.
    pub(crate) fingerprints: [RandomState; 2],
}

pub(crate) enum Source {
    Header(HeaderName),
    Hook(Box<Identify>),
}

impl fmt::Debug for Consumers {
    /// Without the key, and without what cannot be shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumers").finish_non_exhaustive()
    }
}

/// A worker's table of consumers that it saw. Holds those only that the registry has a row for, so it is as bounded as
/// the registry.
#[derive(Debug, Default)]
pub(crate) struct Seen(RefCell<HashMap<u128, Consumer, foldhash::fast::RandomState>>);

impl Seen {
    /// The consumer that a worker remembers, or else what `look_up` finds.
    fn or(&self, fingerprint: u128, look_up: impl FnOnce() -> Consumer) -> Consumer {
        if let Some(&consumer) = self.0.borrow().get(&fingerprint) {
            return consumer;
        }
        // May be the application's own code, so nothing is borrowed while it runs.
        let consumer = look_up();
        if let Consumer::Known(_) = consumer {
            self.0.borrow_mut().insert(fingerprint, consumer);
        }
        consumer
    }
}

impl Consumers {
    /// Whom a request that was answered is counted for.
    pub(crate) fn of(
        &self,
        request: &HttpRequest,
        status: StatusCode,
        registry: &Registry,
        seen: &Seen,
    ) -> Consumer {
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Consumer::Rejected;
        }
        // Strangers can send any number of keys to where nobody looks at them. So a new one needs a success to vouch for it.
        let vouched = status.is_success() || status.is_redirection();
        let look_up = |name: &str| {
            if vouched {
                registry.consumer(name)
            } else {
                registry.known_consumer(name).unwrap_or(Consumer::Other)
            }
        };
        let by_key = |key: &[u8]| seen.or(self.fingerprint("key", key), || look_up(&self.name(key)));
        match &self.source {
            Source::Header(name) => match request.headers().get(name) {
                Some(key) if !key.is_empty() => by_key(key.as_bytes()),
                _ => Consumer::Anonymous,
            },
            Source::Hook(identify) => match identify(request) {
                Some(Identity::Secret(key)) => by_key(key.as_bytes()),
                Some(Identity::Name(name)) => {
                    seen.or(self.fingerprint("name", name.as_bytes()), || look_up(&name))
                }
                None => Consumer::Anonymous,
            },
        }
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

/// A random key of 32 bytes, as hard to guess as 128 bits: what the standard library's hash keys hold of the operating
/// system's randomness.
pub(crate) fn random_key() -> Vec<u8> {
    (0..4_u64).flat_map(|i| RandomState::new().hash_one(i).to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn consumers(hash_key: &[u8]) -> Consumers {
        Consumers {
            source: Source::Header(HeaderName::from_static("x-api-key")),
            alias: Some(Box::new(|key| (key == "known").then(|| "Ann".to_owned()))),
            hash_key: hash_key.to_vec(),
            fingerprints: [RandomState::new(), RandomState::new()],
        }
    }

    #[test]
    fn a_key_is_shown_by_its_alias_or_by_a_hash_that_depends_on_the_hash_key() {
        let (one, two) = (consumers(b"one"), consumers(b"two"));
        assert_eq!(one.name(b"known"), "Ann");
        assert_eq!(one.name(b"secret").len(), 16);
        assert_ne!(one.name(b"secret"), two.name(b"secret"));
        assert_eq!(one.name(b"secret"), consumers(b"one").name(b"secret"));
        // What another implementation of HMAC-SHA256 says.
        assert_eq!(one.name(b"secret"), "cc0e6f7f16fe1f72");
    }

    #[test]
    fn a_worker_remembers_only_consumers_that_have_a_row_and_only_a_success_makes_one() {
        let registry = Registry::builder().max_consumers(1).build().unwrap();
        let (consumers, seen) = (consumers(b"one"), Seen::default());
        let of = |key: &str, status| {
            let request = TestRequest::get().insert_header(("x-api-key", key)).to_http_request();
            consumers.of(&request, status, &registry, &seen)
        };
        assert_eq!(of("first", StatusCode::NOT_FOUND), Consumer::Other);
        let first = of("first", StatusCode::OK);
        assert!(matches!(first, Consumer::Known(_)));
        for i in 0..100 {
            assert_eq!(of(&i.to_string(), StatusCode::OK), Consumer::Other);
        }
        assert_eq!(of("first", StatusCode::NOT_FOUND), first);
        assert_eq!(of("first", StatusCode::FORBIDDEN), Consumer::Rejected);
        assert_eq!(seen.0.borrow().len(), 1);
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
