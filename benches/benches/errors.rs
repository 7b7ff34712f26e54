//! Each arm of a storm of errors alone: `errors/<threads>/<arm>`.

use std::time::Duration;

use benches::Workload;
use benches::errors::ARMS;
use benches::worker::run;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn errors(criterion: &mut Criterion) {
    let failures = Workload::failures();
    for threads in [1, 2] {
        let mut group = criterion.benchmark_group(format!("errors/{threads}"));
        group.throughput(Throughput::Elements(failures.events().len() as u64));
        for arm in ARMS {
            let mut workers = (arm.workers)(failures.routes(), threads);
            // One iteration is one pass over the failures by each thread.
            group.bench_function(arm.name, |bencher| {
                bencher.iter_custom(|passes| run(&mut workers, failures.events(), passes).mean);
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
    targets = errors
}
criterion_main!(benches);
