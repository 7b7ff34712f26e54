//! Notices of a fleet's rules while the instance that sends them is killed or stopped, and while Redis is away.
//!
//! `METRICS_TEST_ALERT_ROUNDS` sets how many disturbances there are, 200 for a long run; default: 10. It prints how
//! many notices came twice, and how long others took to take over.

mod hook;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use metrics_actix::Metrics;
use metrics_actix::alert::{Comparison, Metric, Rule, Scope, Severity};
use metrics_actix::fleet::FleetSettings;
use metrics_core::objective::Objective;
use metrics_core::{Gauge, Registry, Window};
use metrics_export::Service;
use metrics_export::fleet::redis::Member;
use serde_json::Value;
use tests::{Redis, Server};

use self::hook::{Ambush, Arrived, Hook};

const INTERVAL: Duration = Duration::from_millis(300);

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The key of the lease.
const KEY: &str = "metrics:orders:alerts";

fn settings(url: &str) -> FleetSettings {
    FleetSettings::new(url).unwrap().interval(INTERVAL).timeout(Duration::from_millis(300))
}

/// One instance that evaluates rules, in a process of its own: this test, started by others. Ends with its stdin.
#[test]
#[ignore = "needs redis-server, and another test to start it"]
fn instance_of_another_test() {
    let Ok(name) = std::env::var("METRICS_TEST_INSTANCE") else { return };
    let variable = |name: &str| std::env::var(name).unwrap();
    let own = Rule::new("pressure", Metric::Value, Comparison::Above, 0.5);
    let rule = own.window(Window::OneMinute).scope(Scope::OwnMetric("pressure".to_owned()));
    let metrics = Metrics::builder("orders")
        .instance(&name)
        .without_default_alerts()
        .fleet(settings(&variable("METRICS_TEST_REDIS")))
        .fleet_alert(rule)
        .alert_webhook(variable("METRICS_TEST_HOOK"))
        .build();
    let metrics = metrics.unwrap();
    let mut end = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut end);
    drop(metrics);
    std::process::exit(0);
}

/// An instance in a process of its own. Dropping it kills the process.
struct Instance {
    name: String,
    process: Child,
}

impl Instance {
    fn start(name: String, redis: &Redis, hook: &Hook) -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "alerts::instance_of_another_test", "--ignored"])
            .env("METRICS_TEST_INSTANCE", &name)
            .env("METRICS_TEST_REDIS", redis.url())
            .env("METRICS_TEST_HOOK", &hook.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { name, process }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the alert is about: a gauge of an instance that takes no part in the lease and is left alone.
struct Pressure {
    gauge: Gauge,
    _member: Member,
}

impl Pressure {
    fn start(redis: &Redis) -> Self {
        let registry = Registry::new();
        let gauge = registry.gauge("pressure").unwrap();
        let service = Service::new("orders").instance("pressure");
        let _member = Member::start(registry, &service, settings(&redis.url())).unwrap();
        Self { gauge, _member }
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(20));
    }
}

/// The name of the instance that has the lease; `None` while Redis does not say.
fn holder(redis: &Redis) -> Option<String> {
    let id = redis.cli(&["hget", KEY, "holder"]);
    id.rsplit_once('-').map(|(name, _)| name.to_owned())
}

/// What is done while a notice is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Disturbance {
    Kill,
    Stop,
    /// The holder is killed when its notice has arrived, and before it hears so.
    KillAfterSending,
    /// The same, but stopped until another one took over.
    StopAfterSending,
    /// The holder is killed when its notice was refused for now, so that another one has to send it.
    KillBeforeSending,
    /// The same, but stopped.
    StopBeforeSending,
    /// Redis is stopped for longer than a lease.
    RedisHangs,
    RedisIsKilled,
}

const DISTURBANCES: [Disturbance; 8] = [
    Disturbance::Kill,
    Disturbance::Stop,
    Disturbance::KillAfterSending,
    Disturbance::StopAfterSending,
    Disturbance::KillBeforeSending,
    Disturbance::StopBeforeSending,
    Disturbance::RedisHangs,
    Disturbance::RedisIsKilled,
];

/// The instances, and how to name new ones.
struct Instances {
    running: Vec<Instance>,
    started: u32,
}

impl Instances {
    fn replace_missing(&mut self, redis: &Redis, hook: &Hook) {
        while self.running.len() < 3 {
            self.started += 1;
            self.running.push(Instance::start(format!("w{}", self.started), redis, hook));
        }
    }

    fn take(&mut self, name: &str) -> Option<Instance> {
        let place = self.running.iter().position(|instance| instance.name == name)?;
        Some(self.running.swap_remove(place))
    }

    fn pid(&self, name: &str) -> Option<u32> {
        self.running.iter().find(|instance| instance.name == name).map(|instance| instance.process.id())
    }
}

#[test]
#[ignore = "needs redis-server"]
fn each_event_is_told_whoever_dies_and_twice_only_with_the_same_id() {
    let rounds = std::env::var("METRICS_TEST_ALERT_ROUNDS").map_or(10, |text| text.parse().unwrap());
    let mut redis = Redis::start_with(&["--appendonly", "yes"]);
    let hook = Hook::start();
    let pressure = Pressure::start(&redis);
    let mut instances = Instances { running: Vec::new(), started: 0 };
    let (mut told, mut twice, mut takeovers) = (0, HashMap::<Disturbance, usize>::new(), Vec::new());
    let mut known = HashSet::new();
    for round in 0..rounds {
        instances.replace_missing(&redis, &hook);
        let mut first = None;
        until("an instance takes the lease", || {
            first = holder(&redis).filter(|name| instances.pid(name).is_some());
            first.is_some()
        });
        let first = first.unwrap();
        let disturbance = DISTURBANCES[round % DISTURBANCES.len()];
        let change = if round % 2 == 0 { "firing" } else { "resolved" };
        let before = hook.arrived().len();
        let pause = INTERVAL.mul_f64(fastrand::f64() * 3.0);
        // Whoever sends, since the holder may have changed.
        let attack = match disturbance {
            Disturbance::KillAfterSending => Some(("KILL", true)),
            Disturbance::StopAfterSending => Some(("STOP", true)),
            Disturbance::KillBeforeSending => Some(("KILL", false)),
            Disturbance::StopBeforeSending => Some(("STOP", false)),
            _ => None,
        };
        if let Some((signal, accepts)) = attack {
            let pids = instances.running.iter().map(|one| (one.name.clone(), one.process.id())).collect();
            *hook.ambush.lock().unwrap() = Some(Ambush { signal, pids, accepts });
        }
        pressure.gauge.set(if change == "firing" { 1.0 } else { 0.0 });
        let mut stopped = None;
        let mut begun = None;
        match disturbance {
            Disturbance::Kill => {
                sleep(pause);
                drop(instances.take(&first));
                begun = Some(Instant::now());
            }
            Disturbance::Stop => {
                sleep(pause);
                let instance = instances.take(&first).unwrap();
                instance.signal("STOP");
                stopped = Some(instance);
                begun = Some(Instant::now());
            }
            Disturbance::KillAfterSending
            | Disturbance::StopAfterSending
            | Disturbance::KillBeforeSending
            | Disturbance::StopBeforeSending => {
                let mut by = None;
                until("the first notice", || {
                    by = hook.ambushed.lock().unwrap().take();
                    by.is_some()
                });
                begun = Some(Instant::now());
                let instance = instances.take(&by.unwrap()).unwrap();
                stopped = attack.filter(|(signal, _)| *signal == "STOP").map(|_| instance);
            }
            Disturbance::RedisHangs => {
                sleep(pause);
                redis.signal("STOP");
                sleep(INTERVAL * 5);
                redis.signal("CONT");
            }
            Disturbance::RedisIsKilled => {
                sleep(pause);
                redis.kill();
                sleep(INTERVAL * 5);
                redis.restart();
            }
        }
        if let Some(begun) = begun {
            until("another instance takes over", || {
                holder(&redis).is_some_and(|name| instances.pid(&name).is_some())
            });
            takeovers.push(begun.elapsed());
        }
        if let Some(stopped) = stopped {
            stopped.signal("CONT");
            instances.running.push(stopped);
        }
        until("a notice of this event", || hook.arrived().len() > before);
        // Whatever is still on its way is told before the next event.
        until("all notices are noted", || {
            let state = redis.cli(&["hget", KEY, "state"]);
            serde_json::from_str::<Value>(&state).is_ok_and(|state| state["notices"] == serde_json::json!([]))
        });
        let arrived = hook.arrived();
        let of_event = &arrived[before..];
        let is_right = |notice: &Arrived| notice.change == change && notice.rule == "pressure";
        assert!(of_event.iter().all(is_right), "{disturbance:?}: {of_event:?}");
        let ids: HashSet<_> = of_event.iter().map(|notice| notice.id.clone().unwrap()).collect();
        assert_eq!(ids.len(), 1, "{disturbance:?}: {of_event:?}");
        assert!(ids.iter().all(|id| known.insert(id.clone())), "{disturbance:?}: {of_event:?}");
        told += 1;
        *twice.entry(disturbance).or_default() += of_event.len() - 1;
        // Those that stay alive and reach Redis note what they sent.
        if !matches!(disturbance, Disturbance::RedisHangs | Disturbance::RedisIsKilled) {
            let senders: HashSet<_> = of_event.iter().map(|notice| &notice.by).collect();
            assert_eq!(senders.len(), of_event.len(), "{disturbance:?}: {of_event:?}");
        }
    }
    takeovers.sort();
    let at =
        |share: f64| takeovers.get((takeovers.len() as f64 * share) as usize).copied().unwrap_or_default();
    let mut twice: Vec<_> = twice.into_iter().collect();
    twice.sort();
    println!("{told} events, each told; sent again, with the same id: {twice:?}");
    println!(
        "{} takeovers: median {:?}, 95 % {:?}, the longest {:?}; an interval is {INTERVAL:?}",
        takeovers.len(),
        at(0.5),
        at(0.95),
        takeovers.last()
    );
    let late = hook.arrived().last().map(|last| last.at.elapsed());
    println!("the last notice came {late:?} ago");
}

#[test]
#[ignore = "needs redis-server"]
fn nothing_is_sent_past_the_lease_while_redis_is_away_and_all_of_it_afterwards() {
    let redis = Redis::start();
    let hook = Hook::start();
    let pressure = Pressure::start(&redis);
    let _instance = Instance::start("a".to_owned(), &redis, &hook);
    hook.refuses.store(true, Ordering::Relaxed);
    pressure.gauge.set(1.0);
    let posts = || hook.posts.load(Ordering::Relaxed);
    until("it tries to send", || posts() > 0);
    redis.signal("STOP");
    // Far longer than the lease, and than an attempt that began before.
    sleep(INTERVAL * 20);
    let before = posts();
    hook.refuses.store(false, Ordering::Relaxed);
    sleep(INTERVAL * 20);
    assert_eq!((posts(), hook.arrived().len()), (before, 0));
    redis.signal("CONT");
    until("the notice is sent", || !hook.arrived().is_empty());
    assert_eq!(hook.arrived()[0].change, "firing");
}

#[test]
#[ignore = "needs redis-server"]
fn a_slow_new_version_and_a_budget_that_all_instances_spend_are_told_once() {
    let redis = Redis::start();
    let hook = Hook::start();
    let start = |version: &str, millis: u64, failures: usize| {
        let canary = Rule::new("canary", Metric::P99, Comparison::Above, 1.5);
        let metrics = Metrics::builder("orders")
            .instance(format!("of-{version}"))
            .version(version)
            .without_default_alerts()
            .fleet(settings(&redis.url()))
            .fleet_alert(canary.scope(Scope::NewestVersion).min_calls(500))
            .fleet_objective(Objective::availability(99.9).min_calls(1_100))
            .alert_webhook(&hook.url)
            .build()
            .unwrap();
        let registry = metrics.registry();
        let endpoint = registry.endpoint("GET", "/orders/{id}");
        for call in 0..600 {
            let status = if call < failures { 500 } else { 200 };
            registry.record(endpoint, status, Duration::from_millis(millis));
        }
        metrics
    };
    let old = start("1.2.0", 10, 20);
    sleep(INTERVAL * 5);
    // One version has no rest, and one instance fewer calls than the objective needs.
    assert_eq!(hook.arrived().len(), 0);
    let new = start("1.3.0", 30, 20);
    until("both alerts are told", || hook.arrived().len() >= 2);
    let mut arrived = hook.arrived();
    arrived.sort_by(|a, b| a.rule.cmp(&b.rule));
    let told: Vec<_> = arrived.iter().map(|one| (&*one.rule, &*one.change, one.version.as_deref())).collect();
    assert_eq!(told, [("availability_burn_1h", "firing", None), ("canary", "firing", Some("1.3.0"))]);
    let said = "P99 of version 1.3.0 is 3";
    assert!(arrived[1].summary.starts_with(said), "{}", arrived[1].summary);
    assert!(arrived[0].summary.starts_with("availability: burn rate 33.3"), "{}", arrived[0].summary);

    // Every instance shows them, and who evaluates.
    let all = [&old, &new].map(|metrics| (metrics.clone(), Server::start(1, metrics, |_| {})));
    let fleet = |server: &Server| server.client().metrics("GET", "alerts")["fleet"].take();
    let shows = |server: &Server| {
        let body = fleet(server);
        let alerts = body["alerts"].as_array().unwrap();
        alerts.len() == 2
            && alerts.iter().all(|alert| alert["state"] == "firing")
            && body["notices_waiting"] == 0
    };
    until("both show the alerts", || all.iter().all(|(_, server)| shows(server)));
    let bodies = all.each_ref().map(|(_, server)| fleet(server));
    assert_eq!(bodies[0]["evaluated_by"], bodies[1]["evaluated_by"]);
    let (here, there) = if bodies[0]["is_here"] == true { (0, 1) } else { (1, 0) };
    assert_eq!((&bodies[here]["is_here"], &bodies[there]["is_here"]), (&true.into(), &false.into()));
    assert!(bodies[here]["fencing_token"].as_u64() > Some(0), "{bodies:?}");
    assert!(bodies[there]["fencing_token"].is_null(), "{bodies:?}");
    // At its end the holder hands over, and nothing is told again.
    let runtime = actix_web::rt::System::new();
    assert!(runtime.block_on(all[here].0.shutdown(PATIENCE)));
    until("the other one goes on", || fleet(&all[there].1)["is_here"] == true);
    until("it evaluates", || fleet(&all[there].1)["evaluated"] != bodies[there]["evaluated"]);
    assert_eq!(hook.arrived().len(), 2, "{:?}", hook.arrived());
}

/// With time to add up many routes.
fn unhurried(redis: &Redis) -> FleetSettings {
    settings(&redis.url()).interval(Duration::from_secs(4)).timeout(Duration::from_secs(2))
}

/// Instances that only report: `routes` of each that fail.
fn failing(redis: &Redis, instances: usize, routes: usize) -> Vec<(Registry, Member)> {
    let start = |number: usize| {
        let registry = Registry::builder().max_series(routes + 10).build().unwrap();
        let service = Service::new("orders").instance(format!("reports-{number}"));
        let member = Member::start(registry.clone(), &service, unhurried(redis)).unwrap();
        // What was counted before belongs to no minute.
        for route in 0..routes {
            let path = format!("/shop/{number}/department/{route:04}/items/{{id}}");
            registry.record_nanos(registry.endpoint("GET", &path), 500, 1_000);
        }
        (registry, member)
    };
    (0..instances).map(start).collect()
}

#[test]
#[ignore = "needs redis-server"]
fn more_alerts_than_have_room_are_counted_and_the_others_are_told_on() {
    let (redis, begun) = (Redis::start(), Instant::now());
    let hook = Hook::start();
    let members = failing(&redis, 6, 1_000);
    let of_each = || Rule::new("each", Metric::Errors, Comparison::AtLeast, 1.0).scope(Scope::EachRoute);
    let of_pressure = || {
        let rule = Rule::new("pressure", Metric::Value, Comparison::Above, 0.5).severity(Severity::Critical);
        rule.window(Window::OneMinute).scope(Scope::OwnMetric("pressure".to_owned()))
    };
    let metrics = Metrics::builder("orders")
        .instance("holder")
        .without_default_alerts()
        .fleet(unhurried(&redis))
        .fleet_alert(of_each())
        .fleet_alert(of_pressure())
        .alert_webhook(&hook.url)
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, |_| {});
    let fleet = || server.client().metrics("GET", "alerts")["fleet"].take();
    let state = || redis.cli(&["hget", KEY, "state"]);
    let held_of = |body: &Value| {
        body["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing").count()
    };
    let mut body = fleet();
    // Not all instances have written before the first evaluation.
    while held_of(&body) as u64 + body["alerts_left_out"].as_u64().unwrap() < 6_000 {
        assert!(begun.elapsed() < PATIENCE, "{} are held: {:?}", held_of(&body), body["last_error"]);
        sleep(Duration::from_millis(200));
        body = fleet();
    }
    let held = held_of(&body);
    assert_eq!(held as u64 + body["alerts_left_out"].as_u64().unwrap(), 6_000);
    assert!(held > 2_000, "{held} are held");
    assert!(body["last_error"].is_null(), "{body:?}");
    // A notice of each that is held, as far as there is room for notices.
    let told = |hook: &Hook| hook.arrived().iter().filter(|one| one.rule == "each").count();
    until("all that have room are told", || fleet()["notices_waiting"] == 0);
    let dropped = fleet()["notices_dropped"].as_u64().unwrap() as usize;
    assert_eq!(told(&hook) + dropped, held);
    println!("{held} alerts held, {} told, a state of {} bytes", told(&hook), state().len());
    assert!((400_000..=1 << 20).contains(&state().len()), "{}", state().len());
    // An instance that does not evaluate shows the same.
    let other = Metrics::builder("orders").instance("other").without_default_alerts();
    let other =
        other.fleet(unhurried(&redis)).fleet_alert(of_each()).fleet_alert(of_pressure()).build().unwrap();
    let follower = Server::start(1, &other, |_| {});
    until("the other instance shows the same", || {
        let body = follower.client().metrics("GET", "alerts")["fleet"].take();
        let left_out = body["alerts_left_out"].as_u64().unwrap() as usize;
        body["is_here"] == false && held_of(&body) == held && held + left_out == 6_000
    });
    // What is more severe is told nevertheless, and its end. One that was told gives way, which is told, too.
    members[0].0.gauge("pressure").unwrap().set(1.0);
    let pressure = |hook: &Hook| {
        let of_pressure = hook.arrived().into_iter().filter(|one| one.rule == "pressure");
        of_pressure.map(|one| one.change).collect::<Vec<_>>()
    };
    until("the critical alert is told", || pressure(&hook) == ["firing"]);
    until("the alert that gave way is told", || {
        hook.arrived().iter().any(|one| one.rule == "each" && one.change == "resolved")
    });
    assert!(state().len() <= 1 << 20, "{}", state().len());
    members[0].0.gauge("pressure").unwrap().set(0.0);
    until("its end is told", || pressure(&hook) == ["firing", "resolved"]);
    assert!(fleet()["last_error"].is_null());
}

#[test]
fn while_redis_is_away_an_instance_tells_its_own_alerts_and_none_of_the_fleet() {
    let hook = Hook::start();
    let unused = tests::free_port_of_redis();
    let errors = || Rule::new("errors", Metric::Errors, Comparison::AtLeast, 1.0);
    let metrics = Metrics::builder("orders")
        .instance("a")
        .without_default_alerts()
        .alert(errors())
        .fleet(settings(&format!("redis://127.0.0.1:{unused}/0")))
        .fleet_alert(errors())
        .alert_webhook(&hook.url)
        .build()
        .unwrap();
    let registry = metrics.registry();
    registry.record(registry.endpoint("GET", "/"), 500, Duration::from_millis(1));
    until("its own alert is told", || !hook.arrived().is_empty());
    let arrived = hook.arrived();
    assert_eq!((&*arrived[0].rule, arrived[0].id.as_deref(), arrived.len()), ("errors", None, 1));
}
