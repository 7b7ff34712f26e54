//! A rolling deploy under load: real processes of two builds with other settings, and a real Redis.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tests::{Example, Redis};

use crate::fixture::{INTERVAL, instance, settled, under_load, until};

/// Settings in which instances differ: an exporter that needs each status, and the interval.
const MORE_SETTINGS: [&[&str]; 3] = [
    &["--interval", INTERVAL, "--otlp", "http://127.0.0.1:9"],
    &["--interval", INTERVAL],
    &["--interval", "500"],
];

/// What it sees before the deploy, after each step there, and after each step back, if that is rolled back.
///
/// `METRICS_TEST_OTHER_BUILD` is the demo of another build, such as that of the last release; by default, it is that of
/// today.
#[test]
#[ignore = "needs redis-server"]
fn totals_are_those_sent_after_each_step_of_a_rolling_deploy_and_of_its_way_back() {
    let redis = Redis::start();
    let url = redis.url();
    let other = std::env::var_os("METRICS_TEST_OTHER_BUILD");
    let start = |is_new: bool, name: &str, more: &[&str]| {
        let arguments = [&["--workers", "1", "--redis", &url, "--instance", name], more].concat();
        match &other {
            Some(program) if !is_new => Example::of(Path::new(program), &arguments),
            _ => Example::full(&arguments),
        }
    };
    let old: &[&str] = &["--interval", INTERVAL];
    // The one of today's build that is asked.
    let mut instances = vec![instance(&url, "asked")];
    instances.extend(["a", "b", "c"].map(|name| start(false, name, old)));
    let (mut sent, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    let there = ["a", "b", "c"].into_iter().zip(MORE_SETTINGS).map(|(name, more)| (true, name, more));
    let back = ["a", "b", "c"].map(|name| (false, name, old));
    for (ended, (is_new, name, more)) in (1..).zip(there.chain(back)) {
        // A load balancer takes it out first.
        let gone = instances.remove(1);
        let (during, new) = under_load(&instances, || {
            assert_eq!(gone.stop(), Some(0));
            start(is_new, name, more)
        });
        instances.push(new);
        let (after, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
        sent += during + after;
        let begun = Instant::now();
        let summary = settled(&instances[0], sent);
        let took = begun.elapsed();
        assert_eq!(summary["skipped"], 0, "{summary}");
        until(&instances[0], "fleet/instances", |body| {
            let listed = body["instances"].as_array().unwrap();
            let of = |state| listed.iter().filter(|instance| instance["state"] == state).count();
            let calls = listed.iter().map(|instance| instance["total_calls"].as_u64().unwrap());
            of("up") == 4 && of("gone") == ended && calls.sum::<u64>() == sent
        });
        println!(
            "{name} is {}: all {sent} requests counted {took:?} after the last one, {} instances",
            if is_new { "new" } else { "old again" },
            4 + ended
        );
    }
}
