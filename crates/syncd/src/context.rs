use std::sync::Arc;

use indicatif::MultiProgress;

use crate::cli::Global;
use crate::config::{Config, ConfigError};
use crate::signals::Signals;

/// The environment of a command.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) bars: MultiProgress,
    pub(crate) signals: Arc<Signals>,
}

impl Context {
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        crate::config::load(self.global.config.as_deref())
    }

    /// Reads the configuration for a command that talks to Kombo, and logs warnings about unwise settings.
    pub(crate) fn config_with_warnings(&self) -> Result<Config, ConfigError> {
        let config = self.config()?;
        config.warnings().into_iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(config)
    }
}
