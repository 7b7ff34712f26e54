//! What a service keeps in its history file when it is restarted: in order, killed at random, and killed in each system
//! call of a write.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tests::{Client, Example, Folder, until};

/// As often as this variable says; a few times by default.
fn rounds(default: u64) -> u64 {
    std::env::var("METRICS_TEST_RESTARTS").map_or(default, |rounds| rounds.parse().expect("a number"))
}

/// The demo with a history file, which it writes ten times a second.
fn start(file: &Path) -> Example {
    Example::full(&["--history", file.to_str().unwrap(), "--interval", "100", "--workers", "1"])
}

fn calls(client: &Client, window: &str) -> u64 {
    client.metrics("GET", &format!("summary?window={window}"))["total_calls"].as_u64().unwrap()
}

/// The calls of a window, by the routes.
fn calls_of_routes(client: &Client, window: &str) -> u64 {
    let routes = client.metrics("GET", &format!("routes?window={window}"));
    let routes = routes["routes"].as_array().unwrap();
    routes.iter().map(|route| route["total_calls"].as_u64().unwrap()).sum()
}

fn send(client: &Client, requests: u64) {
    for _ in 0..requests {
        assert_eq!(client.send("GET", "/items/7").status, 200);
    }
}

fn written(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

/// Waits for a write that began after now.
fn wait_for_write(file: &Path) {
    for _ in 0..2 {
        let before = written(file);
        until("the history is written", || (written(file) != before).then_some(()));
    }
}

#[test]
fn restarts_in_order_lose_nothing_and_kills_at_random_lose_what_was_not_written() {
    let folder = Folder::new("restarts");
    let file = folder.path().join("history");
    let (mut kept, mut lost) = (0, 0);
    for round in 0..rounds(4) {
        let demo = start(&file);
        let client = demo.client();
        assert_eq!(calls(client, "24h"), kept, "round {round}");
        assert_eq!(calls_of_routes(client, "24h"), kept, "round {round}");
        assert_eq!(calls(client, "reset"), 0, "what is counted since the start begins anew");
        let trend = client.metrics("GET", "history?window=24h");
        assert_eq!(trend["gaps"].as_array().unwrap().is_empty(), round == 0);
        let points: u64 = trend["points"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| point["total_calls"].as_u64().unwrap())
            .sum();
        assert!(points <= kept);
        send(client, 20);
        if round % 3 == 2 {
            assert_eq!(demo.stop(), Some(0));
            kept += 20;
            continue;
        }
        wait_for_write(&file);
        let pause = Duration::from_millis(fastrand::u64(0..300));
        let killed = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let (agent, url) = (ureq::agent(), format!("http://{}/items/7", client.addr()));
                let mut sent = 0;
                while agent.get(&url).call().is_ok() {
                    sent += 1;
                }
                sent
            });
            std::thread::sleep(pause);
            demo.signal("KILL");
            sending.join().unwrap()
        });
        drop(demo);
        let again = start(&file);
        let now = calls(again.client(), "24h");
        assert!(
            (kept + 20..=kept + 20 + killed + 1).contains(&now),
            "{now}: {kept} and 20 and up to {killed}"
        );
        lost += kept + 20 + killed - now.min(kept + 20 + killed);
        assert_eq!(calls_of_routes(again.client(), "24h"), now);
        assert_eq!(again.stop(), Some(0));
        kept = now;
    }
    assert!(!folder.path().join("history.set-aside").exists());
    println!("{} rounds: {kept} requests kept, {lost} lost in kills, none doubled", rounds(4));
}

/// The system calls of a read and of a write, as strace matches them.
const SYSTEM_CALLS: [&str; 6] = ["openat", "/^unlink", "write", "fsync", "/^rename", "close"];

#[test]
#[ignore = "needs strace"]
fn a_kill_in_any_system_call_of_a_write_loses_only_what_was_not_written() {
    let folder = Folder::new("restarts");
    let file = folder.path().join("history");
    let demo = start(&file);
    send(demo.client(), 50);
    assert_eq!(demo.stop(), Some(0));
    let beside = |suffix: &str| format!("{}{suffix}", file.display());
    let paths = [folder.path().display().to_string(), beside(""), beside(".tmp"), beside(".lock")];
    let mut kills = 0;
    // The n-th call of each kind that names the file, its folder or a file beside it: of the first writes.
    let numbers = (1..=rounds(4)).flat_map(|number| SYSTEM_CALLS.map(|call| (call, number)));
    for (call, number) in numbers {
        let inject = format!("inject={call}:signal=KILL:when={number}");
        let mut wrapper = vec!["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
        paths.iter().for_each(|path| wrapper.extend(["-P", path]));
        let status =
            Example::run_under(&wrapper, &["--history", &beside(""), "--interval", "100", "--workers", "1"]);
        assert!(!status.success(), "it was to be killed in {call} {number}");
        kills += 1;
        let demo = start(&file);
        assert_eq!(calls(demo.client(), "24h"), 50, "killed in {call} {number}");
        assert!(!folder.path().join("history.set-aside").exists(), "killed in {call} {number}");
        assert_eq!(demo.stop(), Some(0));
    }
    println!("killed in {kills} system calls, and lost nothing that was written");
}
