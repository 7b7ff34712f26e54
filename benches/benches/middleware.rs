//! Each middleware alone: `middleware/<shape>/<arm>`.

use std::rc::Rc;
use std::time::Duration;

use actix_web::rt::System;
use benches::middleware::{Arm, Caller, Shape};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn middleware(criterion: &mut Criterion) {
    let system = Rc::new(System::new());
    for shape in Shape::ALL {
        let mut group = criterion.benchmark_group(format!("middleware/{}", shape.name()));
        group.throughput(Throughput::Elements(1));
        for arm in Arm::ALL {
            let mut caller = Caller::new(arm, &system);
            // One iteration is one request, from the middleware to the end of the response's body.
            group.bench_function(arm.name(), |bencher| {
                bencher.iter_custom(|calls| caller.time(shape, calls as usize));
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
    targets = middleware
}
criterion_main!(benches);
