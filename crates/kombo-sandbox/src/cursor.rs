//! Page cursors, opaque to clients.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::Id;

/// The start of the next page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The last listed row, by sort key and id.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<(i64, Id)>,
    /// Number of listed rows.
    #[serde(rename = "o")]
    pub(crate) offset: usize,
    /// Number of listed pages.
    #[serde(rename = "p")]
    pub(crate) page: u32,
}

/// A position and the listing it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    #[serde(flatten)]
    pub(crate) position: Position,
    /// The fingerprint of the listing's filters.
    #[serde(rename = "f")]
    pub(crate) filters: u64,
    /// The generation of cursors; earlier generations have expired.
    #[serde(rename = "g")]
    pub(crate) generation: u64,
    /// The number of the request that returned it.
    #[serde(rename = "n")]
    pub(crate) issued: u64,
}

impl Cursor {
    pub(crate) fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_encoding() {
        let position = Position { after: Some((-5, "abc".parse().unwrap())), offset: 3, page: 1 };
        let cursor = Cursor { position, filters: u64::MAX, generation: 1, issued: 2 };
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        assert_eq!(Cursor::decode("garbage"), None);
        assert_eq!(Cursor::decode(""), None);
    }
}
