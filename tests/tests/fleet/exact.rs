//! Totals and quantiles of a fleet are those of all values together.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use metrics_core::{MAX_NANOS, Registry};
use metrics_export::fleet::redis::{Member, Question, Settings};

use crate::fixture::{settled, three, under_load, until};
use crate::redis::Redis;

#[test]
#[ignore = "needs redis-server"]
fn three_instances_under_load_have_the_calls_that_were_sent_in_every_window() {
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
fn quantiles_are_those_of_one_histogram_with_all_values() {
    let redis = Redis::start();
    let mut all = Histogram::<u64>::new_with_bounds(1, MAX_NANOS, 2).unwrap();
    let mut sum = 0;
    let members = ["a", "b", "c"].map(|name| {
        let registry = Registry::new();
        let endpoint = registry.endpoint("GET", "/items/{id}");
        for _ in 0..20_000 {
            // All magnitudes up to 17 s.
            let nanos = fastrand::u64(..) >> fastrand::u32(30..60);
            registry.record_nanos(endpoint, 200, nanos);
            all.record(nanos).unwrap();
            sum += nanos;
        }
        let settings = Settings::new(&redis.url()).unwrap().service("exact").instance(name);
        Member::start(registry, settings).unwrap()
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    let answer = loop {
        let answer = members[0].ask(Question::SinceReset).unwrap();
        if answer.fleet.instances().len() == 3 {
            break answer;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    };
    let total = &answer.summary.as_ref().unwrap().total;
    assert_eq!((total.calls, total.sum), (60_000, Duration::from_nanos(sum)));
    for (quantile, ours) in [(0.5, total.p50), (0.95, total.p95), (0.99, total.p99), (0.999, total.p999)] {
        assert_eq!(ours, Duration::from_nanos(all.value_at_quantile(quantile)), "{quantile}");
    }
    let merged = answer.fleet.snapshot().unwrap().histogram();
    assert_eq!(merged.to_hdr(), all);
}
