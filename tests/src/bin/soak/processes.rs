//! Memory and descriptors of processes, and how fast they grow.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

/// A sample: seconds since the begin, resident memory in KiB, open descriptors.
type Sample = [f64; 3];

/// Samples of each process, by its name.
#[derive(Debug, Default)]
pub(crate) struct Processes(BTreeMap<String, Vec<Sample>>);

/// The least number of samples of which a slope is shown.
const ENOUGH: usize = 20;

impl Processes {
    /// Takes a sample of a process, unless it has ended.
    pub(crate) fn sample(&mut self, name: &str, id: u32, seconds: f64) {
        let (Some(kib), Some(descriptors)) = (resident_kib(id), descriptors(id)) else { return };
        self.0.entry(name.to_owned()).or_default().push([seconds, kib, descriptors]);
    }

    /// The last sample of a process, in KiB and descriptors.
    pub(crate) fn last(&self, name: &str) -> [f64; 2] {
        self.0.get(name).and_then(|samples| samples.last()).map_or([0.0; 2], |sample| [sample[1], sample[2]])
    }

    /// How memory and descriptors of each process that lived long enough grew, from this moment of its life on.
    pub(crate) fn growth(&self, warm_up: f64) -> Vec<String> {
        let of = |(name, samples): (&String, &Vec<Sample>)| {
            let begun = samples.first()?[0];
            let warm: Vec<_> = samples.iter().filter(|sample| sample[0] - begun >= warm_up).collect();
            if warm.len() < ENOUGH {
                return None;
            }
            let slope = |column: usize| Slope::of(warm.iter().map(|sample| [sample[0], sample[column]]));
            let [first, last] = [warm.first()?, warm.last()?];
            let memory = format!("resident {:.0} to {:.0} KiB, {:.0} KiB/h", first[1], last[1], slope(1));
            let descriptors = format!("descriptors {} to {}, {:.1}/h", first[2], last[2], slope(2));
            let (samples, seconds) = (warm.len(), last[0] - first[0]);
            Some(format!("{name}: {memory}; {descriptors}; {samples} samples in {seconds:.0} s"))
        };
        self.0.iter().filter_map(of).collect()
    }
}

/// A slope an hour with its standard error, by least squares.
#[derive(Debug)]
struct Slope {
    slope: f64,
    error: f64,
}

impl Slope {
    fn of(points: impl Iterator<Item = [f64; 2]> + Clone) -> Self {
        let count = points.clone().count() as f64;
        let mean = |column: usize| points.clone().map(|point| point[column]).sum::<f64>() / count;
        let (x, y) = (mean(0), mean(1));
        let spread: f64 = points.clone().map(|point| (point[0] - x).powi(2)).sum();
        let slope = points.clone().map(|point| (point[0] - x) * (point[1] - y)).sum::<f64>() / spread;
        let rest: f64 = points.map(|point| (point[1] - y - slope * (point[0] - x)).powi(2)).sum();
        let error = (rest / (count - 2.0) / spread).sqrt();
        Self { slope: slope * 3_600.0, error: error * 3_600.0 }
    }
}

impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        write!(f, "{:+.digits$} +- {:.digits$}", self.slope, self.error)
    }
}

fn resident_kib(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn descriptors(id: u32) -> Option<f64> {
    Some(fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_of_the_line_and_its_error_that_of_the_scatter() {
        let line = (0..100).map(|second| [f64::from(second), 5.0 + f64::from(second)]);
        let slope = Slope::of(line);
        assert!((slope.slope - 3_600.0).abs() < 1e-6 && slope.error < 1e-6, "{slope:?}");
        // An alternating scatter of 1 around a constant: its error is 1 / sqrt(sum of squares of x), about.
        let flat = (0..100).map(|second| [f64::from(second), if second % 2 == 0 { 1.0 } else { -1.0 }]);
        let slope = Slope::of(flat);
        let expected = 3_600.0 / (100.0_f64 * (100.0 * 100.0 - 1.0) / 12.0).sqrt();
        assert!((slope.error / expected - 1.0).abs() < 0.02, "{slope:?} {expected}");
        assert!(slope.slope.abs() < 3.0 * slope.error);
    }
}
