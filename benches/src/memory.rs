//! Memory that the figures of a service take after its threads have recorded.
//!
//! Each is measured in a process of its own, since an allocator reuses what an earlier measurement freed.

mod arm;
mod resident;

use std::io;
use std::path::Path;
use std::process::Command;

pub use arm::Arm;

use crate::figures::{Comparison, OURS, Quantity, Reference, Required, Requirement};
use crate::measure::{Measured, Setting, turns};
use crate::memory::resident::{resident_bytes, side_by_side};
use crate::service::Traffic;
use crate::size::Size;
use crate::unit::Unit;
use crate::workload::routes;

/// The sizes to [`measure`]: the usual ones, and the typical one with other precisions.
pub fn sizes() -> Vec<Size> {
    let others = [1, 3].map(|digits| Size { digits, ..Size::TYPICAL });
    Size::GRID.into_iter().chain(others).collect()
}

/// Returns the bytes that the process grows by when the service's threads record 1,000 requests of each endpoint and,
/// for our arm, a summary is read.
///
/// Call it once, in a process that does nothing else.
///
/// # Errors
///
/// When the system does not report resident memory. Only Linux does.
pub fn weigh(arm: Arm, size: Size) -> io::Result<u64> {
    // Every program has these: names, a calibrated clock, and the stacks of threads that ended.
    let routes = routes(size.endpoints);
    drop(metrics_core::Registry::new());
    side_by_side(&mut vec![(); size.shards], |_, ()| {});

    let before = resident_bytes()?;
    let mut held = arm.hold(routes, size);
    side_by_side(&mut held.workers, |thread, worker| {
        Traffic::new(thread).record_all(size.endpoints, worker.as_mut());
    });
    (held.read)();
    let after = resident_bytes()?;
    drop(held);
    Ok(after.saturating_sub(before))
}

/// Runs [`weigh`] in a new process: `program --weigh ARM SIZE` prints the bytes.
///
/// # Errors
///
/// When the program cannot be started or fails.
pub fn weigh_in_child(program: &Path, arm: Arm, size: Size) -> io::Result<u64> {
    let output = Command::new(program).args(["--weigh", arm.name(), &size.name()]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("{}, {}: {}", arm.name(), size.name(), said.trim()))
    })
}

/// Weighs each arm with each size, by calling `weigh`.
///
/// # Errors
///
/// The errors of `weigh`.
pub fn measure(
    sizes: &[Size],
    rounds: usize,
    weigh: impl Fn(Arm, Size) -> io::Result<u64>,
) -> io::Result<Vec<Measured>> {
    let lanes: Vec<_> = sizes.iter().flat_map(|&size| Arm::ALL.map(|arm| (arm, size))).collect();
    let lane = |&(arm, size): &(Arm, Size)| Measured::new(arm.name(), Setting::Service(size));
    let mut measured: Vec<_> = lanes.iter().map(lane).collect();
    for lane in turns(lanes.len(), rounds) {
        let (arm, size) = lanes[lane];
        measured[lane].rounds.push(Some(weigh(arm, size)? as f64));
    }
    Ok(measured)
}

/// Compares the bytes of each arm with ours.
pub fn comparison() -> Comparison {
    Comparison {
        kind: "memory",
        unit: Unit::MIB,
        per: "resident",
        over_bare: false,
        reference: Some(Reference::Ours),
        requirements: vec![Requirement {
            what: "memory of 200 endpoints x 16 shards, typical latencies".to_owned(),
            of: Quantity::Absolute((OURS, Setting::Service(Size::TYPICAL)), Unit::MIB),
            required: Required::AtMost(32.0),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_finds_its_arms() {
        let measured = measure(&sizes(), 1, |_, size| Ok(size.endpoints as u64)).unwrap();
        assert_eq!(measured.len(), sizes().len() * Arm::ALL.len());
        assert_eq!(comparison().figures(&measured).len(), comparison().requirements.len());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_arm_is_weighed_with_every_precision() {
        for arm in Arm::ALL {
            for digits in 1..=3 {
                weigh(arm, Size { digits, ..Size::of(10, 2) }).unwrap();
            }
        }
    }
}
