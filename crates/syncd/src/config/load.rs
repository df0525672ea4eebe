use std::path::Path;

use ::config::{Environment, File, FileFormat};

use super::{Config, ConfigError};
use crate::nearest::suggestion;

/// Where the configuration is looked for when no file is named.
const DEFAULT_FILE: &str = "syncd.toml";

const DEFAULTS: &str = r#"
[kombo]
region = "eu"
page_size = 250
max_requests_per_minute = 0
timeout = "30s"

[store]

[sync]
endpoints = ["users", "courses", "course-progressions"]
mode = "planned"
full_every = "7d"
overlap = "2m"
blind_full_min_interval = "1h"
lease = "30s"
tombstones = "mirror"
change_values = false
workers = 8
poll_every = "0s"
accept_unknown = true

[changes]
keep_for = "30d"

[server]
webhooks = "0.0.0.0:8080"
operations = "127.0.0.1:9090"
"#;

/// Reads defaults, file and environment, the later over the earlier, and checks what they say together.
pub(crate) fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    read(file, Environment::with_prefix("SYNCD"))
}

fn read(file: Option<&Path>, environment: Environment) -> Result<Config, ConfigError> {
    let environment = environment.prefix_separator("__").separator("__").ignore_empty(true);
    let mut builder = ::config::Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
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
        let message = error.into_inner().to_string();
        let meant = meant(&message);
        ConfigError(format!("{origin}: {path}: {message}{meant}"))
    })?;
    config.check()?;
    Ok(config)
}

/// The key that may be meant, where an error names an unknown one and those that there are.
fn meant(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| message.starts_with("unknown field"));
    unknown.map(|unknown| suggestion(unknown, names)).unwrap_or_default()
}

/// Says what is wrong with the text, and where, without showing it: the line may hold a secret.
fn check_syntax(text: &str) -> Result<(), String> {
    let Err(error) = toml::from_str::<toml::Table>(text) else { return Ok(()) };
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    Err(format!("line {line}: {}", error.message().replace('\n', "; ")))
}
