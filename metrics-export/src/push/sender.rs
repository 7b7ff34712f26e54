//! The thread that sends to one destination.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::exporter::{Exporter, Failed};
use super::sending::{Next, Sending};
use super::watched::Watched;
use crate::state_log::Line;

/// Sends windows until the end. The body of the thread.
pub(super) fn run(sending: &Watched<Sending>, mut exporter: impl Exporter) {
    loop {
        let (job, deadline) = match sending.wait(Sending::next) {
            Next::Send(job, deadline) => (job, deadline),
            Next::Flushed => continue,
            Next::End => return,
        };
        let window = job.window();
        let export = || (!exporter.is_idle(&window)).then(|| exporter.export(&window, deadline));
        let exported = catch_unwind(AssertUnwindSafe(export));
        match exported.unwrap_or_else(|_| Some(Err(Failed::permanent("the exporter panicked")))) {
            Some(result) => {
                let lines = sending.update(|sending| sending.settle(result, window.calls(), Instant::now()));
                lines.into_iter().for_each(Line::log);
            }
            None => sending.update(Sending::skip),
        }
    }
}

/// Waits for the end of a flush until the deadline, and then drops what is left. Returns how many windows were dropped
/// since the start.
pub(super) fn wait_until_flushed(sending: &Watched<Sending>, deadline: Instant) -> u64 {
    let (dropped, lost) = sending.wait(|sending, now| {
        sending.flushed(deadline, now).map(|dropped| (dropped, sending.log_losses(true, now)))
    });
    lost.into_iter().for_each(Line::log);
    dropped
}
