//! Small crates with known answers: what the resolver finds, and what it leaves out.

use std::collections::BTreeMap;

use crate::crates::Crate;
use crate::graph::rings;
use crate::resolve::{Imports, imports, unresolved};
use crate::table::{Layer, upward};

/// A crate of these files, by their paths below `src/`.
fn imports_of(files: &[(&str, &str)]) -> Imports {
    imports(&read(files))
}

fn read(files: &[(&str, &str)]) -> Crate {
    let files = files.iter().map(|(path, text)| (format!("src/{path}"), (*text).to_owned()));
    Crate::read(&files.collect(), "src/lib.rs")
}

/// What each file imports: `"a.rs -> b.rs"`.
fn edges(files: &[(&str, &str)]) -> Vec<String> {
    let imports = imports_of(files);
    imports.iter().flat_map(|(from, of_file)| of_file.keys().map(|to| edge(from, to))).collect()
}

/// What is imported from above.
fn upward_imports(files: &[(&str, &str)], layers: &[Layer]) -> Vec<String> {
    upward(&imports_of(files), "src/", layers).into_iter().map(|(from, to)| edge(from, to)).collect()
}

fn edge(from: &str, to: &str) -> String {
    format!("{} -> {}", &from["src/".len()..], &to["src/".len()..])
}

const THING: &str = "pub struct Thing; pub const LIMIT: u8 = 1; pub fn make() -> Thing { Thing }";

#[test]
fn declaring_a_child_imports_nothing() {
    assert_eq!(edges(&[("lib.rs", "mod a; pub mod b;"), ("a.rs", THING), ("b.rs", "")]), [""; 0]);
}

#[test]
fn an_import_through_super_is_found() {
    let root = ("lib.rs", "mod a;");
    let parent = ("a.rs", "mod b; mod c; struct OfParent;");
    let child = ("a/b.rs", THING);
    assert_eq!(edges(&[root, parent, child, ("a/c.rs", "use super::b::Thing;")]), ["a/c.rs -> a/b.rs"]);
    assert_eq!(edges(&[root, parent, child, ("a/c.rs", "use super::OfParent;")]), ["a/c.rs -> a.rs"]);
    assert_eq!(
        edges(&[root, parent, child, ("a/c.rs", "fn f(_: super::super::a::OfParent) {}")]),
        ["a/c.rs -> a.rs"]
    );
}

#[test]
fn a_chain_of_re_exports_leads_to_the_file_that_defines_the_item() {
    let files = [
        ("lib.rs", "mod a; mod user; pub use a::Renamed;"),
        ("a.rs", "mod b; pub use self::b::Thing as Renamed;"),
        ("a/b.rs", "mod c; pub use c::*;"),
        ("a/b/c.rs", THING),
        ("user.rs", "use crate::Renamed;"),
    ];
    assert_eq!(edges(&files), ["user.rs -> a/b/c.rs"]);
}

#[test]
fn a_re_export_of_something_that_is_not_below_is_an_import() {
    let files = [("lib.rs", "mod a; mod b;"), ("a.rs", THING), ("b.rs", "pub use crate::a::Thing;")];
    assert_eq!(edges(&files), ["b.rs -> a.rs"]);
}

#[test]
fn paths_within_code_are_found() {
    let found = |code| edges(&[("lib.rs", "mod a; mod b;"), ("a.rs", THING), ("b.rs", code)]);
    for code in [
        "fn f() { crate::a::Thing::new(); }",
        "fn f() { let _ = crate::a::LIMIT; }",
        "fn f() -> Vec<crate::a::Thing> { Vec::new() }",
        "impl crate::a::Thing { fn g() {} }",
        "impl<T: crate::a::Thing> X for T {}",
        "type Alias = Option<super::a::Thing>;",
        "use crate::a; fn f() { a::make(); }",
        "use crate::a as other; fn f() { other::make(); }",
        "use crate::{a::{self as other}}; fn f() { other::make(); }",
        "use crate::a::*; fn f(_: Thing) {}",
        "use crate::a::*; fn f(x: u8) { match x { LIMIT => {} _ => {} } }",
        "fn f() { use crate::a::make as unseen; }",
        "mod inline { use super::super::a::Thing; }",
        "mod inline { pub use crate::a; } fn f(_: inline::a::Thing) {}",
        "fn f() { println!(\"{}\", crate::a::LIMIT); }",
        "fn f() { assert_eq!(x.y, [1, crate::a::make()]); }",
        "declare! { struct S { a: crate::a::Thing } }",
        "#[derive(Serialize)] struct S { #[serde(with = \"crate::a::make\")] x: u8 }",
        "#[cfg(unix)] use crate::a::Thing;",
        "#[cfg(not(test))] use crate::a::Thing;",
        "#[cfg(any(test, unix))] use crate::a::Thing;",
        "const X: u8 = <crate::a::Thing as Trait>::LIMIT;",
    ] {
        assert_eq!(found(code), ["b.rs -> a.rs"], "{code}");
    }
}

#[test]
fn what_names_nothing_of_another_file_is_no_import() {
    let found = |code| edges(&[("lib.rs", "mod a; mod b;"), ("a.rs", THING), ("b.rs", code)]);
    for code in [
        "use crate::a;",
        "use std::a::Thing; use ::a::make;",
        "struct Thing; fn f(_: Thing) {}",
        "/// [`crate::a::Thing`]\nstruct Other; // crate::a::Thing",
        "fn f() { \"crate::a::Thing\"; }",
        "fn f() { x.make(); println!(\"{}\", x.a); }",
        "pub(in crate::a) struct Other;",
        "#[cfg(test)] use crate::a::Thing;",
        "#[cfg(all(test, unix))] use crate::a::Thing;",
        "#[cfg(test)] mod tests { use crate::a::Thing; }",
        "#[cfg(test)] mod model;",
        "#[cfg(all(unix, metrics_loom))] mod model;",
        "impl X { #[cfg(test)] fn f() { crate::a::make(); } }",
        "fn f() { #[cfg(test)] let x = crate::a::make(); }",
        "fn f() { #[cfg(test)] crate::a::make(); }",
        "fn f() { #[cfg(test)] println!(\"{}\", crate::a::LIMIT); }",
        "struct S { #[cfg(test)] x: crate::a::Thing }",
    ] {
        assert_eq!(found(code), [""; 0], "{code}");
    }
}

#[test]
fn a_parent_that_uses_what_its_child_defines_imports_it() {
    let found = |parent| edges(&[("lib.rs", "mod a;"), ("a.rs", parent), ("a/b.rs", THING)]);
    assert_eq!(found("mod b; pub use b::Thing;"), [""; 0]);
    assert_eq!(found("mod b; pub use b::Thing; fn f(_: Thing) {}"), ["a.rs -> a/b.rs"]);
    assert_eq!(found("mod b; fn f() { b::make(); }"), ["a.rs -> a/b.rs"]);
    assert_eq!(found("mod b; use self::b::Thing;"), ["a.rs -> a/b.rs"]);
    assert_eq!(found("mod b; pub(self) use self::b::Thing;"), ["a.rs -> a/b.rs"]);
}

#[test]
fn a_name_of_another_crate_belongs_to_the_file_that_re_exports_it() {
    let root = ("lib.rs", "mod a; mod b; pub use other_crate::Shown;");
    let found = |code| edges(&[root, ("a.rs", "pub use std::sync::Mutex;"), ("b.rs", code)]);
    assert_eq!(found("use crate::a::Mutex;"), ["b.rs -> a.rs"]);
    assert_eq!(found("fn f(_: crate::Shown) {}"), ["b.rs -> lib.rs"]);
    assert_eq!(found("use std::sync::Mutex; fn f(_: Mutex<u8>) {}"), [""; 0]);
    assert_eq!(
        found("use serde; use rand::{self, Rng}; fn f(_: rand::Thing, _: serde::Thing, _: Rng) {}"),
        [""; 0]
    );
}

#[test]
fn a_path_that_leads_nowhere_is_reported() {
    let found = |code| unresolved(&read(&[("lib.rs", "mod a; mod b;"), ("a.rs", THING), ("b.rs", code)]));
    assert_eq!(
        found("use crate::a::Thing; fn f() { super::a::make(); self::f(); std::mem::drop(1); }"),
        [""; 0]
    );
    assert_eq!(found("\nuse crate::a::Missing;"), ["src/b.rs:2: crate::a::Missing"]);
    assert_eq!(found("fn f() { crate::c::f(); }"), ["src/b.rs:1: crate::c::f"]);
}

#[test]
fn a_function_can_have_the_name_of_its_module() {
    let files = [
        ("lib.rs", "mod a; mod c;"),
        ("a.rs", "mod b; pub use b::b;"),
        ("a/b.rs", "pub fn b() {} pub struct Thing;"),
        ("c.rs", "use crate::a; fn f() { a::b(); }"),
    ];
    assert_eq!(edges(&files), ["c.rs -> a/b.rs"]);
}

#[test]
fn files_of_modules_are_found_in_both_places() {
    let files = [("lib.rs", "mod a; use a::b::Thing;"), ("a/mod.rs", "pub mod b;"), ("a/b.rs", THING)];
    assert_eq!(edges(&files), ["lib.rs -> a/b.rs"]);
    let inline = [("lib.rs", "mod a { pub mod b; } fn f() { a::b::make(); }"), ("a/b.rs", THING)];
    assert_eq!(edges(&inline), ["lib.rs -> a/b.rs"]);
}

#[test]
fn a_ring_between_a_parent_and_its_child_is_found() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "mod child; fn f() { child::make(); } pub struct OfParent;"),
        ("a/child.rs", "use super::OfParent; pub fn make() {}"),
        ("b.rs", "use crate::a::OfParent;"),
    ];
    let imports = imports_of(&files);
    assert_eq!(rings(&imports), [vec!["src/a.rs", "src/a/child.rs"]]);
}

#[test]
fn a_ring_through_a_re_export_and_an_inline_path_is_found() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; pub use c::Thing;"),
        ("a.rs", "pub fn a() { crate::b::b(); }"),
        ("b.rs", "use crate::Thing; pub fn b() {}"),
        ("c.rs", "use crate::a; pub struct Thing; impl Thing { fn new() { a::a(); } }"),
    ];
    let imports = imports_of(&files);
    assert_eq!(rings(&imports), [vec!["src/a.rs", "src/b.rs", "src/c.rs"]]);
}

#[test]
fn an_upward_import_is_found() {
    const LAYERS: &[Layer] = &[
        Layer { files: &["face.rs"], holds: "" },
        Layer { files: &["record/"], holds: "" },
        Layer { files: &["record/cell/", "bytes.rs"], holds: "" },
    ];
    let found = |path: &str, text: &str| {
        let mut files = BTreeMap::from([
            ("lib.rs", "mod bytes; mod face; mod record;"),
            ("bytes.rs", THING),
            ("face.rs", THING),
            ("record.rs", "mod cell; mod shard; struct OfRecord;"),
            ("record/cell.rs", THING),
            ("record/shard.rs", THING),
        ]);
        files.insert(path, text);
        let files: Vec<_> = files.into_iter().collect();
        upward_imports(&files, LAYERS)
    };
    assert_eq!(found("face.rs", "use crate::record::shard::Thing; use crate::bytes::Thing as B;"), [""; 0]);
    assert_eq!(found("bytes.rs", "use crate::record::cell::Thing;"), [""; 0], "the same layer");
    assert_eq!(found("record/shard.rs", "use super::OfRecord;"), [""; 0], "the same folder");
    assert_eq!(found("bytes.rs", "use crate::face::Thing;"), ["bytes.rs -> face.rs"]);
    assert_eq!(found("record/shard.rs", "use crate::face::make;"), ["record/shard.rs -> face.rs"]);
    assert_eq!(found("record/cell.rs", "use super::OfRecord;"), ["record/cell.rs -> record.rs"]);
}

#[test]
fn the_root_of_a_crate_is_above_all_layers() {
    const LAYERS: &[Layer] = &[Layer { files: &["a.rs"], holds: "" }];
    let files = [
        ("lib.rs", "mod a; pub struct Root; fn f() { a::f(); }"),
        ("a.rs", "use crate::Root; pub fn f() {}"),
    ];
    assert_eq!(upward_imports(&files, LAYERS), ["a.rs -> lib.rs"]);
}
