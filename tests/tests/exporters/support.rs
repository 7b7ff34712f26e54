//! Helpers for several tests.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

/// A folder for a test's files. Dropping it removes it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let unique = RandomState::new().hash_one(name);
        let path = std::env::temp_dir().join(format!("metrics-{name}-{unique:x}"));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If that fails, it stays in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
