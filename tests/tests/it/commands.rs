//! Each command of cargo, and each program of `benches`, that README and docs name is in `.ci/commands`, which says what
//! `.ci/run` runs for it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a command begins with, after variables, if it is no script of `benches`.
const PROGRAMS: [&str; 3] = ["cargo ", "benches --bin ", "compare "];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn pages() -> Vec<PathBuf> {
    let root = root();
    let mut pages = vec![root.join("README.md"), root.join("deploy/README.md")];
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    pages
}

/// The commands in a page: lines of its blocks of code, and code within its sentences.
fn commands(page: &str) -> BTreeSet<String> {
    let mut found = Vec::new();
    for (number, part) in page.split("```").enumerate() {
        if number % 2 == 1 {
            found.extend(part.lines().map(|line| line.split(" #").next().unwrap_or_default().to_owned()));
        } else {
            found.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    found.into_iter().map(one_line).filter(|command| is_command(command)).collect()
}

fn is_command(text: &str) -> bool {
    let text = match text.split_once("' ") {
        Some((variable, rest)) if variable.contains("='") => rest,
        _ => text,
    };
    let program = text.split(' ').next().unwrap_or_default();
    let is_script = program.starts_with("benches/") && program.ends_with(".sh");
    is_script || PROGRAMS.iter().any(|program| text.starts_with(program))
}

/// The commands of `.ci/commands`, each with the line below it.
fn listed() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join(".ci/commands")).unwrap();
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    let mut listed = Vec::new();
    while let Some(command) = lines.next() {
        let how = lines.next_if(|line| line.starts_with("    ")).unwrap_or_default();
        listed.push((command.to_owned(), how.trim().to_owned()));
    }
    listed
}

#[test]
fn ci_knows_each_command_that_the_docs_name_and_no_other() {
    let pages = pages().into_iter().map(|page| fs::read_to_string(page).unwrap());
    let named: BTreeSet<_> = pages.flat_map(|page| commands(&page)).collect();
    let known: BTreeSet<_> = listed().into_iter().map(|(command, _)| command).collect();
    assert!(named.len() > 20, "the docs are not read: {named:?}");
    let missing: Vec<_> = named.difference(&known).collect();
    let stale: Vec<_> = known.difference(&named).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "not in .ci/commands: {missing:#?}\nno longer in the docs: {stale:#?}"
    );
}

#[test]
fn each_command_is_run_or_says_where_it_is_run_or_why_it_is_not() {
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    for (command, how) in listed() {
        let (kind, rest) = how.split_once(": ").unwrap_or_else(|| panic!("{command}: {how:?}"));
        match kind {
            "run" | "not run" => assert!(!rest.is_empty(), "{command}"),
            "stage" => assert!(ci.contains(rest), "{command}: .ci/run has no stage {rest:?}"),
            _ => panic!("{command}: {how:?}"),
        }
    }
}

#[test]
fn commands_are_found_in_blocks_and_in_sentences() {
    let page = "Run `cargo test\n--all` or `Cargo`.\n```sh\nA='b c' cargo x   # why\nls\nbenches/load.sh\n```\n`compare read`";
    let expected = ["A='b c' cargo x", "benches/load.sh", "cargo test --all", "compare read"];
    assert!(commands(page).iter().eq(expected), "{:?}", commands(page));
}
