//! Whole servers: processor time per request under load.
//!
//! Each server is a process, `wrk` is the load, and Linux counts the processor time. Each round starts a new server for
//! each arm, so that no arm has a lucky memory layout in all rounds. `wrk` loads one server after the other, a second
//! at a time, while the others are idle: slow phases of the machine hit all arms alike.

mod cpu;
mod error;
pub(crate) mod server;
mod wrk;

use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use actix_web::rt::System;
use actix_web::rt::signal::{ctrl_c, unix};
use futures_util::future::{Either, select};

pub use error::LoadError;

use crate::figures::{BARE, Comparison, OURS, Quantity, Reference, Required, Requirement};
use crate::load::server::Server;
use crate::load::wrk::Wrk;
use crate::measure::{Measured, Setting, turns};
use crate::middleware::{Arm, EXPORTING};
use crate::unit::Unit;

/// The arms that a service could run; so not the one that only reads the clock.
const ARMS: [Arm; 6] =
    [Arm::Bare, Arm::Ours, Arm::Exporting, Arm::ActixWebProm, Arm::OpenTelemetry, Arm::ActixWebMetrics];

/// The path that `wrk` requests.
const PATH: &str = "/items/4711";

/// The settings of the load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Workers of the server; default: 1.
    pub workers: usize,
    /// Connections that are kept busy; default: 32.
    pub connections: usize,
    /// Seconds of load on each server in a round; default: 4. One more second before that warms the server up.
    pub seconds: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self { workers: 1, connections: 32, seconds: 4 }
    }
}

/// Measures the server of each arm, round after round.
///
/// # Errors
///
/// When `wrk` or the server is missing or fails, and on Ctrl-C or SIGTERM. In each case all servers are stopped.
pub fn measure(load: Load, rounds: usize) -> Result<Vec<Measured>, LoadError> {
    let program = Server::program()?;
    System::new().block_on(unless_interrupted(measure_all(&program, load, rounds)))
}

/// Measures with servers, and stops them on Ctrl-C and SIGTERM.
pub(crate) async fn unless_interrupted<T>(
    measure: impl Future<Output = Result<T, LoadError>>,
) -> Result<T, LoadError> {
    match select(pin!(measure), pin!(stop_signal())).await {
        Either::Left((measured, _)) => measured,
        // This drops the servers, which stops them.
        Either::Right((signal, _)) => Err(signal.map_or_else(LoadError::from, |()| LoadError::Interrupted)),
    }
}

async fn stop_signal() -> io::Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    match select(pin!(ctrl_c()), pin!(terminate.recv())).await {
        Either::Left((interrupted, _)) => interrupted,
        Either::Right(_) => Ok(()),
    }
}

async fn measure_all(program: &Path, load: Load, rounds: usize) -> Result<Vec<Measured>, LoadError> {
    let wrk = Wrk::new(load.connections).await?;
    let mut measured = ARMS.map(|arm| Measured::new(arm.name(), Setting::Workers(load.workers)));
    let mut turns = turns(ARMS.len(), rounds * load.seconds);
    for _ in 0..rounds {
        let turns = turns.by_ref().take(ARMS.len() * load.seconds);
        for (lane, nanos) in measured.iter_mut().zip(measure_round(program, load, &wrk, turns).await?) {
            lane.rounds.push(Some(nanos));
        }
    }
    Ok(measured.into())
}

/// Nanoseconds of processor time per request, for each arm.
async fn measure_round(
    program: &Path,
    load: Load,
    wrk: &Wrk,
    turns: impl Iterator<Item = usize>,
) -> Result<Vec<f64>, LoadError> {
    let mut servers = Vec::with_capacity(ARMS.len());
    for arm in ARMS {
        let server = Server::start(program, arm, load.workers).await?;
        let url = format!("{}{PATH}", server.url());
        wrk.run_for_a_second(&url).await?;
        servers.push((server, url, Duration::ZERO, 0));
    }
    for lane in turns {
        let (server, url, used, requests) = &mut servers[lane];
        // Not what it uses in the turns of the others: then it would seem to do that for its own requests.
        let before = server.cpu_time()?;
        *requests += wrk.run_for_a_second(url).await?;
        *used += server.cpu_time()?.saturating_sub(before);
    }
    let mut nanos = Vec::with_capacity(ARMS.len());
    for (server, _, used, requests) in servers {
        nanos.push(used.as_nanos() as f64 / requests as f64);
        server.end().await?;
    }
    Ok(nanos)
}

/// Compares each server's processor time with that of the bare one.
pub fn comparison(load: Load) -> Comparison {
    let setting = Setting::Workers(load.workers);
    Comparison {
        kind: "servers under load",
        unit: Unit::MICROS,
        per: "of processor time a request",
        over_bare: false,
        reference: Some(Reference::Bare),
        requirements: [("ours", OURS), ("ours with all exporters", EXPORTING)]
            .map(|(what, arm)| Requirement {
                what: format!("{what}, whole server under load, processor time a request, against bare"),
                of: Quantity::Ratio { over: (arm, setting), under: (BARE, setting) },
                required: Required::AtMost(1.015),
            })
            .into(),
    }
}
