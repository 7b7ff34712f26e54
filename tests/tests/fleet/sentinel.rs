//! A master, a replica, and a Sentinel that promotes the replica.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fixture::{settled, three, under_load, until};
use crate::redis::{Redis, Sentinel};

#[test]
#[ignore = "needs redis-server"]
fn instances_follow_the_sentinel_to_a_new_master() {
    let mut master = Redis::start();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    let sentinel = Sentinel::start(&master);
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_known = || sentinel.cli(&["sentinel", "replicas", "main"]).contains(&replica.port().to_string());
    while !(is_known() && replica.cli(&["info", "replication"]).contains("master_link_status:up")) {
        assert!(Instant::now() < deadline, "the Sentinel does not see the replica");
        sleep(Duration::from_millis(100));
    }
    let unused = crate::redis::free_port();
    // Nothing listens at the first Sentinel's address.
    let instances = three(&format!("redis+sentinel://127.0.0.1:{unused},127.0.0.1:{}/main", sentinel.port()));
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
