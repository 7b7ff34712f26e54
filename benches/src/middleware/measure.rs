//! The time of a request in each arm, for each shape.

use std::rc::Rc;

use actix_web::rt::System;

use crate::figures::{Comparison, OURS, Quantity, Reference, Required, Requirement};
use crate::measure::{Measured, Setting, turns};
use crate::middleware::arm::{ACTIX_WEB_METRICS, ACTIX_WEB_PROM, EXPORTING, OPENTELEMETRY};
use crate::middleware::{Arm, Caller, Shape};
use crate::stats::Spread;
use crate::unit::Unit;

/// Slices of a round. Every arm has a turn in each slice, and an arm's time is the median of its slices. The
/// differences are a few per cent of the measured times, so slow phases of the machine, which last for milliseconds,
/// must hit all arms alike.
const SLICES: usize = 10;

/// Calls of a slice, and calls before it to warm the caches up after the other arms.
const CALLS: usize = 256;
const WARM_UP: usize = 64;

/// Measures each arm with each shape of requests.
pub fn measure(rounds: usize) -> Vec<Measured> {
    let system = Rc::new(System::new());
    // Shared by the shapes, since a service has routes of all shapes.
    let mut callers = Arm::ALL.map(|arm| Caller::new(arm, &system));
    Shape::ALL.into_iter().flat_map(|shape| measure_shape(&mut callers, shape, rounds)).collect()
}

fn measure_shape(
    callers: &mut [Caller; Arm::ALL.len()],
    shape: Shape,
    rounds: usize,
) -> [Measured; Arm::ALL.len()] {
    let mut slices = callers.each_ref().map(|_| Vec::with_capacity(rounds * SLICES));
    for lane in turns(callers.len(), rounds * SLICES) {
        callers[lane].time(shape, WARM_UP);
        let time = callers[lane].time(shape, CALLS);
        slices[lane].push(time.as_nanos() as f64 / CALLS as f64);
    }
    std::array::from_fn(|lane| Measured {
        rounds: slices[lane]
            .chunks(SLICES)
            .map(|round| Some(Spread::of(round.iter().copied()).median))
            .collect(),
        ..Measured::new(Arm::ALL[lane].name(), Setting::Shape(shape.name()))
    })
}

/// Compares the time that each middleware adds to the bare app with that of ours.
pub fn comparison() -> Comparison {
    let requirements = Shape::ALL.into_iter().flat_map(|shape| {
        let ratio = |what: &str, over, under, required| {
            let setting = Setting::Shape(shape.name());
            let what = format!("{what}, {setting}");
            let of = Quantity::Ratio { over: (over, setting), under: (under, setting) };
            Requirement { what, of, required }
        };
        [
            ratio("ours with exporters over bare, against ours", EXPORTING, OURS, Required::AtMost(1.1)),
            ratio("`actix-web-prom` over bare, against ours", ACTIX_WEB_PROM, OURS, Required::AtLeast(10.0)),
            ratio("OpenTelemetry over bare, against ours", OPENTELEMETRY, OURS, Required::AtLeast(25.0)),
            ratio(
                "`actix-web-metrics` over bare, against ours",
                ACTIX_WEB_METRICS,
                OURS,
                Required::AtLeast(20.0),
            ),
        ]
    });
    Comparison {
        kind: "middlewares",
        unit: Unit::NANOS,
        per: "a request",
        over_bare: true,
        reference: Some(Reference::Ours),
        requirements: requirements.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_answers_every_shape_and_every_figure_finds_its_arms() {
        let measured = measure(1);
        assert_eq!(measured.len(), Arm::ALL.len() * Shape::ALL.len());
        assert!(measured.iter().all(|lane| lane.median() > 0.0));
        comparison().figures(&measured);
    }
}
