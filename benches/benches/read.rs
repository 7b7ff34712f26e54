//! Each kind of reading alone: `read/<endpoints>x<shards>x<digits>/<arm>`.

use std::time::Duration;

use benches::Size;
use benches::read::{Arm, Reader};
use criterion::{Criterion, criterion_group, criterion_main};

fn read(criterion: &mut Criterion) {
    for size in Size::GRID {
        let mut group = criterion.benchmark_group(format!("read/{}", size.name()));
        let mut reader = Reader::new(size);
        for arm in Arm::ALL {
            // One iteration is one reading.
            group.bench_function(arm.name(), |bencher| {
                bencher.iter_custom(|readings| (0..readings).map(|_| reader.time(arm)).sum());
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
        .sample_size(20)
        .without_plots();
    targets = read
}
criterion_main!(benches);
