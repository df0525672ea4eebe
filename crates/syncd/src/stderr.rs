//! Best-effort standard error: one thread writes, and nobody waits for it.
//!
//! The reader of the log may stop reading, exit, or run out of disk. A line that cannot be queued or written is dropped
//! and counted in `syncd_log_lines_dropped_total`, and the log reports the number as soon as it can be written again.
//! Logs, errors, progress and panics all take this path: nothing else in the program may write to standard error.

mod terminal;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::counter;

pub(crate) use terminal::Terminal;

/// Maximum number of queued bytes.
const MOST_BYTES: usize = 1024 * 1024;
/// Delay before the next write to a full, non-blocking pipe.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Time that the program's exit waits for the last lines.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

static QUEUE: Queue = Queue::new();

/// Queues a text, which is written whole or not at all.
pub(crate) fn write(text: &str) {
    if QUEUE.push(text.as_bytes()) == Pushed::First {
        let thread = std::thread::Builder::new().name("stderr".to_owned());
        // Without the thread all lines are dropped, and there is nowhere to report it.
        drop(thread.spawn(|| {
            let mut output =
                Output { file: io::stderr().as_fd().try_clone_to_owned().map(File::from).ok(), torn: false };
            loop {
                QUEUE.write_next(&mut output);
            }
        }));
    }
}

/// Waits a short time until the queue is written.
pub(crate) fn flush() {
    QUEUE.wait_until_written(FLUSH_WITHIN);
}

/// Makes the metric appear before any line is dropped.
pub(crate) fn describe() {
    counter!("syncd_log_lines_dropped_total").increment(0);
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    texts: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Number of queued lines, and number of written or dropped ones.
    queued: u64,
    done: u64,
    /// Number of lines dropped since the log last reported it.
    dropped: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Pushed {
    /// No text was pushed before.
    First,
    Later,
    Dropped,
}

impl Queue {
    const fn new() -> Self {
        let state = State { texts: VecDeque::new(), bytes: 0, queued: 0, done: 0, dropped: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, text: &[u8]) -> Pushed {
        let mut state = self.state();
        if state.bytes.saturating_add(text.len()) > MOST_BYTES {
            state.dropped += 1;
            drop(state);
            counter!("syncd_log_lines_dropped_total").increment(1);
            return Pushed::Dropped;
        }
        state.bytes += text.len();
        state.texts.push_back(text.to_vec());
        state.queued += 1;
        let pushed = if state.queued == 1 { Pushed::First } else { Pushed::Later };
        drop(state);
        self.changed.notify_all();
        pushed
    }

    /// Waits for a text, and writes it.
    fn write_next(&self, output: &mut impl WriteWhole) {
        let mut state = self.state();
        let text = loop {
            match state.texts.pop_front() {
                Some(text) => break text,
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        state.bytes -= text.len();
        drop(state);
        let written = output.write_whole(&text).is_ok();
        if !written {
            counter!("syncd_log_lines_dropped_total").increment(1);
        }
        let mut state = self.state();
        state.done += 1;
        state.dropped += u64::from(!written);
        let dropped = if written { std::mem::take(&mut state.dropped) } else { 0 };
        drop(state);
        self.changed.notify_all();
        if dropped > 0 {
            tracing::warn!(lines = dropped, "log lines before this one were dropped: the log could not be written");
        }
    }

    fn wait_until_written(&self, within: Duration) {
        let began = Instant::now();
        let mut state = self.state();
        let queued = state.queued;
        while state.done < queued {
            let Some(left) = within.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else { return };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

trait WriteWhole {
    fn write_whole(&mut self, text: &[u8]) -> io::Result<()>;
}

/// Destination of the texts.
struct Output<W> {
    file: Option<W>,
    /// Whether the last text was written only in part.
    torn: bool,
}

impl<W: Write> WriteWhole for Output<W> {
    fn write_whole(&mut self, text: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(ErrorKind::NotFound)?;
        if self.torn {
            write_all(file, b"\n", &mut false)?;
            self.torn = false;
        }
        write_all(file, text, &mut self.torn)
    }
}

/// Writes the whole text. After a failure, `torn` is set if a part was written.
fn write_all(file: &mut impl Write, mut text: &[u8], torn: &mut bool) -> io::Result<()> {
    while !text.is_empty() {
        match file.write(text) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(length) => {
                text = text.get(length..).unwrap_or_default();
                *torn = !text.is_empty();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The pipe was made non-blocking outside this process.
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY_AFTER),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
