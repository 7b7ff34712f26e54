//! A scrape by each arm, of 200 routes: `scrape/<arm>` after all series changed, `scrape of few changes/<arm>` after one
//! in twenty did.

use std::time::Duration;

use benches::scrape::ARMS;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The routes of a middle-sized service.
const ROUTES: usize = 200;

fn scrape(criterion: &mut Criterion) {
    for (name, changed) in [("scrape", 1), ("scrape of few changes", 20)] {
        let mut group = criterion.benchmark_group(name);
        for arm in ARMS {
            let mut scraped = arm.make(ROUTES, changed);
            group.throughput(Throughput::Bytes(scraped.time(0).1 as u64));
            group.bench_function(arm.name, |bencher| {
                bencher.iter_custom(|scrapes| (0..scrapes).map(|turn| scraped.time(turn as usize).0).sum());
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
        .sample_size(30)
        .without_plots();
    targets = scrape
}
criterion_main!(benches);
