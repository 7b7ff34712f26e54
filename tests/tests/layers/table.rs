//! The layers of each crate, the top first. A file imports nothing from a layer above its own.

use crate::resolve::Imports;

/// One layer: folders, with the file that has the folder's name, and files.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) files: &'static [&'static str],
    pub(crate) holds: &'static str,
}

/// The crates, the top first: each depends only on crates below it.
pub(crate) const CRATES: &[Layer] = &[
    Layer {
        files: &["benches", "benches/plain", "tests"],
        holds: "comparisons with other crates, and what runs them by `cargo bench`; end-to-end tests",
    },
    Layer {
        files: &["metrics-actix"],
        holds: "the middleware, and the adapter between actix-web and the monitor",
    },
    Layer {
        files: &["metrics-monitor"],
        holds: "one service's monitor: threads, sampling, alerts, fleet, answers of the endpoints, dashboard",
    },
    Layer { files: &["metrics-export"], holds: "formats and destinations of a snapshot" },
    Layer { files: &["metrics-core"], holds: "recording, merging, resets, windows, rules; no I/O" },
];

/// The layers below `src/` of each crate. `lib.rs` is above them all.
pub(crate) const LAYERS: &[(&str, &[Layer])] = &[
    (
        "metrics-core",
        &[
            Layer {
                files: &["objective/"],
                holds: "objectives: budgets, burn rates, the rules of their alerts",
            },
            Layer { files: &["alert/"], holds: "rules over windows: engine, rule, condition, notice" },
            Layer {
                files: &["history/", "builder.rs"],
                holds: "windows and trends; the settings of a registry",
            },
            Layer { files: &["registry.rs"], holds: "what an application calls" },
            Layer {
                files: &["core/", "business.rs"],
                holds: "what all handles share; handles of own metrics",
            },
            Layer { files: &["read/"], holds: "merging of shards, snapshots, summaries" },
            Layer { files: &["record/"], holds: "recorders, shards, cells" },
            Layer {
                files: &["events/"],
                holds: "queues of errors and of single requests; groups of errors; the slowest requests",
            },
            Layer {
                files: &["labels/"],
                holds: "names: endpoints, consumers, methods, outcomes, traces, own metrics",
            },
            Layer {
                files: &[
                    "histogram/",
                    "hyperloglog.rs",
                    "bytes.rs",
                    "setting.rs",
                    "space_saving.rs",
                    "sync/",
                    "template.rs",
                    "text.rs",
                    "wall_clock.rs",
                ],
                holds: "plain arithmetic; the atomics in use; the error of refused settings; frequent keys; message templates; hidden characters; the wall clock",
            },
        ],
    ),
    (
        "metrics-export",
        &[
            Layer {
                files: &[
                    "datadog/",
                    "elasticsearch/",
                    "otlp/",
                    "sentry/",
                    "alert/",
                    "facade/",
                    "prometheus/",
                ],
                holds: "destinations, and what Prometheus scrapes",
            },
            Layer { files: &["ecs/"], holds: "lines of the Elastic Common Schema" },
            Layer { files: &["json/"], holds: "bodies of the endpoints" },
            Layer { files: &["fleet/redis/"], holds: "a fleet around a Redis" },
            Layer {
                files: &[
                    "fleet/",
                    "push/",
                    "alert/delivery.rs",
                    "alert/destination.rs",
                    "alert/permit.rs",
                    "alert/queue.rs",
                ],
                holds: "reports of instances and their sum; the engine that sends; delivery of notices",
            },
            Layer {
                files: &[
                    "backoff.rs",
                    "environment.rs",
                    "exponential.rs",
                    "gzip.rs",
                    "http/",
                    "random.rs",
                    "secret.rs",
                    "service.rs",
                    "start_error.rs",
                    "state_log.rs",
                    "wire.rs",
                ],
                holds: "what destinations share",
            },
        ],
    ),
    (
        "metrics-monitor",
        &[
            Layer {
                files: &["builder/", "framework.rs", "monitor.rs", "shutdown.rs", "build_error.rs"],
                holds: "what an adapter calls",
            },
            Layer { files: &["endpoints/"], holds: "the answer to each endpoint, and who may have it" },
            Layer { files: &["dashboard/"], holds: "the dashboard's files" },
            Layer { files: &["state.rs"], holds: "what all parts of a monitor see" },
            Layer {
                files: &["background/"],
                holds: "the ticker, the lanes, alerts, samples of the process, event streams",
            },
            Layer {
                files: &["policy/"],
                holds: "what is kept: exclusions, capture, messages, traces, consumers",
            },
        ],
    ),
    (
        "metrics-actix",
        &[
            Layer { files: &["builder.rs", "metrics.rs", "serve.rs"], holds: "what an application calls" },
            Layer {
                files: &["mount.rs", "adapter.rs"],
                holds: "where the endpoints are mounted; requests to the monitor, answers back",
            },
            Layer { files: &["middleware/"], holds: "the middleware, the watched body, the route marker" },
            Layer {
                files: &["worker/", "seen_routes.rs", "shared.rs"],
                holds: "a worker's recorder; which route a request is counted under; what workers share",
            },
            Layer {
                files: &["request/"],
                holds: "method, route, patterns, consumer and trace of a request; event loops",
            },
        ],
    ),
    (
        "benches",
        &[
            Layer {
                files: &[
                    "business/",
                    "errors.rs",
                    "idle/",
                    "load/",
                    "memory/",
                    "middleware/",
                    "read/",
                    "record.rs",
                    "scale.rs",
                    "scrape.rs",
                    "report.rs",
                ],
                holds: "the kinds of comparisons; the report",
            },
            Layer { files: &["arms.rs"], holds: "what is compared" },
            Layer { files: &["floors.rs", "ours.rs", "peers/", "service.rs"], holds: "one arm each" },
            Layer { files: &["figures.rs"], holds: "the figures that the design asks for" },
            Layer {
                files: &["measure.rs", "in_flight.rs", "worker.rs"],
                holds: "rounds, and the loop of all arms",
            },
            Layer {
                files: &["machine.rs", "size.rs", "stats.rs", "unit.rs", "workload.rs"],
                holds: "what all of the above use",
            },
        ],
    ),
    (
        "tests",
        &[
            Layer {
                files: &["server.rs", "example.rs", "redis.rs", "stub.rs", "accessibility.rs"],
                holds: "real servers, destinations that fail, axe-core",
            },
            Layer {
                files: &["browser.rs", "client.rs", "http2.rs", "raw.rs", "receiver.rs", "turns.rs"],
                holds: "real clients",
            },
            Layer {
                files: &["adjusted.rs", "certificates.rs", "process.rs"],
                holds: "other programs; certificates; settings of exporters",
            },
        ],
    ),
];

/// Whether a file belongs to an entry of a layer.
pub(crate) fn is_in(file: &str, entry: &str) -> bool {
    match entry.strip_suffix('/') {
        Some(folder) => file.starts_with(entry) || file.strip_suffix(".rs") == Some(folder),
        None => file == entry,
    }
}

/// The layer of a file, as its number from the top; `None` for a file that is in no layer.
pub(crate) fn layer_of(file: &str, layers: &[Layer]) -> Option<usize> {
    let entries = layers
        .iter()
        .enumerate()
        .flat_map(|(number, layer)| layer.files.iter().map(move |entry| (number, entry)));
    // A folder within a folder has the longer entry.
    let own = entries.filter(|(_, entry)| is_in(file, entry)).max_by_key(|(_, entry)| entry.len());
    own.map(|(number, _)| number)
}

/// The imports from a layer above that of the importing file. The root of the crate is above all layers.
pub(crate) fn upward<'a>(imports: &'a Imports, source: &str, layers: &[Layer]) -> Vec<(&'a str, &'a str)> {
    // From 1 at the top, as the root is at 0.
    let layer = |file: &str| match file.strip_prefix(source) {
        Some("lib.rs") => Some(0),
        within => layer_of(within.expect("a file of this crate"), layers).map(|from_top| from_top + 1),
    };
    let is_upward = |from: &str, to: &str| layer(from).zip(layer(to)).is_some_and(|(from, to)| from > to);
    let edges = imports.iter().flat_map(|(from, of_file)| of_file.keys().map(move |to| (&**from, &**to)));
    edges.filter(|(from, to)| is_upward(from, to)).collect()
}

/// The tables as they are in `docs/how-it-works.md`.
pub(crate) fn markdown() -> String {
    let row = |from_ground: usize, names: &[&str], holds: &str| {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        format!("| {from_ground} | {} | {holds} |\n", names.join(", "))
    };
    let mut text = String::from("| floor | crates | what they hold |\n|---:|---|---|\n");
    for (from_top, layer) in CRATES.iter().enumerate() {
        text += &row(CRATES.len() - from_top, layer.files, layer.holds);
    }
    for (package, layers) in LAYERS {
        text += &format!("\n`{package}/src`:\n\n| floor | files | what they hold |\n|---:|---|---|\n");
        for (from_top, layer) in layers.iter().enumerate() {
            text += &row(layers.len() - from_top, layer.files, layer.holds);
        }
    }
    text
}
