//! Clients that send requests to a service, each one after the other, and measure them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tests::{Raw, Server};

const CLIENTS: usize = 4;

/// The pause between two requests of a client.
const EVERY: Duration = Duration::from_millis(4);

/// One in this number of requests fails.
const FAILS: usize = 20;

/// Running clients.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Duration>>>,
}

impl Load {
    pub(crate) fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|_| {
            let (stop, addr) = (Arc::clone(&stop), server.addr());
            let connection = server.raw();
            thread::spawn(move || send(connection, addr, &stop))
        });
        Self { clients: clients.collect(), stop }
    }

    /// Stops the clients, and returns the durations of all requests, in ascending order.
    pub(crate) fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let took = self.clients.into_iter().flat_map(|client| client.join().unwrap());
        let mut took: Vec<_> = took.collect();
        took.sort_unstable();
        took
    }
}

fn send(mut connection: Raw, addr: SocketAddr, stop: &AtomicBool) -> Vec<Duration> {
    // Room for an hour, so that the list does not grow while memory is measured.
    let mut took = Vec::with_capacity(1 << 20);
    let mut due = Instant::now();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let begun = Instant::now();
        connection.request("GET", if turn % FAILS == 0 { "/fails" } else { "/items/7" });
        let answer = connection.read_until("the end");
        took.push(begun.elapsed());
        assert!(answer.ends_with("the end"), "{addr} answered {answer:?}");
        // Late requests are not made up for.
        let now = Instant::now();
        due = (due + EVERY).max(now);
        thread::sleep(due - now);
    }
    took
}

/// The 99th percentile of durations in ascending order.
pub(crate) fn p99(took: &[Duration]) -> Duration {
    took[(took.len() * 99).div_ceil(100) - 1]
}
