//! A cluster of three masters.

use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tests::Redis;

use crate::fixture::{failovers, settled, three, under_load, until};

/// Three masters, and their addresses.
pub(crate) fn cluster() -> ([Redis; 3], Vec<String>) {
    let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--appendonly", "yes"];
    let nodes = [(); 3].map(|()| Redis::start_with(&arguments));
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let addresses_of_all: Vec<_> = addresses.iter().map(String::as_str).collect();
    run(&[&["create"], &addresses_of_all[..]].concat());
    until_ok(&nodes);
    (nodes, addresses)
}

/// Runs a command of `redis-cli --cluster`.
fn run(arguments: &[&str]) {
    let mut command = Command::new("redis-cli");
    let Output { status, stdout, .. } =
        command.arg("--cluster").args(arguments).arg("--cluster-yes").output().expect("redis-cli runs");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stdout));
}

fn until_ok(nodes: &[Redis]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while nodes.iter().any(|node| !node.cli(&["cluster", "info"]).contains("cluster_state:ok")) {
        assert!(Instant::now() < deadline, "the cluster does not come up");
        sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_after_a_master_of_a_cluster_was_killed() {
    let (mut nodes, addresses) = cluster();
    let instances = three(&format!("redis+cluster://{}", addresses.join(",")));
    let (mut calls, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    settled(&instances[0], calls);
    for turn in 1..=failovers() {
        let node = &mut nodes[turn % 3];
        let (during, ()) = under_load(&instances, || {
            node.kill();
            until(&instances[0], "fleet/summary", |body| body["stale"] == true);
            sleep(Duration::from_secs(2));
            node.restart();
        });
        calls += during;
        settled(&instances[turn % 3], calls);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_while_slots_move_and_after_a_node_left_the_cluster() {
    let (mut nodes, addresses) = cluster();
    let instances = three(&format!("redis+cluster://{}", addresses.join(",")));
    let (calls, ()) = under_load(&instances, || {
        let ids = nodes.each_ref().map(|node| node.cli(&["cluster", "myid"]));
        // All slots of the first node move to the second one: each command meets MOVED, or ASK while its slot moves.
        let slots = ["--cluster-from", &ids[0], "--cluster-to", &ids[1], "--cluster-slots", "5461"];
        run(&[&["reshard", &addresses[1]], &slots[..]].concat());
        until_ok(&nodes);
        run(&["del-node", &addresses[1], &ids[0]]);
        nodes[0].kill();
        sleep(Duration::from_secs(1));
    });
    settled(&instances[0], calls);
}
