//! Resident memory of a busy service's figures: 200 endpoints, 16 threads.
//!
//! A test binary of its own, because resident memory is that of the whole process and nothing else may run meanwhile.
#![cfg(all(target_os = "linux", not(miri), not(metrics_loom)))]

use metrics_core::Registry;

const ENDPOINTS: u64 = 200;
const RECORDERS: u64 = 16;
/// Per recorder and endpoint.
const RECORDS: u64 = 1_000;
/// The spread of the natural logarithm of an endpoint's latencies: the 99th percentile is 3.2 times the median.
const SIGMA: f64 = 0.5;
const MIB: u64 = 1 << 20;

/// Uniform numbers over 0..1, the same in every run.
struct Rng(u64);

impl Rng {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Log-normal nanoseconds. `sigma` is the standard deviation of the natural logarithm.
    fn lognormal(&mut self, median: f64, sigma: f64) -> u64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.uniform()).cos();
        (median * (sigma * normal).exp()) as u64
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1_024
}

#[test]
fn two_hundred_endpoints_on_sixteen_threads_stay_below_32_mib() {
    // The one-time cost of the first registry in a process does not count.
    drop(Registry::new());
    let before = resident_bytes();

    let registry = Registry::new();
    let recorders: Vec<_> = (0..RECORDERS).map(|_| registry.recorder()).collect();
    let mut rng = Rng(1);
    for i in 0..ENDPOINTS {
        let endpoint = registry.endpoint("GET", &format!("/service/{i}/items/{{id}}"));
        // From 0.2 ms to 20 ms.
        let median = 200_000.0 * 100_f64.powf(rng.uniform());
        for recorder in &recorders {
            for _ in 0..RECORDS {
                let (status, median) = match rng.uniform() {
                    x if x < 0.008 => (404, median / 4.0),
                    x if x < 0.010 => (503, median / 4.0),
                    _ => (200, median),
                };
                recorder.record_nanos(endpoint, status, rng.lognormal(median, SIGMA));
            }
        }
    }
    let recorded = resident_bytes() - before;
    let summary = registry.summary();
    let read = resident_bytes() - before;

    assert_eq!(summary.total.calls, ENDPOINTS * RECORDERS * RECORDS);
    assert_eq!(registry.snapshot().health().shards, RECORDERS);
    println!(
        "resident: {:.1} MiB recorded, {:.1} MiB with a summary",
        recorded as f64 / MIB as f64,
        read as f64 / MIB as f64
    );
    assert!(read <= 32 * MIB, "{} KiB", read / 1_024);
}
