//! Refused requests: counted by reason, and logged within limits. What is logged never holds a token.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics_export::prometheus::Denied;

use super::peer::{Peer, Source};

/// The target of log lines.
const TARGET: &str = "metrics::access";

/// The time between two lines about wrong tokens, at least.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The most hosts that are remembered, so that they get no second line.
const MAX_HOSTS: usize = 16;

/// How many of them one address can have: others must be able to have theirs named.
const MAX_HOSTS_FROM_ONE: usize = 4;

/// The time between two lines about further hosts, at least.
const NEXT_HOST_EVERY: Duration = Duration::from_secs(60);

/// The time between two samples of the number of wrong tokens, at least.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// How long samples are kept: the longest window of a rule.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is no token, where one is needed.
    NoToken,
    /// There is a wrong one.
    WrongToken,
    /// It came for a host that is not allowed.
    Host,
    /// Without a token, only this machine may read it.
    Remote,
    /// Another site's page sent it.
    CrossSite,
}

/// How many requests were refused.
///
/// # Synchronization
///
/// The counts are independent of each other and of everything else, so they are `Relaxed`.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    counts: [AtomicU64; 5],
    wrong_tokens: Mutex<WrongTokens>,
    hosts: Mutex<Hosts>,
}

#[derive(Debug, Default)]
struct WrongTokens {
    /// When one came, and how many had come before: at most one sample each ten seconds, and a day of them.
    samples: VecDeque<(Instant, u64)>,
    total: u64,
    /// When the last line was logged, and the total then.
    logged: Option<(Instant, u64)>,
}

/// The hosts that were logged last.
#[derive(Debug, Default)]
struct Hosts {
    /// With the address that called the service so. The oldest first.
    logged: VecDeque<(String, Source)>,
    last: Option<Instant>,
    /// Requests for other hosts since the last line.
    unlogged: u64,
}

impl Denials {
    /// Counts a refused request.
    pub(crate) fn count(&self, reason: Reason) {
        self.counts[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a wrong token, and logs it at most once a minute.
    pub(crate) fn count_wrong_token(&self, path: &str, peer: Peer) {
        self.count(Reason::WrongToken);
        let line = lock(&self.wrong_tokens).add(Instant::now(), path, peer);
        if let Some(line) = line {
            log::warn!(target: TARGET, "{line}");
        }
    }

    /// Counts a request to a host that is not allowed, and logs the host: at once if few others were logged, else at
    /// most one host a minute.
    pub(crate) fn count_host(&self, host: &str, source: Source) {
        self.count(Reason::Host);
        let line = lock(&self.hosts).add(Instant::now(), host, source);
        if let Some(line) = line {
            log::warn!(target: TARGET, "{line}");
        }
    }

    /// The counts since the start.
    pub(crate) fn counts(&self) -> Denied {
        let count = |reason: Reason| self.counts[reason as usize].load(Ordering::Relaxed);
        Denied {
            no_token: count(Reason::NoToken),
            wrong_token: count(Reason::WrongToken),
            host: count(Reason::Host),
            remote: count(Reason::Remote),
            cross_site: count(Reason::CrossSite),
        }
    }

    /// Wrong tokens in a window that ends now; `None`: since the start. The window may be up to ten seconds longer.
    pub(crate) fn wrong_tokens(&self, window: Option<Duration>) -> u64 {
        lock(&self.wrong_tokens).within(Instant::now(), window)
    }
}

impl WrongTokens {
    /// Adds one. Returns a line for the log, if it is time for one.
    fn add(&mut self, now: Instant, path: &str, peer: Peer) -> Option<String> {
        if self.samples.back().is_none_or(|(last, _)| now.saturating_duration_since(*last) >= SAMPLE_EVERY) {
            self.samples.push_back((now, self.total));
        }
        while self.samples.front().is_some_and(|(first, _)| now.saturating_duration_since(*first) > KEPT) {
            self.samples.pop_front();
        }
        self.total += 1;
        if self.logged.is_some_and(|(last, _)| now.saturating_duration_since(last) < LOG_EVERY) {
            return None;
        }
        let new = self.total - self.logged.map_or(0, |(_, before)| before);
        self.logged = Some((now, self.total));
        let Self { total, .. } = self;
        Some(format!(
            "wrong token for {path} from {peer}; {new} since the last line, {total} since the start"
        ))
    }

    fn within(&self, now: Instant, window: Option<Duration>) -> u64 {
        let Some(window) = window else { return self.total };
        let is_older = |&(at, _): &(Instant, u64)| now.saturating_duration_since(at) >= window + SAMPLE_EVERY;
        let first = self.samples.partition_point(is_older);
        self.samples.get(first).map_or(0, |(_, before)| self.total - before)
    }
}

impl Hosts {
    /// Adds a request. Returns a line for the log, if it is time for one.
    fn add(&mut self, now: Instant, host: &str, source: Source) -> Option<String> {
        if self.logged.iter().any(|(known, _)| known == host) {
            return None;
        }
        let from_it = self.logged.iter().filter(|(_, known)| *known == source).count();
        let is_early = self.last.is_some_and(|last| now.saturating_duration_since(last) < NEXT_HOST_EVERY);
        if is_early && (self.logged.len() == MAX_HOSTS || from_it >= MAX_HOSTS_FROM_ONE) {
            self.unlogged += 1;
            return None;
        }
        if self.logged.len() == MAX_HOSTS {
            self.logged.pop_front();
        }
        self.logged.push_back((host.to_owned(), source));
        self.last = Some(now);
        let more = match std::mem::take(&mut self.unlogged) {
            0 => String::new(),
            1 => "; 1 request for another host since the last such line".to_owned(),
            more => format!("; {more} requests for other hosts since the last such line"),
        };
        Some(format!(
            "refused a request for \"{host}\"; if this is a host of this service, add it to allowed_hosts, or set \
             read_token{more}"
        ))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it is locked leaves counts that are at most one off.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tokens_are_logged_once_a_minute_with_their_number() {
        let (mut wrong, begun) = (WrongTokens::default(), Instant::now());
        let lines = (0..20_000).filter_map(|i| {
            let now = begun + Duration::from_millis(6 * i);
            wrong.add(now, "/summary", Peer::UnixSocket)
        });
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [
                "wrong token for /summary from a Unix socket; 1 since the last line, 1 since the start",
                "wrong token for /summary from a Unix socket; 10000 since the last line, 10001 since the start",
            ]
        );
    }

    #[test]
    fn wrong_tokens_leave_their_window_and_memory_stays_bounded() {
        let (mut wrong, begun) = (WrongTokens::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        (0..100).for_each(|second| drop(wrong.add(at(second), "/", Peer::UnixSocket)));
        let within =
            |wrong: &WrongTokens, now, window| wrong.within(at(now), Some(Duration::from_secs(window)));
        assert_eq!(within(&wrong, 99, 300), 100);
        assert_eq!((within(&wrong, 99, 60), within(&wrong, 145, 60), within(&wrong, 170, 60)), (70, 20, 0));
        assert_eq!(wrong.within(at(9_999), None), 100);
        (0..200_000).for_each(|second| drop(wrong.add(at(100 + second), "/", Peer::UnixSocket)));
        assert!(wrong.samples.len() <= 8_641, "{}", wrong.samples.len());
    }

    #[test]
    fn a_host_is_named_whatever_hosts_others_make_up() {
        let (mut hosts, begun) = (Hosts::default(), Instant::now());
        let source = |last| Source::of_peer(Peer::Address([203, 0, 113, last].into()));
        let mut add = |seconds, host: &str, from| {
            let line = hosts.add(begun + Duration::from_secs(seconds), host, source(from));
            assert!(hosts.logged.len() <= MAX_HOSTS);
            line
        };
        let first = add(0, "0.example", 1).unwrap();
        let expected = "refused a request for \"0.example\"; if this is a host of this service, add it to \
                        allowed_hosts, or set read_token";
        assert_eq!(first, expected);
        assert_eq!(add(0, "0.example", 2), None);
        let lines = |lines: Vec<Option<String>>| lines.into_iter().flatten().count();
        assert_eq!(lines((1..1_000).map(|i| add(1, &format!("{i}.example"), 1)).collect()), 3);
        // Somebody else, from elsewhere.
        assert!(
            add(1, "shop.example", 2)
                .unwrap()
                .ends_with("; 996 requests for other hosts since the last such line")
        );
        // Clients with many addresses get all lines, and then one a minute, which may be anybody's.
        assert_eq!(
            lines((0..1_000).map(|i| add(2, &format!("{i}.test"), 3 + (i % 200) as u8)).collect()),
            11
        );
        assert_eq!(add(3, "shop.test", 2), None);
        assert!(
            add(62, "shop.test", 2)
                .unwrap()
                .ends_with("; 990 requests for other hosts since the last such line")
        );
        assert_eq!((add(63, "shop.test", 2), add(64, "late.test", 2)), (None, None));
    }
}
