//! A file that is rotated when it is full.
//!
//! By size, which bounds the space on disk; `tracing-appender` rotates by time only. Log shippers follow a renamed file
//! by its inode.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file to which lines are appended.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    /// The size at which a new file begins, in bytes.
    max_bytes: u64,
    /// How many old files are kept: `path.1`, the newest, and so on.
    kept: usize,
}

impl RotatingFile {
    /// Opens the file, or creates it.
    pub(super) fn open(path: PathBuf, max_bytes: u64, kept: usize) -> io::Result<Self> {
        let file = Self { path, max_bytes, kept };
        file.open_end()?;
        Ok(file)
    }

    /// The newest file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends all lines, or none of them.
    pub(super) fn write_lines(&self, lines: &[u8]) -> io::Result<()> {
        let (mut file, mut before) = self.open_end()?;
        if before > 0 && before.saturating_add(lines.len() as u64) > self.max_bytes {
            drop(file);
            self.rotate()?;
            (file, before) = self.open_end()?;
        }
        let written = end_line(&mut file, before).and_then(|()| file.write_all(lines));
        if written.is_err() {
            // Half a line would break this line and the next.
            file.set_len(before)?;
        }
        written
    }

    /// Opens the file, and returns its length. It is opened for each write, since another process may have moved it.
    fn open_end(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    /// Renames the files, and drops the oldest.
    fn rotate(&self) -> io::Result<()> {
        if self.kept == 0 {
            return fs::remove_file(&self.path);
        }
        // Moves files up to the first free number, or over the oldest.
        let free = (1..self.kept).find(|number| !numbered(&self.path, *number).exists()).unwrap_or(self.kept);
        for number in (1..free).rev() {
            fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1))?;
        }
        fs::rename(&self.path, numbered(&self.path, 1))
    }
}

/// Ends a line that was cut off when its process was killed.
fn end_line(file: &mut File, length: u64) -> io::Result<()> {
    let mut last = *b"\n";
    if length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("metrics-ecs-{:x}", RandomState::new().hash_one(0));
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.0.join(name)).ok()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn full_files_are_rotated_and_the_oldest_is_dropped() {
        let folder = Folder::new();
        let file = RotatingFile::open(folder.0.join("log"), 10, 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six, a long one\n", "seven\n"] {
            file.write_lines(line.as_bytes()).unwrap();
        }
        assert_eq!(folder.read("log").as_deref(), Some("seven\n"));
        assert_eq!(folder.read("log.1").as_deref(), Some("six, a long one\n"));
        assert_eq!(folder.read("log.2").as_deref(), Some("four\nfive\n"));
        assert_eq!(folder.read("log.3"), None);
    }

    #[test]
    fn a_moved_file_is_created_again_and_an_existing_one_is_appended_to() {
        let folder = Folder::new();
        let path = folder.0.join("log");
        RotatingFile::open(path.clone(), 100, 1).unwrap().write_lines(b"one\n").unwrap();
        let file = RotatingFile::open(path.clone(), 100, 1).unwrap();
        file.write_lines(b"two\n").unwrap();
        assert_eq!(folder.read("log").as_deref(), Some("one\ntwo\n"));
        fs::rename(&path, folder.0.join("elsewhere")).unwrap();
        file.write_lines(b"three\n").unwrap();
        assert_eq!(folder.read("log").as_deref(), Some("three\n"));
        // As logrotate does with `create`.
        fs::rename(&path, folder.0.join("elsewhere")).unwrap();
        fs::write(&path, "").unwrap();
        file.write_lines(b"four\n").unwrap();
        assert_eq!(folder.read("log").as_deref(), Some("four\n"));
    }

    #[test]
    fn a_line_that_was_cut_off_is_ended_before_the_next() {
        let folder = Folder::new();
        let path = folder.0.join("log");
        fs::write(&path, "one\ntw").unwrap();
        let file = RotatingFile::open(path, 100, 1).unwrap();
        file.write_lines(b"three\n").unwrap();
        file.write_lines(b"four\n").unwrap();
        assert_eq!(folder.read("log").as_deref(), Some("one\ntw\nthree\nfour\n"));
    }

    #[test]
    fn the_number_of_kept_files_is_not_limited() {
        let folder = Folder::new();
        let file = RotatingFile::open(folder.0.join("log"), 1, usize::MAX).unwrap();
        (0..4).for_each(|number| file.write_lines(format!("{number}\n").as_bytes()).unwrap());
        let all = ["log", "log.1", "log.2", "log.3"].map(|name| folder.read(name).unwrap());
        assert_eq!(all, ["3\n", "2\n", "1\n", "0\n"]);
    }
}
