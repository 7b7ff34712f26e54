//! A file that is either as it was before a write or as it is after it, whenever the process or the machine ends.
//!
//! The file is 8 bytes of magic, the name of the service, its length before it as two bytes (big-endian), a payload,
//! and the SHA-256 of everything before. A write makes a temporary file beside it, flushes that to the disk, and
//! renames it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use hmac_sha256::Hash;

/// The last byte is the version of the envelope; the payload has a version of its own.
const MAGIC: [u8; 8] = *b"METRHST\x01";

/// The longest payload.
pub(super) const MAX_PAYLOAD: usize = 64 << 20;

const HASH_BYTES: usize = 32;

/// Everything but the payload: magic, the longest name of a service, its length, and the hash.
const MAX_ENVELOPE: usize = MAGIC.len() + 2 + 128 + HASH_BYTES;

/// Reads the payload; `None` if there is no file.
///
/// # Errors
///
/// With a sentence, if the file is not whole, or is another service's.
pub(super) fn read(path: &Path, service: &str) -> Result<Option<Vec<u8>>, Refused> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        // Not opened: that of a pipe would wait.
        Ok(_) => return Err(Refused::Unreadable(io::Error::other("it is not a file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Refused::Unreadable(error)),
    }
    let file = File::open(path).map_err(Refused::Unreadable)?;
    let most = (MAX_PAYLOAD + MAX_ENVELOPE) as u64;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(Refused::Unreadable)?;
    if bytes.len() as u64 > most {
        return Err(Refused::NotOurs(format!("it is larger than {} MiB", MAX_PAYLOAD >> 20)));
    }
    open_envelope(bytes, service).map(Some)
}

/// Why a file is not read.
#[derive(Debug)]
pub(super) enum Refused {
    /// The system does not let us.
    Unreadable(io::Error),
    /// It was read, and is no file of this service that this version reads. Why, as a part of a sentence.
    NotOurs(String),
}

/// Replaces the file. A failure leaves it as it was.
pub(super) fn write(path: &Path, service: &str, payload: &[u8]) -> io::Result<()> {
    let temporary = beside(path, ".tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A new file, so that nobody's link is followed.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let envelope = envelope(service, payload);
    let mut hash = Hash::new();
    let parts = [&*envelope, payload];
    let written = parts.iter().try_for_each(|part| {
        hash.update(part);
        file.write_all(part)
    });
    let written = written.and_then(|()| file.write_all(&hash.finalize())).and_then(|()| file.sync_all());
    drop(file);
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    renamed?;
    // Some file systems refuse it. The file is there in any case, unless the power fails in the next seconds.
    let _ = sync_folder(path);
    Ok(())
}

/// Moves a file out of the way. Returns its new name. A file that had this name before is replaced.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = beside(path, ".set-aside");
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// A file beside another one, with a longer name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Flushes the new name to the disk, where folders can be flushed.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn envelope(service: &str, payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() <= MAX_PAYLOAD);
    let length = service.len() as u16;
    [&MAGIC[..], &length.to_be_bytes(), service.as_bytes()].concat()
}

fn open_envelope(mut bytes: Vec<u8>, service: &str) -> Result<Vec<u8>, Refused> {
    let refused = |why: &str| Err(Refused::NotOurs(why.to_owned()));
    if !bytes.starts_with(&MAGIC[..MAGIC.len() - 1]) {
        return refused("it is no history");
    }
    if bytes.get(MAGIC.len() - 1) != MAGIC.last() {
        return refused("a later version of this library wrote it");
    }
    let Some((whole, hash)) = bytes.split_last_chunk::<HASH_BYTES>() else { return refused("it is cut off") };
    if Hash::hash(whole) != *hash {
        return refused("it is damaged: its checksum does not match");
    }
    let named = whole[MAGIC.len()..].split_first_chunk::<2>();
    let named = named.and_then(|(length, rest)| rest.get(..u16::from_be_bytes(*length).into()));
    match named {
        Some(name) if name == service.as_bytes() => {}
        Some(name) => {
            let name = metrics_core::visible(&String::from_utf8_lossy(name), 128).into_owned();
            return Err(Refused::NotOurs(format!("it is from the service {name:?}")));
        }
        None => return refused("it is damaged: it has no service name"),
    }
    let payload = MAGIC.len() + 2 + service.len()..whole.len();
    bytes.truncate(payload.end);
    drop(bytes.drain(..payload.start));
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    pub(in crate::background) struct Folder(pub(in crate::background) PathBuf);

    impl Folder {
        pub(in crate::background) fn new() -> Self {
            let name = format!("metrics-history-{:x}", RandomState::new().hash_one(0));
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        pub(in crate::background) fn file(&self) -> PathBuf {
            self.0.join("history")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn refused(path: &Path) -> String {
        match read(path, "orders") {
            Err(Refused::NotOurs(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_payload_is_read_back_and_replaced_as_a_whole() {
        let folder = Folder::new();
        let path = folder.file();
        assert!(matches!(read(&path, "orders"), Ok(None)));
        for payload in [&b"one"[..], b"", b"three"] {
            write(&path, "orders", payload).unwrap();
            assert_eq!(read(&path, "orders").unwrap().unwrap(), payload);
        }
        let names: Vec<_> =
            fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["history"]);
    }

    #[test]
    fn a_file_that_is_not_whole_or_not_ours_is_refused_with_the_reason() {
        let folder = Folder::new();
        let path = folder.file();
        write(&path, "orders", b"a payload").unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            refused(&path);
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            fs::write(&path, changed).unwrap();
            refused(&path);
        }
        let mut later = whole.clone();
        later[7] = 2;
        fs::write(&path, later).unwrap();
        assert_eq!(refused(&path), "a later version of this library wrote it");
        fs::write(&path, "[settings]\n").unwrap();
        assert_eq!(refused(&path), "it is no history");
        write(&path, "shop", b"a payload").unwrap();
        assert_eq!(refused(&path), "it is from the service \"shop\"");
        File::create(&path).unwrap().set_len((MAX_PAYLOAD + MAX_ENVELOPE + 1) as u64).unwrap();
        assert_eq!(refused(&path), "it is larger than 64 MiB");
        assert_eq!(set_aside(&path).unwrap(), folder.0.join("history.set-aside"));
        assert!(matches!(read(&path, "orders"), Ok(None)));
        assert!(matches!(read(&folder.0, "orders"), Err(Refused::Unreadable(_))));
    }

    #[test]
    fn what_a_killed_write_leaves_behind_is_neither_read_nor_in_the_way() {
        let folder = Folder::new();
        let path = folder.file();
        write(&path, "orders", b"before").unwrap();
        let whole = {
            let other = folder.0.join("other");
            write(&other, "orders", b"after").unwrap();
            fs::read(other).unwrap()
        };
        // Killed after each byte, and before the rename.
        for length in 0..=whole.len() {
            fs::write(folder.0.join("history.tmp"), &whole[..length]).unwrap();
            assert_eq!(read(&path, "orders").unwrap().unwrap(), b"before");
        }
        write(&path, "orders", b"later").unwrap();
        assert_eq!(read(&path, "orders").unwrap().unwrap(), b"later");
    }

    #[test]
    fn a_write_that_fails_leaves_the_file_as_it_was() {
        let folder = Folder::new();
        let path = folder.file();
        write(&path, "orders", b"before").unwrap();
        // Nobody can write over it, not even root.
        let temporary = folder.0.join("history.tmp");
        fs::create_dir(&temporary).unwrap();
        fs::write(temporary.join("in-it"), "").unwrap();
        write(&path, "orders", b"after").unwrap_err();
        assert_eq!(read(&path, "orders").unwrap().unwrap(), b"before");
    }

    /// Of the sizes that histories have: what a fleet keeps, a day of 200 and of 1,024 busy endpoints, and the most.
    #[test]
    #[ignore = "prints times; run it on a quiet machine with optimisation"]
    fn print_what_a_write_of_a_history_takes() {
        let folder = Folder::new();
        let most = if cfg!(debug_assertions) { 256 << 10 } else { MAX_PAYLOAD };
        for bytes in
            [256 << 10, 6_523 << 10, 15_125 << 10, MAX_PAYLOAD].into_iter().filter(|bytes| *bytes <= most)
        {
            let payload = vec![7; bytes];
            let median = |what: &dyn Fn()| {
                let mut took = [(); 11].map(|()| {
                    let begun = std::time::Instant::now();
                    what();
                    begun.elapsed()
                });
                took.sort_unstable();
                took[5]
            };
            let hash = median(&|| {
                std::hint::black_box(Hash::hash(&payload));
            });
            let all = median(&|| write(&folder.file(), "orders", &payload).unwrap());
            println!("{} KiB: {all:?}, of which the checksum {hash:?}", bytes >> 10);
        }
    }
}
