//! A file that is put aside when it is full.
//!
//! By size, so that what it takes of the disk is bounded, which the rotation of `tracing-appender`, by time, cannot do. What
//! ships logs follows a file that is renamed by its inode.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file to whose end lines are written.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    /// Bytes after which a new file is begun.
    max_bytes: u64,
    /// Files that are kept beside the one that is written, as `path.1`, the newest, and so on.
    kept: usize,
}

impl RotatingFile {
    /// Opens the file, or makes it.
    pub(super) fn open(path: PathBuf, max_bytes: u64, kept: usize) -> io::Result<Self> {
        let file = Self { path, max_bytes, kept };
        file.open_end()?;
        Ok(file)
    }

    /// Writes whole lines, or none of them.
    pub(super) fn write_lines(&self, lines: &[u8]) -> io::Result<()> {
        let (mut file, mut before) = self.open_end()?;
        if before > 0 && before.saturating_add(lines.len() as u64) > self.max_bytes {
            drop(file);
            self.rotate()?;
            (file, before) = self.open_end()?;
        }
        let written = end_line(&mut file, before).and_then(|()| file.write_all(lines));
        if written.is_err() {
            // A line that is cut in two would be two broken ones.
            file.set_len(before)?;
        }
        written
    }

    /// The file, and its length. Each time by its name, for somebody can have moved it away and made another one.
    fn open_end(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    /// Puts the file aside, and drops the oldest of those that were.
    fn rotate(&self) -> io::Result<()> {
        if self.kept == 0 {
            return fs::remove_file(&self.path);
        }
        // Up to the first number that is free, or to that of the oldest.
        let free = (1..self.kept).find(|number| !numbered(&self.path, *number).exists()).unwrap_or(self.kept);
        for number in (1..free).rev() {
            fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1))?;
        }
        fs::rename(&self.path, numbered(&self.path, 1))
    }
}

/// Ends a line that somebody could not end who was killed.
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
    fn full_files_are_put_aside_and_the_oldest_goes() {
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
    fn a_file_that_is_moved_away_is_made_again_and_one_that_is_there_is_gone_on_with() {
        let folder = Folder::new();
        let path = folder.0.join("log");
        RotatingFile::open(path.clone(), 100, 1).unwrap().write_lines(b"one\n").unwrap();
        let file = RotatingFile::open(path.clone(), 100, 1).unwrap();
        file.write_lines(b"two\n").unwrap();
        assert_eq!(folder.read("log").as_deref(), Some("one\ntwo\n"));
        fs::rename(&path, folder.0.join("elsewhere")).unwrap();
        file.write_lines(b"three\n").unwrap();
        assert_eq!(folder.read("log").as_deref(), Some("three\n"));
        // As others do who put files aside.
        fs::rename(&path, folder.0.join("elsewhere")).unwrap();
        fs::write(&path, "").unwrap();
        file.write_lines(b"four\n").unwrap();
        assert_eq!(folder.read("log").as_deref(), Some("four\n"));
    }

    #[test]
    fn a_line_that_was_cut_off_is_ended_and_does_not_take_another_one_with_it() {
        let folder = Folder::new();
        let path = folder.0.join("log");
        fs::write(&path, "one\ntw").unwrap();
        let file = RotatingFile::open(path, 100, 1).unwrap();
        file.write_lines(b"three\n").unwrap();
        file.write_lines(b"four\n").unwrap();
        assert_eq!(folder.read("log").as_deref(), Some("one\ntw\nthree\nfour\n"));
    }

    #[test]
    fn as_many_files_can_be_kept_as_anybody_likes() {
        let folder = Folder::new();
        let file = RotatingFile::open(folder.0.join("log"), 1, usize::MAX).unwrap();
        (0..4).for_each(|number| file.write_lines(format!("{number}\n").as_bytes()).unwrap());
        let all = ["log", "log.1", "log.2", "log.3"].map(|name| folder.read(name).unwrap());
        assert_eq!(all, ["3\n", "2\n", "1\n", "0\n"]);
    }
}
