//! Prints what each arm takes for a record, and the design's figures met or missed.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use benches::Workload;
use benches::arms::ARMS;
use benches::figures::Figure;
use benches::machine::Machine;
use benches::measure::measure;
use benches::report::Report;

const USAGE: &str = "\
Usage: cargo run --profile bench -p benches --bin compare -- [--rounds N] [--json PATH] [--check]

  --rounds N   rounds over all arms; the default is 61
  --json PATH  write the results there, too
  --check      exit with 1 if a figure is missed by more than the noise";

struct Options {
    rounds: usize,
    json: Option<File>,
    check: bool,
}

fn main() -> ExitCode {
    match options() {
        Ok(Some(options)) => compare(options),
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("compare: {error} (see --help)");
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for; `None` is a call for help.
fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options { rounds: 61, json: None, check: false };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("rounds") => {
                options.rounds = arguments.value()?.parse()?;
                if options.rounds == 0 {
                    return Err("--rounds must be at least 1".into());
                }
            }
            Long("json") => {
                let path = arguments.value()?;
                // Now, and not after the run: a path that cannot be written to is found out at once.
                let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                options.json = Some(file);
            }
            Long("check") => options.check = true,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

fn compare(options: Options) -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!("compare: built without optimisation, so the figures mean nothing (use --profile bench)");
    }
    let workload = Workload::six_routes();
    let measured = measure(ARMS, &[1, 2], workload.events(), options.rounds);
    let report = Report::new(Machine::this(), workload.events().len(), &measured);
    println!("{report}");
    if let Some(Err(error)) = options.json.map(|file| write_json(file, &report)) {
        eprintln!("compare: cannot write the JSON: {error}");
        return ExitCode::FAILURE;
    }
    if options.check && report.figures().iter().any(Figure::clearly_missed) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn write_json(file: File, report: &Report) -> std::io::Result<()> {
    let mut file = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut file, report)?;
    writeln!(file)?;
    file.flush()
}
