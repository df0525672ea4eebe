use std::path::{Path, PathBuf};

use super::StoreUrlError;
use super::escape::{decode, encode};

/// Returns the file that the text after `sqlite://` names.
pub(super) fn path(text: &str) -> Result<PathBuf, StoreUrlError> {
    let wrong = |reason: &str| StoreUrlError::File(reason.to_owned());
    if text.contains('#') {
        return Err(wrong("in a file's name, # is written %23"));
    }
    let (file, parameters) = text.split_once('?').map_or((text, None), |(file, rest)| (file, Some(rest)));
    for parameter in parameters.into_iter().flat_map(|all| all.split('&')) {
        match parameter {
            // These are the defaults: the file is read and written, and created if it does not exist.
            "" | "mode=rwc" => {}
            "mode=memory" => return Err(StoreUrlError::InMemory),
            mode if mode.starts_with("mode=") => {
                return Err(wrong("only mode=rwc is supported: syncd reads, writes and creates the file"));
            }
            _ => return Err(wrong("no parameter but mode=rwc is supported; in a file's name, ? is written %3F")),
        }
    }
    let file = decode(file).map_err(wrong)?;
    match file.as_str() {
        "" => Err(StoreUrlError::NoFile),
        memory if memory.starts_with(":memory:") => Err(StoreUrlError::InMemory),
        home if home.starts_with('~') => Err(wrong("~ does not stand for a home directory: write the whole path")),
        uri if uri.starts_with("file:") => Err(wrong("leave file: out")),
        file => Ok(PathBuf::from(file)),
    }
}

/// Returns the path as it appears in a URL.
pub(super) fn shown(path: &Path) -> String {
    encode(&path.display().to_string(), &['?', '#'])
}
