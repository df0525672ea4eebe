use std::borrow::Cow;

use super::number::{exact, same_number};

/// A JSON value that keeps the text of its numbers.
#[derive(Debug)]
pub(super) enum Tree<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Tree<'a>>),
    /// In the order of keys, without duplicates.
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

/// Maximum depth. Readers of change log entries do not read deeper values either.
pub(super) const MOST_LEVELS: usize = 127;

impl<'a> Tree<'a> {
    /// Returns `None` if the text is not JSON or nests too deep.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut parser = Parser { text, at: 0 };
        let tree = parser.value(MOST_LEVELS)?;
        parser.skip_space();
        (parser.at == text.len()).then_some(tree)
    }

    /// Returns the value for `serde_json`. Numbers that it would round become text.
    pub(super) fn to_value(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(is) => serde_json::Value::Bool(*is),
            Self::Number(text) => {
                exact(text).map_or_else(|| serde_json::Value::String((*text).to_owned()), serde_json::Value::Number)
            }
            Self::Text(text) => serde_json::Value::String(text.clone().into_owned()),
            Self::List(members) => members.iter().map(Self::to_value).collect(),
            Self::Object(fields) => {
                fields.iter().map(|(key, value)| (key.clone().into_owned(), value.to_value())).collect()
            }
        }
    }
}

impl PartialEq for Tree<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Number(left), Self::Number(right)) => same_number(left, right),
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::List(left), Self::List(right)) => left == right,
            (Self::Object(left), Self::Object(right)) => left == right,
            _ => false,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Consumes the next byte if it is `byte`, and returns whether it was.
    fn takes(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, levels: usize) -> Option<Tree<'a>> {
        self.skip_space();
        match self.peek()? {
            b'{' => self.object(levels.checked_sub(1)?),
            b'[' => self.list(levels.checked_sub(1)?),
            b'"' => self.string().map(Tree::Text),
            b'-' | b'0'..=b'9' => self.number().map(Tree::Number),
            _ => self.word(),
        }
    }

    fn object(&mut self, levels: usize) -> Option<Tree<'a>> {
        self.at += 1;
        let mut fields = Vec::new();
        if !self.takes(b'}') {
            loop {
                self.skip_space();
                let key = self.string()?;
                if !self.takes(b':') {
                    return None;
                }
                fields.push((key, self.value(levels)?));
                if self.takes(b'}') {
                    break;
                }
                if !self.takes(b',') {
                    return None;
                }
            }
        }
        // If a key occurs twice, its last value counts.
        fields.reverse();
        fields.sort_by(|(left, _), (right, _)| left.cmp(right));
        fields.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Some(Tree::Object(fields))
    }

    fn list(&mut self, levels: usize) -> Option<Tree<'a>> {
        self.at += 1;
        let mut members = Vec::new();
        if !self.takes(b']') {
            loop {
                members.push(self.value(levels)?);
                if self.takes(b']') {
                    break;
                }
                if !self.takes(b',') {
                    return None;
                }
            }
        }
        Some(Tree::List(members))
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let from = self.at;
        if self.peek() != Some(b'"') {
            return None;
        }
        let mut is_escaped = false;
        loop {
            self.at += 1;
            match self.peek()? {
                b'\\' => {
                    is_escaped = true;
                    self.at += 1;
                }
                b'"' => break,
                _ => {}
            }
        }
        self.at += 1;
        if is_escaped {
            return serde_json::from_str(self.text.get(from..self.at)?).ok().map(Cow::Owned);
        }
        self.text.get(from + 1..self.at - 1).map(Cow::Borrowed)
    }

    fn number(&mut self) -> Option<&'a str> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        self.text.get(from..self.at)
    }

    fn word(&mut self) -> Option<Tree<'a>> {
        let rest = self.text.get(self.at..)?;
        let words = [("null", Tree::Null), ("true", Tree::Bool(true)), ("false", Tree::Bool(false))];
        let (word, tree) = words.into_iter().find(|(word, _)| rest.starts_with(word))?;
        self.at += word.len();
        Some(tree)
    }
}
