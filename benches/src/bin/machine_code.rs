//! Disassembles a record and checks its machine code.
//!
//! The compiler places cold code after hot code. So the hot path runs from a function's first instruction to its first
//! `ret`, and code after that is reached only by a jump. The number of words that it writes shows that the right path
//! was found.

#![forbid(unsafe_code)]

use std::env;
use std::hint::black_box;
use std::process::{Command, ExitCode};

use metrics_core::{EndpointId, Recorder, Registry};

const USAGE: &str = "\
Usage: cargo run --release -p benches --bin machine_code

Prints the hot path of a record, and exits with 1 if it is longer than before or calls anything, or if the record
contains a locked instruction. Needs objdump and an x86-64 processor.";

/// The most instructions that the hot path may have.
///
/// The record itself may have 40. Three more are there because it is a separate function here: two move arguments into
/// place, one returns.
const MOST: usize = 43;

/// The words that a record adds to: its begin, its bucket, its sum, its count.
const WRITES: usize = 4;

/// A record as a function of its own. Inlined into its caller, it would have no recognisable end.
#[inline(never)]
fn record(recorder: &Recorder, endpoint: EndpointId, status: u16, nanos: u64) {
    recorder.record_nanos(endpoint, status, nanos);
}

/// The name of that function in objdump's output.
const FUNCTION: &str = "machine_code::record";

fn main() -> ExitCode {
    match env::args_os().nth(1) {
        None => {}
        Some(help) if help == "--help" || help == "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(argument) => {
            eprintln!("machine_code: unknown option {argument:?} (see --help)");
            return ExitCode::from(2);
        }
    }
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    // So that the function exists, compiled for unknown arguments.
    black_box(record as fn(&Recorder, EndpointId, u16, u64))(&registry.recorder(), endpoint, 200, 1);
    match check() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("machine_code: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), String> {
    if cfg!(debug_assertions) {
        return Err("built without optimisation, so the code is meaningless (use --release)".to_owned());
    }
    if !cfg!(target_arch = "x86_64") {
        return Err("supports x86-64 only".to_owned());
    }
    let function = disassembled()?;
    let hot = hot_path(&function);
    hot.iter().for_each(|instruction| println!("{:>6x}  {}", instruction.address, instruction.text));
    println!("\n{} instructions on the hot path; {MOST} are allowed", hot.len());
    let faults = faults(&function);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\nmachine_code: ")) }
}

/// An instruction as objdump prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instruction {
    address: u64,
    text: String,
}

impl Instruction {
    /// Parses a line such as `   1f2a0:\tadd    rax,0x1`.
    fn parse(line: &str) -> Option<Self> {
        let (address, text) = line.split_once(':')?;
        let address = u64::from_str_radix(address.trim(), 16).ok()?;
        Some(Self { address, text: text.split_whitespace().collect::<Vec<_>>().join(" ") })
    }

    fn starts_with(&self, mnemonic: &str) -> bool {
        self.text.split(' ').next() == Some(mnemonic)
    }

    fn names_memory(&self) -> bool {
        self.text.contains('[')
    }

    /// Whether it locks memory. An `xchg` with memory does so without a prefix.
    fn is_locked(&self) -> bool {
        self.starts_with("lock") || (self.starts_with("xchg") && self.names_memory())
    }

    /// Whether it adds to a word in memory.
    fn counts(&self) -> bool {
        let written = self.text.split(',').next().unwrap_or_default();
        ["add", "inc", "sub"].iter().any(|mnemonic| self.starts_with(mnemonic)) && written.contains('[')
    }

    /// The target of an unconditional jump.
    fn jumps_to(&self) -> Option<u64> {
        let target = self.text.strip_prefix("jmp ")?.split(' ').next()?;
        // A jump through a register or memory can go anywhere.
        Some(u64::from_str_radix(target, 16).unwrap_or(u64::MAX))
    }
}

/// The instructions of the function, without the padding after it.
fn disassembled() -> Result<Vec<Instruction>, String> {
    let program = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let objdump = Command::new("objdump")
        .args(["--disassemble", "--demangle", "--no-show-raw-insn", "--disassembler-options=intel"])
        .arg(program)
        .output()
        .map_err(|error| format!("cannot run objdump: {error}"))?;
    if !objdump.status.success() {
        return Err(format!("objdump failed:\n{}", String::from_utf8_lossy(&objdump.stderr)));
    }
    let text = String::from_utf8_lossy(&objdump.stdout);
    let function = function(&text, FUNCTION);
    if function.is_empty() { Err(format!("{FUNCTION} is not in objdump's output")) } else { Ok(function) }
}

/// The instructions of a function, with or without a hash after its name.
fn function(text: &str, name: &str) -> Vec<Instruction> {
    let is_head = |line: &&str| {
        let label = line.split_once('<').and_then(|(_, label)| label.strip_suffix(">:"));
        label.and_then(|label| label.strip_prefix(name)).is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix("::h").is_some_and(|hash| hash.len() == 16)
        })
    };
    let body = text.lines().skip_while(|line| !is_head(line)).skip(1);
    body.take_while(|line| !line.is_empty()).filter_map(Instruction::parse).collect()
}

/// The instructions up to and including the first `ret`.
fn hot_path(function: &[Instruction]) -> &[Instruction] {
    let end = function.iter().position(|instruction| instruction.starts_with("ret"));
    &function[..end.map_or(function.len(), |at| at + 1)]
}

/// What is wrong with the code.
fn faults(function: &[Instruction]) -> Vec<String> {
    let hot = hot_path(function);
    let (first, last) = match hot {
        [first, .., last] if last.starts_with("ret") => (first.address, last.address),
        _ => return vec!["the function has no end".to_owned()],
    };
    let mut faults = Vec::new();
    let mut fault = |what: &str, instruction: &Instruction| {
        faults.push(format!("{what}: {:x}: {}", instruction.address, instruction.text));
    };
    for locked in function.iter().filter(|instruction| instruction.is_locked()) {
        fault("a locked instruction", locked);
    }
    for instruction in hot {
        if instruction.starts_with("call") {
            fault("a call on the hot path", instruction);
        }
        if instruction.jumps_to().is_some_and(|target| !(first..=last).contains(&target)) {
            fault("a jump away from the hot path", instruction);
        }
    }
    let writes = hot.iter().filter(|instruction| instruction.counts()).count();
    if writes < WRITES {
        faults.push(format!("this is not the hot path: it adds to {writes} words, a record to {WRITES}"));
    }
    if hot.len() > MOST {
        faults.push(format!("the hot path has {} instructions; {MOST} are allowed", hot.len()));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
0000000000001000 <machine_code::other>:
    1000:	ret

0000000000002000 <machine_code::record>:
    2000:	add    rdi,0x8
    2004:	cmp    rdi,rsi
    2008:	jae    2030 <machine_code::record+0x30>
    200c:	inc    QWORD PTR [rdi]
    2010:	inc    QWORD PTR [rdi+rax*8]
    2014:	add    QWORD PTR [rdi+0x8],rdx
    2018:	inc    QWORD PTR [rdi+0x10]
    201c:	ret
    2030:	call   3000 <machine_code::cold>
    2034:	jmp    4000 <machine_code::colder>

0000000000003000 <machine_code::cold>:
    3000:	lock inc QWORD PTR [rdi]
";

    fn faults_of(text: &str) -> String {
        faults(&function(text, FUNCTION)).join("; ")
    }

    #[test]
    fn calls_after_the_first_return_are_cold() {
        let function = function(GOOD, FUNCTION);
        assert_eq!((function.len(), hot_path(&function).len()), (10, 8));
        assert_eq!(faults_of(GOOD), "");
        assert_eq!(faults_of(&GOOD.replace("record>", "record::h0123456789abcdef>")), "");
    }

    #[test]
    fn each_fault_is_found_and_named() {
        let with = |old: &str, new: &str| faults_of(&GOOD.replacen(old, new, 1));
        let add = "add    QWORD PTR [rdi+0x8],rdx";
        assert_eq!(with(add, &format!("lock {add}")).split("; ").count(), 2);
        assert!(with("call   3000", "lock xadd QWORD PTR [rdi],rax").contains("a locked instruction: 2030"));
        assert!(with("cmp    rdi,rsi", "xchg   QWORD PTR [rdi],rsi").contains("a locked instruction: 2004"));
        assert_eq!(with("cmp    rdi,rsi", "xchg   rdi,rsi"), "");
        assert!(with("cmp    rdi,rsi", "call   3000 <f>").contains("a call on the hot path: 2004"));
        assert!(with("cmp    rdi,rsi", "jmp    2030 <f>").contains("a jump away from the hot path: 2004"));
        assert!(with("cmp    rdi,rsi", "jmp    rax").contains("a jump away"));
        assert!(with("cmp    rdi,rsi", "ret").contains("this is not the hot path: it adds to 0 words"));
        assert!(with("ret\n    2030", "nop\n    2030").contains("the function has no end"));
        let filler = "nop\n    2003:\t".repeat(36);
        assert!(with("cmp    rdi,rsi", &filler).contains("has 44 instructions; 43 are allowed"));
    }
}
