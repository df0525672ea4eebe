//! Keys in the form of a full fetch's notes: one text for each key.

use std::borrow::Cow;

use sync_core::rows::{Key, Model};

/// Separates the two ids of a key: U+001F. Within an id it is escaped, and so is the escape character.
pub(crate) const SEPARATOR_BYTE: u8 = 0x1f;
const SEPARATOR: char = '\u{1f}';
const ESCAPE: char = '\u{1b}';
const ESCAPE_BYTE: u8 = 0x1b;

/// Returns an id of a note without escapes.
pub(crate) fn unescaped(note: &[u8]) -> Vec<u8> {
    let (mut id, mut bytes) = (Vec::with_capacity(note.len()), note.iter().copied());
    while let Some(byte) = bytes.next() {
        id.push(match byte {
            ESCAPE_BYTE if bytes.next() == Some(b's') => SEPARATOR_BYTE,
            byte => byte,
        });
    }
    id
}

/// Returns a key as one text.
pub(crate) fn note(key: &Key) -> Cow<'_, str> {
    match key {
        Key::Id(id) => Cow::Borrowed(id),
        Key::Pair(first, second) => {
            let escaped = |id: &str| id.replace(ESCAPE, "\u{1b}e").replace(SEPARATOR, "\u{1b}s");
            Cow::Owned(if [first, second].iter().any(|id| id.contains([ESCAPE, SEPARATOR])) {
                format!("{}{SEPARATOR}{}", escaped(first), escaped(second))
            } else {
                format!("{first}{SEPARATOR}{second}")
            })
        }
    }
}

/// Returns the key of a row of `model` from such a text.
pub(crate) fn key(model: Model, note: &str) -> Key {
    let id = |note: &str| note.replace("\u{1b}s", "\u{1f}").replace("\u{1b}e", "\u{1b}");
    match note.split_once(SEPARATOR) {
        Some((first, second)) if model.key_columns().len() == 2 => Key::Pair(id(first), id(second)),
        _ => Key::of(model, note.to_owned(), String::new()),
    }
}
