//! Resets of the fleet: each request is in one epoch, and an instance that shuts down writes one last time.

use std::thread::sleep;
use std::time::Duration;
use tests::Redis;

use crate::fixture::{instance, reset, settled, three, under_load, until};

/// The calls in all reports of an epoch, read directly from Redis.
fn calls_of(redis: &Redis, epoch: u64) -> u64 {
    let keys = redis.cli(&["keys", &format!("metrics:shop:{epoch}:*")]);
    let calls = keys.lines().map(|key| {
        let mut raw = std::process::Command::new("redis-cli");
        let raw = raw.args(["-p", &redis.port().to_string(), "get", key]).output().unwrap().stdout;
        // `redis-cli` appends a line feed.
        let report = metrics_export::fleet::Report::decode(&raw[..raw.len() - 1]).unwrap();
        report.snapshot.summary().total.calls
    });
    calls.sum()
}

#[test]
#[ignore = "needs redis-server"]
fn each_request_is_in_one_epoch_when_the_fleet_is_reset_under_load() {
    let redis = Redis::start();
    let instances = three(&redis.url());
    let (calls, epochs) = under_load(&instances, || {
        let mut epochs = Vec::new();
        for turn in 0..4 {
            sleep(Duration::from_millis(700));
            let closed = instances[turn % 3].client().metrics("POST", "fleet/reset");
            epochs.push(closed["epoch"].as_u64().unwrap());
        }
        epochs
    });
    assert_eq!(epochs[0], 0);
    assert!(epochs.is_sorted());
    // Until all instances have begun the last epoch and written to it.
    until(&instances[0], "fleet/instances", |body| {
        body["epoch"].as_u64() > Some(epochs[3]) && body["instances"].as_array().unwrap().len() == 3
    });
    sleep(Duration::from_secs(2));
    let last = instances[0].client().metrics("GET", "fleet/summary");
    let by_epoch: Vec<_> = epochs.iter().map(|&epoch| calls_of(&redis, epoch)).collect();
    assert!(by_epoch.iter().all(|&calls| calls > 0), "{by_epoch:?}");
    assert_eq!(by_epoch.iter().sum::<u64>() + last["total_calls"].as_u64().unwrap(), calls);
}

#[test]
#[ignore = "needs redis-server"]
fn instances_keep_the_epoch_when_redis_loses_it() {
    let redis = Redis::start();
    let instances = three(&redis.url());
    under_load(&instances, || sleep(Duration::from_secs(1)));
    reset(&instances);
    let (calls, ()) = under_load(&instances, || {
        sleep(Duration::from_millis(500));
        redis.cli(&["flushall"]);
        sleep(Duration::from_millis(500));
    });
    settled(&instances[1], calls);
    // A later instance belongs to the epoch from its start.
    let late = [instance(&redis.url(), "late")];
    let (more, ()) = under_load(&late, || sleep(Duration::from_millis(500)));
    settled(&instances[2], calls + more);
}

#[test]
#[ignore = "needs redis-server"]
fn an_instance_that_shuts_down_writes_once_more_and_counts_as_gone() {
    writes_once_more(|_| {});
}

#[test]
#[ignore = "needs redis-server"]
fn an_instance_that_shuts_down_writes_once_more_even_if_its_connection_was_closed() {
    writes_once_more(|redis| drop(redis.cli(&["client", "kill", "type", "normal"])));
}

/// An instance that writes once a minute.
fn slow(redis: &Redis) -> [tests::Example; 1] {
    let url = redis.url();
    let slow = ["--workers", "1", "--redis", &url, "--instance", "slow", "--interval", "60000"];
    [tests::Example::full(&slow)]
}

#[test]
#[ignore = "needs redis-server"]
fn a_reset_without_reports_returns_zeros() {
    let redis = Redis::start();
    let instances = slow(&redis);
    let (calls, ()) = under_load(&instances, || sleep(Duration::from_millis(200)));
    assert!(calls > 0);
    redis.cli(&["flushall"]);
    let closed = instances[0].client().metrics("POST", "fleet/reset");
    assert_eq!(
        (&closed["total_calls"], &closed["reports"], &closed["stale"]),
        (&0.into(), &0.into(), &false.into())
    );
}

fn writes_once_more(before: impl FnOnce(&Redis)) {
    let redis = Redis::start();
    let instances = slow(&redis);
    let other = instance(&redis.url(), "other");
    let (calls, ()) = under_load(&instances, || sleep(Duration::from_millis(500)));
    before(&redis);
    instances[0].signal("INT");
    settled(&other, calls);
    let body = until(&other, "fleet/instances", |body| body["instances"].as_array().unwrap().len() == 2);
    let states: Vec<_> = body["instances"].as_array().unwrap().iter().map(|i| i["state"].as_str()).collect();
    assert!(states.contains(&Some("gone")) && states.contains(&Some("up")), "{body}");
}
