//! What a process has used so far, as Linux counts it. <https://docs.kernel.org/filesystems/proc.html>

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;
use std::{fs, io};

/// What each thread of a process has used since it began.
#[derive(Debug)]
pub(super) struct Counts {
    at: Instant,
    threads: HashMap<OsString, Thread>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Thread {
    /// How often it stopped running, of its own accord or not.
    switches: u64,
    nanos: u64,
}

/// What a process used between two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Used {
    pub(super) switches_per_second: f64,
    pub(super) processor_percent: f64,
}

impl Counts {
    /// Reads the counts of all threads.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let at = Instant::now();
        let mut threads = HashMap::new();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?;
            match Thread::read(&thread.path()) {
                Ok(counts) => drop(threads.insert(thread.file_name(), counts)),
                // It has ended since it was listed.
                Err(_) if !thread.path().exists() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { at, threads })
    }

    /// What was used since an earlier reading. A thread that has ended meanwhile is not counted.
    pub(super) fn since(&self, earlier: &Self) -> Used {
        let (mut switches, mut nanos) = (0, 0);
        for (id, thread) in &self.threads {
            let before = earlier.threads.get(id).copied().unwrap_or_default();
            switches += thread.switches - before.switches;
            nanos += thread.nanos - before.nanos;
        }
        let seconds = (self.at - earlier.at).as_secs_f64();
        Used {
            switches_per_second: switches as f64 / seconds,
            processor_percent: nanos as f64 / 1e7 / seconds,
        }
    }
}

impl Thread {
    fn read(path: &Path) -> io::Result<Self> {
        let read = |file| fs::read_to_string(path.join(file));
        Self::parse(&read("status")?, &read("schedstat")?).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} has an unknown format", path.display()))
        })
    }

    fn parse(status: &str, schedstat: &str) -> Option<Self> {
        let count = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        let switches = count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?;
        let nanos = schedstat.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Self { switches, nanos })
    }
}

/// The resident bytes of a process, with those of files such as the program itself.
pub(super) fn resident_bytes(pid: u32) -> io::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = fs::read_to_string(&path)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("{path} has an unknown format"));
    Ok(resident_kib(&rollup).ok_or_else(invalid)? * 1_024)
}

fn resident_kib(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn switches_of_both_kinds_and_the_time_on_a_processor_are_read() {
        let status =
            "Name:\tserver\nThreads:\t4\nvoluntary_ctxt_switches:\t70\nnonvoluntary_ctxt_switches:\t7\n";
        let thread = Thread { switches: 77, nanos: 1_500_000 };
        assert_eq!(Thread::parse(status, "1500000 99 12\n"), Some(thread));
        assert_eq!(Thread::parse("Name:\tserver\n", "1500000 99 12\n"), None);
        assert_eq!(Thread::parse(status, ""), None);
    }

    #[test]
    fn what_was_used_is_the_growth_of_all_threads_that_are_left() {
        let counts = |at, threads: &[(&str, u64, u64)]| {
            let thread = |&(id, switches, nanos): &(&str, u64, u64)| (id.into(), Thread { switches, nanos });
            Counts { at, threads: threads.iter().map(thread).collect() }
        };
        let begun = Instant::now();
        let before = counts(begun, &[("1", 10, 1_000), ("2", 900, 900)]);
        let after = counts(begun + Duration::from_secs(2), &[("1", 13, 2_001_000), ("3", 5, 2_000_000)]);
        assert_eq!(after.since(&before), Used { switches_per_second: 4.0, processor_percent: 0.2 });
    }

    #[test]
    fn resident_memory_includes_that_of_files() {
        let rollup = "00400000-7ffd8000 ---p 00000000 00:00 0    [rollup]\n\
                      Rss:                1524 kB\nAnonymous:           136 kB\n";
        assert_eq!(resident_kib(rollup), Some(1_524));
        assert_eq!(resident_kib("Anonymous: 136 kB"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_threads_and_memory() {
        let pid = std::process::id();
        assert!(!Counts::of(pid).unwrap().threads.is_empty());
        assert!(resident_bytes(pid).unwrap() > 1 << 20);
    }
}
