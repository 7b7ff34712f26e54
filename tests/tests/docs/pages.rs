//! The pages as files: which there are, and how long they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The text of a page, by its path from the root.
pub(crate) fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// All pages for readers, by their paths from the root.
pub(crate) fn all() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for folder in ["", "docs", "docs/ko", "deploy", "metrics-core", "metrics-export", "metrics-monitor"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let from_root = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                pages.insert(from_root, fs::read_to_string(path).unwrap());
            }
        }
    }
    pages
}

/// The lines of a page that are not between fences.
pub(crate) fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

#[test]
fn the_readme_is_short_and_begins_with_what_it_is_a_picture_and_code() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 200);
    let first_screen: Vec<_> = readme.lines().take(40).collect();
    let has = |text: &str| first_screen.iter().any(|line| line.contains(text));
    assert!(has("<picture>") && has("```sh") && has("```rust") && has("costs.svg"), "{first_screen:#?}");
}

#[test]
fn no_page_shows_the_scaffolding_of_doc_tests() {
    for (name, page) in all() {
        for snippet in page.split("```rust").skip(1) {
            let snippet = snippet.split("```").next().unwrap();
            assert!(!snippet.lines().any(|line| line == "#" || line.starts_with("# ")), "{name}: {snippet}");
        }
    }
}

#[test]
fn the_book_has_every_page() {
    let summary = read("docs/SUMMARY.md");
    let pages: Vec<_> = all().into_keys().filter(|page| page.starts_with("docs/")).collect();
    assert!(pages.len() > 20, "{pages:?}");
    for page in pages.iter().filter(|page| !page.ends_with("SUMMARY.md")) {
        let link = format!("]({})", page.strip_prefix("docs/").unwrap());
        assert!(summary.contains(&link), "docs/SUMMARY.md has no link to {page}");
    }
}
