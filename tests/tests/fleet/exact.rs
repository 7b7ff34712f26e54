//! Totals and quantiles of a fleet equal those of all values together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use metrics_core::{MAX_NANOS, Registry};
use metrics_export::Service;
use metrics_export::fleet::redis::{FleetSettings, Member, Question};
use tests::Redis;

use crate::fixture::{settled, three, under_load, until};

#[test]
#[ignore = "needs redis-server"]
fn each_window_of_three_instances_has_all_calls_sent() {
    let redis = Redis::start();
    let instances = three(&redis.url());
    let (calls, ()) = under_load(&instances, || std::thread::sleep(Duration::from_secs(3)));
    let summary = settled(&instances[0], calls);
    let of = |body: &serde_json::Value, status: &str| body["statuses"][status].as_u64().unwrap_or(0);
    assert_eq!(of(&summary, "200") + of(&summary, "404"), calls);
    assert_eq!(of(&summary, "404"), calls.div_ceil(10));
    for name in ["summary?window=1m", "summary?window=5m", "summary?window=1h"] {
        let name = format!("fleet/{name}");
        let body = until(&instances[1], &name, |body| body["total_calls"] == calls);
        assert_eq!(body["p99_response_time"], summary["p99_response_time"]);
    }
    for window in ["1m", "5m", "1h", "reset"] {
        let body = instances[2].client().metrics("GET", &format!("fleet/routes?window={window}"));
        let routes = body["routes"].as_array().unwrap();
        let sum: u64 = routes.iter().map(|route| route["total_calls"].as_u64().unwrap()).sum();
        assert_eq!((routes.len(), sum), (2, calls), "{window}");
    }
    let refused = instances[0].client().send("GET", "/api/metrics/fleet/summary?window=24h");
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("allowed: 1m, 5m, 1h, reset"), "{}", refused.body);
}

#[test]
#[ignore = "needs redis-server"]
fn each_window_has_the_consumers_of_all_instances() {
    let redis = Redis::start();
    let instances = three(&redis.url());
    // The demo has aliases for these two; the third is shown as a hash.
    let (ann, bob) = ("demo-key-of-ann", "demo-key-of-bob");
    let mut sent = BTreeMap::new();
    for (instance, keys) in instances.iter().zip([&[ann, bob][..], &[bob], &[bob, "another"]]) {
        for (number, key) in keys.iter().enumerate() {
            for call in 0..=number {
                let path = if call == 0 { "/api/v1/orders/7" } else { "/items/4711" };
                let response = instance.client().send_with("GET", path, &[("x-api-key", key)]);
                assert_eq!(response.status, if call == 0 { 200 } else { 404 });
                let (calls, errors) = sent.entry(*key).or_insert((0_u64, 0_u64));
                (*calls, *errors) = (*calls + 1, *errors + u64::from(call > 0));
            }
        }
    }
    let mut sent: Vec<_> = sent.into_values().collect();
    sent.sort();
    let calls: u64 = sent.iter().map(|(calls, _)| calls).sum();
    settled(&instances[0], calls);
    for window in ["1m", "5m", "1h", "reset"] {
        let name = format!("fleet/consumers?window={window}");
        let body =
            until(&instances[1], &name, |body| body["consumers"].as_array().unwrap().len() == sent.len());
        assert_eq!((&body["stale"], &body["refused"]), (&false.into(), &0.into()));
        // More if a minute ended meanwhile.
        assert!(body["reports"].as_u64() >= Some(3), "{body}");
        let of = |consumer: &serde_json::Value| {
            (consumer["calls"].as_u64().unwrap(), consumer["errors"].as_u64().unwrap())
        };
        let mut found: Vec<_> = body["consumers"].as_array().unwrap().iter().map(of).collect();
        found.sort();
        assert_eq!(found, sent, "{window}: {body}");
        let body = instances[2].client().metrics("GET", &format!("{name}&top=1"));
        assert_eq!((body["consumers"].as_array().unwrap().len(), &body["total_consumers"]), (1, &3.into()));
        assert_eq!(of(&body["consumers"][0]), *sent.last().unwrap());
    }
    let refused = instances[0].client().send("GET", "/api/metrics/fleet/consumers?top=0");
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("allowed: 1 to"), "{}", refused.body);
    drop(redis);
    let own = until(&instances[0], "fleet/consumers", |body| body["stale"] == true);
    assert_eq!(own["total_consumers"], 2, "{own}");
}

#[test]
#[ignore = "needs redis-server"]
fn minutes_that_have_ended_are_read_once_and_count_in_each_answer() {
    let redis = Redis::start();
    let settings = FleetSettings::new(&redis.url()).unwrap();
    let reader = Member::start(Registry::new(), &Service::new("exact").instance("reader"), settings).unwrap();
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let this = since.as_secs() / 60;
    // A minute ahead, so that it may change during the test.
    for minute in this - 5..=this + 1 {
        for name in ["a", "b", "c"] {
            let registry = Registry::new();
            let endpoint = registry.endpoint("GET", "/items/{id}");
            (0..1_000).for_each(|nanos| registry.record_nanos(endpoint, 200, nanos * nanos));
            let instance = metrics_export::fleet::Instance {
                service: "exact".to_owned(),
                name: name.to_owned(),
                version: String::new(),
                started: now,
                written: now,
                interval: Duration::from_secs(60),
                epoch: 0,
                stopped: false,
                fingerprints: Default::default(),
            };
            let report =
                metrics_export::fleet::Report { instance, snapshot: registry.snapshot(), errors: Vec::new() };
            let id = format!("{name}-{}", since.as_nanos());
            redis.set(&format!("metrics:exact:routes:{minute}:{id}"), &report.encode());
            redis.cli(&["zadd", "metrics:exact:instances", &since.as_millis().to_string(), &id]);
        }
    }
    let mut bytes = Vec::new();
    for _ in 0..3 {
        let answer = reader.ask(Question::Minutes { minutes: 4, routes: true }).unwrap().wait().unwrap();
        let summary = answer.summary.as_ref().unwrap();
        assert_eq!((summary.total.calls, answer.fleet.refused().1), (3 * 5 * 1_000, 0));
        assert_eq!(summary.endpoints.len(), 1);
        assert!(answer.fleet.instances().len() >= 15);
        bytes.push(answer.bytes);
        // An answer is shared for a second.
        std::thread::sleep(Duration::from_millis(1_100));
    }
    // One minute of five, or two if a minute ended meanwhile.
    assert!(bytes[2] < bytes[0] / 2, "{bytes:?}");
}

#[test]
#[ignore = "needs redis-server"]
fn quantiles_equal_those_of_one_histogram_with_all_values() {
    have_quantiles_of_one_histogram([3, 3, 3], 2);
}

#[test]
#[ignore = "needs redis-server"]
fn quantiles_are_as_precise_as_the_least_precise_report() {
    have_quantiles_of_one_histogram([2, 1, 3], 1);
}

/// Three members that record with two digits, and write at most these, have the quantiles of one histogram with
/// `digits`.
fn have_quantiles_of_one_histogram(written: [u8; 3], digits: u8) {
    let redis = Redis::start();
    let mut all = Histogram::<u64>::new_with_bounds(1, MAX_NANOS, digits).unwrap();
    let (mut sum, mut longest) = (0, 0);
    let members = [("a", written[0]), ("b", written[1]), ("c", written[2])].map(|(name, written)| {
        let registry = Registry::new();
        let endpoint = registry.endpoint("GET", "/items/{id}");
        for _ in 0..20_000 {
            // All magnitudes up to 17 s.
            let nanos = fastrand::u64(..) >> fastrand::u32(30..60);
            registry.record_nanos(endpoint, 200, nanos);
            all.record(nanos).unwrap();
            sum += nanos;
            longest = longest.max(nanos);
        }
        let settings = FleetSettings::new(&redis.url()).unwrap();
        let settings = settings.max_significant_digits(written);
        Member::start(registry, &Service::new("exact").instance(name), settings).unwrap()
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    let answer = loop {
        let answer = members[0].ask(Question::SinceReset).unwrap().wait().unwrap();
        if answer.fleet.instances().len() == 3 {
            break answer;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    };
    let total = &answer.summary.as_ref().unwrap().total;
    assert_eq!(total.max, Duration::from_nanos(longest));
    assert_eq!((total.calls, total.sum), (60_000, Duration::from_nanos(sum)));
    for (quantile, ours) in [(0.5, total.p50), (0.95, total.p95), (0.99, total.p99), (0.999, total.p999)] {
        let expected = all.value_at_quantile(quantile).min(longest);
        assert_eq!(ours, Duration::from_nanos(expected), "{quantile}");
    }
    let merged = answer.fleet.snapshot().unwrap().histogram();
    assert_eq!(merged.to_hdr(), all);
}
