//! ECS lines: complete, valid, and shipped by a real shipper.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use metrics_actix::Service;
use metrics_actix::ecs::EcsLog;
use metrics_actix::push::Engine;
use metrics_core::{Outcome, Registry, TraceContext, visible};
use serde_json::Value;
use tests::{Fault, Folder, Stub};

/// Texts that try to end their line or string, or to look like something else.
pub(crate) const HOSTILE: [&str; 16] = [
    "a\nb",
    "\r\n{\"log\": 1}\n",
    "\"}",
    "\\",
    "\\n",
    "\0",
    "\u{1b}[31mred",
    "\u{7f}\u{85}",
    "\u{2028}\u{2029}",
    "\u{202e}אבג",
    "\u{feff}",
    "주문 실패",
    "😀",
    "%msg%",
    "<13>1 2026-01-01T00:00:00Z host app - - -",
    "",
];

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn service() -> Service {
    Service::new("shop").version("1.2.3").environment("test").instance("node-1")
}

/// Makes errors of all kinds, with hostile texts. Returns how many have each message.
fn fail(registry: &Registry, rounds: usize) -> BTreeMap<String, u64> {
    let mut messages = BTreeMap::new();
    for round in 0..rounds {
        for (i, text) in HOSTILE.iter().enumerate() {
            let endpoint = registry.endpoint("GET", if i % 2 == 0 { "/items/{id}" } else { text });
            let outcome = [Outcome::Status(404), Outcome::Status(503), Outcome::Panicked][(i + round) % 3];
            let message = format!("{text}{round}");
            registry.with_recorder(|recorder| {
                let took = Duration::from_micros(350);
                recorder.record_outcome(endpoint, outcome, took);
                recorder.log_error(endpoint, outcome, took, &message, trace(outcome));
            });
            // What is hidden where text is shown is escaped.
            *messages.entry(visible(&message, usize::MAX).into_owned()).or_insert(0) += 1;
        }
        registry.record(registry.endpoint("GET", "/items/{id}"), 200, Duration::from_millis(2));
    }
    messages
}

/// All requests but the panicking ones have a trace.
fn trace(outcome: Outcome) -> Option<TraceContext> {
    let context = TraceContext { trace: TRACE.parse().unwrap(), parent: None, sampled: true };
    (outcome != Outcome::Panicked).then_some(context)
}

/// Counts the messages of the errors among documents.
fn messages<'a>(documents: impl IntoIterator<Item = &'a Value>) -> BTreeMap<String, u64> {
    let mut messages = BTreeMap::new();
    let errors = documents.into_iter().filter(|document| document["event"]["dataset"] == "http.errors");
    for error in errors {
        *messages.entry(error["error"]["message"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    messages
}

/// Starts an engine that writes to a file of up to `max_bytes`.
fn engine(registry: &Registry, path: &Path, max_bytes: u64) -> Engine {
    let log = EcsLog::builder().path(path).interval(Duration::from_millis(100)).max_errors(100_000);
    let log = log.max_bytes(max_bytes).kept_files(100).build().unwrap();
    Engine::builder(registry.clone(), service()).exporter(log).start().unwrap()
}

fn registry() -> Registry {
    Registry::builder().error_log_capacity(65_536).build().unwrap()
}

/// The documents of all files in a folder.
fn written(folder: &Folder) -> Vec<Value> {
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let texts: Vec<_> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn each_error_is_one_line_whatever_its_text() {
    let (folder, registry) = (Folder::new("ecs"), registry());
    let engine = engine(&registry, &folder.path().join("ecs.json"), 64 << 10);
    let failed = fail(&registry, 50);
    assert!(engine.shutdown(Duration::from_secs(30)));
    let documents = written(&folder);
    assert_eq!(messages(&documents), failed);
    let ids: HashSet<_> =
        documents.iter().map(|document| document["event"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), documents.len());
    for document in &documents {
        let came_with_one =
            document["event"]["dataset"] == "http.errors" && !document["http"]["response"].is_null();
        assert_eq!(document["trace"]["id"].as_str(), came_with_one.then_some(TRACE), "{document}");
    }
    let whole = documents.iter().filter(|document| document["event"]["dataset"] == "http.summary");
    let whole = whole.filter(|summary| summary["labels"].is_null());
    let figure =
        |name: &str| whole.clone().map(|summary| summary["requests"][name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((figure("count"), figure("errors"), figure("errors_missed")), (50 * 17, 50 * 16, 0));
}

/// Checks documents with TypeScript against the published types: no unknown field, and none of another type.
fn check_types(folder: &Folder, documents: &[Value]) {
    let modules =
        std::env::var("METRICS_TEST_NODE_MODULES").expect("METRICS_TEST_NODE_MODULES names a folder");
    let figures = "Record<string, number | Record<string, number>>";
    let source = format!(
        "import {{ Ecs }} from '@elastic/ecs';\ntype Line = Ecs & {{ requests?: {figures} }};\n\
         export const lines: Line[] = {};\n",
        serde_json::to_string_pretty(documents).unwrap()
    );
    fs::write(folder.path().join("lines.ts"), source).unwrap();
    std::os::unix::fs::symlink(&modules, folder.path().join("node_modules")).unwrap();
    let output = Command::new("node")
        .arg(Path::new(&modules).join("typescript/bin/tsc"))
        .args(["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "node", "--target", "es2022"])
        .args(["--module", "es2022", "lines.ts"])
        .current_dir(folder.path())
        .output()
        .expect("node starts");
    let said: String = String::from_utf8_lossy(&output.stdout).chars().take(2_000).collect();
    assert!(output.status.success(), "{said}");
}

#[test]
#[ignore = "needs node with the packages typescript and @elastic/ecs in METRICS_TEST_NODE_MODULES"]
fn each_document_conforms_to_the_published_schema() {
    let (folder, registry) = (Folder::new("schema"), registry());
    let engine = engine(&registry, &folder.path().join("ecs.json"), 64 << 10);
    fail(&registry, 3);
    assert!(engine.shutdown(Duration::from_secs(30)));
    let documents = written(&folder);
    assert!(documents.len() > 3 * HOSTILE.len());
    check_types(&folder, &documents);
}

/// A running rsyslog. Dropping it ends the process.
struct Rsyslog(Child);

impl Rsyslog {
    /// Starts it with the file that users copy, with other paths and another server.
    fn start(folder: &Folder, log: &Path, port: &str) -> Self {
        let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/elk/rsyslog.conf");
        let spool = folder.path().join("spool");
        fs::create_dir_all(&spool).unwrap();
        let config = fs::read_to_string(deployed).unwrap();
        let config = config
            .replace("/var/spool/rsyslog", spool.to_str().unwrap())
            .replace("/var/log/shop/ecs.json", log.to_str().unwrap())
            .replace("serverport=\"9200\"", &format!("serverport=\"{port}\""));
        let path = folder.path().join("rsyslog.conf");
        fs::write(&path, config).unwrap();
        let process = Command::new("rsyslogd")
            .args(["-n", "-f", path.to_str().unwrap(), "-i", folder.path().join("pid").to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("rsyslogd starts");
        Self(process)
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs rsyslogd with omelasticsearch"]
fn rsyslog_ships_each_line_intact() {
    let (folder, logs, registry) = (Folder::new("rsyslog"), Folder::new("shipped"), registry());
    let stored = Arc::new(Mutex::new(std::collections::HashMap::new()));
    let stub = Stub::start(Fault::None, {
        let stored = Arc::clone(&stored);
        move |body| crate::bulk::store(body, &stored)
    });
    let log = logs.path().join("ecs.json");
    // About two files a second: rsyslog loses some if they are rotated faster than it polls.
    let engine = engine(&registry, &log, 512 << 10);
    let port = stub.url().rsplit_once(':').unwrap().1.to_owned();
    let _rsyslog = Rsyslog::start(&folder, &log, &port);
    let mut failed = BTreeMap::new();
    for _ in 0..20 {
        for (message, count) in fail(&registry, 10) {
            *failed.entry(message).or_insert(0) += count;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(engine.shutdown(Duration::from_secs(30)));
    let documents = written(&logs);
    assert_eq!(messages(&documents), failed);
    let files = fs::read_dir(logs.path()).unwrap().count();
    let deadline = Instant::now() + Duration::from_secs(60);
    while stored.lock().unwrap().len() < documents.len() {
        let arrived = stored.lock().unwrap().len();
        assert!(Instant::now() < deadline, "{arrived} of {} arrived", documents.len());
        std::thread::sleep(Duration::from_millis(100));
    }
    let stored = stored.lock().unwrap();
    for document in &documents {
        assert_eq!(stored.get(document["event"]["id"].as_str().unwrap()), Some(document));
    }
    println!("{} documents of {files} files", stored.len());
}
