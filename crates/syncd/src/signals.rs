//! SIGINT, SIGTERM and SIGHUP, for every command.
//!
//! A command ends either gently, if it defines how, or at once. Ending at once still closes the database: an SQLite
//! file that is not closed leaves its last transactions in the write-ahead log next to it.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// SIGXFSZ, which has this number on Linux and macOS.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// Time limit for closing the database when the program ends at once.
const END_WITHIN: Duration = Duration::from_secs(3);

/// The exit code of a program that a signal ended at once: 128 plus the number of SIGINT.
pub(crate) const ENDED_AT_ONCE: u8 = 130;

/// The bit of SIGHUP in the masks of `/proc/self/status`.
const HANGUP_BIT: u64 = 1;

/// What SIGHUP does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// Ends the command like SIGTERM, unless the parent process made it ignored, as `nohup` does.
    Stops,
    /// Is left to the command.
    IsTaken,
}

/// State of signal handling.
pub(crate) struct Signals {
    gently: OnceLock<fn()>,
    first: CancellationToken,
    at_once: CancellationToken,
}

impl Signals {
    /// Starts handling signals. Needs a tokio runtime.
    pub(crate) fn listen(hangup: Hangup) -> io::Result<Arc<Self>> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let hangup = match hangup {
            Hangup::Stops if hangup_is_ignored() => None,
            Hangup::Stops => Some(signal(SignalKind::hangup())?),
            // From now on the signal no longer ends the process, even if it arrives before the command expects it.
            Hangup::IsTaken => {
                drop(signal(SignalKind::hangup())?);
                None
            }
        };
        // A write to a file at its size limit, such as a log, then fails instead of ending the program.
        drop(signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED))?);
        let signals =
            Self { gently: OnceLock::new(), first: CancellationToken::new(), at_once: CancellationToken::new() };
        let signals = Arc::new(signals);
        tokio::spawn(Arc::clone(&signals).watch(StopSignals { interrupt, terminate, hangup }));
        Ok(signals)
    }

    /// From now on the first signal calls `announce` and cancels the token. Only a second one ends the program at once.
    pub(crate) fn stop_gently(&self, announce: fn()) -> CancellationToken {
        // A command calls this at most once.
        let _ = self.gently.set(announce);
        self.first.child_token()
    }

    /// Returns when the program must end at once.
    pub(crate) async fn end_at_once(&self) {
        self.at_once.cancelled().await;
    }

    async fn watch(self: Arc<Self>, mut stop: StopSignals) {
        stop.next().await;
        crate::output::end();
        if let Some(announce) = self.gently.get() {
            announce();
            self.first.cancel();
            stop.next().await;
            tracing::warn!("stopped at once: unfinished fetches continue from their checkpoints at the next start");
        }
        self.at_once.cancel();
        // The main thread may be blocked, for example by a reader of standard output.
        tokio::time::sleep(END_WITHIN).await;
        crate::stderr::flush();
        std::process::exit(ENDED_AT_ONCE.into());
    }
}

/// The signals that end a command.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl StopSignals {
    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether the parent process made SIGHUP ignored, as `nohup` does. A handler would undo that.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|ignored| ignored & HANGUP_BIT != 0)
}
