use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::PostgresError;

const ROOT: u32 = 0;

/// User that runs the server: the caller, or an unprivileged user if the caller is root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Caller,
    Other { uid: u32, gid: u32 },
}

impl Owner {
    /// Chooses by the owner of a folder that the caller has just created.
    pub(super) fn for_folder(folder: &Path) -> Result<Self, PostgresError> {
        let made_by = fs::metadata(folder).map_err(PostgresError::io("read the data folder"))?.uid();
        if made_by != ROOT {
            return Ok(Self::Caller);
        }
        let accounts = fs::read_to_string("/etc/passwd").map_err(PostgresError::io("read /etc/passwd"))?;
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| account(&accounts, name))
            .ok_or(PostgresError::NoUnprivilegedUser)
    }

    pub(super) fn take_over(self, folder: &Path) -> Result<(), PostgresError> {
        match self {
            Self::Caller => Ok(()),
            Self::Other { uid, gid } => {
                chown(folder, Some(uid), Some(gid)).map_err(PostgresError::io("hand the data folder over"))
            }
        }
    }

    pub(super) fn run(self, command: &mut Command) -> &mut Command {
        match self {
            Self::Caller => command,
            Self::Other { uid, gid } => command.uid(uid).gid(gid),
        }
    }
}

fn account(accounts: &str, name: &str) -> Option<Owner> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let mut numbers = fields.skip(1).map_while(|field| field.parse::<u32>().ok());
        Some(Owner::Other { uid: numbers.next()?, gid: numbers.next()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_account_of_that_name_only() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\npostgresql:x:7:7::/:/bin/sh\npostgres:x:101:104:,,,:/var:/bin/sh\n";
        assert_eq!(account(accounts, "postgres"), Some(Owner::Other { uid: 101, gid: 104 }));
        assert_eq!(account(accounts, "nobody"), None);
    }
}
