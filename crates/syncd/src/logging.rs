//! Logs go to standard error: text on a terminal, JSON elsewhere. They carry ids, never names, mails or secrets.

use std::io::{self, IsTerminal as _, Write};

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::ConfigError;

/// Sets logging up. Lines are written above the bars of `progress`.
pub(crate) fn init(level: Option<&str>, default: &str, progress: &MultiProgress) -> Result<(), ConfigError> {
    let wish = level.map(str::to_owned).or_else(|| std::env::var("SYNCD_LOG").ok());
    let wish = wish.unwrap_or_else(|| default.to_owned());
    let filter = EnvFilter::try_new(&wish).map_err(|error| {
        ConfigError(format!("--log {wish}: {error}; use error, warn, info, debug or trace, or a filter"))
    })?;
    let writer = AboveBars(progress.clone());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let is_terminal = io::stderr().is_terminal();
    let result = if is_terminal {
        builder.with_ansi(!is_colour_unwanted()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    result.map_err(|error| ConfigError(format!("logging cannot be set up: {error}")))
}

/// Whether `NO_COLOR` is set, to anything: see no-color.org.
fn is_colour_unwanted() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

#[derive(Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
