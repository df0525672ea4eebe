use std::process::ExitCode;

use crate::config::ConfigError;
use crate::signals::ENDED_AT_ONCE;

/// Exit status of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did what was requested.
    Done,
    /// The command failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// Kombo and the store differ.
    Differences,
    /// A signal ended the program at once.
    AtOnce,
}

impl Exit {
    /// Returns the exit status for an error.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<ConfigError>() { Self::Usage } else { Self::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::Differences => Self::from(3),
            Exit::AtOnce => Self::from(ENDED_AT_ONCE),
        }
    }
}
