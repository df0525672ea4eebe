//! Checks whether the files of a database are still those that were opened.
//!
//! SQLite does not notice that its file was replaced, and continues with the old one, which nobody will see again. This
//! module only looks the files up and never opens them: closing a file that SQLite has open would drop the locks that
//! SQLite holds on it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Identity of a file behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// The files of a database as they were opened.
#[derive(Debug)]
pub(super) struct Files {
    /// The given path, possibly a link.
    name: PathBuf,
    /// The path of the database. Its log and the log's index are next to it.
    path: PathBuf,
    main: Option<Identity>,
    beside: [Option<Identity>; 2],
    /// The largest size that the database has had.
    length: AtomicU64,
}

/// Metadata of a file that change when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    identity: Identity,
    length: u64,
    modified: (i64, i64),
}

impl Look {
    /// Returns `None` if the file does not exist or is empty.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(|metadata| metadata.len() > 0)?;
        Some(Self {
            identity: Identity { device: metadata.dev(), inode: metadata.ino() },
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl Files {
    /// Describes the files that were just opened.
    pub(super) fn at(name: &Path) -> Self {
        let path = fs::canonicalize(name).unwrap_or_else(|_| name.to_owned());
        let beside = beside(&path).map(|path| identity(&path).ok().flatten());
        let main = identity(name).ok().flatten();
        let length = AtomicU64::new(fs::metadata(name).map_or(0, |metadata| metadata.len()));
        Self { name: name.to_owned(), path, main, beside, length }
    }

    /// Fails with the reason if the files are other ones. A file that cannot be looked up counts as the same.
    pub(super) fn check(&self) -> Result<(), String> {
        let name = self.name.display();
        match fs::metadata(&self.name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(format!("{name} is gone: put it back, or restart to begin with an empty database"));
            }
            Ok(found) if self.main != Some(Identity { device: found.dev(), inode: found.ino() }) => {
                return Err(format!("{name} was replaced by another file"));
            }
            Ok(found) if found.len() < self.length.fetch_max(found.len(), Ordering::Relaxed) => {
                return Err(format!("{name} was overwritten or cut off"));
            }
            Ok(_) | Err(_) => {}
        }
        for (path, opened) in beside(&self.path).iter().zip(self.beside) {
            if opened.is_some() && identity(path).is_ok_and(|found| found != opened) {
                return Err(format!("{} was replaced or deleted", path.display()));
            }
        }
        Ok(())
    }

    /// Runs `close`, which closes the last connections, so that they write nothing to the present files. SQLite leaves
    /// a file alone if it is no longer where it was opened.
    pub(super) fn close_without_a_trace(&self, close: impl FnOnce()) {
        let is_same = identity(&self.name).is_ok_and(|found| found == self.main);
        let aside = with_suffix(&self.path, "-aside");
        let moved = is_same && fs::rename(&self.path, &aside).is_ok();
        close();
        if moved && let Err(error) = fs::rename(&aside, &self.path) {
            let (path, aside) = (self.path.display().to_string(), aside.display().to_string());
            tracing::error!(path, aside, error = error.to_string(), "a database file could not be moved back");
        }
        if !is_same {
            self.set_the_log_aside();
        }
    }

    /// Moves the log that was left behind. It belongs to the replaced file, and would destroy another one.
    fn set_the_log_aside(&self) {
        for (path, opened) in beside(&self.path).iter().zip(self.beside) {
            if opened.is_some() && identity(path).is_ok_and(|found| found == opened) {
                let aside = with_suffix(path, "-of-the-replaced-file");
                match fs::rename(path, &aside) {
                    Ok(()) => {
                        tracing::warn!(
                            path = aside.display().to_string(),
                            "kept the files that belong to the replaced file"
                        );
                    }
                    Err(error) => tracing::error!(error = error.to_string(), "the log of the replaced file stays"),
                }
            }
        }
    }
}

/// Puts back a file that a process moved aside before it died.
pub(super) fn put_back(path: &Path) {
    let aside = with_suffix(path, "-aside");
    if !path.exists() && aside.exists() {
        // If that fails, opening fails as well or creates a new file.
        drop(fs::rename(aside, path));
    }
}

/// The write-ahead log and its index.
fn beside(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|suffix| with_suffix(path, suffix))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Fails if the identity cannot be determined.
fn identity(path: &Path) -> std::io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(Identity { device: metadata.dev(), inode: metadata.ino() })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
