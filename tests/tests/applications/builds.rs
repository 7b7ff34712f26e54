//! What an application is built from and what it sends, with and without the monitor: neither may change.
//!
//! Cargo builds each dependency once, with the features that anybody asks for. A feature that the monitor turns on in
//! a crate that the application uses, too, is on in the application.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The features of actix-web that the application uses: all that do not compile C or C++.
const ACTIX_WEB: &str = r#"["compress-gzip", "cookies", "http2", "macros", "unicode", "rustls-0_23"]"#;

/// The monitor's features that send over TLS. They cannot leave `rustls` alone.
const TLS: [&str; 2] = ["tls", "redis-tls"];

/// Features of shared crates that the monitor turns on, and why nobody notices.
const HARMLESS: &[(&str, &str, &str)] = &[];

/// A package and its version, with the features that are on.
type Features = BTreeMap<String, BTreeSet<String>>;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a workspace")
}

/// An application in a directory of its own, with the workspace's versions.
struct Application {
    folder: PathBuf,
}

impl Application {
    /// Depends on these crates, as lines of a manifest.
    fn new(name: &str, dependencies: &str, source: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"application\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [dependencies]\nactix-web = {{ version = \"4\", default-features = false, features = {ACTIX_WEB} }}\n\
             {dependencies}"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/main.rs"), source).unwrap();
        fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        Self { folder }
    }

    /// The features of all crates that the application is built from.
    fn features(&self) -> Features {
        let tree = ["tree", "--offline", "--edges=normal,build", "--prefix=none", "--format={p}|{f}"];
        let output = Command::new(env!("CARGO")).args(tree).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut found = Features::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let (package, features) = line.split_once('|').unwrap();
            let package = package.split(' ').take(2).collect::<Vec<_>>().join(" ");
            let features = features.trim_end_matches("(*)").trim().split(',').filter(|name| !name.is_empty());
            found.entry(package).or_default().extend(features.map(str::to_owned));
        }
        found
    }
}

/// The dependency on the monitor.
fn monitor(features: &[String]) -> String {
    let path = workspace().join("metrics-actix");
    format!("metrics-actix = {{ path = {path:?}, features = {features:?} }}\n")
}

/// The names of the monitor's features.
fn features() -> Vec<String> {
    let manifest = fs::read_to_string(workspace().join("metrics-actix/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    manifest["features"].as_table().unwrap().keys().filter(|name| *name != "default").cloned().collect()
}

/// The features that the monitor turns on in crates that the application uses itself.
fn turned_on(name: &str, features: &[String]) -> BTreeSet<(String, String)> {
    let monitored = Application::new(name, &monitor(features), "").features();
    // An application that uses all of the monitor's crates itself, each with no feature more than it has to.
    let mut dependencies = String::new();
    for (i, package) in monitored.keys().enumerate() {
        let (package, version) = package.split_once(" v").unwrap();
        if !package.starts_with("metrics-") && !["application", "actix-web"].contains(&package) {
            dependencies += &format!(
                "x{i} = {{ package = {package:?}, version = \"={version}\", default-features = false }}\n"
            );
        }
    }
    let plain = Application::new(&format!("{name}-plain"), &dependencies, "").features();
    let both = Application::new(&format!("{name}-both"), &(dependencies + &monitor(features)), "").features();
    let mut turned_on = BTreeSet::new();
    for (package, features) in &both {
        let Some(before) = plain.get(package) else { continue };
        let name = package.split(' ').next().unwrap();
        turned_on.extend(features.difference(before).map(|feature| (name.to_owned(), feature.clone())));
    }
    assert!(plain.len() > 50, "{plain:?}");
    turned_on
}

fn harmless(feature: &(String, String)) -> bool {
    // `default` is the list of the others, which are listed by themselves; the others are more of a crate's interface.
    ["default", "std", "alloc"].contains(&feature.1.as_str()) || HARMLESS.iter().any(|(package, features, _)| {
        *package == feature.0 && features.split(' ').any(|harmless| harmless == feature.1)
    })
}

#[test]
fn no_feature_of_a_shared_crate_is_turned_on_that_changes_what_others_do() {
    let without_tls: Vec<_> = features().into_iter().filter(|name| !TLS.contains(&name.as_str())).collect();
    let mut needed = BTreeSet::new();
    for (name, features) in [("everything", without_tls)] {
        let turned_on = turned_on(name, &features);
        let unknown: Vec<_> = turned_on.iter().filter(|feature| !harmless(feature)).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
        needed.extend(turned_on);
    }
    for (package, features, _) in HARMLESS {
        for feature in features.split(' ') {
            assert!(needed.contains(&(package.to_string(), feature.to_owned())), "not needed: {package}/{feature}");
        }
    }
}
