//! Runs this program under valgrind, and reads the count of instructions.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use crate::row::Row;

/// The option that has the program do an operation so many times, and nothing else.
pub(crate) const RUN: &str = "run-operation";

/// Runs of which the least count is taken: an operation that is held up opens an octave of latencies, which takes
/// instructions once, and tables can have bad seeds.
const RUNS: usize = 3;

/// The instructions of one operation.
pub(crate) fn count(row: Row) -> Result<f64, String> {
    let least = |operations| {
        let runs: Result<Vec<u64>, String> = (0..RUNS).map(|_| of(row, operations)).collect();
        runs.map(|counts| counts.into_iter().min().unwrap_or_default())
    };
    // What both do goes out: the first operations, and what an operation's function does once.
    let before = least(row.warm_up())?;
    let after = least(row.warm_up() + row.operations())?;
    if before == 0 {
        return Err(format!("valgrind saw no call of {}", row.function()));
    }
    Ok((after as f64 - before as f64) / row.operations() as f64)
}

/// The instructions that so many operations take in all.
fn of(row: Row, operations: usize) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let directory = Directory::new()?;
    let counts = directory.0.join("callgrind.out");
    let mut out_file = std::ffi::OsString::from("--callgrind-out-file=");
    out_file.push(&counts);
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={}", row.function()))
        .arg(out_file)
        .arg(program)
        .args([&format!("--{RUN}"), row.name(), &operations.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}"))?;
    if !valgrind.status.success() {
        return Err(format!("valgrind failed:\n{}", String::from_utf8_lossy(&valgrind.stderr)));
    }
    let text = fs::read_to_string(&counts).map_err(|error| format!("{}: {error}", counts.display()))?;
    total(&text).ok_or_else(|| "valgrind wrote no total".to_owned())
}

/// The total of a file that callgrind wrote.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A directory that goes away with the value.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new() -> Result<Self, String> {
        let path = env::temp_dir().join(format!("instructions-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed from the directory for temporary files stays there.
        _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_first_number_of_its_line() {
        assert_eq!(total("events: Ir\nfn=(1) main\n1 20\n\ntotals: 1234\n"), Some(1_234));
        assert_eq!(total("events: Ir Dr\ntotals: 5 6\n"), Some(5));
        assert_eq!(total("events: Ir\n"), None);
    }
}
