//! Rings of files.

use std::collections::BTreeSet;

use crate::resolve::Imports;

/// The sets of two or more files that all import each other, directly or through other files of the set.
pub(crate) fn rings(imports: &Imports) -> Vec<Vec<&str>> {
    let mut rings = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for file in imports.keys() {
        if done.contains(&**file) {
            continue;
        }
        let reached = reachable(imports, file);
        let ring: Vec<_> =
            reached.iter().copied().filter(|other| reachable(imports, other).contains(&**file)).collect();
        done.extend(&ring);
        if ring.len() > 1 {
            rings.push(ring);
        }
    }
    rings
}

/// All files that a file imports, directly or through others, including itself if it is in a ring.
fn reachable<'a>(imports: &'a Imports, file: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![file];
    while let Some(file) = waiting.pop() {
        for imported in imports.get(file).into_iter().flat_map(|of_file| of_file.keys()) {
            if reached.insert(&**imported) {
                waiting.push(imported);
            }
        }
    }
    reached
}

#[test]
fn a_ring_holds_each_file_that_reaches_itself_and_no_other() {
    let imports = |edges: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for &(from, to) in edges {
            imports.entry(from.into()).or_default().entry(to.into()).or_default();
        }
        imports
    };
    assert_eq!(rings(&imports(&[("a", "b"), ("b", "c"), ("a", "c")])), Vec::<Vec<&str>>::new());
    let two = imports(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("d", "e"), ("e", "f"), ("f", "d")]);
    assert_eq!(rings(&two), [vec!["b", "c"], vec!["d", "e", "f"]]);
}
