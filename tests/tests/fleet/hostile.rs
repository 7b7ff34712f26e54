//! Values that are not reports are left out, counted and named, and do no harm.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tests::{Example, Redis};

use crate::fixture::{instance, settled, under_load, until};

/// Asks for what an operator needs, and says how long that took.
fn ask(meanwhile: &str, instance: &Example) {
    let times = ["prometheus", "summary", "fleet/summary"].map(|name| {
        let begun = Instant::now();
        let reply = instance.client().send("GET", &format!("/api/metrics/{name}"));
        assert_eq!(reply.status, 200, "{meanwhile}: {name}: {}", reply.body);
        begun.elapsed()
    });
    println!("{meanwhile:28} scrape {:?}, summary {:?}, fleet's summary {:?}", times[0], times[1], times[2]);
}

#[test]
#[ignore = "needs redis-server"]
fn values_that_are_not_reports_are_left_out_counted_and_named() {
    let redis = Redis::start();
    let instances = [instance(&redis.url(), "a")];
    let (calls, ()) = under_load(&instances, || std::thread::sleep(std::time::Duration::from_secs(1)));
    settled(&instances[0], calls);
    ask("nothing", &instances[0]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
    let real = redis.cli(&["zrange", "metrics:shop:instances", "0", "0"]);
    let key = |id: &str| format!("metrics:shop:0:{id}");
    for id in ["text", "list", "long", "copy", "version", "cut", "nothing"] {
        redis.cli(&["zadd", "metrics:shop:instances", &now, id]);
    }
    redis.cli(&["zadd", "metrics:shop:instances", &now, &"x".repeat(10_000)]);
    redis.cli(&["set", &key("text"), "hello"]);
    redis.cli(&["rpush", &key("list"), "1"]);
    // Half a gigabyte, of which only the first 4 MiB are read.
    redis.cli(&["setrange", &key("long"), "536870911", "x"]);
    redis.cli(&["copy", &key(&real), &key("copy")]);
    redis.cli(&["set", &key("version"), "MFLT\u{3}"]);
    redis.cli(&["set", &key("cut"), "MFLT\u{1}\u{5}shop"]);
    redis.cli(&["set", "metrics:shop:epoch", "99999999999999999999"]);
    let resident = instances[0].resident_bytes();
    let body = until(&instances[0], "fleet/summary", |body| body["skipped"] == 7);
    assert_eq!((&body["total_calls"], &body["stale"]), (&Value::from(calls), &Value::Bool(false)));
    ask("values that are no reports", &instances[0]);
    let named = body["skipped_first"].as_array().unwrap();
    let reason = |id: &str| {
        let source = if id.is_empty() { "metrics:shop:instances".to_owned() } else { key(id) };
        let found = named.iter().find(|refused| refused["source"] == source);
        found.unwrap_or_else(|| panic!("{id}: {named:?}"))["reason"].as_str().unwrap().to_owned()
    };
    assert!(reason("text").contains("does not begin with MFLT"));
    assert!(reason("list").contains("WRONGTYPE"), "{}", reason("list"));
    assert_eq!(reason("long"), "the report has 4194305 bytes or more; allowed: up to 4194304");
    assert_eq!(reason("copy"), "the report belongs to another instance");
    assert!(reason("version").contains("version 3, but only versions up to 2 can be read"));
    assert_eq!(reason("cut"), "the report is cut short");
    assert!(reason("").contains("allowed: up to 96 bytes"));
    let after = instances[0].resident_bytes();
    assert!(after < resident + (64 << 20), "{resident} {after}");

    redis.cli(&["del", "metrics:shop:instances"]);
    redis.cli(&["set", "metrics:shop:instances", "no index"]);
    let body = until(&instances[0], "fleet/summary", |body| body["stale"] == true);
    assert!(body["stale_reason"].as_str().unwrap().contains("WRONGTYPE"), "{body}");
    ask("an index that is none", &instances[0]);
    redis.cli(&["del", "metrics:shop:instances"]);
    settled(&instances[0], calls);
}
