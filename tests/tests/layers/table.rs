//! The layers of each crate, the top first. A file imports nothing from a layer above its own.

use crate::resolve::Imports;

/// One layer: folders, with the file that has the folder's name, and files.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) files: &'static [&'static str],
    pub(crate) holds: &'static str,
}

/// The crates, the top first: each depends only on crates below it.
pub(crate) const CRATES: &[&[&str]] =
    &[&["benches", "tests"], &["metrics-actix"], &["metrics-monitor"], &["metrics-export"], &["metrics-core"]];

/// The layers below `src/` of each crate. `lib.rs` is above them all.
pub(crate) const LAYERS: &[(&str, &[Layer])] = &[
    (
        "metrics-core",
        &[
            Layer { files: &["alert/"], holds: "rules over windows" },
            Layer { files: &["history/", "builder.rs"], holds: "windows and trends; the settings of a registry" },
            Layer { files: &["registry.rs"], holds: "what an application calls" },
            Layer { files: &["core.rs", "business.rs"], holds: "what all handles share; handles of own metrics" },
            Layer { files: &["read/"], holds: "merging of shards; snapshots and summaries" },
            Layer { files: &["record/"], holds: "recorders, shards and cells" },
            Layer { files: &["events/"], holds: "queues of errors and of single requests" },
            Layer { files: &["labels/"], holds: "names of endpoints, consumers, outcomes and metrics" },
            Layer {
                files: &["histogram/", "bytes.rs", "hyperloglog.rs", "setting.rs", "sync.rs"],
                holds: "plain arithmetic; the atomics in use; refused settings",
            },
        ],
    ),
];

/// The layer of a file, as its number from the top; `None` for a file that is in no layer.
fn layer_of(file: &str, layers: &[Layer]) -> Option<usize> {
    let matches = |entry: &str| match entry.strip_suffix('/') {
        Some(folder) => file.starts_with(entry) || file.strip_suffix(".rs") == Some(folder),
        None => file == entry,
    };
    let entries = layers.iter().enumerate().flat_map(|(number, layer)| layer.files.iter().map(move |entry| (number, entry)));
    // The longest one is that of a folder within a folder.
    entries.filter(|(_, entry)| matches(entry)).max_by_key(|(_, entry)| entry.len()).map(|(number, _)| number)
}

/// The imports from a layer above the importing file's. What is in no layer is above them all.
pub(crate) fn upward(imports: &Imports, source: &str, layers: &[Layer]) -> Vec<String> {
    let layer = |file: &str| file.strip_prefix(source).and_then(|file| layer_of(file, layers)).map_or(0, |layer| layer + 1);
    let edges = imports.iter().flat_map(|(from, of_file)| of_file.keys().map(move |to| (from, to)));
    let upward = edges.filter(|(from, to)| layer(from) > layer(to));
    upward.map(|(from, to)| format!("{from} imports {to}")).collect()
}
