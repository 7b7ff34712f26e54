//! What the connections to `GET events` share: a limit, and the last event of each window.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics_core::Window;

use crate::policy::peer::Source;

/// Connections that may be open at one time. An address has a share of them, since one connection of HTTP/2 could take
/// all of them for as long as it likes.
pub(crate) const MAX_LISTENERS: usize = 16;

/// An event that is younger is sent again instead of a new one.
const FRESH: Duration = Duration::from_millis(500);

/// What the connections share.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Where the connections are from that are open.
    seats: Arc<Mutex<Vec<Source>>>,
    last: Mutex<HashMap<Window, (Instant, Bytes)>>,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// All are taken.
    All,
    /// Those are taken that this address may have.
    ForAddress,
}

/// A seat for one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    source: Source,
    seats: Arc<Mutex<Vec<Source>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = lock(&self.seats);
        if let Some(at) = seats.iter().position(|source| *source == self.source) {
            seats.swap_remove(at);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it is locked changes nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    /// A seat for one more connection.
    pub(crate) fn seat(&self, source: Source) -> Result<Seat, Full> {
        let mut seats = lock(&self.seats);
        if seats.len() >= MAX_LISTENERS {
            return Err(Full::All);
        }
        if seats.iter().filter(|known| **known == source).count() >= source.share(MAX_LISTENERS) {
            return Err(Full::ForAddress);
        }
        seats.push(source);
        Ok(Seat { source, seats: Arc::clone(&self.seats) })
    }

    /// Whether any connection is open.
    pub(crate) fn has_listeners(&self) -> bool {
        !lock(&self.seats).is_empty()
    }

    /// The event of now. `read` reads the figures, unless that was done less than half a second ago, so that they are
    /// read about once a second, however many listen.
    pub(crate) fn event(&self, window: Window, read: impl FnOnce() -> Bytes) -> Bytes {
        let mut last = lock(&self.last);
        if let Some((made, event)) = last.get(&window)
            && made.elapsed() < FRESH
        {
            return event.clone();
        }
        let event = read();
        last.insert(window, (Instant::now(), event.clone()));
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_seats_for_others_and_a_dropped_seat_is_free() {
        let live = Live::default();
        let source = |address: &str| Source::Address(address.parse().unwrap());
        let take =
            |address, seats| (0..seats).map(|_| live.seat(source(address)).unwrap()).collect::<Vec<_>>();
        assert!(!live.has_listeners());
        let mut stranger = take("203.0.113.7", 4);
        assert!(live.has_listeners());
        assert_eq!(live.seat(source("203.0.113.7")).unwrap_err(), Full::ForAddress);
        stranger.pop();
        stranger.extend(take("203.0.113.7", 1));
        let proxy = take("127.0.0.1", 12);
        assert_eq!(live.seat(source("127.0.0.1")).unwrap_err(), Full::All);
        drop(stranger);
        assert_eq!(live.seat(source("127.0.0.1")).unwrap_err(), Full::ForAddress);
        let other = take("203.0.113.8", 1);
        drop((proxy, other));
        assert!(lock(&live.seats).is_empty());
    }
}
