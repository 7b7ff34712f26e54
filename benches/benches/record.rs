//! Each arm alone: `record/<threads>/<shape>/<arm>`.

use std::time::Duration;

use benches::Workload;
use benches::arms::ARMS;
use benches::worker::run;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn record(criterion: &mut Criterion) {
    let shapes = [
        ("one_route", Workload::one_route()),
        ("six_routes", Workload::six_routes()),
        ("200_routes", Workload::many_routes()),
    ];
    for threads in [1, 2] {
        for (shape, workload) in &shapes {
            let events = workload.events();
            let mut group = criterion.benchmark_group(format!("record/{threads}/{shape}"));
            group.throughput(Throughput::Elements(events.len() as u64));
            for arm in ARMS {
                let mut workers = (arm.workers)(workload.routes(), threads);
                // One iteration is one pass over the events by each thread.
                group.bench_function(arm.name, |bencher| {
                    bencher.iter_custom(|passes| run(&mut workers, events, passes).mean);
                });
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .without_plots();
    targets = record
}
criterion_main!(benches);
