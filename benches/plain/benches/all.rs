//! Runs `cargo bench -p benches` with the same arguments.

#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let (by_cargo, arguments): (Vec<OsString>, Vec<_>) =
        env::args_os().skip(1).partition(|argument| argument == "--bench");
    // `cargo test --benches` runs it, too, without this argument.
    if by_cargo.is_empty() {
        return ExitCode::SUCCESS;
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        Command::new(cargo).args(["bench", "--locked", "-p", "benches", "--"]).args(arguments).status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
