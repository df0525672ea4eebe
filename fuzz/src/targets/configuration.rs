use std::cell::OnceCell;
use std::fs;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::MARK;
use crate::syncd::config::load;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// A configuration file.
///
/// It is accepted, or rejected with a reason that shows no secret. An accepted one is usable, and its `Debug` shows no
/// secret.
pub fn configuration(data: &[u8]) {
    let path = FOLDER.with(|it| {
        let folder = it.get_or_init(|| tempfile::tempdir().expect("a folder"));
        folder.path().join("syncd.toml")
    });
    fs::write(&path, data).expect("the file can be written");
    let said = match load(Some(&path)) {
        Err(error) => {
            assert!(!error.0.is_empty());
            error.0
        }
        Ok(config) => {
            let mut said = vec![format!("{config:?}"), config.kombo_name()];
            let _ = (config.policy(), config.plan_policy());
            assert!(config.sync.workers > 0 && !config.sync.endpoints.is_empty());
            // The files that it names do not exist here.
            if !String::from_utf8_lossy(data).contains("_file") {
                match config.api_key() {
                    Ok(key) => assert!(!key.expose_secret().trim().is_empty()),
                    Err(error) => said.push(error.0),
                }
                match config.webhook_secrets() {
                    Ok(secrets) => {
                        assert!(!secrets.is_empty());
                        assert!(secrets.iter().all(|it| !it.expose_secret().trim().is_empty()));
                    }
                    Err(error) => said.push(error.0),
                }
                match config.store_url() {
                    Ok(url) => said.push(format!("{url:?} {url}")),
                    Err(error) => said.push(error.0),
                }
                match config.receiver() {
                    Ok(receiver) => said.extend(receiver.map(|it| it.shown())),
                    Err(error) => said.push(error.0),
                }
                if let Err(error) = config.client() {
                    said.push(error.0);
                }
            }
            said.join("\n")
        }
    };
    assert!(!said.contains(MARK) || !stands_for_a_secret(data), "it shows a secret: {said}");
}

/// Whether the marker is used only as a secret.
fn stands_for_a_secret(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    if text.matches(MARK).count() != 1 {
        return false;
    }
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    // The password in a URL.
    let marked = format!(":{MARK}@");
    let as_password = |it: String| it.strip_prefix("https://me:").is_some_and(|it| it.starts_with(&format!("{MARK}@")));
    let value = |section: &str, key: &str| table.get(section)?.get(key)?.as_str().map(str::to_owned);
    let is_marked = |text: Option<String>| text.is_some_and(|it| it.contains(MARK));
    is_marked(value("kombo", "api_key"))
        || is_marked(value("kombo", "webhook_secret"))
        || is_marked(value("delivery", "secret"))
        || value("delivery", "url").is_some_and(as_password)
        || value("store", "url").is_some_and(|it| it.starts_with("postgres://me:") && it.contains(&marked))
}
