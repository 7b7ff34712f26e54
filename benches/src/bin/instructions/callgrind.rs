//! Runs this program under valgrind and reads the instruction count.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use crate::row::Row;

/// The option with which the program only repeats one operation.
pub(crate) const RUN: &str = "run-operation";

/// Number of runs. The lowest count is taken: a delayed operation opens a new octave of latencies, which takes
/// extra instructions once, and hash tables can have bad seeds.
const RUNS: usize = 3;

/// The instructions of one operation, less those of the row's base.
pub(crate) fn count(row: Row) -> Result<f64, String> {
    Ok(all(row)? - row.base().map_or(Ok(0.0), all)?)
}

/// The instructions of one operation.
fn all(row: Row) -> Result<f64, String> {
    let least = |operations| {
        let runs: Result<Vec<u64>, String> = (0..RUNS).map(|_| of(row, operations)).collect();
        runs.map(|counts| counts.into_iter().min().unwrap_or_default())
    };
    // The difference leaves out what both runs do: the first operations, and what the function does once.
    let before = least(row.warm_up())?;
    let after = least(row.warm_up() + row.operations())?;
    if before == 0 {
        return Err(format!("valgrind saw no call of {}", row.function()));
    }
    Ok((after as f64 - before as f64) / row.operations() as f64)
}

/// The instructions of this number of operations in all.
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
        .args([&format!("--{RUN}"), &row.name(), &operations.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}"))?;
    if !valgrind.status.success() {
        return Err(format!("valgrind failed:\n{}", String::from_utf8_lossy(&valgrind.stderr)));
    }
    let text = fs::read_to_string(&counts).map_err(|error| format!("{}: {error}", counts.display()))?;
    total(&text).ok_or_else(|| "valgrind wrote no total".to_owned())
}

/// The total in callgrind's output.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A directory that is removed on drop.
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
        // If it cannot be removed, it stays among the temporary files.
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
