//! Checks the architecture: no files in a ring, no import upwards, no crate that depends on one above it.
//!
//! A file imports another if its code names something that the other one defines: by a `use`, by a path within the
//! code, through a re-export or through a glob. Code of tests does not count. The layers are in [`table`], and in
//! `docs/how-it-works.md`.

mod crates;
mod fixtures;
mod graph;
mod resolve;
mod syntax;
mod table;
mod tree;

use std::collections::BTreeSet;
use std::fs;

use crate::graph::rings;
use crate::resolve::{Imports, unresolved};
use crate::table::{CRATES, LAYERS, is_in, layer_of, upward};
use crate::tree::{Target, packages, targets, workspace};

#[test]
fn no_files_form_a_ring_and_nothing_is_imported_from_above() {
    let targets = targets();
    let rings =
        targets.iter().flat_map(|target| rings(&target.imports).into_iter().map(move |ring| (target, ring)));
    let mut details = String::new();
    let mut found = Vec::new();
    for (target, ring) in rings {
        details += &describe(&target.imports, &ring);
        found.push(format!("ring: {}", ring.join(" ")));
    }
    let elsewhere = targets.iter().flat_map(|target| &target.code.elsewhere);
    found.extend(elsewhere.map(|(file, module)| format!("#[path]: {module} in {file}")));
    let unresolved = targets.iter().flat_map(|target| unresolved(&target.code));
    found.extend(unresolved.map(|path| format!("not understood: {path}")));
    for (package, layers) in LAYERS {
        let source = format!("{package}/src/");
        let Some(library) = targets.iter().find(|target| target.root == format!("{source}lib.rs")) else {
            found.push(format!("no library: {package}"));
            continue;
        };
        for (from, to) in upward(&library.imports, &source, layers) {
            details += &describe_import(&library.imports, from, to);
            found.push(format!("upward: {from} imports {to}"));
        }
        let files = files(library, &source);
        let in_no_layer = files.iter().filter(|file| layer_of(file, layers).is_none());
        found.extend(in_no_layer.map(|file| format!("in no layer: {source}{file}")));
        let entries = layers.iter().flat_map(|layer| layer.files);
        let stale = entries.filter(|entry| !files.iter().any(|file| is_in(file, entry)));
        found.extend(stale.map(|entry| format!("in the table, but missing: {source}{entry}")));
    }
    assert!(found.is_empty(), "\n{}\n\n{details}", found.join("\n"));
}

/// The files of a library below its `src/`, except `lib.rs`.
fn files<'a>(library: &'a Target, source: &str) -> BTreeSet<&'a str> {
    let files = library.code.modules.iter().map(|module| &module.file[source.len()..]);
    files.filter(|file| *file != "lib.rs").collect()
}

/// Which file of a ring imports which, and by which paths.
fn describe(imports: &Imports, ring: &[&str]) -> String {
    let edges = ring.iter().flat_map(|from| ring.iter().map(move |to| (from, to)));
    let edges = edges.filter(|(from, to)| imports[**from].contains_key(**to));
    let edges = edges.map(|(from, to)| describe_import(imports, from, to));
    format!("{} files in a ring:\n{}\n", ring.len(), edges.collect::<String>())
}

fn describe_import(imports: &Imports, from: &str, to: &str) -> String {
    let paths = imports[from][to].iter().map(|(path, line)| format!("{path} (line {line})"));
    format!("  {from} imports {to}: {}\n", paths.collect::<Vec<_>>().join(", "))
}

#[test]
fn crates_depend_only_on_crates_below_them() {
    let from_top = |name: &str| CRATES.iter().position(|layer| layer.files.contains(&name));
    let packages = packages();
    assert!(packages["metrics-actix"].contains(&"metrics-core".to_owned()), "the manifests are not read");
    for (name, dependencies) in &packages {
        let own = from_top(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        for dependency in dependencies {
            assert!(
                from_top(dependency) > Some(own),
                "{name} depends on {dependency}, which is not below it"
            );
        }
    }
}

#[test]
fn the_table_of_layers_is_in_the_docs() {
    let page = fs::read_to_string(workspace().join("docs/how-it-works.md")).unwrap();
    let (_, from_begin) =
        page.split_once("<!-- layers: begin -->\n").expect("a marker where the table begins");
    let (in_page, _) = from_begin.split_once("<!-- layers: end -->").expect("a marker where the table ends");
    let table = table::markdown();
    assert!(in_page.trim() == table.trim(), "docs/how-it-works.md must have this table:\n\n{table}");
}
