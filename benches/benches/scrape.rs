//! A scrape by each arm: `scrape/<arm>`.

use std::time::{Duration, Instant};

use benches::scrape::{ARMS, touch};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn scrape(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scrape");
    for arm in ARMS {
        let mut exposed = arm.make();
        group.throughput(Throughput::Bytes(exposed.scrape() as u64));
        group.bench_function(arm.name, |bencher| {
            bencher.iter_custom(|scrapes| {
                let mut sum = Duration::ZERO;
                for turn in 0..scrapes {
                    // Not timed: so that every series has changed since the last scrape.
                    touch(&*exposed, turn as usize);
                    let begun = Instant::now();
                    std::hint::black_box(exposed.scrape());
                    sum += begun.elapsed();
                }
                sum
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .without_plots();
    targets = scrape
}
criterion_main!(benches);
