//! What a restart keeps in a fleet: the history of the instance before.

use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tests::{Example, Redis};

use crate::fixture::{INTERVAL, instance, settled, until};

/// The key of the histories of an instance's name.
const KEY: &str = "metrics:shop:history:a";

fn calls(instance: &Example) -> Value {
    instance.client().metrics("GET", "summary?window=1h")["total_calls"].clone()
}

fn send(instance: &Example, requests: u64) {
    (0..requests).for_each(|_| assert_eq!(instance.client().send("GET", "/api/v1/orders/7").status, 200));
}

/// Waits for a write that began after this was called.
fn wait_for_write(redis: &Redis) {
    let revision = || redis.cli(&["hget", KEY, "revision"]);
    let mut last = revision();
    let mut changes = 0;
    for _ in 0..400 {
        sleep(Duration::from_millis(50));
        let now = revision();
        if now != last {
            (last, changes) = (now, changes + 1);
        }
        // The first one may have begun before.
        if changes == 2 {
            return;
        }
    }
    panic!("the history is not written: {:?}", redis.cli(&["hgetall", KEY]));
}

#[test]
#[ignore = "needs redis-server"]
fn a_process_goes_on_with_the_history_of_the_one_before_whether_that_ended_or_was_killed() {
    let redis = Redis::start();
    let (mut sent, mut rounds) = (0, 0);
    let restarts = std::env::var("METRICS_TEST_RESTARTS").map_or(4, |number| number.parse().unwrap());
    while rounds <= restarts {
        let process = instance(&redis.url(), "a");
        until(&process, "summary?window=1h", |body| body["total_calls"] == sent);
        let gaps = process.client().metrics("GET", "history?window=24h")["gaps"].as_array().unwrap().len();
        assert_eq!(gaps, rounds.min(100));
        send(&process, 7);
        sent += 7;
        assert_eq!(calls(&process), sent);
        assert_eq!(process.client().metrics("GET", "summary")["total_calls"], 7);
        if rounds % 2 == 0 {
            wait_for_write(&redis);
            // What a kill loses of the fleet's totals is another matter.
            settled(&process, sent);
            process.signal("KILL");
        }
        // By SIGTERM, if it lives.
        process.stop();
        rounds += 1;
    }
    // Nothing was counted twice.
    let other = instance(&redis.url(), "b");
    settled(&other, sent);
}

#[test]
#[ignore = "needs redis-server"]
fn of_two_living_claimants_the_second_begins_empty_and_saves_once_the_first_has_ended() {
    let redis = Redis::start();
    let first = instance(&redis.url(), "a");
    send(&first, 20);
    wait_for_write(&redis);
    let second = instance(&redis.url(), "a");
    send(&second, 5);
    // Longer than it waits.
    sleep(Duration::from_millis(6 * INTERVAL.parse::<u64>().unwrap()));
    wait_for_write(&redis);
    assert_eq!((calls(&second), calls(&first)), (5.into(), 20.into()));
    first.stop();
    wait_for_write(&redis);
    assert_eq!(calls(&second), 5);
    second.stop();
    let third = instance(&redis.url(), "a");
    until(&third, "summary?window=1h", |body| body["total_calls"] == 5);
}
