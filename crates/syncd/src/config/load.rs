use std::path::Path;

use ::config::{Environment, File, FileFormat};

use super::settings::defaults;
use super::{Config, ConfigError, environment};
use crate::nearest::suggestion;

/// Path of the configuration if no file is given.
const DEFAULT_FILE: &str = "syncd.toml";

/// Reads defaults, file and environment, each overriding the previous ones, and checks the combination.
pub(crate) fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    check_environment()?;
    environment::check()?;
    read(file, Environment::with_prefix("SYNCD"))
}

fn read(file: Option<&Path>, environment: Environment) -> Result<Config, ConfigError> {
    let environment = environment.prefix_separator("__").separator("__").ignore_empty(true);
    let mut builder = ::config::Config::builder().add_source(File::from_str(&defaults(), FileFormat::Toml));
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    if file.is_some() || path.exists() {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("cannot read the configuration {}: {error}", path.display())))?;
        check_syntax(&text).map_err(|error| ConfigError(format!("{}, {error}", path.display())))?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
    }
    let merged = builder.build().map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
    let merged = ::config::Config::builder().add_source(merged).add_source(environment).build();
    let merged = merged.map_err(|error| ConfigError(format!("SYNCD__… in the environment: {error}")))?;
    let origin = if file.is_some() || path.exists() {
        format!("{} or SYNCD__… in the environment", path.display())
    } else {
        "SYNCD__… in the environment".to_owned()
    };
    let config: Config = serde_path_to_error::deserialize(merged).map_err(|error| {
        let path = error.path().to_string();
        let message = without_value(error.into_inner().to_string());
        let meant = meant(&message);
        ConfigError(format!("{origin}: {path}: {message}{meant}"))
    })?;
    config.check()?;
    Ok(config)
}

/// Reports a variable that is not valid text by its name, without its value.
fn check_environment() -> Result<(), ConfigError> {
    let wrong = std::env::vars_os().filter(|(_, value)| value.to_str().is_none());
    let mut names = wrong.filter_map(|(name, _)| name.into_string().ok());
    if let Some(name) = names.find(|name| name.to_lowercase().starts_with("syncd__")) {
        return Err(ConfigError(format!("{name} in the environment is not UTF-8")));
    }
    let mut names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    match names.find(|name| name.to_lowercase().starts_with("syncd__") && !is_plain(name)) {
        Some(name) => Err(ConfigError(format!("{name} in the environment is not a setting"))),
        None => Ok(()),
    }
}

/// Removes an unexpected value from the message. It may be a secret, for example if a whole section is set to one.
fn without_value(message: String) -> String {
    let shown = message.strip_prefix("invalid type: string \"").and_then(|rest| rest.rsplit_once("\", expected "));
    match shown {
        Some((_, expected)) => format!("found a text, expected {expected}"),
        None => message,
    }
}

/// Suggests a key if the error names an unknown one and lists the known ones.
fn meant(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| message.starts_with("unknown field"));
    unknown.map(|unknown| suggestion(unknown, names)).unwrap_or_default()
}

/// Describes and locates a syntax error without the text itself: the line may contain a secret.
fn check_syntax(text: &str) -> Result<(), String> {
    let error = match toml::from_str::<toml::Table>(text) {
        // A quoted key may be anything, and the reader would take `a[999999999]` for the last index of a long list.
        Ok(table) if !has_plain_keys(&table) => {
            return Err("a key has other characters than letters, digits, _ and -: no setting has".to_owned());
        }
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    Err(format!("line {line}: {}", error.message().replace('\n', "; ")))
}

/// Whether keys are plain names, including those of nested tables.
fn has_plain_keys(table: &toml::Table) -> bool {
    table.iter().all(|(key, value)| is_plain(key) && value_has_plain_keys(value))
}

fn value_has_plain_keys(value: &toml::Value) -> bool {
    match value {
        toml::Value::Table(table) => has_plain_keys(table),
        toml::Value::Array(values) => values.iter().all(value_has_plain_keys),
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => true,
    }
}

fn is_plain(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::super::sample;
    use super::*;

    /// Output of `Debug` for a configuration with this text.
    fn shown(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("syncd.toml");
        std::fs::write(&file, text).unwrap();
        let nothing = Environment::default().source(Some(::config::Map::new()));
        format!("{:#?}", read(Some(&file), nothing).unwrap())
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = "[kombo]\napi_key = \"marked\"\nwebhook_secret = [\"marked\", \"marked too\"]\n\
                    [store]\nurl = \"postgres://me:marked@host/db\"\n[server]\noperations_token = \"marked\"";
        let shown = shown(text);
        assert!(!shown.contains("marked"), "{shown}");
        assert_eq!(shown.matches("***").count(), 5, "{shown}");
    }

    #[test]
    fn the_sample_says_what_is_so_without_it() {
        // The store's default applies if neither of its two settings is set.
        let sample = sample().replace("\nurl = ", "\n# url = ");
        assert_eq!(shown(&sample), shown(""));
        assert_ne!(shown(&sample.replace("page_size = 250", "page_size = 249")), shown(""));
    }
}
