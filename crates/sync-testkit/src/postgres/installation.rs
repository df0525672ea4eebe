use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PostgresError;

/// The folder with the programs of a PostgreSQL installation.
#[derive(Debug, Clone)]
pub(super) struct Installation {
    bin: PathBuf,
}

impl Installation {
    /// Finds the installation of the `initdb` on `PATH`, or else the newest under `/usr/lib/postgresql`.
    pub(super) fn find() -> Result<Self, PostgresError> {
        on_path("initdb")
            .and_then(siblings_of)
            .into_iter()
            .chain(versioned_folders(Path::new("/usr/lib/postgresql")))
            .find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
            .map(|bin| Self { bin })
            .ok_or(PostgresError::NotInstalled)
    }

    /// Returns the installation with its programs in this folder.
    pub(super) fn at(bin: PathBuf) -> Self {
        Self { bin }
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// Returns the folder of the programs that a [`PrivatePostgres`](super::PrivatePostgres) would run.
///
/// # Errors
///
/// [`PostgresError::NotInstalled`], with the packages to install.
pub fn programs_folder() -> Result<PathBuf, PostgresError> {
    Installation::find().map(|found| found.bin)
}

/// Finds the `psql` of the installed server, or the one on `PATH` if only the client is installed.
pub(super) fn psql() -> Result<PathBuf, PostgresError> {
    let beside_server = Installation::find().ok().map(|found| found.program("psql"));
    beside_server.filter(|program| program.is_file()).or_else(|| on_path("psql")).ok_or(PostgresError::NoPsql)
}

/// Finds the `pgbouncer` on `PATH`, or in Debian's folder.
pub(super) fn pgbouncer() -> Result<PathBuf, PostgresError> {
    let usual = Some(PathBuf::from("/usr/sbin/pgbouncer")).filter(|program| program.is_file());
    on_path("pgbouncer").or(usual).ok_or(PostgresError::NoPgBouncer)
}

/// Returns a command that ignores the caller's own `PG…` variables.
pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C");
    command
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Returns the folder that contains the program itself: a link on `PATH` may lie elsewhere than the other programs.
fn siblings_of(program: PathBuf) -> Option<PathBuf> {
    fs::canonicalize(program).ok()?.parent().map(Path::to_path_buf)
}

/// Lists `ROOT/<version>/bin`, newest version first.
fn versioned_folders(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by(|left, right| right.cmp(left));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17", "common"] {
            fs::create_dir_all(root.path().join(version).join("bin")).unwrap();
        }
        let found = versioned_folders(root.path());
        assert_eq!(found, ["17", "15", "9"].map(|version| root.path().join(version).join("bin")));
    }

    #[test]
    fn no_folder_is_no_version() {
        assert!(versioned_folders(Path::new("/nowhere/at/all")).is_empty());
    }
}
