//! A cluster of three masters.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tests::Redis;

use crate::fixture::{settled, three, under_load, until};

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_after_a_master_of_a_cluster_was_killed() {
    let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--appendonly", "yes"];
    let mut nodes = [(); 3].map(|()| Redis::start_with(&arguments));
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let made = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(&addresses)
        .arg("--cluster-yes")
        .output()
        .expect("redis-cli runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let deadline = Instant::now() + Duration::from_secs(30);
    while nodes.iter().any(|node| !node.cli(&["cluster", "info"]).contains("cluster_state:ok")) {
        assert!(Instant::now() < deadline, "the cluster does not come up");
        sleep(Duration::from_millis(100));
    }
    let instances = three(&format!("redis+cluster://{}", addresses.join(",")));
    let (before, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    settled(&instances[0], before);
    let (during, ()) = under_load(&instances, || {
        nodes[1].kill();
        until(&instances[0], "fleet/summary", |body| body["stale"] == true);
        sleep(Duration::from_secs(2));
        nodes[1].restart();
    });
    settled(&instances[1], before + during);
}
