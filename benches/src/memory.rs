//! Memory: what the figures of a service weigh, once its threads have recorded.
//!
//! Each is weighed in a process of its own: what an allocator kept of the one before would be found by the next.

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

/// The sizes that [`measure`] is made for: the usual ones, and the typical one with other precisions.
pub fn sizes() -> Vec<Size> {
    let others = [1, 3].map(|digits| Size { digits, ..Size::TYPICAL });
    Size::GRID.into_iter().chain(others).collect()
}

/// The bytes that come on top when the service's threads record 1,000 requests of each endpoint, and, of ours, when there was
/// a summary.
///
/// For a process that does nothing else, before or after.
///
/// # Errors
///
/// When the system does not say what is resident. Only Linux does.
pub fn weigh(arm: Arm, size: Size) -> io::Result<u64> {
    // What any program has anyway: names, a calibrated clock, and stacks that ended threads leave to the next ones.
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

/// Has a process of its own do it: `program --weigh ARM SIZE` prints the bytes.
///
/// # Errors
///
/// When the program cannot be run, or fails.
pub fn weigh_in_child(program: &Path, arm: Arm, size: Size) -> io::Result<u64> {
    let output = Command::new(program).args(["--weigh", arm.name(), &size.name()]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("{}, {}: {}", arm.name(), size.name(), said.trim()))
    })
}

/// Weighs each arm with each size by `weigh`.
///
/// # Errors
///
/// Those of `weigh`.
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

/// How what they weigh compares: the bytes of each by ours.
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
