//! What a history takes: memory, and the time of a tick.

use super::*;

/// Endpoints that are busy for a day, with realistic latencies. So many of them have a timer and a counter each, a fourth
/// as many a hit ratio, and half as many a gauge.
fn a_day(endpoints: u32, timed: usize) -> Clockwork {
    let mut clock = Clockwork::new();
    let endpoints: Vec<_> =
        (0..endpoints).map(|i| clock.registry.endpoint("GET", &format!("/{i}"))).collect();
    let recorder = clock.registry.recorder();
    let business = |kind: &str, i: usize| format!("{kind}_{i}");
    let timers: Vec<_> = (0..timed).map(|i| clock.registry.timer(&business("timer", i)).unwrap()).collect();
    let counters: Vec<_> =
        (0..timed).map(|i| clock.registry.counter(&business("counter", i)).unwrap()).collect();
    let ratios: Vec<_> =
        (0..timed / 4).map(|i| clock.registry.hit_ratio(&business("ratio", i)).unwrap()).collect();
    let gauges: Vec<_> =
        (0..timed / 2).map(|i| clock.registry.gauge(&business("gauge", i)).unwrap()).collect();
    let mut random = 1_u64;
    // One tick per minute, except for the last five minutes, which have one per second as in production.
    for second in 0..(86_400 / 60 + 300_u64) {
        let per_endpoint = if second < 1_440 { 60 } else { 1 };
        for (rank, &endpoint) in endpoints.iter().enumerate() {
            // The busiest endpoint of 200 is called 20 times as often as the median one.
            let calls = per_endpoint * 20 / (1 + rank as u64 / 5);
            for _ in 0..calls {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let normal =
                    (0..4).map(|i| (random >> (16 * i) & 0xffff) as f64 / 65_536.0).sum::<f64>() - 2.0;
                let nanos = (350_000.0 * (1.4 * normal).exp()) as u64;
                recorder.record_nanos(endpoint, 200, nanos);
                if rank < timed {
                    timers[rank].record(Duration::from_nanos(nanos));
                    counters[rank].increment();
                    ratios[rank % (timed / 4)].hit();
                    gauges[rank % (timed / 2)].set(nanos as f64);
                }
            }
        }
        clock.tick_after(if second < 1_440 { SECOND * 60 } else { SECOND });
    }
    clock
}

#[test]
#[ignore = "takes minutes without optimisation"]
fn a_day_of_200_busy_endpoints_takes_at_most_8_mib_and_prints_what_a_save_takes() {
    let clock = a_day(200, 20);
    let bytes = clock.timeline.heap_bytes();
    let of_metrics = clock.timeline.metrics.heap_bytes();
    println!("history: {} KiB, of which own metrics {} KiB", bytes / 1_024, of_metrics / 1_024);
    assert!(bytes <= 8 << 20, "{bytes}");
    print_what_saves_take("200 endpoints and 55 metrics", clock);
}

/// As many endpoints, and timers and counters, as a registry has by default.
#[test]
#[ignore = "prints times; run it on a quiet machine with optimisation"]
fn print_what_saves_of_the_most_endpoints_take() {
    print_what_saves_take("1,024 endpoints and 352 metrics", a_day(1_024, 128));
}

/// Prints what saves of a history take, in full and in the 256 KiB that a fleet keeps, and what the longest of many
/// records took meanwhile.
fn print_what_saves_take(what: &str, clock: Clockwork) {
    let (registry, history) = (clock.registry.clone(), clock.history());
    println!("a day of {what}: {} KiB in memory", history.heap_bytes() >> 10);
    for limit in [64 << 20, 256 << 10] {
        let mut took: Vec<_> = (0..11)
            .map(|_| {
                let begun = std::time::Instant::now();
                let saved = history.save(limit);
                let took = begun.elapsed();
                assert!(saved.len() <= limit, "{}", saved.len());
                (took, saved.len())
            })
            .collect();
        took.sort_unstable();
        let (median, bytes) = took[took.len() / 2];
        let resumed = History::resume(Registry::new(), &history.save(limit)).unwrap();
        let [all, kept] = [&history, &resumed].map(|history| history.summary(Window::OneDay).total.calls);
        println!(
            "  in at most {} KiB: {} KiB in {median:?}; of all requests of a day {:.1} % are kept",
            limit >> 10,
            bytes >> 10,
            100.0 * kept as f64 / all as f64
        );
    }
    let item = registry.endpoint("GET", "/0");
    let records = |recorder: &crate::Recorder| {
        let mut took: Vec<_> = (0..2_000_000)
            .map(|_| {
                let begun = std::time::Instant::now();
                recorder.record_nanos(item, 200, 1_000);
                begun.elapsed()
            })
            .collect();
        took.sort_unstable();
        [took.len() / 2, took.len() * 999 / 1_000].map(|at| took[at])
    };
    let recorder = registry.recorder();
    let alone = records(&recorder);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let during = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                history.save(64 << 20);
            }
        });
        let during = records(&recorder);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        during
    });
    println!(
        "  a record and two clock reads, median and 99.9 %: {alone:?}, while it is saved all the time {during:?}"
    );
}

#[test]
fn a_history_takes_a_few_bytes_for_each_duration_that_differs() {
    let mut clock = Clockwork::new();
    assert_eq!(clock.timeline.heap_bytes(), 0);
    let timer = clock.registry.timer("db").unwrap();
    for _ in 0..100 {
        for i in 0..100 {
            clock.record("/", 200, nanos(i));
            timer.record(Duration::from_nanos(nanos(i)));
        }
        clock.record("_unmatched", 404, 1_000);
        clock.tick_after(SECOND);
    }
    let Timeline { total, by_endpoint, metrics, .. } = &clock.timeline;
    let parts = [total.heap_bytes(), by_endpoint.heap_bytes(), metrics.heap_bytes()];
    // 100 frames of a second, and ten of ten seconds by endpoint and of own metrics.
    for (bytes, (frames, each)) in parts.into_iter().zip([(100, 340..430), (10, 400..540), (10, 300..400)]) {
        assert!(each.contains(&(bytes / frames)), "{parts:?}");
    }
    // The name of a metric is kept once.
    let before = clock.timeline.metrics.heap_bytes();
    (0..100).for_each(|i| clock.registry.counter(&format!("count_{i}")).unwrap().increment());
    clock.tick_after(SECOND * 10);
    assert!(clock.timeline.metrics.heap_bytes() - before >= 100 * size_of::<(&str, u32)>());
    let Timeline { total, by_endpoint, metrics, .. } = &clock.timeline;
    let all = total.heap_bytes() + by_endpoint.heap_bytes() + metrics.heap_bytes();
    assert_eq!(clock.history().heap_bytes(), all);
}

/// Prints the cost of a tick for 200 endpoints on 16 threads that each call each endpoint ten times a second, and of
/// alerts over one and five minutes. The goal is at most 2 ms per second in all.
#[test]
#[ignore = "prints times; run it on a quiet machine with optimisation"]
fn print_what_ticks_of_200_busy_endpoints_on_16_shards_take() {
    let mut clock = Clockwork::new();
    let endpoints: Vec<_> = (0..200).map(|i| clock.registry.endpoint("GET", &format!("/{i}"))).collect();
    let recorders: Vec<_> = (0..16).map(|_| clock.registry.recorder()).collect();
    let timer = clock.registry.timer("db_query").unwrap();
    let mut random = 1_u64;
    let mut record = |times: u64| {
        for recorder in &recorders {
            for (i, &endpoint) in endpoints.iter().enumerate() {
                for _ in 0..times {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let normal =
                        (0..4).map(|i| (random >> (16 * i) & 0xffff) as f64 / 65_536.0).sum::<f64>() - 2.0;
                    // Medians from 0.2 to 20 ms; the 99th percentile is about three times the median.
                    let median = 200_000.0 * 100_f64.powf(i as f64 / 200.0);
                    let status = if random % 1_000 < 8 { 404 } else { 200 };
                    recorder.record_nanos(endpoint, status, (median * (0.87 * normal).exp()) as u64);
                }
            }
        }
        timer.record(Duration::from_millis(3));
    };
    record(1_000);
    clock.tick_after(SECOND);
    let mut parts: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for _ in 0..400 {
        record(10);
        clock.at += SECOND;
        let mut begun = std::time::Instant::now();
        let mut part = |name| {
            let now = std::time::Instant::now();
            parts.entry(name).or_default().push(now - std::mem::replace(&mut begun, now));
        };
        if clock.timeline.metrics.is_due(clock.at) {
            clock.timeline.metrics.push(clock.metrics_now());
        }
        part("3 own metrics");
        let now = clock.now();
        part("1 snapshot");
        clock.timeline.tick(now);
        part("2 history");
        clock.timeline.total(&clock.timeline.total_until, SECOND * 60, Requested::Matched);
        part("4 one minute, for alerts");
        clock.timeline.total(&clock.timeline.total_until, SECOND * 300, Requested::Matched);
        part("5 five minutes, for alerts every 5 s");
        clock.timeline.endpoints(&clock.now().snapshot, SECOND * 300, Requested::All);
        part("6 five minutes by endpoint, for requests");
    }
    for (name, mut times) in parts {
        let mean = times.iter().sum::<Duration>() / times.len() as u32;
        times.sort_unstable();
        println!(
            "{name}: mean {mean:?}, median {:?}, longest {:?}",
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
}
