//! `docs/how-it-works.md` lists every `unsafe` and every model of the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What can follow `unsafe` in code.
const FORMS: [&str; 5] = ["{", "impl", "fn ", "extern ", "trait "];

/// The sources of the workspace, by path.
pub(crate) fn sources() -> BTreeMap<String, String> {
    let root = root();
    let mut sources = BTreeMap::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                directories.push(path);
            } else if name.ends_with(".rs") {
                let from_root = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                sources.insert(from_root, fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The cells of each row of the table under a heading.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/how-it-works.md")).unwrap();
    let section = text.split("\n## ").find_map(|section| section.strip_prefix(heading)).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().replace('`', "")).skip(1).collect()).collect()
}

/// How often `unsafe` is code, not a word in a comment.
fn unsafe_code(source: &str) -> u64 {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    let after = code.flat_map(|line| line.split("unsafe").skip(1).map(str::trim_start));
    after.filter(|after| FORMS.iter().any(|form| after.starts_with(form))).count() as u64
}

#[test]
fn the_docs_list_all_unsafe_code() {
    let mut listed = BTreeMap::new();
    for row in table("All `unsafe`") {
        *listed.entry(row[0].clone()).or_insert(0) += row[1].parse::<u64>().unwrap();
    }
    let counted = sources().into_iter().map(|(path, source)| (path, unsafe_code(&source)));
    let counted: BTreeMap<_, _> = counted.filter(|&(_, count)| count > 0).collect();
    assert!(counted.contains_key("metrics-core/src/record/published.rs"), "unsafe code is not counted");
    assert_eq!(listed, counted, "listed in docs/how-it-works.md, and counted in the sources");
}

#[test]
fn the_docs_list_exactly_the_models_of_the_sources() {
    let listed: Vec<String> = table("The models").into_iter().map(|row| row[0].clone()).collect();
    let sources = sources();
    let core = || sources.iter().filter(|(path, _)| path.starts_with("metrics-core/src/"));
    for model in &listed {
        let defined = format!("fn {model}() {{");
        assert!(
            core().any(|(_, source)| source.contains(&defined)),
            "the listed model {model} does not exist"
        );
    }
    // Every model begins with a call of `sync::model`.
    let models: usize = core().map(|(_, source)| source.matches("model(|| {").count()).sum();
    assert_eq!(listed.len(), models, "models listed in docs/how-it-works.md, and in the sources");
}

#[test]
fn unsafe_code_is_distinguished_from_the_word() {
    // Composed, so that this file has no `unsafe` itself.
    let of = |text: &str| unsafe_code(&text.replace('!', "unsafe"));
    assert_eq!(of("! { x }\n! impl Send for X {}\n    ! fn f();"), 3);
    assert_eq!(of("#[forbid(!_code)] // ! { x }\n/// What `!` fn is."), 0);
}

#[test]
fn metrics_actix_names_no_threads_no_wall_clock_and_nothing_of_the_process() {
    let sources = sources();
    let adapter = sources.iter().filter(|(path, _)| path.starts_with("metrics-actix/src/"));
    let code: Vec<_> =
        adapter.map(|(path, source)| (path, source.split("\n#[cfg(test)]\n").next().unwrap())).collect();
    assert!(code.len() > 10, "{code:?}");
    for (path, code) in code {
        // Whether the thread panics says how a request ends.
        let code = code.replace("std::thread::panicking()", "");
        for name in ["sysinfo", "SystemTime", "std::thread"] {
            assert!(!code.contains(name), "{path} names {name}, which is the monitor's");
        }
    }
}

#[test]
fn each_test_that_the_docs_on_security_name_exists() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (_, section) = text.split_once("\n## What can be used up").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once("| "));
    let names: Vec<_> = rows.flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2)).collect();
    let sources = sources();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        // Those of proptest have arguments.
        let definition = format!("fn {name}(");
        assert!(sources.values().any(|source| source.contains(&definition)), "no test is named {name}");
    }
}
