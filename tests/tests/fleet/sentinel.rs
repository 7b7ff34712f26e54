//! A master, a replica, and two Sentinels that promote the replica.

use std::thread::sleep;
use std::time::{Duration, Instant};

use metrics_export::fleet::redis::FleetSettings;
use tests::{Redis, Sentinel};

use crate::fixture::{settled, three, under_load, until};
use crate::tls::{first_write, member};

#[test]
#[ignore = "needs redis-server"]
fn instances_follow_two_sentinels_to_a_new_master() {
    let mut master = Redis::start();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    let sentinels = [(); 2].map(|()| Sentinel::start(&master, 2, ""));
    let deadline = Instant::now() + Duration::from_secs(60);
    let port = replica.port().to_string();
    // Each knows the replica and the other one.
    let is_ready = |sentinel: &Sentinel| {
        sentinel.cli(&["sentinel", "replicas", "main"]).contains(&port)
            && sentinel.cli(&["sentinel", "ckquorum", "main"]).starts_with("OK 2 usable Sentinels")
    };
    while !(sentinels.iter().all(is_ready)
        && replica.cli(&["info", "replication"]).contains("master_link_status:up"))
    {
        assert!(Instant::now() < deadline, "the Sentinels do not see each other and the replica");
        sleep(Duration::from_millis(100));
    }
    let unused = tests::free_port_of_redis();
    // Nothing listens at the first Sentinel's address.
    let [first, second] = sentinels.each_ref().map(Sentinel::port);
    let instances =
        three(&format!("redis+sentinel://127.0.0.1:{unused},127.0.0.1:{first},127.0.0.1:{second}/main"));
    let (before, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    settled(&instances[0], before);
    let (during, ()) = under_load(&instances, || {
        master.kill();
        until(&instances[0], "fleet/summary", |body| body["stale"] == true);
        sleep(Duration::from_secs(2));
    });
    settled(&instances[1], before + during);
    assert!(replica.cli(&["info", "replication"]).contains("role:master"));
}

#[test]
#[ignore = "needs redis-server"]
fn a_sentinel_that_wants_a_password_says_so() {
    let master = Redis::start();
    let sentinel = Sentinel::start(&master, 1, "requirepass hunter2");
    let address = format!("127.0.0.1:{}", sentinel.port());
    let settings = FleetSettings::new(&format!("redis+sentinel://{address}/main")).unwrap();
    let refused = first_write(&member(settings)).unwrap_err();
    for part in ["Sentinel", "password", "`sentinel_login`", &address] {
        assert!(refused.contains(part), "{part} is not in {refused:?}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn sentinels_have_a_password_of_their_own() {
    let master = Redis::start_with(&["--requirepass", "of the master"]);
    let sentinel = Sentinel::start(
        &master,
        1,
        "sentinel auth-pass main \"of the master\"\nrequirepass \"of the sentinel\"",
    );
    let url = format!("redis+sentinel://:of%20the%20master@127.0.0.1:{}/main", sentinel.port());
    let with = |password| FleetSettings::new(&url).unwrap().sentinel_login("", password).unwrap();
    first_write(&member(with("of the sentinel"))).unwrap();
    let refused = first_write(&member(with("of the master"))).unwrap_err();
    assert!(refused.contains("Sentinel") && refused.ends_with("`sentinel_login`"), "{refused}");
}
