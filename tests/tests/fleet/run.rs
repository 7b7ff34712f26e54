//! Redis as it is run: with the rights that the docs list, with little memory, and with other tenants.

use std::thread::sleep;
use std::time::Duration;

use metrics_export::fleet::redis::{FleetSettings, Question};
use tests::Redis;

use crate::fixture::{reset, settled, three, under_load, until};
use crate::tls::{first_write, member};

/// The rights of a user in docs/fleet.md, as arguments of `ACL SETUSER`.
pub(crate) fn documented_rights() -> Vec<String> {
    let docs = include_str!("../../../docs/fleet.md");
    let rights = docs.lines().find_map(|line| line.strip_prefix("user orders "));
    rights.expect("the docs list the rights of a user").split(' ').map(str::to_owned).collect()
}

#[test]
#[ignore = "needs redis-server"]
fn the_documented_rights_are_enough_and_the_least() {
    let redis = Redis::start();
    let rights = documented_rights();
    let settings = || {
        let url = format!("redis://orders:secret@127.0.0.1:{}/0", redis.port());
        FleetSettings::new(&url).unwrap().prefix("metrics")
    };
    let set = |rights: &[String]| {
        // The service of these members is called tls.
        let rights: Vec<_> = rights.iter().map(|right| right.replace(":orders:", ":tls:")).collect();
        let arguments =
            ["acl", "setuser", "orders", "reset"].into_iter().chain(rights.iter().map(String::as_str));
        assert_eq!(redis.cli(&arguments.collect::<Vec<_>>()), "OK");
    };
    set(&rights);
    let member_with_rights = member(settings());
    first_write(&member_with_rights).unwrap();
    for question in [
        Question::SinceReset,
        Question::Minutes { minutes: 5, routes: true },
        Question::Versions { minutes: None },
        Question::Reset,
    ] {
        let answer = member_with_rights.ask(question).unwrap().wait().unwrap();
        assert_eq!(answer.fleet.refused(), (&[][..], 0), "{question:?}");
    }
    // Without any of those that a write needs, it is refused and named.
    for needed in ["+getrange", "+set", "+zadd", "+expire"] {
        assert!(rights.iter().any(|right| right == needed), "{needed}: {rights:?}");
        let fewer: Vec<_> = rights.iter().filter(|right| *right != needed).cloned().collect();
        set(&fewer);
        let refused = first_write(&member(settings()));
        if needed == "+getrange" {
            // The epoch cannot be read, and counts as none.
            continue;
        }
        let refused = refused.unwrap_err();
        assert!(refused.contains("NOPERM") && refused.contains("docs/fleet.md"), "{needed}: {refused}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn an_address_that_asks_for_the_third_version_of_the_protocol_gets_exact_totals_over_the_second() {
    let redis = Redis::start();
    let instances = three(&format!("{}?protocol=resp3", redis.url()));
    let (calls, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    settled(&instances[0], calls);
    let clients = redis.cli(&["client", "list"]);
    assert!(clients.lines().count() >= 3 && !clients.contains("resp=3"), "{clients}");
    reset(&instances);
    let (calls, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    settled(&instances[1], calls);
}

#[test]
#[ignore = "needs redis-server"]
fn totals_are_exact_again_after_a_full_redis_evicted_everything() {
    let redis = Redis::start_with(&["--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru"]);
    let instances = three(&redis.url());
    let (before, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    settled(&instances[0], before);
    let (during, ()) = under_load(&instances, || {
        // Another tenant needs all of the memory, several times over.
        for number in 0..60 {
            redis.set(&format!("tenant:{number}"), &vec![b'x'; 500_000]);
        }
        assert!(redis.cli(&["info", "stats"]).lines().any(|line| {
            line.strip_prefix("evicted_keys:").is_some_and(|keys| keys.trim().parse::<u64>().unwrap() > 0)
        }));
        sleep(Duration::from_secs(1));
    });
    // Each instance's next write brings back all that it counted.
    settled(&instances[1], before + during);
    let body = until(&instances[2], "fleet/instances", |body| body["up"] == 3);
    assert_eq!(body["skipped"], 0);
}
