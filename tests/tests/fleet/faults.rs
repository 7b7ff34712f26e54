//! Faults under load: requests and the fleet's endpoints are answered all the time, and totals are exact afterwards.

use std::thread::sleep;
use std::time::Duration;

use tests::{Example, Redis, Turns};

use crate::fixture::{instance, reset, settled, three, under_load, under_watched_load, until};
use crate::proxy::Proxy;

/// How long one set of instances gets load before the other.
const TURN: Duration = Duration::from_secs(1);

/// How many turns each set gets during a fault; by default four seconds in all, long enough for timeouts and for pauses
/// to grow.
fn turns() -> u32 {
    let seconds = std::env::var("METRICS_TEST_FAULT_SECONDS").map_or(4.0, |text| text.parse().unwrap());
    ((Duration::from_secs_f64(seconds).as_secs_f64() / TURN.as_secs_f64() / 2.0) as u32).max(1)
}

/// Begins a fault under load, waits until the instances see it, ends it, and waits for exact totals.
///
/// The load takes turns with as many instances without a Redis, for comparison. `METRICS_TEST_FAULT_SECONDS` sets how
/// long all turns take.
fn survived(instances: &[Example; 3], begin: impl FnOnce(), end: impl FnOnce()) {
    let alone = [(); 3].map(|()| Example::full(&["--workers", "1"]));
    let ask = |instances: &[Example]| {
        under_watched_load(instances, |load| {
            sleep(TURN);
            load.p99()
        })
    };
    let (mut calls, _) = ask(instances);
    calls += under_load(instances, || {
        begin();
        let failing = until(&instances[0], "fleet/instances", |body| !body["writer"]["last_error"].is_null());
        assert!(failing["writer"]["failures"].as_u64() > Some(0), "{failing}");
    })
    .0;
    let resident = instances[0].resident_bytes();
    let mut compared = Turns::default();
    for _ in 0..turns() {
        let (_, without) = ask(&alone);
        let (more, with) = ask(instances);
        compared.push(without, with);
        calls += more;
    }
    println!("{compared}");
    let after = instances[0].resident_bytes();
    assert!(after < resident + (8 << 20), "{resident} {after}");
    calls += under_load(instances, || {
        end();
        sleep(TURN);
    })
    .0;
    settled(&instances[0], calls);
    let recovered = until(&instances[2], "fleet/instances", |body| body["writer"]["last_error"].is_null());
    assert_eq!(recovered["instances"].as_array().unwrap().len(), 3);
}

/// Like [`survived`], and during the fault the answer holds the instance's own figures.
fn survived_alone(instances: &[Example; 3], begin: impl FnOnce(), end: impl FnOnce()) {
    let begin = || {
        begin();
        let own = until(&instances[1], "fleet/summary", |body| body["stale"] == true);
        assert!(own["total_calls"].as_u64() > Some(0), "{own}");
        assert!(own["stale_since"].is_string() && own["stale_reason"].is_string(), "{own}");
        let reset = instances[1].client().send("POST", "/api/metrics/fleet/reset");
        assert_eq!(reset.status, 503, "{}", reset.body);
    };
    survived(instances, begin, end);
}

#[test]
#[ignore = "needs redis-server"]
fn a_killed_instance_stays_in_the_totals_and_a_restarted_one_is_another() {
    let redis = Redis::start();
    let [a, b, c] = three(&redis.url());
    let instances = [a, b, c];
    let (first, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    settled(&instances[0], first);
    let [a, b, c] = instances;
    let others = [a, b];
    let (second, ()) = under_load(&others, || {
        c.signal("KILL");
        sleep(Duration::from_secs(1));
    });
    settled(&others[0], first + second);
    let [a, b] = others;
    let instances = [a, b, instance(&redis.url(), "c")];
    let (third, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    settled(&instances[2], first + second + third);
    let body = instances[0].client().metrics("GET", "fleet/instances");
    let names: Vec<_> = body["instances"].as_array().unwrap().iter().map(|i| i["name"].as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == Some("c")).count(), 2);
    assert_eq!(body["up"], 3);
}

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_after_redis_was_killed_and_lost_its_data() {
    let mut redis = Redis::start();
    let instances = three(&redis.url());
    let redis = std::cell::RefCell::new(&mut redis);
    survived_alone(&instances, || redis.borrow_mut().kill(), || redis.borrow_mut().restart());
}

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_after_redis_was_killed_and_kept_its_data() {
    let mut redis = Redis::start_with(&["--appendonly", "yes"]);
    let instances = three(&redis.url());
    let redis = std::cell::RefCell::new(&mut redis);
    survived_alone(&instances, || redis.borrow_mut().kill(), || redis.borrow_mut().restart());
}

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_after_redis_was_frozen_for_a_while() {
    let redis = Redis::start();
    let instances = three(&redis.url());
    survived_alone(&instances, || redis.signal("STOP"), || redis.signal("CONT"));
}

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_after_connections_were_cut_in_a_write() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.port());
    let instances = three(&proxy.url());
    // In the first commands, in the report, and after it.
    for bytes in [100, 350, 600, 1_500] {
        let (calls, ()) = under_load(&instances, || {
            proxy.cut_after(bytes);
            sleep(Duration::from_secs(1));
            proxy.cut_after(usize::MAX);
        });
        settled(&instances[0], calls);
        reset(&instances);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_after_the_password_was_wrong_and_it_is_never_shown() {
    let redis = Redis::start_with(&["--requirepass", "hunter2"]);
    let url = redis.url().replace("redis://", "redis://:hunter2@");
    let instances = three(&url);
    let auth = |with: &str, arguments: &[&str]| {
        assert_eq!(redis.cli(&[&["-a", with, "--no-auth-warning"], arguments].concat()), "OK");
    };
    let begin = || {
        auth("hunter2", &["config", "set", "requirepass", "other"]);
        // Open connections would stay logged in.
        redis.cli(&["-a", "other", "--no-auth-warning", "client", "kill", "type", "normal"]);
        let own = until(&instances[0], "fleet/summary", |body| body["stale"] == true);
        assert!(!own.to_string().contains("hunter2"), "{own}");
    };
    survived_alone(&instances, begin, || auth("other", &["config", "set", "requirepass", "hunter2"]));
}

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_after_redis_was_a_read_only_replica() {
    let redis = Redis::start();
    let instances = three(&redis.url());
    let begin = || assert_eq!(redis.cli(&["replicaof", "127.0.0.1", "1"]), "OK");
    survived(&instances, begin, || assert_eq!(redis.cli(&["replicaof", "no", "one"]), "OK"));
}

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_after_redis_was_out_of_memory() {
    let redis = Redis::start_with(&["--maxmemory-policy", "noeviction"]);
    let instances = three(&redis.url());
    let begin = || assert_eq!(redis.cli(&["config", "set", "maxmemory", "1"]), "OK");
    survived(&instances, begin, || assert_eq!(redis.cli(&["config", "set", "maxmemory", "0"]), "OK"));
}
