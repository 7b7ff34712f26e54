//! A master, a replica, and two Sentinels that promote the replica.

use std::thread::sleep;
use std::time::{Duration, Instant};

use metrics_export::fleet::redis::FleetSettings;
use tests::{Redis, Sentinel};

use crate::fixture::{failovers, settled, three, under_load, until};
use crate::tls::{first_write, member};

/// A master, a replica in step with it, and two Sentinels that know both and each other.
pub(crate) fn with_a_replica() -> (Redis, Redis, [Sentinel; 2]) {
    let master = Redis::start();
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
    (master, replica, sentinels)
}

#[test]
#[ignore = "needs redis-server"]
fn instances_follow_two_sentinels_to_a_new_master() {
    let turns = failovers();
    let (master, replica, sentinels) = with_a_replica();
    let unused = tests::free_port_of_redis();
    // Nothing listens at the first Sentinel's address.
    let [first, second] = sentinels.each_ref().map(Sentinel::port);
    let instances =
        three(&format!("redis+sentinel://127.0.0.1:{unused},127.0.0.1:{first},127.0.0.1:{second}/main"));
    let (before, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    settled(&instances[0], before);
    let mut calls = before;
    let mut servers = [master, replica];
    for turn in 0..turns {
        let [old, new] = &mut servers;
        let (during, ()) = under_load(&instances, || {
            old.kill();
            until(&instances[0], "fleet/summary", |body| body["stale"] == true);
            sleep(Duration::from_secs(2));
        });
        calls += during;
        settled(&instances[1], calls);
        assert!(new.cli(&["info", "replication"]).contains("role:master"));
        if turn + 1 < turns {
            // It comes back as a master, and the Sentinels make a replica of it.
            let (during, ()) = under_load(&instances, || {
                old.restart();
                until_replicated(old);
            });
            calls += during;
            settled(&instances[2], calls);
            servers.reverse();
        }
    }
}

fn until_replicated(replica: &Redis) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !replica.cli(&["info", "replication"]).contains("master_link_status:up") {
        assert!(Instant::now() < deadline, "the replica is not in step");
        sleep(Duration::from_millis(100));
    }
}

/// A master and its replica, and two Sentinels. The first one takes the replica for the master, like one that was cut
/// off while the other one failed over.
fn with_a_stale_sentinel() -> (Redis, Redis, [Sentinel; 2]) {
    let master = Redis::start();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    until_replicated(&replica);
    // So many that it changes nothing.
    let sentinels = [Sentinel::start(&replica, 5, ""), Sentinel::start(&master, 5, "")];
    (master, replica, sentinels)
}

#[test]
#[ignore = "needs redis-server"]
fn a_sentinel_that_names_a_replica_is_passed_over() {
    let (master, replica, [stale, right]) = with_a_stale_sentinel();
    let settings = |login: &str, sentinels: &[&Sentinel]| {
        let hosts: Vec<_> = sentinels.iter().map(|each| format!("127.0.0.1:{}", each.port())).collect();
        FleetSettings::new(&format!("redis+sentinel://{login}{}/main", hosts.join(","))).unwrap()
    };
    first_write(&member(settings("", &[&stale, &right]))).unwrap();
    // Alone, it is named with what is wrong.
    let refused = first_write(&member(settings("", &[&stale]))).unwrap_err();
    assert!(refused.contains("is a replica, although a Sentinel names it"), "{refused}");
    assert!(refused.contains(&replica.port().to_string()), "{refused}");

    // A user who may not ask for its role finds out by the first write.
    for server in [&master, &replica] {
        let user = ["acl", "setuser", "ann", "on", ">secret", "~*", "+@all", "-role"];
        assert_eq!(server.cli(&user), "OK");
    }
    let member = member(settings("ann:secret@", &[&stale, &right]));
    let deadline = Instant::now() + Duration::from_secs(30);
    while member.status().writes == 0 {
        assert!(Instant::now() < deadline, "{:?}", member.status());
        sleep(Duration::from_millis(50));
    }
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
