//! One of the two services: the one that is restarted, or its shadow.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::load::{Batch, Ledger};
use crate::connection::{Answer, Connection};
use crate::program::Program;
use crate::service::METRICS;

/// Longer than a history takes to be inherited, and a figure to be read.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running service, and what it was told.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    connection: Connection,
    /// What it, and those before it, counted.
    pub(crate) ledger: Ledger,
}

impl Side {
    pub(crate) fn start(name: &'static str, settings: &Value, ledger: Ledger) -> Result<Self, String> {
        let program = Program::start("serve-restarts", settings)?;
        let connection = Connection::to(program.addr).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name, program, connection, ledger })
    }

    /// Has it count some requests.
    pub(crate) fn record(&mut self, batch: Batch) -> Result<(), String> {
        let begun = wall();
        record(&mut self.connection, batch).map_err(|error| format!("{}: {error}", self.name))?;
        self.ledger.note(batch.life, batch.calls, begun, wall());
        Ok(())
    }

    /// The `data` of an endpoint's answer.
    pub(crate) fn data(&mut self, name: &str) -> Result<Value, String> {
        let asked = self.connection.exchange("GET", &format!("{METRICS}/{name}"), "", "");
        let Answer { status, body, .. } = asked.map_err(|error| format!("{} {name}: {error}", self.name))?;
        let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
        match status {
            200 => Ok(body["data"].take()),
            status => Err(format!("{} {name}: {status} {}", self.name, body["error"])),
        }
    }
}

/// Has a service count some requests, over this connection.
pub(crate) fn record(connection: &mut Connection, Batch { life, first, calls }: Batch) -> Result<(), String> {
    let path = format!("/record/{life}/{first}/{calls}");
    let answer = connection.exchange("POST", &path, "", "").map_err(|error| error.to_string())?;
    if answer.status == 204 { Ok(()) } else { Err(format!("{path} was answered with {}", answer.status)) }
}

/// Milliseconds since 1970.
pub(crate) fn wall() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}

/// Tries again until it succeeds. Fails with the last error.
pub(crate) fn until<T>(mut attempt: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
            done => return done,
        }
    }
}
