//! The crates of this workspace, as they are on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::crates::Crate;
use crate::resolve::{Imports, imports};

/// A library, a binary or an example, by the path of its first file.
pub(crate) struct Target {
    pub(crate) root: String,
    pub(crate) code: Crate,
    pub(crate) imports: Imports,
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The packages of the workspace, each with the packages that it depends on, tests left out.
pub(crate) fn packages() -> BTreeMap<String, Vec<String>> {
    let manifest = |directory: &Path| -> toml::Table {
        fs::read_to_string(directory.join("Cargo.toml")).unwrap().parse().unwrap()
    };
    let workspace = workspace();
    let members = manifest(&workspace)["workspace"]["members"].as_array().unwrap().clone();
    let members: Vec<_> = members.iter().map(|member| member.as_str().unwrap().to_owned()).collect();
    let dependencies = |name: &String| {
        let manifest = manifest(&workspace.join(name));
        let tables = ["dependencies", "build-dependencies"].iter().filter_map(|kind| manifest.get(*kind));
        let names = tables.flat_map(|table| table.as_table().unwrap().keys().cloned());
        names.filter(|dependency| members.contains(dependency)).collect()
    };
    members.iter().map(|name| (name.clone(), dependencies(name))).collect()
}

/// All libraries, binaries and examples.
pub(crate) fn targets() -> Vec<Target> {
    let workspace = workspace();
    let mut targets = Vec::new();
    for package in packages().keys() {
        let mut files = BTreeMap::new();
        for directory in ["src", "examples"] {
            read(&workspace, &workspace.join(package).join(directory), &mut files);
        }
        let is_root = |file: &str| {
            let within = &file[package.len() + 1..];
            let of_directory = |directory| {
                let rest: Option<&str> = within.strip_prefix(directory);
                rest.is_some_and(|rest| {
                    !rest.contains('/') || rest.matches('/').count() == 1 && rest.ends_with("/main.rs")
                })
            };
            within == "src/lib.rs" || of_directory("src/bin/") || of_directory("examples/")
        };
        for root in files.keys().filter(|file| is_root(file)) {
            let code = Crate::read(&files, root);
            targets.push(Target { root: root.clone(), imports: imports(&code), code });
        }
    }
    targets
}

/// Reads all sources below a directory.
fn read(workspace: &Path, directory: &Path, files: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(workspace, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(workspace).unwrap().to_string_lossy().replace('\\', "/");
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}
