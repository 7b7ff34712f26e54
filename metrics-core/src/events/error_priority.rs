//! Which errors matter most, so that a flood of the others cannot hide them.

use std::fmt;

use crate::labels::endpoint::EndpointName;
use crate::labels::outcome::Outcome;

/// How much an error matters: the most important first.
///
/// Each priority has its own budget, queue and list in the error log, so errors of one priority never evict those of
/// another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorPriority {
    /// A panic.
    Panicked,
    /// A 5xx.
    ServerError,
    /// A 4xx of a route, and any logged outcome that is not an error.
    ClientError,
    /// A 4xx of an endpoint that catches all paths: see [`EndpointName::catches_all`]. Mostly scanners.
    Unmatched,
}

impl ErrorPriority {
    /// All priorities, the most important first.
    pub const ALL: [Self; 4] = [Self::Panicked, Self::ServerError, Self::ClientError, Self::Unmatched];

    /// Returns the priority of an error of this endpoint.
    pub fn of(endpoint: &EndpointName, outcome: Outcome) -> Self {
        Self::from_parts(outcome, || endpoint.catches_all())
    }

    /// The priority of an error, which needs to know of a 4xx alone whether its endpoint catches all.
    pub(crate) fn from_parts(outcome: Outcome, catches_all: impl FnOnce() -> bool) -> Self {
        match outcome {
            Outcome::Panicked => Self::Panicked,
            Outcome::Status(500..=599) => Self::ServerError,
            _ if catches_all() => Self::Unmatched,
            _ => Self::ClientError,
        }
    }

    /// Returns its name: `panicked`, `server_error`, `client_error` or `unmatched`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Panicked => "panicked",
            Self::ServerError => "server_error",
            Self::ClientError => "client_error",
            Self::Unmatched => "unmatched",
        }
    }
}

impl fmt::Display for ErrorPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Splits the places of a list of `capacity` entries among the priorities, of which there are `available` entries.
///
/// Places go to the most important ones first, but an eighth of the list is kept for each priority that has entries.
pub(crate) fn places(available: [usize; 4], capacity: usize) -> [usize; 4] {
    let mut places = available.map(|entries| entries.min(capacity / 8));
    let mut free = capacity - places.iter().sum::<usize>();
    for (place, available) in places.iter_mut().zip(available) {
        let more = (available - *place).min(free);
        *place += more;
        free -= more;
    }
    places
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn places_go_to_the_most_important_errors_and_an_eighth_to_each_priority() {
        assert_eq!(places([0, 40, 0, 1_000], 128), [0, 40, 0, 88]);
        assert_eq!(places([1_000, 1_000, 1_000, 1_000], 128), [80, 16, 16, 16]);
        assert_eq!(places([2, 1_000, 3, 1_000], 128), [2, 107, 3, 16]);
        assert_eq!(places([0, 0, 0, 500], 128), [0, 0, 0, 128]);
        assert_eq!(places([1, 1, 1, 1], 128), [1, 1, 1, 1]);
        assert_eq!(places([0, 3, 0, 3], 1), [0, 1, 0, 0]);
    }

    #[test]
    fn a_4xx_of_no_route_matters_least_and_a_5xx_of_it_does_not() {
        let of = |outcome, catches_all| ErrorPriority::from_parts(outcome, || catches_all);
        assert_eq!(of(Outcome::Status(404), true), ErrorPriority::Unmatched);
        assert_eq!(of(Outcome::Status(404), false), ErrorPriority::ClientError);
        assert_eq!(of(Outcome::Status(500), true), ErrorPriority::ServerError);
        assert_eq!(of(Outcome::Panicked, true), ErrorPriority::Panicked);
        assert!(ErrorPriority::ALL.is_sorted());
        let names = ["panicked", "server_error", "client_error", "unmatched"];
        assert_eq!(ErrorPriority::ALL.map(|priority| priority.to_string()), names);
    }
}
