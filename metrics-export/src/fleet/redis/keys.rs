//! The keys in Redis. Each command names one key, so that keys may lie on any node of a cluster.

use std::time::{Duration, SystemTime};

/// The length of the windows that instances write.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// The keys of a service.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// `{prefix}:{service}`; in the service, bytes other than letters, digits and `-._` become `%` and two hexadecimal
    /// digits.
    base: String,
}

/// How much of a window a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Detail {
    /// The sum of all endpoints.
    Total,
    /// Each endpoint separately.
    Routes,
}

impl Keys {
    pub(super) fn new(prefix: &str, service: &str) -> Self {
        let mut base = format!("{prefix}:");
        for byte in service.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                base.push(char::from(byte));
            } else {
                base.push_str(&format!("%{byte:02x}"));
            }
        }
        Self { base }
    }

    /// The key of the epoch, a decimal number.
    pub(super) fn epoch(&self) -> String {
        format!("{}:epoch", self.base)
    }

    /// The key of a sorted set: instances by the time of their last write, in milliseconds since 1970.
    pub(super) fn index(&self) -> String {
        format!("{}:instances", self.base)
    }

    /// The key of a hash: who evaluates the rules of the fleet, and the state of its alerts.
    pub(super) fn alerts(&self) -> String {
        format!("{}:alerts", self.base)
    }

    /// The key of a hash: the history of 24 hours that one instance after the other continues.
    pub(super) fn history(&self, key: &str) -> String {
        format!("{}:history:{key}", self.base)
    }

    /// The key of an instance's report since the epoch began.
    pub(super) fn report(&self, epoch: u64, id: &str) -> String {
        format!("{}:{epoch}:{id}", self.base)
    }

    /// The key of an instance's report of a minute, counted from 1970.
    pub(super) fn window(&self, detail: Detail, minute: u64, id: &str) -> String {
        let detail = match detail {
            Detail::Total => "total",
            Detail::Routes => "routes",
        };
        format!("{}:{detail}:{minute}:{id}", self.base)
    }
}

/// A name that is unique to an instance, and different after a restart.
pub(super) fn id(name: &str, started: SystemTime) -> String {
    format!("{name}-{}", since_1970(started).as_nanos())
}

pub(super) fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The minute of a time, counted from 1970.
pub(super) fn minute_of(time: SystemTime) -> u64 {
    since_1970(time).as_secs() / MINUTE.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_service_has_the_keys_of_another_one() {
        let keys = Keys::new("metrics", "a:b c");
        assert_eq!(keys.epoch(), "metrics:a%3ab%20c:epoch");
        assert_eq!(keys.report(7, "x-1"), "metrics:a%3ab%20c:7:x-1");
        assert_eq!(keys.window(Detail::Total, 9, "x-1"), "metrics:a%3ab%20c:total:9:x-1");
        assert_eq!(id("x", SystemTime::UNIX_EPOCH + Duration::from_nanos(12)), "x-12");
    }
}
