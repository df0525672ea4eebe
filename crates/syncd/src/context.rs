use std::sync::Arc;

use indicatif::MultiProgress;

use crate::cli::Global;
use crate::config::{Config, ConfigError};
use crate::signals::Signals;

/// Context of a command.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) bars: MultiProgress,
    pub(crate) signals: Arc<Signals>,
}

impl Context {
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        crate::config::load(self.global.config.as_deref())
    }

    /// The same for what talks to Kombo, with a word about what is unwise.
    pub(crate) fn config_with_warnings(&self) -> Result<Config, ConfigError> {
        let config = self.config()?;
        config.warnings().into_iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(config)
    }
}
