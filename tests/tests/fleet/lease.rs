//! The lease of a fleet's alerts on a real Redis: with the rights that the docs list, on a cluster, and over a
//! failover.

use std::thread::sleep;
use std::time::{Duration, Instant};

use metrics_core::Registry;
use metrics_export::Service;
use metrics_export::fleet::redis::{AlertLease, FleetSettings, Member};
use tests::Redis;

use crate::cluster::cluster;
use crate::run::documented_rights;
use crate::sentinel::with_a_replica;

/// Long enough that no machine is so slow that a lease ends by itself.
const INTERVAL: Duration = Duration::from_secs(60);

struct Instance {
    lease: AlertLease,
    _member: Member,
}

fn instance(url: &str, name: &str, interval: Duration) -> Instance {
    let settings = FleetSettings::new(url).unwrap().interval(interval);
    let service = Service::new("orders").instance(name);
    let _member = Member::start(Registry::new(), &service, settings).unwrap();
    Instance { lease: _member.alert_lease(), _member }
}

/// The first instance takes the lease and writes; the second one sees that, and takes over once the first gives it up.
fn is_handed_over(url: &str) {
    let (mut first, mut second) = (instance(url, "a", INTERVAL), instance(url, "b-7", INTERVAL));
    assert_eq!(first.lease.acquire(), Ok(true));
    assert_eq!(first.lease.token(), Some(1));
    assert_eq!(first.lease.write(b"one"), Ok(true));
    assert_eq!(first.lease.confirm(), Ok(true));
    assert_eq!(second.lease.acquire(), Ok(false));
    assert_eq!((second.lease.holder(), second.lease.state()), (Some("a"), &b"one"[..]));
    assert_eq!(second.lease.token(), None);
    first.lease.release().unwrap();
    assert_eq!(second.lease.acquire(), Ok(true));
    assert_eq!((second.lease.holder(), second.lease.token()), (Some("b-7"), Some(2)));
    assert_eq!(first.lease.acquire(), Ok(false));
    // Instances that do not hold it, which only show a large state, read one at once, and the next one a minute later.
    let [large, larger] = [b'x', b'y'].map(|byte| vec![byte; 100_000]);
    assert_eq!(second.lease.write(&large), Ok(true));
    assert_eq!(first.lease.acquire(), Ok(false));
    assert!(first.lease.state() == large);
    assert_eq!(second.lease.write(&larger), Ok(true));
    assert_eq!(first.lease.acquire(), Ok(false));
    assert!(first.lease.state() == large, "read again before a minute is over");
    // Whoever holds it has the newest one.
    second.lease.release().unwrap();
    assert_eq!(first.lease.acquire(), Ok(true));
    assert!(first.lease.state() == larger);
    assert_eq!(first.lease.token(), Some(3));
    assert!(first.lease.write(&vec![b'x'; 1 << 21]).unwrap_err().contains("allowed: up to 1048576"));
}

#[test]
#[ignore = "needs redis-server"]
fn the_documented_rights_are_enough_for_a_lease_and_the_least() {
    let redis = Redis::start();
    let docs = include_str!("../../../docs/fleet.md");
    let more = docs.split_once("plus `+eval").and_then(|(_, more)| more.split_once('`')).unwrap().0;
    let more: Vec<_> = format!("+eval{more}").split(' ').map(str::to_owned).collect();
    let set = |rights: &[String]| {
        let rights = rights.iter().map(String::as_str);
        let arguments: Vec<_> = ["acl", "setuser", "orders", "reset"].into_iter().chain(rights).collect();
        assert_eq!(redis.cli(&arguments), "OK");
    };
    let all = [documented_rights(), more.clone()].concat();
    set(&all);
    let url = format!("redis://orders:secret@127.0.0.1:{}/0", redis.port());
    is_handed_over(&url);
    for needed in more {
        let fewer: Vec<_> = all.iter().filter(|right| **right != needed).cloned().collect();
        set(&fewer);
        redis.cli(&["del", "metrics:orders:alerts"]);
        redis.cli(&["hset", "metrics:orders:alerts", "revision", "1.1", "state", "x"]);
        let mut lease = instance(&url, "c", INTERVAL).lease;
        let refused = lease.acquire().unwrap_err();
        assert!(refused.contains("docs/fleet.md"), "{needed}: {refused}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_cluster_keeps_the_lease_of_a_service_on_one_node() {
    let (_nodes, addresses) = cluster();
    is_handed_over(&format!("redis+cluster://{}", addresses.join(",")));
}

#[test]
#[ignore = "needs redis-server"]
fn a_holder_keeps_its_lease_over_a_failover() {
    let (mut master, replica, sentinels) = with_a_replica();
    let ports: Vec<_> = sentinels.iter().map(|each| format!("127.0.0.1:{}", each.port())).collect();
    let url = format!("redis+sentinel://{}/main", ports.join(","));
    let (mut first, mut second) = (instance(&url, "a", INTERVAL), instance(&url, "b", INTERVAL));
    assert_eq!(first.lease.acquire(), Ok(true));
    assert_eq!(first.lease.write(b"one"), Ok(true));
    // So that nothing is lost with the master.
    let deadline = Instant::now() + INTERVAL;
    while replica.cli(&["hget", "metrics:orders:alerts", "state"]) != "one" {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(20));
    }
    master.kill();
    let deadline = Instant::now() + 2 * INTERVAL;
    // Neither one may send while there is no master.
    while first.lease.confirm() != Ok(true) {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(100));
    }
    assert_eq!(first.lease.token(), Some(1));
    assert_eq!(second.lease.acquire(), Ok(false));
    assert_eq!(second.lease.state(), b"one");
}

#[test]
#[ignore = "needs redis-server"]
fn what_somebody_else_wrote_or_a_clock_that_was_set_keeps_nobody_from_the_lease() {
    let redis = Redis::start();
    let key = "metrics:orders:alerts";
    let fields: [&[&str]; 4] = [
        &["holder", "gone-1", "token", "7", "until", "9999999999999"],
        &["holder", "gone-1", "token", "inf", "until", "nan"],
        &["holder", "", "token", "-3", "until", "x", "revision", "?", "state", "{"],
        &["token", "1e300"],
    ];
    for fields in fields {
        redis.cli(&["del", key]);
        redis.cli(&[&["hset", key], fields].concat());
        let mut instance = instance(&redis.url(), "a", INTERVAL);
        assert_eq!(instance.lease.acquire(), Ok(true), "{fields:?}");
        assert!(instance.lease.token().is_some(), "{fields:?}");
        assert_eq!(instance.lease.write(b"one"), Ok(true), "{fields:?}");
    }
    redis.cli(&["del", key]);
    redis.cli(&["set", key, "x"]);
    let refused = instance(&redis.url(), "a", INTERVAL).lease.acquire().unwrap_err();
    assert!(refused.contains("WRONGTYPE"), "{refused}");
}

#[test]
#[ignore = "needs redis-server"]
fn a_former_holder_goes_on_with_its_state_if_redis_lost_it() {
    let redis = Redis::start();
    let mut instance = instance(&redis.url(), "a", INTERVAL);
    assert_eq!(instance.lease.acquire(), Ok(true));
    assert_eq!(instance.lease.write(b"one"), Ok(true));
    redis.cli(&["flushall"]);
    assert_eq!(instance.lease.confirm(), Ok(false));
    assert_eq!(instance.lease.acquire(), Ok(true));
    // A token never comes twice.
    assert_eq!((instance.lease.state(), instance.lease.token()), (&b"one"[..], Some(2)));
}
