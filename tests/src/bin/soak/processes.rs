//! Memory and descriptors of processes, and how fast they grow.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

/// What a scrape says that the monitor keeps and grows within bounds that the settings set: history, shards and the
/// like.
pub(crate) fn kept_bytes(exposition: &str) -> u64 {
    let kept =
        exposition.lines().filter_map(|line| line.strip_prefix("metrics_core_")?.split_once("_bytes "));
    kept.filter_map(|(_, bytes)| bytes.parse::<u64>().ok()).sum()
}

/// A sample of a process.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Since the begin.
    seconds: f64,
    resident_kib: f64,
    descriptors: f64,
    /// What is allocated and not freed.
    allocated_kib: f64,
    /// The history, the shards and the like, which are part of it.
    kept_kib: f64,
}

/// Samples of each process, by its name.
#[derive(Debug, Default)]
pub(crate) struct Processes(BTreeMap<String, Vec<Sample>>);

/// The stretches of time of which a slope is made.
const STRETCHES: usize = 30;

impl Processes {
    /// Takes a sample of a process, unless it has ended. It has allocated these bytes, of which its monitor keeps
    /// those.
    pub(crate) fn sample(&mut self, name: &str, id: u32, seconds: f64, allocated: u64, kept: u64) {
        let (Some(resident_kib), Some(descriptors)) = (resident_kib(id), descriptors(id)) else { return };
        let [allocated_kib, kept_kib] = [allocated, kept].map(|bytes| bytes as f64 / 1024.0);
        // It has not been asked yet.
        if allocated == 0 {
            return;
        }
        let sample = Sample { seconds, resident_kib, descriptors, allocated_kib, kept_kib };
        self.0.entry(name.to_owned()).or_default().push(sample);
    }

    /// The last sample of a process, in words.
    pub(crate) fn last(&self, name: &str) -> String {
        let Some(last) = self.0.get(name).and_then(|samples| samples.last()) else {
            return format!("{name} -");
        };
        let Sample { resident_kib, descriptors, allocated_kib, kept_kib, .. } = last;
        format!(
            "{name} {resident_kib:.0} KiB resident, {allocated_kib:.0} allocated, {kept_kib:.0} kept, \
             {descriptors} descriptors"
        )
    }

    /// How memory and descriptors of each process that lived long enough grew, from this moment of its life on.
    pub(crate) fn growth(&self, warm_up: f64) -> Vec<String> {
        let of = |(name, samples): (&String, &Vec<Sample>)| {
            let begun = samples.first()?.seconds;
            let warm: Vec<_> = samples.iter().filter(|sample| sample.seconds - begun >= warm_up).collect();
            if warm.len() < STRETCHES {
                return None;
            }
            let told = |what: fn(&Sample) -> f64, samples: &[&Sample]| {
                let points: Vec<_> = samples.iter().map(|sample| [sample.seconds, what(sample)]).collect();
                Slope::of(&points)
            };
            let resident: fn(&Sample) -> f64 = |sample| sample.resident_kib;
            let allocated: fn(&Sample) -> f64 = |sample| sample.allocated_kib;
            let rest: fn(&Sample) -> f64 = |sample| sample.allocated_kib - sample.kept_kib;
            let [first, last] = [warm.first()?, warm.last()?];
            let memory = |name: &str, what: fn(&Sample) -> f64| {
                format!(
                    "{name} {:.0} to {:.0} KiB, {:.0} KiB/h, in the second half {:.0} KiB/h",
                    what(first),
                    what(last),
                    told(what, &warm),
                    told(what, &warm[warm.len() / 2..]),
                )
            };
            let resident = memory("resident", resident);
            let allocated = memory("allocated", allocated);
            let rest = memory("of which not kept", rest);
            let slope = told(|sample| sample.descriptors, &warm);
            let descriptors =
                format!("descriptors {} to {}, {slope:.1}/h", first.descriptors, last.descriptors);
            let (samples, seconds) = (warm.len(), last.seconds - first.seconds);
            Some(format!(
                "{name}: {resident}; {allocated}; {rest}; {descriptors}; {samples} samples in {seconds:.0} s"
            ))
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
    /// Of the means of stretches of the samples: neighbouring samples differ less than distant ones, so taken one by
    /// one they would make the error too small.
    fn of(samples: &[[f64; 2]]) -> Self {
        let each = samples.len().div_ceil(STRETCHES).max(1);
        let mean = |points: &[[f64; 2]], column: usize| {
            points.iter().map(|point| point[column]).sum::<f64>() / points.len() as f64
        };
        let points: Vec<_> =
            samples.chunks_exact(each).map(|points| [mean(points, 0), mean(points, 1)]).collect();
        let (x, y) = (mean(&points, 0), mean(&points, 1));
        let spread: f64 = points.iter().map(|point| (point[0] - x).powi(2)).sum();
        let slope = points.iter().map(|point| (point[0] - x) * (point[1] - y)).sum::<f64>() / spread;
        let rest: f64 = points.iter().map(|point| (point[1] - y - slope * (point[0] - x)).powi(2)).sum();
        let error = (rest / (points.len() as f64 - 2.0) / spread).sqrt();
        Self { slope: slope * 3_600.0, error: error * 3_600.0 }
    }
}

impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        write!(f, "{:+.digits$} +- {:.digits$}", self.slope, self.error)
    }
}

pub(crate) fn resident_kib(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// What a process has used so far, in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    processor: f64,
    /// How long its workers were ready to run, and waited for a processor.
    waited: f64,
}

impl Usage {
    pub(crate) fn of(id: u32) -> Option<Self> {
        Some(Self { processor: processor_seconds(id)?, waited: waited_seconds(id)? })
    }
}

/// What a process used during turns.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    usage: Usage,
    seconds: f64,
}

impl Used {
    /// Adds a turn, if the process lived all the time.
    pub(crate) fn add(&mut self, before: Option<Usage>, after: Option<Usage>, seconds: f64) {
        if let (Some(before), Some(after)) = (before, after) {
            self.usage.processor += after.processor - before.processor;
            self.usage.waited += after.waited - before.waited;
            self.seconds += seconds;
        }
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |seconds: f64| 100.0 * seconds / self.seconds.max(f64::EPSILON);
        let Usage { processor, waited } = self.usage;
        write!(f, "{:.1} % of a processor, its workers wait {:.1} % for one", share(processor), share(waited))
    }
}

/// The processor time that a process has used so far.
fn processor_seconds(id: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may have spaces. The 14th and 15th fields are ticks, of which Linux shows 100 a second.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<Option<f64>>().map(|ticks| ticks / 100.0)
}

/// How long the threads of actix-web, which answer requests, have been ready to run without running.
fn waited_seconds(id: u32) -> Option<f64> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten();
    let waited = threads.filter_map(|thread| {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).ok();
        read("comm")?.starts_with("actix").then_some(())?;
        // The time on a processor, the time waiting for one, in nanoseconds, and how often.
        read("schedstat")?.split(' ').nth(1)?.parse::<f64>().ok()
    });
    Some(waited.sum::<f64>() / 1e9)
}

fn descriptors(id: u32) -> Option<f64> {
    Some(fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_of_the_line_and_its_error_that_of_the_scatter() {
        let line: Vec<_> = (0..100).map(|second| [f64::from(second), 5.0 + f64::from(second)]).collect();
        let slope = Slope::of(&line);
        assert!((slope.slope - 3_600.0).abs() < 1e-6 && slope.error < 1e-6, "{slope:?}");
        // An alternating scatter of 1 around a constant: its error is 1 / sqrt(sum of squares of x), about. The fewest
        // samples, so that none are averaged.
        let flat = |count: usize, each: usize| -> Vec<_> {
            let high = |second: usize| (second / each).is_multiple_of(2);
            (0..count).map(|second| [second as f64, if high(second) { 1.0 } else { -1.0 }]).collect()
        };
        let expected =
            |points: f64, apart: f64| 3_600.0 / apart / (points * (points * points - 1.0) / 12.0).sqrt();
        let slope = Slope::of(&flat(30, 1));
        assert!((slope.error / expected(30.0, 1.0) - 1.0).abs() < 0.05, "{slope:?}");
        assert!(slope.slope.abs() < 3.0 * slope.error);
        // Samples that stay up and down for a while count as one for each while.
        let slope = Slope::of(&flat(3_000, 100));
        assert!((slope.error / expected(30.0, 100.0) - 1.0).abs() < 0.05, "{slope:?}");
    }
}
