//! Resident memory, as counted by Linux, and threads that live at the same time.

use std::sync::Barrier;
use std::{fs, io, thread};

/// The resident bytes of this process, without those of files such as the program itself.
/// <https://docs.kernel.org/filesystems/proc.html>
pub(super) fn resident_bytes() -> io::Result<u64> {
    let path = "/proc/self/smaps_rollup";
    let rollup = fs::read_to_string(path)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("{path} has an unknown format"));
    Ok(anonymous_kib(&rollup).ok_or_else(invalid)? * 1_024)
}

fn anonymous_kib(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Processes each item on a thread of its own. No thread ends before all have begun.
pub(super) fn side_by_side<T: Send>(items: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
    let (all_begun, work) = (&Barrier::new(items.len()), &work);
    thread::scope(|scope| {
        for (thread, item) in items.iter_mut().enumerate() {
            scope.spawn(move || {
                all_begun.wait();
                work(thread, item);
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_excludes_that_of_files() {
        let rollup = "00400000-7ffd8000 ---p 00000000 00:00 0    [rollup]\n\
                      Rss:                1524 kB\nAnonymous:           136 kB\nLazyFree:      0 kB\n";
        assert_eq!(anonymous_kib(rollup), Some(136));
        assert_eq!(anonymous_kib("Rss: 1524 kB"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn touched_memory_is_resident() {
        let before = resident_bytes().unwrap();
        let touched = vec![1_u8; 64 << 20];
        // Other tests may free some memory meanwhile.
        assert!(resident_bytes().unwrap() > before + (32 << 20));
        drop(touched);
    }
}
