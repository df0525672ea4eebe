//! Output for people and programs: results on standard output, everything else on [`stderr`].

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use kombo_model::Timestamp;
use serde::Serialize;

use crate::stderr;

/// Assumed minimum width of a terminal, in columns.
const WIDTH: u16 = 100;

/// Gap between the columns of a narrow table, in characters.
const GAP: u16 = 2;

/// A result could not be written to standard output.
#[derive(Debug, thiserror::Error)]
#[error("the result could not be written to standard output")]
pub(crate) struct Unwritten(#[from] io::Error);

/// Writes to standard output. Fails if a signal asked the program to end and the reader does not read: a blocked command
/// could not close its database.
pub(crate) fn write(text: impl AsRef<[u8]>) -> Result<(), Unwritten> {
    static WRITER: LazyLock<Mutex<mpsc::Sender<Written>>> = LazyLock::new(|| {
        let (texts, waiting) = mpsc::channel::<Written>();
        // Without the thread, every write fails.
        drop(std::thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            for (text, done) in waiting {
                let mut out = io::stdout().lock();
                let written = out.write_all(&text).and_then(|()| out.flush());
                // Nobody waits for what was given up.
                drop(done.send(written));
            }
        }));
        Mutex::new(texts)
    });
    let gone = || io::Error::other("the thread that writes has ended");
    let (done, written) = mpsc::sync_channel(1);
    let texts = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    texts.send((text.as_ref().to_vec(), done)).map_err(|_| gone())?;
    loop {
        match written.recv_timeout(PATIENCE) {
            Ok(written) => return Ok(written?),
            Err(RecvTimeoutError::Timeout) if IS_ENDING.load(Ordering::Relaxed) => {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(gone().into()),
        }
    }
}

/// A text, and where to report that it is written.
type Written = (Vec<u8>, mpsc::SyncSender<io::Result<()>>);

/// How long the end of the program waits for a reader of standard output.
const PATIENCE: Duration = Duration::from_secs(1);

static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// From now on, nothing waits for a reader of standard output that does not read.
pub(crate) fn end() {
    IS_ENDING.store(true, Ordering::Relaxed);
}

/// Prints a line on standard output.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Unwritten> {
    let mut text = printable(text.as_ref());
    text.push('\n');
    write(text)
}

/// Prints one JSON document on standard output, on one line.
pub(crate) fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let mut text = to_json(document)?;
    text.push('\n');
    Ok(write(text)?)
}

/// Renders a document as JSON that is valid for every reader and has no effect on a terminal.
pub(crate) fn to_json(document: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(document).map(|text| escaped(&text))
}

/// Escapes characters that JSON allows but a terminal would act on. Line ends between documents stay.
pub(crate) fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if acts_on_terminals(c) && c != '\n' {
            // All these characters have four hex digits.
            let number = u32::from(c);
            text.extend(["\\u", &format!("{number:04x}")]);
        } else {
            text.push(c);
        }
    }
    text
}

/// Prints an error on standard error, with its causes.
pub(crate) fn complain(error: &anyhow::Error) {
    stderr::write(&format!("syncd: {}\n", printable(&chain(error.as_ref()))));
}

/// Joins the message of an error with those of its causes that it does not already contain.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.contains(&more) {
            said.push_str(": ");
            said.push_str(&more);
        }
        cause = error.source();
    }
    said
}

/// Removes characters that a terminal would act on: the text may come from an LMS.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if acts_on_terminals(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Whether a character moves the cursor, controls the terminal, or changes the order of the text around it.
fn acts_on_terminals(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Returns the text as one line: line ends are as unsafe as cursor movements.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\u{fffd}")
}

/// Whether the reader closed the pipe, as `head` does. This is not a failure.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Unwritten>().is_some_and(|Unwritten(error)| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether the reader did not read when the program had to end.
pub(crate) fn is_given_up(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Unwritten>().is_some_and(|Unwritten(error)| error.kind() == io::ErrorKind::TimedOut)
}

/// Creates a table without lines, for a terminal of any width.
pub(crate) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.iter().copied());
    table
}

/// Creates a table no wider than [`WIDTH`]. Longer text wraps.
pub(crate) fn narrow_table(head: &[&str]) -> Table {
    let mut table = table(head);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table
}

/// Keeps a column of a narrow table unwrapped, so that the other columns wrap first, if its texts have at most `length`
/// characters.
pub(crate) fn keep_whole(table: &mut Table, column: usize, length: u16) {
    let longest = table.column_max_content_widths().get(column).copied().unwrap_or_default();
    if let Some(column) = table.column_mut(column) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(longest.min(length) + GAP)));
    }
}

/// Prints a text on lines no wider than [`WIDTH`], as one paragraph.
pub(crate) fn paragraph(text: impl AsRef<str>) -> Result<(), Unwritten> {
    let mut lines = vec![String::new()];
    let mut left = usize::from(WIDTH);
    for word in one_line(text.as_ref()).split(' ') {
        let length = word.chars().count();
        let begins = left == usize::from(WIDTH);
        if !begins && length < left {
            left -= 1;
            lines.last_mut().into_iter().for_each(|line| line.push(' '));
        } else if !begins {
            left = usize::from(WIDTH);
            lines.push(String::new());
        }
        for c in word.chars() {
            if left == 0 {
                left = usize::from(WIDTH);
                lines.push(String::new());
            }
            left -= 1;
            lines.last_mut().into_iter().for_each(|line| line.push(c));
        }
    }
    line(lines.join("\n"))
}

/// Prints a table on standard output.
pub(crate) fn print(table: &Table) -> Result<(), Unwritten> {
    line(table.trim_fmt())
}

/// Formats a duration for people.
pub(crate) fn took(duration: Duration) -> String {
    if duration < Duration::from_secs(10) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
    }
}

/// Formats the age of a time for people.
pub(crate) fn ago(time: Option<Timestamp>, now: Timestamp) -> String {
    match time {
        None => "never".to_owned(),
        Some(time) if time > now => format!("in {}", rough(time.since(now))),
        Some(time) => format!("{} ago", rough(now.since(time))),
    }
}

fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Whether progress can be drawn.
pub(crate) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clears a terminal, returns to the start of the line, and reverses the following text, by all available means.
    const HOSTILE: &str = "a\u{1b}[2J\r\u{9b}31m\u{7f}\u{202e}\u{2066}\u{200f}\u{2028}\u{8}ü\u{1f469}\u{200d}\u{1f4bb}";

    #[test]
    fn what_a_terminal_would_act_on_is_not_printed() {
        let harmless = "a\u{fffd}[2J\u{fffd}\u{fffd}31m\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}ü\u{1f469}\u{200d}\u{1f4bb}";
        assert_eq!(printable(HOSTILE), harmless);
        assert_eq!(printable("a\nb"), "a\nb");
        assert_eq!(one_line("a\nb"), "a\u{fffd}b");
    }

    #[test]
    fn json_says_the_same_with_escapes() {
        let text = to_json(&HOSTILE).unwrap();
        assert!(!text.contains(acts_on_terminals), "{text:?}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), HOSTILE);
        assert_eq!(escaped("{}\n"), "{}\n");
    }
}
