//! Instances with other settings and other versions: none is left out, and each difference is told.

use std::thread::sleep;
use std::time::{Duration, Instant};

use metrics_core::{Granularity, Registry};
use metrics_export::Service;
use metrics_export::fleet::redis::{Answer, FleetSettings, Member, Question};
use metrics_export::json::{InstancesBody, VersionsBody};
use tests::Redis;

use crate::fixture::{instance, settled, under_load, until};

/// A report of version 1, as an instance of the build before wrote it.
const OF_VERSION_1: &[u8] =
    include_bytes!("../../../metrics-export/tests/it/fleet_corpus/v1-two-digits-by-class.report");

fn asked(
    member: &Member,
    question: Question,
    is_complete: impl Fn(&Answer) -> bool,
) -> std::sync::Arc<Answer> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = member.ask(question).unwrap().wait().unwrap();
        if is_complete(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{:?}", answer.fleet);
        sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn instances_of_two_versions_and_other_settings_are_added_up_and_told() {
    let redis = Redis::start();
    let started = |name: &str, version: &str, registry: Registry, interval: u64| {
        let settings = FleetSettings::new(&redis.url()).unwrap().interval(Duration::from_millis(interval));
        let service = Service::new("shop").instance(name).version(version);
        let member = Member::start(registry.clone(), &service, settings).unwrap();
        // After it started: what was counted before is in no minute.
        let endpoint = registry.endpoint("GET", "/orders/{id}");
        for (status, nanos) in [(200, 1_000_000), (201, 2_000_000), (404, 3_000_000), (503, 4_000_000)] {
            registry.record_nanos(endpoint, status, nanos);
        }
        member
    };
    let registry = |digits, granularity| {
        Registry::builder().significant_digits(digits).granularity(granularity).build().unwrap()
    };
    let members = [
        started("a", "1.0", registry(2, Granularity::Class), 300),
        started("b", "1.0", registry(2, Granularity::Class), 300),
        // As an OTLP exporter makes it, which a rolling deploy may add.
        started("c", "1.1", registry(3, Granularity::Exact), 500),
    ];
    for member in &members {
        let answer = asked(member, Question::SinceReset, |answer| {
            answer.summary.as_ref().is_some_and(|summary| summary.total.calls == 12)
        });
        assert_eq!(answer.fleet.instances().len(), 3);
        assert_eq!(answer.fleet.refused().1, 0);
        let total = &answer.summary.as_ref().unwrap().total;
        assert_eq!(total.errors, 6);
        let body = serde_json::to_value(InstancesBody::new(Some(&answer), &member.status())).unwrap();
        let notes = |name: &str| {
            let all = body["instances"].as_array().unwrap();
            all.iter().find(|instance| instance["name"] == name).unwrap()["notes"].clone()
        };
        assert_eq!(notes("a"), serde_json::json!([]));
        assert_eq!(
            notes("c"),
            serde_json::json!([
                "writes 3 significant digits; a writes 2, so the fleet has 2",
                "writes a histogram by status; a writes one by class of statuses, so the fleet has one by class of statuses",
                "writes every 500ms, most instances every 300ms",
            ])
        );
    }
    for question in [None, Some(1)].map(|minutes| Question::Versions { minutes }) {
        let answer = asked(&members[0], question, |answer| {
            answer.fleet.versions().iter().map(|each| each.figures.calls).sum::<u64>() == 12
        });
        let body = serde_json::to_value(VersionsBody::new(&answer.fleet.versions())).unwrap();
        let versions = body["versions"].as_array().unwrap();
        let of = |place: usize, field: &str| versions[place][field].clone();
        assert_eq!((versions.len(), of(0, "version"), of(1, "version")), (2, "1.1".into(), "1.0".into()));
        assert_eq!((of(0, "total_calls"), of(1, "total_calls")), (4.into(), 8.into()));
        assert_eq!((of(0, "up"), of(1, "up"), of(1, "instances")), (1.into(), 2.into(), 2.into()));
        assert_eq!(of(0, "error_rate"), 50.0);
        assert!(of(0, "p99_response_time").as_f64().unwrap() > 0.003);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_report_of_the_version_before_counts_beside_those_of_today() {
    let redis = Redis::start();
    let instances = [instance(&redis.url(), "a")];
    let (calls, ()) = under_load(&instances, || sleep(Duration::from_secs(1)));
    settled(&instances[0], calls);
    let report = metrics_export::fleet::Report::decode(OF_VERSION_1).unwrap();
    let nanos = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let id = format!("{}-{}", report.instance.name, nanos(report.instance.started));
    let millis = (nanos(std::time::SystemTime::now()) / 1_000_000).to_string();
    redis.set(&format!("metrics:shop:0:{id}"), OF_VERSION_1);
    redis.cli(&["zadd", "metrics:shop:instances", &millis, &id]);
    let written = report.snapshot.summary().total.calls;
    assert!(written > 0);
    let summary = settled(&instances[0], calls + written);
    assert_eq!(summary["skipped"], 0);
    let body =
        until(&instances[0], "fleet/instances", |body| body["instances"].as_array().unwrap().len() == 2);
    let old = body["instances"].as_array().unwrap().iter().find(|each| each["name"] == "class").unwrap();
    assert_eq!(old["total_calls"], written);
    let notes = old["notes"].as_array().unwrap();
    assert!(notes[0].as_str().unwrap().starts_with("writes version 1 of the report"), "{notes:?}");
    let versions =
        until(&instances[0], "fleet/versions", |body| body["versions"].as_array().unwrap().len() == 2);
    assert_eq!(versions["stale"], false);
    drop(redis);
    let own = until(&instances[0], "fleet/versions?window=1m", |body| body["stale"] == true);
    assert_eq!(own["versions"].as_array().unwrap().len(), 1);
}
