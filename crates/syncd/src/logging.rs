//! Logs go to [`stderr`]: text on a terminal, JSON elsewhere. They contain ids, never names, mail addresses or secrets.
//! External values are recorded as text (`id = id.as_str()`), which is escaped, and never by `Display` (`%id`), which
//! is not: a line break in it would begin a new log line.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _, Write};
use std::panic::PanicHookInfo;

use indicatif::{MultiProgress, ProgressDrawTarget};
use sync_core::ports::Clock as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::clock::SystemClock;
use crate::config::ConfigError;
use crate::output::{escaped, printable};
use crate::stderr::{self, Terminal};

/// Maximum redraws of the bars per second.
const FRAMES: u8 = 20;

/// Returns bars on the terminal, or hidden ones if standard error is not a terminal.
pub(crate) fn bars() -> MultiProgress {
    MultiProgress::with_draw_target(if io::stderr().is_terminal() {
        ProgressDrawTarget::term_like_with_hz(Box::new(Terminal::default()), FRAMES)
    } else {
        ProgressDrawTarget::hidden()
    })
}

/// Sets logging up. Lines are written above the bars of `progress`.
pub(crate) fn init(level: Option<&str>, default: &str, progress: &MultiProgress) -> Result<(), ConfigError> {
    let environment = || std::env::var("SYNCD_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = level.map(str::to_owned).or_else(environment).unwrap_or_else(|| default.to_owned());
    let wrong = |why: &str| {
        let use_these = "use error, warn, info, debug or trace, or a filter such as info,kombo_client=debug";
        ConfigError(format!("--log {filter}: {why}; {use_these}"))
    };
    // A single word in a filter names a target, so a mistyped level would disable all logging.
    let is_word = !filter.contains(['=', ',', '[']);
    if is_word && (filter.trim().is_empty() || filter.parse::<LevelFilter>().is_err()) {
        return Err(wrong("no level"));
    }
    let filter = EnvFilter::try_new(&filter).map_err(|error| wrong(&error.to_string()))?;
    let is_terminal = io::stderr().is_terminal();
    let writer = AboveBars { bars: progress.clone(), json: !is_terminal };
    std::panic::set_hook(Box::new(move |panic| stderr::write(&describe(panic, !is_terminal))));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    let result = if is_terminal {
        builder.with_ansi(!is_colour_unwanted()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    result.map_err(|error| ConfigError(format!("logging cannot be set up: {error}")))
}

/// Whether `NO_COLOR` is set to any value: see no-color.org.
fn is_colour_unwanted() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Formats the message of a panic. It bypasses the log, because the panic may come from within the log.
fn describe(panic: &PanicHookInfo<'_>, json: bool) -> String {
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let mut text = format!("thread {:?} {panic}", thread.name().unwrap_or("unnamed"));
    if backtrace.status() == BacktraceStatus::Captured {
        text.extend(["\n", &backtrace.to_string()]);
    }
    if json {
        let timestamp = SystemClock.now();
        let line = serde_json::json!({ "timestamp": timestamp, "level": "ERROR", "message": text, "target": "syncd" });
        format!("{}\n", escaped(&line.to_string()))
    } else {
        format!("{}\n", printable(&text))
    }
}

#[derive(Clone)]
struct AboveBars {
    bars: MultiProgress,
    json: bool,
}

impl Write for AboveBars {
    /// Writes a complete line. Field values in text lines are already quoted and escaped.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        if self.json {
            stderr::write(&escaped(&line));
        } else {
            self.bars.println(line.trim_end_matches('\n'))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
