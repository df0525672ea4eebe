use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use super::PostgresError;
use super::installation::command;
use super::owner::Owner;

/// Signals that end a server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    /// Ends sessions, writes a checkpoint, and ends cleanly ("fast").
    Interrupt,
    /// Ends at once, like a crash.
    Kill,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Kill => "KILL",
        }
    }
}

/// One run of the server, under a shell that outlives this process just long enough to end it.
#[derive(Debug)]
pub(super) struct Supervisor {
    shell: Child,
    server_pid: u32,
}

impl Supervisor {
    pub(super) fn spawn(
        program: &Path,
        owner: Owner,
        folder: &Path,
        environment: &[(&str, OsString)],
        arguments: Vec<OsString>,
    ) -> Result<Self, PostgresError> {
        let mut sh = command("sh");
        sh.args(["-c", include_str!("supervisor.sh"), "supervisor"])
            .arg(folder)
            .arg(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal reaches a whole process group, but the shell must stay to clean up.
            .process_group(0);
        let mut shell = owner.run(&mut sh).spawn().map_err(PostgresError::io("start the server's supervisor"))?;
        let server_pid = read_pid(&mut shell)?;
        Ok(Self { shell, server_pid })
    }

    pub(super) fn server_pid(&self) -> u32 {
        self.server_pid
    }

    pub(super) fn has_ended(&mut self) -> Result<bool, PostgresError> {
        let status = self.shell.try_wait().map_err(PostgresError::io("look after the server"))?;
        Ok(status.is_some())
    }

    /// Ends the server, waits for its end, and leaves its folder unchanged.
    pub(super) fn end(mut self, signal: Signal) -> Result<(), PostgresError> {
        if let Some(mut orders) = self.shell.stdin.take() {
            // The shell of a server that has already ended accepts no order, and needs none.
            let _ = writeln!(orders, "{}", signal.name());
        }
        self.shell.wait().map(drop).map_err(PostgresError::io("wait for the server's end"))
    }
}

impl Drop for Supervisor {
    /// Ends the server at once and removes its folder. The shell does both when the pipe closes.
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn read_pid(shell: &mut Child) -> Result<u32, PostgresError> {
    let action = "read the server's process id";
    let mut line = String::new();
    if let Some(stdout) = shell.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(PostgresError::io(action))?;
    }
    line.trim()
        .parse()
        .map_err(|error| PostgresError::Io { action: action.into(), source: std::io::Error::other(error) })
}
