//! The exporter: sends a window's stats first, and then its traces.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::Instant;

use metrics_core::{InvalidSetting, Snapshot};

use super::agent::Agent;
use super::origin::Origin;
use super::{stats, traces};
use crate::push::{Accepted, Exporter, Failed, PushSettings, Window};
use crate::service::Service;

/// How often a window's traces may fail before they are given up. Until then they delay the stats of the next window,
/// and the Agent books late stats under another time.
const MAX_TRACE_ATTEMPTS: u32 = 3;

/// Sends stats and traces to a Datadog Agent.
#[derive(Debug)]
pub struct Datadog {
    pub(super) origin: Origin,
    pub(super) settings: PushSettings,
    /// Where to send, or why nothing is sent.
    pub(super) agent: Result<Agent, String>,
    /// The most traces per window.
    pub(super) max_traces: usize,
    /// Hashes for the ids of traces and spans.
    pub(super) ids: RandomState,
    pub(super) attempt: Attempt,
}

/// The window that is being sent. It is sent again unchanged, since [`PushSettings::max_windows`] is above 1.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// The window's number, `Sequence`.
    sequence: u64,
    /// The end of the window; `None` between windows.
    until: Option<Arc<Snapshot>>,
    /// Whether the Agent accepted its stats, so that only its traces are left.
    has_sent_stats: bool,
    /// How often its traces failed.
    traces_failed: u32,
}

impl Attempt {
    /// Begins a window, unless it is the one that is being sent.
    fn begin(&mut self, window: &Window) {
        if self.until.as_ref().is_some_and(|until| Arc::ptr_eq(until, &window.total)) {
            return;
        }
        let until = Some(Arc::clone(&window.total));
        *self = Self { sequence: self.sequence + 1, until, ..Self::default() };
    }
}

impl Datadog {
    fn agent(&self) -> Result<&Agent, Failed> {
        self.agent.as_ref().map_err(Failed::permanent)
    }

    fn send_stats(&mut self, window: &Window, deadline: Instant) -> Result<(), Failed> {
        if self.attempt.has_sent_stats {
            return Ok(());
        }
        let body = stats::payload(&self.origin, window, self.settings.interval, self.attempt.sequence);
        self.agent()?.post_stats(&body, deadline)?;
        self.attempt.has_sent_stats = true;
        Ok(())
    }

    /// Sends traces, and returns how many were not accepted. Neither a refusal nor the last of too many failures
    /// counts as a failure, since the stats have already arrived.
    fn send_traces(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        let mut traced = traces::traced(window, &self.settings);
        let left_out = traced.len().saturating_sub(self.max_traces);
        // Keeps errors, and then the earliest of the others.
        traced.truncate(self.max_traces);
        if traced.is_empty() {
            return Ok(Accepted::default());
        }
        let body = traces::payload(&self.origin, &traced, &self.ids, self.attempt.sequence);
        let count = traced.len();
        let rejected =
            |count: usize, reason: String| Accepted { rejected: count as u64, reason: Some(reason) };
        match self.agent()?.post_traces(count, &body, deadline) {
            Ok(_) if left_out == 0 => Ok(Accepted::default()),
            Ok(_) => {
                Ok(rejected(left_out, format!("{left_out} traces exceeded the limit of {count} per window")))
            }
            Err(failed) => {
                self.attempt.traces_failed += 1;
                if !failed.permanent && self.attempt.traces_failed < MAX_TRACE_ATTEMPTS {
                    return Err(failed);
                }
                Ok(rejected(count + left_out, format!("traces: {}", failed.reason)))
            }
        }
    }
}

impl Exporter for Datadog {
    fn name(&self) -> &str {
        "datadog"
    }

    fn settings(&self) -> PushSettings {
        self.settings.clone()
    }

    fn off(&self) -> Option<&str> {
        self.agent.as_ref().err().map(String::as_str)
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.origin.fill(service);
        Ok(())
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        self.attempt.begin(window);
        let sent = self.send_stats(window, deadline).and_then(|()| self.send_traces(window, deadline));
        if sent.is_ok() {
            // Frees the snapshot.
            self.attempt.until = None;
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use metrics_core::{ErrorCursor, Outcome, Registry};

    use super::*;
    use crate::push::Process;

    /// Answers requests in turn with these statuses. Returns the URL and, at the end, the requests' paths.
    fn agent<const N: usize>(statuses: [u16; N]) -> (String, JoinHandle<[String; N]>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = move |status: u16| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let head = reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty());
            let head: Vec<String> = head.map(|line| line.to_ascii_lowercase()).collect();
            let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            reader.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
            write!(stream, "HTTP/1.1 {status} \r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
            head[0].split(' ').nth(1).unwrap().to_owned()
        };
        (url, thread::spawn(move || statuses.map(answer)))
    }

    /// A window with this number of errors.
    fn window(errors: usize) -> Window {
        let registry = Registry::new();
        let root = registry.endpoint("GET", "/");
        for _ in 0..errors {
            registry.record_error(root, Outcome::Status(503), Duration::from_millis(1), "no");
        }
        let figures = registry.snapshot();
        let errors = registry.errors_after(&mut ErrorCursor::default());
        let total = Arc::new(figures.clone());
        Window {
            total,
            figures,
            errors,
            errors_missed: 0,
            requests: Vec::new(),
            requests_missed: 0,
            process: Process::default(),
        }
    }

    fn deadline() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn accepted_stats_are_not_sent_again_with_their_traces() {
        let (url, agent) = agent([200, 503, 200, 200, 200]);
        let mut datadog = Datadog::builder().agent_url(url).build().unwrap();
        let (first, second) = (window(1), window(1));
        let failed = datadog.export(&first, deadline()).unwrap_err();
        assert!(failed.reason.ends_with(" answered 503 Service Unavailable"), "{failed:?}");
        assert_eq!(datadog.export(&first, deadline()), Ok(Accepted::default()));
        assert_eq!(datadog.export(&second, deadline()), Ok(Accepted::default()));
        let (stats, traces) = ("/v0.6/stats", "/v0.4/traces");
        assert_eq!(agent.join().unwrap(), [stats, traces, traces, stats, traces]);
        assert_eq!(datadog.attempt.sequence, 2);
    }

    #[test]
    fn excess_and_refused_traces_are_counted_and_are_not_a_failure() {
        let (url, agent) = agent([200, 200, 200, 400]);
        let mut datadog = Datadog::builder().agent_url(url).max_traces(2).build().unwrap();
        let rejected = |sent: Result<Accepted, Failed>| {
            let Accepted { rejected, reason } = sent.unwrap();
            (rejected, reason.unwrap())
        };
        let (over, why) = rejected(datadog.export(&window(5), deadline()));
        assert_eq!((over, &*why), (3, "3 traces exceeded the limit of 2 per window"));
        let (refused, why) = rejected(datadog.export(&window(3), deadline()));
        assert!(why.starts_with("traces: 127.0.0.1:") && why.ends_with(" answered 400 Bad Request"), "{why}");
        assert_eq!(refused, 3);
        agent.join().unwrap();
    }

    #[test]
    fn traces_that_keep_failing_do_not_delay_the_next_stats() {
        let (url, agent) = agent([200, 503, 429, 503, 200, 200]);
        let mut datadog = Datadog::builder().agent_url(url).build().unwrap();
        let first = window(2);
        let failed = [0, 1].map(|_| datadog.export(&first, deadline()).unwrap_err().reason);
        for (reason, status) in failed.iter().zip([" answered 503 ", " answered 429 "]) {
            assert!(reason.contains(status), "{reason}");
        }
        let Accepted { rejected, reason } = datadog.export(&first, deadline()).unwrap();
        assert_eq!(rejected, 2);
        assert!(reason.unwrap().starts_with("traces: 127.0.0.1:"));
        assert_eq!(datadog.export(&window(1), deadline()), Ok(Accepted::default()));
        agent.join().unwrap();
    }

    #[test]
    fn refused_stats_are_given_up() {
        let (url, agent) = agent([404]);
        let mut datadog = Datadog::builder().agent_url(url).build().unwrap();
        assert!(datadog.export(&window(1), deadline()).unwrap_err().permanent);
        agent.join().unwrap();
    }
}
