//! Counts the instructions of each operation of a request, and compares them with the stored counts.
//!
//! Unlike times, counts are the same on a busy machine, so CI can check them. They depend on the compiler and on the
//! processor's extensions, which decide how memory is copied; the baseline names its compiler. The program runs itself
//! under valgrind, which counts inside one function of each [`Row`].

#![forbid(unsafe_code)]

mod baseline;
mod callgrind;
mod row;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use benches::machine::Machine;

use crate::baseline::{Baseline, Change};
use crate::row::Row;

const USAGE: &str = "\
Usage: cargo run --release -p benches --bin instructions -- [OPTIONS]

Prints the instructions of each operation. Needs valgrind.

  --baseline PATH  the stored counts; default: benches/instructions.json
  --check          exit with 1 if an operation takes more than the baseline allows
  --write          store the counts as the new baseline";

/// The stored counts, independent of the working directory.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

enum Task {
    Help,
    /// The run under valgrind.
    Run {
        row: Row,
        operations: usize,
    },
    Count {
        path: PathBuf,
        check: bool,
        write: bool,
    },
}

fn main() -> ExitCode {
    let done = match task() {
        Ok(Task::Help) => {
            println!("{USAGE}");
            Ok(true)
        }
        Ok(Task::Run { row, operations }) => {
            row.run(operations);
            Ok(true)
        }
        Ok(Task::Count { path, check, write }) => count(&path, check, write),
        Err(error) => {
            eprintln!("instructions: {error} (see --help)");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Parses the command line.
fn task() -> Result<Task, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut path, mut check, mut write) = (PathBuf::from(BASELINE), false, false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("baseline") => path = arguments.value()?.into(),
            Long("check") => check = true,
            Long("write") => write = true,
            Long(callgrind::RUN) => {
                let row = arguments.value()?.parse()?;
                return Ok(Task::Run { row, operations: arguments.value()?.parse()? });
            }
            Short('h') | Long("help") => return Ok(Task::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Task::Count { path, check, write })
}

/// Returns whether no row takes more than it may, or the check is off.
fn count(path: &Path, check: bool, write: bool) -> Result<bool, String> {
    if cfg!(debug_assertions) {
        return Err("built without optimisation, so the counts mean nothing (use --release)".to_owned());
    }
    // With `--write`, the baseline may be missing.
    let baseline = if write { Baseline::default() } else { Baseline::read(path)? };
    let mut now = Baseline::of(Machine::this().rustc);
    let (mut too_much, mut counts) = (Vec::new(), Vec::new());
    println!("| operation | instructions | baseline | change | allowed |");
    println!("|---|---:|---:|---:|---:|");
    for row in Row::ALL {
        let counted = callgrind::count(row)?;
        now.set(row, counted);
        counts.push((row, counted));
        let (name, allowed) = (row.name(), row.allowed_percent());
        let Some(change) = baseline.change(row, counted) else {
            println!("| {name} | {counted:.1} | | | |");
            continue;
        };
        let columns = format!("{counted:.1} | {:.1} | {:+.1} %", change.baseline, change.percent);
        println!("| {name} | {columns} | {allowed:+} % |");
        if change.too_much {
            let Change { baseline, percent, .. } = change;
            too_much.push(format!(
                "{name}: {counted:.1} instructions are {percent:.1} % over the {baseline:.1} of the baseline; \
                 {allowed} % is allowed"
            ));
        }
    }
    let counted = |wanted| counts.iter().find(|(row, _)| *row == wanted).map(|(_, counted)| *counted);
    for &(row, own) in &counts {
        if let Some((times, other)) = row.at_most()
            && let Some(limit) = counted(other).map(|other| times * other)
        {
            let (name, noise) = (row.name(), row.allowed_percent());
            println!("\n{name}: at most {times} x {}, which is {limit:.1}", other.name());
            if own > limit * (1.0 + noise / 100.0) {
                too_much.push(format!(
                    "{name}: {own:.1} instructions; {limit:.1} are allowed, and {noise} % of noise"
                ));
            }
        }
    }
    if write {
        return now.write(path).map(|()| true);
    }
    if baseline.compiler() != now.compiler() {
        println!("\nThe baseline is of {}; this is {}.", baseline.compiler(), now.compiler());
    }
    if !check || too_much.is_empty() {
        return Ok(true);
    }
    too_much.iter().for_each(|row| eprintln!("instructions: {row}"));
    eprintln!("instructions: if this is intended, store the new counts with --write");
    Ok(false)
}
