//! A file that is put aside when it is full.
//!
//! By size, so that what it takes of the disk is bounded, which the rotation of `tracing-appender`, by time, cannot do. What
//! ships logs follows a file that is renamed by its inode.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file to whose end lines are written.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    /// Bytes after which a new file is begun.
    max_bytes: u64,
    /// Files that are kept beside the one that is written, as `path.1`, the newest, and so on.
    kept: usize,
    open: Option<File>,
}

impl RotatingFile {
    /// Opens the file, or makes it.
    pub(super) fn open(path: PathBuf, max_bytes: u64, kept: usize) -> io::Result<Self> {
        let mut file = Self { path, max_bytes, kept, open: None };
        file.reopen()?;
        Ok(file)
    }

    /// Writes whole lines, or none of them.
    pub(super) fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = fs::metadata(&self.path).map(|file| file.len()).unwrap_or(0);
        if length > 0 && length.saturating_add(lines.len() as u64) > self.max_bytes {
            self.rotate()?;
        }
        let file = self.reopen()?;
        let before = file.metadata()?.len();
        let written = file.write_all(lines).and_then(|()| file.flush());
        if written.is_err() {
            // A line that is cut in two would be two broken ones.
            file.set_len(before)?;
        }
        written
    }

    /// The file; another one of its name, if somebody moved it away.
    fn reopen(&mut self) -> io::Result<&mut File> {
        if self.open.is_none() || !self.path.exists() {
            self.open = None;
        }
        match &mut self.open {
            Some(file) => Ok(file),
            none => Ok(none.insert(OpenOptions::new().append(true).create(true).open(&self.path)?)),
        }
    }

    /// Puts the file aside, and drops the oldest of those that were.
    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        if self.kept == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.kept).rev() {
            let from = numbered(&self.path, number);
            if from.exists() {
                fs::rename(from, numbered(&self.path, number + 1))?;
            }
        }
        fs::rename(&self.path, numbered(&self.path, 1))
    }
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
    fn full_files_are_put_aside_and_the_oldest_goes() {
        let folder = Folder::new();
        let mut file = RotatingFile::open(folder.0.join("log"), 10, 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six, a long one\n", "seven\n"] {
            file.write_lines(line.as_bytes()).unwrap();
        }
        assert_eq!(folder.read("log").as_deref(), Some("seven\n"));
        assert_eq!(folder.read("log.1").as_deref(), Some("six, a long one\n"));
        assert_eq!(folder.read("log.2").as_deref(), Some("four\nfive\n"));
        assert_eq!(folder.read("log.3"), None);
    }

    #[test]
    fn a_file_that_is_moved_away_is_made_again_and_one_that_is_there_is_gone_on_with() {
        let folder = Folder::new();
        let path = folder.0.join("log");
        RotatingFile::open(path.clone(), 100, 1).unwrap().write_lines(b"one\n").unwrap();
        let mut file = RotatingFile::open(path.clone(), 100, 1).unwrap();
        file.write_lines(b"two\n").unwrap();
        assert_eq!(folder.read("log").as_deref(), Some("one\ntwo\n"));
        fs::rename(&path, folder.0.join("elsewhere")).unwrap();
        file.write_lines(b"three\n").unwrap();
        assert_eq!(folder.read("log").as_deref(), Some("three\n"));
    }
}
