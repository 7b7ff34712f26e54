//! Whole servers without any requests: how often they are woken, and the processor time and memory that they take.
//!
//! Each server is a process, and Linux counts. In each round, the servers of all arms are idle at the same time. What
//! is counted hardly depends on what else the machine does, except for the switches and the time of a thread that has
//! to share its processor.

mod usage;

use std::path::Path;
use std::time::Duration;

use actix_web::rt::System;
use actix_web::rt::time::sleep;

use crate::figures::{BARE, Comparison, OURS, Quantity, Reference, Required, Requirement};
use crate::idle::usage::Counts;
use crate::load::server::Server;
use crate::load::{LoadError, unless_interrupted};
use crate::measure::{Measured, Setting};
use crate::middleware::Arm;
use crate::unit::Unit;

const ARMS: [Arm; 3] = [Arm::Bare, Arm::Ours, Arm::ActixWebProm];

const WORKERS: usize = 2;

/// How long servers have been up when their counting begins.
const SETTLED: Duration = Duration::from_secs(2);

/// How long they are watched in a round. The monitor does some things every ten seconds.
const WATCHED: Duration = Duration::from_secs(20);

/// What was measured of all arms.
#[derive(Debug)]
pub struct Idle {
    /// Context switches a second.
    pub switches: Vec<Measured>,
    /// Processor time, in per cent of one processor.
    pub processor: Vec<Measured>,
    /// Resident memory, in bytes.
    pub resident: Vec<Measured>,
}

/// Watches the server of each arm, round after round.
///
/// # Errors
///
/// When the server is missing or ends, when the system does not count (only Linux does), and on Ctrl-C or SIGTERM. In
/// each case all servers are stopped.
pub fn measure(rounds: usize) -> Result<Idle, LoadError> {
    let program = Server::program()?;
    System::new().block_on(unless_interrupted(async {
        let mut idle = Idle::new();
        for _ in 0..rounds {
            idle.measure_round(&program).await?;
        }
        Ok(idle)
    }))
}

impl Idle {
    fn new() -> Self {
        let lanes = || ARMS.map(|arm| Measured::new(arm.name(), Setting::Workers(WORKERS))).to_vec();
        Self { switches: lanes(), processor: lanes(), resident: lanes() }
    }

    async fn measure_round(&mut self, program: &Path) -> Result<(), LoadError> {
        let mut servers = Vec::with_capacity(ARMS.len());
        for arm in ARMS {
            servers.push(Server::start(program, arm, WORKERS).await?);
        }
        sleep(SETTLED).await;
        let counts = |server: &Server| Counts::of(server.pid());
        let before = servers.iter().map(counts).collect::<Result<Vec<_>, _>>()?;
        sleep(WATCHED).await;
        for (lane, (server, before)) in servers.iter().zip(before).enumerate() {
            let used = counts(server)?.since(&before);
            self.switches[lane].rounds.push(Some(used.switches_per_second));
            self.processor[lane].rounds.push(Some(used.processor_percent));
            self.resident[lane].rounds.push(Some(usage::resident_bytes(server.pid())? as f64));
        }
        for server in servers {
            server.end().await?;
        }
        Ok(())
    }
}

/// Compares how often each server is woken with the bare one.
pub fn switches_comparison() -> Comparison {
    over_bare("idle servers: context switches", Unit::SWITCHES, "", 6.0)
}

/// Compares the processor time of each server with that of the bare one.
pub fn processor_comparison() -> Comparison {
    over_bare("idle servers: processor time", Unit::PERCENT, "of one processor", 0.02)
}

/// Compares the memory of each server with that of the bare one.
pub fn resident_comparison() -> Comparison {
    over_bare("idle servers: memory", Unit::MIB, "resident", 1.5)
}

fn over_bare(kind: &'static str, unit: Unit, per: &'static str, at_most: f64) -> Comparison {
    let setting = Setting::Workers(WORKERS);
    Comparison {
        kind,
        unit,
        per,
        over_bare: false,
        reference: Some(Reference::Bare),
        requirements: vec![Requirement {
            what: format!("{kind}, {setting}, over bare"),
            of: Quantity::Difference { over: (OURS, setting), under: (BARE, setting), unit },
            required: Required::AtMost(at_most),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_finds_its_arms() {
        let mut idle = Idle::new();
        let lanes = [&mut idle.switches, &mut idle.processor, &mut idle.resident];
        lanes.into_iter().flatten().for_each(|lane| lane.rounds.push(Some(1.0)));
        for (comparison, measured) in [
            (switches_comparison(), &idle.switches),
            (processor_comparison(), &idle.processor),
            (resident_comparison(), &idle.resident),
        ] {
            let figures = comparison.figures(measured);
            assert!(matches!(figures.as_slice(), [figure] if figure.measured == 0.0), "{figures:?}");
        }
    }
}
