use std::fmt;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

/// A secret of the configuration: never printed, logged or shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Secret(SecretString);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(SecretString::from(text))
    }

    pub(crate) fn reveal(&self) -> SecretString {
        self.0.clone()
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.0.expose_secret().trim().is_empty()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(text.trim()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Reads a file of secrets, one for each line. `key` is the setting with the path.
pub(crate) fn read_file(key: &str, path: &Path) -> Result<Vec<Secret>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{key}: cannot read {}: {error}", path.display()))?;
    let secrets: Vec<Secret> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::new).collect();
    if secrets.is_empty() { Err(format!("{key}: {} is empty", path.display())) } else { Ok(secrets) }
}
