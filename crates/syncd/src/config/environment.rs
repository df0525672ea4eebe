//! Environment variables that look like settings but are not.

use super::ConfigError;
use super::settings::SECTIONS;

/// A variable that is read in addition to the settings.
const LOG: &str = "SYNCD_LOG";
/// Minimum similarity. Less similar variables may belong to another program.
const ALIKE: f64 = 0.93;

/// A problem with the name of a variable.
#[derive(Debug, PartialEq, Eq)]
enum Miss {
    /// A setting in a spelling that is not read.
    Spelling(String),
    /// Possibly a misspelt setting.
    Alike(String),
}

/// Rejects variables that spell a setting in a form that is not read, and warns about possibly misspelt ones.
pub(super) fn check() -> Result<(), ConfigError> {
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        match miss(&name) {
            Some(Miss::Spelling(right)) => {
                return Err(ConfigError(format!("{name} in the environment is not read: write {right}")));
            }
            Some(Miss::Alike(right)) => {
                tracing::warn!(
                    variable = name,
                    meant = right,
                    "this environment variable is ignored: it names no setting"
                );
            }
            None => {}
        }
    }
    Ok(())
}

/// Lists all variables that are read.
fn variables() -> impl Iterator<Item = String> {
    let settings = SECTIONS.iter().filter(|section| !section.is_list).flat_map(|section| {
        section.settings.iter().map(move |setting| format!("SYNCD__{}__{}", section.name, setting.name).to_uppercase())
    });
    settings.chain([LOG.to_owned()])
}

fn miss(name: &str) -> Option<Miss> {
    // Names with this prefix are read in any case, and rejected if they are not settings.
    if name == LOG || name.to_lowercase().starts_with("syncd__") {
        return None;
    }
    let plain = plain(name);
    let likeness = |variable: &str| strsim::jaro_winkler(&plain, &self::plain(variable));
    let (best, right) =
        variables().map(|variable| (likeness(&variable), variable)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    if self::plain(&right) == plain {
        return Some(Miss::Spelling(right));
    }
    let without_prefix = || variables().find(|variable| self::plain(variable).strip_prefix("syncd") == Some(&*plain));
    if name.contains("__")
        && let Some(right) = without_prefix()
    {
        return Some(Miss::Alike(right));
    }
    let may_be_meant = name.contains("__") || plain.starts_with("syncd");
    (may_be_meant && best >= ALIKE).then_some(Miss::Alike(right))
}

/// Keeps letters and digits only.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_named_and_nothing_else() {
        let workers = "SYNCD__SYNC__WORKERS".to_owned();
        for (name, found) in [
            ("SYNCD_SYNC_WORKERS", Some(Miss::Spelling(workers.clone()))),
            ("SYNCD_SYNC__WORKERS", Some(Miss::Spelling(workers.clone()))),
            ("SYNCD.SYNC.WORKERS", Some(Miss::Spelling(workers.clone()))),
            ("syncd-sync-workers", Some(Miss::Spelling(workers.clone()))),
            ("SYNCD_KOMBO_API_KEY", Some(Miss::Spelling("SYNCD__KOMBO__API_KEY".to_owned()))),
            ("SYNCDLOG", Some(Miss::Spelling("SYNCD_LOG".to_owned()))),
            ("syncd_log", Some(Miss::Spelling("SYNCD_LOG".to_owned()))),
            ("SYNDC__SYNC__WORKERS", Some(Miss::Alike(workers.clone()))),
            ("SYNCD_SYNC_WORKER", Some(Miss::Alike(workers.clone()))),
            ("SYNC__WORKERS", Some(Miss::Alike(workers))),
            ("KOMBO__API_KEY", Some(Miss::Alike("SYNCD__KOMBO__API_KEY".to_owned()))),
            ("SYNCD_LOG", None),
            ("SYNCD__SYNC__WORKERS", None),
            ("syncd__sync__workers", None),
            // Kubernetes sets these for a service with this name.
            ("SYNCD_SERVICE_HOST", None),
            ("SYNCD_PORT_8080_TCP_ADDR", None),
            ("PATH", None),
            ("XPC_SERVICE_NAME", None),
            ("__CF_USER_TEXT_ENCODING", None),
        ] {
            assert_eq!(miss(name), found, "{name}");
        }
    }
}
