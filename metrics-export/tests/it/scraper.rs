//! What a scraper renders is what a scrape that keeps nothing renders, byte for byte.

use std::time::{Duration, SystemTime};

use metrics_core::{Granularity, Outcome, Registry, Snapshot, TraceId};
use metrics_export::prometheus::{Exposition, Format, Names, Resources, Scraper};
use proptest::prelude::*;

use crate::allocations::ALLOCATIONS;
use crate::snapshots::{exporters, granularity, hostile, resources, with_everything};

const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

/// What happens between two scrapes.
#[derive(Debug, Clone)]
enum Step {
    /// An endpoint, how a request of it ends, its duration and how many there are. New endpoints come in between.
    Record(usize, Outcome, u64, u32),
    Exemplar(usize, Outcome, u64, u8),
    Bytes(usize),
    Timer(u64),
    Consumer(u8),
    Reset,
    /// A scrape by one of the scrapers, or by all.
    Scrape(Option<usize>),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => prop::sample::select(vec![200, 201, 302, 404, 500]).prop_map(Outcome::Status),
        1 => prop::sample::select(vec![Outcome::Other, Outcome::Aborted, Outcome::Panicked]),
    ]
}

fn step(endpoints: usize, scrapers: usize) -> impl Strategy<Value = Step> {
    let nanos = || (0_u32..38).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits));
    prop_oneof![
        8 => (0..endpoints, outcome(), nanos(), prop::sample::select(vec![1, 1, 9, 90, 1_000]))
            .prop_map(|(at, outcome, nanos, times)| Step::Record(at, outcome, nanos, times)),
        2 => (0..endpoints, outcome(), nanos(), 1_u8..3)
            .prop_map(|(at, outcome, nanos, trace)| Step::Exemplar(at, outcome, nanos, trace)),
        1 => (0..endpoints).prop_map(Step::Bytes),
        1 => nanos().prop_map(Step::Timer),
        1 => (0_u8..4).prop_map(Step::Consumer),
        1 => Just(Step::Reset),
        6 => prop::option::of(0..scrapers).prop_map(Step::Scrape),
    ]
}

fn take(step: &Step, registry: &Registry, routes: &[String]) {
    let recorder = registry.recorder();
    let endpoint = |at: usize| registry.endpoint("GET", &routes[at]);
    match *step {
        Step::Record(at, outcome, nanos, times) => {
            (0..times)
                .for_each(|_| recorder.record_outcome(endpoint(at), outcome, Duration::from_nanos(nanos)));
        }
        Step::Exemplar(at, outcome, nanos, trace) => {
            let trace: TraceId = format!("{trace:032x}").parse().unwrap();
            let elapsed = Duration::from_nanos(nanos);
            recorder.record_outcome(endpoint(at), outcome, elapsed);
            recorder.keep_exemplar(endpoint(at), outcome, elapsed, trace);
        }
        Step::Bytes(at) => recorder.add_bytes(endpoint(at), Outcome::Status(200), 3, 1_000),
        Step::Timer(nanos) => registry.timer("db").unwrap().record(Duration::from_nanos(nanos)),
        Step::Consumer(name) => {
            let consumer = registry.consumer(&name.to_string());
            recorder.record_consumer(consumer, Outcome::Status(200), Duration::from_millis(1));
        }
        Step::Reset => drop(registry.reset()),
        Step::Scrape(_) => {}
    }
}

/// Renders with the scraper and without, and compares. Returns whether the text is kept.
fn check(scraper: &mut Scraper, exposition: &Exposition, snapshot: &Snapshot) -> bool {
    let (resources, exporters) = (resources(), exporters());
    let (mut whole, mut spare) = (Vec::new(), Vec::new());
    exposition.render_with(snapshot, &resources, &exporters, scraper.format(), &mut whole);
    let kept = scraper.render(snapshot, &resources, &exporters, &mut spare);
    let (is_kept, text) = (kept.is_some(), kept.unwrap_or(&spare));
    if text != whole {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(lossy(text), lossy(&whole), "{:?}", scraper.format());
        panic!("{:?} differs", scraper.format());
    }
    assert!(scraper.kept_bytes() <= exposition.kept_bytes(), "{}", scraper.kept_bytes());
    is_kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn scrapers_in_turns_render_what_a_fresh_scrape_renders(
        routes in prop::collection::btree_set(hostile(), 8).prop_map(Vec::from_iter),
        steps in prop::collection::vec(step(8, 6), 1..60),
        granularity in granularity(),
        digits in 1_u8..=3,
        names in prop::sample::select(vec![Names::Prometheus, Names::OpenTelemetry]),
        // None, less than the text, room for one buffer, and for all.
        kept_bytes in prop::sample::select(vec![0, 20_000, 60_000, 4 << 20]),
        created in any::<bool>(),
    ) {
        let registry =
            Registry::builder().granularity(granularity).significant_digits(digits).build().unwrap();
        let exposition = Exposition::builder().names(names).kept_bytes(kept_bytes).created(created);
        let exposition = exposition.constant_label("env", "a\"b").top_consumers(2).build().unwrap();
        // Two of each format.
        let mut scrapers: Vec<_> =
            FORMATS.iter().chain(&FORMATS).map(|&format| Scraper::new(exposition.clone(), format)).collect();
        // Many quiet endpoints, so that there is something to take over.
        for quiet in 0..10 {
            registry.record_nanos(registry.endpoint("PUT", &format!("/{quiet}")), 200, 1_000);
        }
        for step in &steps {
            take(step, &registry, &routes);
            if let Step::Scrape(which) = step {
                let snapshot = registry.snapshot();
                let chosen = which.map_or(0..scrapers.len(), |which| which..which + 1);
                scrapers[chosen].iter_mut().for_each(|scraper| _ = check(scraper, &exposition, &snapshot));
            }
        }
        let snapshot = registry.snapshot();
        scrapers.iter_mut().for_each(|scraper| _ = check(scraper, &exposition, &snapshot));
    }
}

/// A registry with this many endpoints of three classes each.
fn service(endpoints: usize) -> Registry {
    let registry = Registry::builder().max_series(5_000).build().unwrap();
    let recorder = registry.recorder();
    for number in 0..endpoints {
        let endpoint = registry.endpoint("GET", &format!("/api/v1/resources/{number}/items/{{id}}"));
        [200, 404, 500].iter().for_each(|&status| recorder.record_nanos(endpoint, status, 1_000_000));
    }
    registry
}

#[test]
fn snapshots_of_other_registries_and_windows_and_sums_are_never_taken_for_the_last_one() {
    let exposition = Exposition::new();
    for format in FORMATS {
        let mut scraper = Scraper::new(exposition.clone(), format);
        let (one, other) = (service(10), service(10));
        let snapshots = [one.snapshot(), other.snapshot()];
        one.reset();
        one.record_nanos(one.endpoint("GET", "/new"), 200, 7);
        let mut sum = one.snapshot();
        sum.merge(&snapshots[1]).unwrap();
        let parts = Snapshot::from_parts(one.snapshot().to_parts()).unwrap();
        let all = [&snapshots[0], &snapshots[1], &one.window(), &sum, &parts, &one.snapshot(), &sum.total()];
        for snapshot in all.into_iter().flat_map(|snapshot| [snapshot; 3]) {
            check(&mut scraper, &exposition, snapshot);
        }
    }
}

#[test]
fn a_sum_with_an_older_registry_has_its_time_of_creation() {
    let exposition = Exposition::builder().created(true).build().unwrap();
    let mut older = Registry::new().snapshot();
    std::thread::sleep(Duration::from_millis(2));
    let registry = service(10);
    // All endpoints of the sum are those of the newer one.
    older.merge(&registry.snapshot()).unwrap();
    assert!(older.since() < registry.snapshot().since());
    for format in [Format::OpenMetrics, Format::Protobuf] {
        let mut scraper = Scraper::new(exposition.clone(), format);
        for snapshot in [&registry.snapshot(), &registry.snapshot(), &registry.snapshot(), &older, &older] {
            check(&mut scraper, &exposition, snapshot);
        }
    }
}

#[test]
fn an_endpoint_that_comes_between_others_and_numbers_of_another_length_move_the_rest() {
    let exposition = Exposition::new();
    for format in FORMATS {
        let registry = service(20);
        let first = registry.endpoint("GET", "/first");
        let late = registry.endpoint("GET", "/api/v1/resources/3/items/{id}");
        let mut scraper = Scraper::new(exposition.clone(), format);
        for turn in 0..40_u32 {
            // One call more each turn, and the count of one endpoint gets another digit now and then.
            (0..turn * turn / 4).for_each(|_| registry.record_nanos(late, 200, 2_000_000));
            if turn == 20 {
                registry.record_nanos(first, 302, 5);
            }
            check(&mut scraper, &exposition, &registry.snapshot());
        }
    }
}

#[test]
fn what_did_not_change_is_not_written_again() {
    let registry = service(400);
    let endpoint = registry.endpoint("GET", "/api/v1/resources/3/items/{id}");
    for format in FORMATS {
        let mut scraper = Scraper::new(Exposition::new(), format);
        let mut written = Vec::new();
        for _ in 0..4 {
            registry.record_nanos(endpoint, 200, 1_000_000);
            let snapshot = registry.snapshot();
            scraper.render(&snapshot, &Resources::default(), &[], &mut Vec::new()).unwrap();
            written.push(scraper.written_bytes());
        }
        let [first, _, third, fourth] = written[..] else { panic!("{written:?}") };
        assert!(third < first / 20 && fourth < first / 20, "{format:?}: {written:?}");
    }
}

#[test]
fn nothing_is_kept_beyond_the_bound_and_the_default_holds_a_text_of_1_400_series() {
    for (endpoints, kept) in [(400, true), (466, true), (600, false), (466, true)] {
        let registry = service(endpoints);
        let exposition = Exposition::new();
        let mut scraper = Scraper::new(exposition.clone(), Format::Text);
        for turn in 0..5 {
            // Everything changes in every second turn.
            if turn % 2 == 0 {
                for number in 0..endpoints {
                    let route = format!("/api/v1/resources/{number}/items/{{id}}");
                    registry.record_nanos(registry.endpoint("GET", &route), 200, 3_000);
                }
            }
            let is_kept = check(&mut scraper, &exposition, &registry.snapshot());
            assert_eq!(is_kept, kept, "{endpoints} endpoints, turn {turn}");
        }
    }
}

#[test]
fn a_scraper_that_had_too_much_keeps_a_shorter_text_again() {
    let exposition = Exposition::builder().kept_bytes(500_000).build().unwrap();
    let mut scraper = Scraper::new(exposition.clone(), Format::Text);
    let (large, small) = (service(100).snapshot(), service(10).snapshot());
    for (snapshot, kept) in
        [(&small, true), (&large, false), (&large, false), (&small, false), (&small, true)]
    {
        assert_eq!(check(&mut scraper, &exposition, snapshot), kept);
    }
}

#[test]
fn nothing_is_allocated_from_the_fourth_scrape_on() {
    let (resources, exporters) = (resources(), exporters());
    let granularity = Granularity::Class;
    let registry = Registry::builder().granularity(granularity).build().unwrap();
    let endpoints: Vec<_> = (0..50).map(|n| registry.endpoint("GET", &format!("/{n}"))).collect();
    for every in [1, 20] {
        for (format, allowed) in [(Format::Text, 0), (Format::OpenMetrics, 0), (Format::Protobuf, 12)] {
            let mut scraper = Scraper::new(Exposition::new(), format);
            let mut spare = Vec::new();
            for turn in 0..5 {
                endpoints.iter().step_by(every).for_each(|&at| registry.record_nanos(at, 200, 1_000_000));
                let snapshot = registry.snapshot();
                let before = ALLOCATIONS.get();
                scraper.render(&snapshot, &resources, &exporters, &mut spare).unwrap();
                let allocations = ALLOCATIONS.get() - before;
                assert!(turn < 3 || allocations <= allowed, "{format:?}, scrape {turn}: {allocations}");
            }
        }
    }
    // With everything that a snapshot can have.
    let (snapshot, mut spare) = (with_everything(), Vec::new());
    let mut scraper = Scraper::new(Exposition::new(), Format::OpenMetrics);
    for turn in 0..4 {
        let before = ALLOCATIONS.get();
        scraper.render(&snapshot, &resources, &exporters, &mut spare).unwrap();
        assert!(turn < 3 || ALLOCATIONS.get() == before, "scrape {turn}");
    }
    assert!(snapshot.since() <= SystemTime::now());
}
