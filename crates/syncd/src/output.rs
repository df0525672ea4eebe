//! What people and programs read: standard output for results, standard error for everything else.

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use kombo_model::Timestamp;
use serde::Serialize;

/// Prints a line on standard output.
pub(crate) fn line(text: impl AsRef<str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(printable(text.as_ref()).as_bytes())?;
    out.write_all(b"\n")
}

/// Prints one JSON document on standard output, on one line.
pub(crate) fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(document)?;
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Prints an error on standard error, with its causes.
pub(crate) fn complain(error: &anyhow::Error) {
    let text = format!("syncd: {}\n", printable(&chain(error.as_ref())));
    // Nobody is left to tell if this fails.
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

/// What an error says, followed by what its causes say that it does not say itself.
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

/// The text without characters that a terminal would act on: it may come from an LMS.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The text as one line: what ends lines is no better than what moves a cursor.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\u{fffd}")
}

/// Whether somebody closed the pipe that was written to, as `head` does: they have seen enough.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A table without lines, for a terminal of any width.
pub(crate) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.iter().copied());
    table
}

/// Prints a table on standard output.
pub(crate) fn print(table: &Table) -> io::Result<()> {
    line(table.trim_fmt())
}

/// A duration for people.
pub(crate) fn took(duration: Duration) -> String {
    if duration < Duration::from_secs(10) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
    }
}

/// How long ago, for people.
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
