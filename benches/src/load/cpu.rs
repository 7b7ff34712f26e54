//! The processor time of a process, as counted by Linux.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// The kernel's `USER_HZ`: 100 on every architecture but Alpha, at any tick rate of the kernel.
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
const TICK: Duration = Duration::from_millis(10);

/// The time of the process's threads since each began: to the nanosecond, if the kernel counts that. Otherwise to a
/// [`TICK`], with threads that have ended.
pub(super) fn cpu_time(pid: u32) -> io::Result<Duration> {
    if let Some(time) = time_of_threads(Path::new(&format!("/proc/{pid}/task"))) {
        return Ok(time);
    }
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("{path} has an unknown format"));
    Ok(TICK * ticks(&stat).ok_or_else(invalid)?)
}

/// The first number of `schedstat` is the time on a processor, in nanoseconds.
/// <https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat>
fn time_of_threads(tasks: &Path) -> Option<Duration> {
    let of_thread = |task: io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    };
    // A thread may end meanwhile.
    let times: Vec<Duration> = fs::read_dir(tasks).ok()?.filter_map(of_thread).collect();
    (!times.is_empty()).then(|| times.iter().sum())
}

fn ticks(stat: &str) -> Option<u32> {
    // The second field is the program's name in parentheses; it may contain anything. `utime` is the 14th, `stime` the
    // 15th.
    let (_, from_third) = stat.rsplit_once(')')?;
    let mut fields = from_third.split_ascii_whitespace().skip(14 - 3);
    let [user, system]: [u32; 2] = [fields.next()?.parse().ok()?, fields.next()?.parse().ok()?];
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_does_not_shift_the_fields() {
        let rest = "S 1 2 2 0 -1 4194304 120 0 0 0 321 45 0 0 20 0 3 0 99 1000 200";
        assert_eq!(ticks(&format!("77 (server) {rest}")), Some(366));
        assert_eq!(ticks(&format!("77 (a ) 1 (b) {rest}")), Some(366));
        assert_eq!(ticks("77 (server) S 1 2"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_used_some_time_or_none() {
        assert!(cpu_time(std::process::id()).unwrap() < Duration::from_secs(3_600));
    }
}
