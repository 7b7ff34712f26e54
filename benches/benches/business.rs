//! Each arm of the application's own metrics alone: `business/<threads>/<arm>`.

use std::time::Duration;

use benches::Workload;
use benches::business::ARMS;
use benches::worker::run;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn business(criterion: &mut Criterion) {
    let workload = Workload::one_route();
    for threads in [1, 2] {
        let mut group = criterion.benchmark_group(format!("business/{threads}"));
        group.throughput(Throughput::Elements(workload.events().len() as u64));
        for arm in ARMS {
            let mut workers = (arm.workers)(workload.routes(), threads);
            // One iteration is one pass over the events by each thread.
            group.bench_function(arm.name, |bencher| {
                bencher.iter_custom(|passes| run(&mut workers, workload.events(), passes).mean);
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .without_plots();
    targets = business
}
criterion_main!(benches);
