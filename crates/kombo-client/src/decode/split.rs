//! Finds the boundaries of records that are not JSON.

use serde::de::IgnoredAny;

/// The parts of a page.
pub(super) enum Split<'a> {
    /// The page without its records, which is JSON, and each record.
    Records(String, Vec<&'a str>),
    /// It is unclear where a record ends, because a quotation mark or a bracket is missing.
    Unclear,
    /// The text is truncated, or not a page.
    NoPage,
}

pub(super) fn split(page: &str) -> Split<'_> {
    let Some(begin) = results(page) else { return Split::NoPage };
    let mut scan = Scan { text: page, at: begin, open: Open::list(), is_in_text: false };
    let (mut records, mut from) = (Vec::new(), begin);
    loop {
        let depth = scan.open.0.len();
        let Some((at, token)) = scan.next() else {
            return if scan.is_in_text { Split::Unclear } else { Split::NoPage };
        };
        let is_end = scan.open.0.is_empty();
        if is_end || (token == Token::Comma && depth == 1) {
            records.extend(page.get(from..at).map(str::trim).filter(|record| !record.is_empty()));
            from = at + 1;
        }
        if is_end {
            return match around(page, begin, at) {
                Some(around) if depth == 1 => Split::Records(around, records),
                Some(_) | None => Split::Unclear,
            };
        }
    }
}

/// Returns a page without its records, which is JSON, and all its records as one text.
pub(super) fn whole(page: &str) -> Option<(String, &str)> {
    /// A cursor after the records may contain brackets, too.
    const MOST_ENDS: usize = 10;
    let begin = results(page)?;
    let mut ends = page.rmatch_indices(']').map(|(end, _)| end).take_while(|end| *end >= begin).take(MOST_ENDS);
    let (around, end) = ends.find_map(|end| Some((around(page, begin, end)?, end)))?;
    Some((around, page.get(begin..end)?.trim()))
}

/// Returns what follows the opening bracket of the records.
fn results(page: &str) -> Option<usize> {
    let mut scan = Scan { text: page, at: 0, open: Open::default(), is_in_text: false };
    let (mut before, mut last) = (Token::Other, Token::Other);
    loop {
        let (_, token) = scan.next()?;
        if token == Token::Open && (before, last) == (Token::Text("results"), Token::Colon) && scan.open.0 == b"{{[" {
            return Some(scan.at);
        }
        (before, last) = (last, token);
    }
}

fn around(page: &str, begin: usize, end: usize) -> Option<String> {
    let around = [page.get(..begin)?, page.get(end..)?].concat();
    serde_json::from_str::<IgnoredAny>(&around).is_ok().then_some(around)
}

/// Returns the id in a record that is not JSON.
pub(super) fn id(record: &str) -> Option<String> {
    let mut scan = Scan { text: record, at: 0, open: Open::default(), is_in_text: false };
    let (mut before, mut last) = (Token::Other, Token::Other);
    loop {
        let (_, token) = scan.next()?;
        if let Token::Text(id) = token
            && (before, last) == (Token::Text("id"), Token::Colon)
            && scan.open.0 == b"{"
        {
            return serde_json::from_str(&format!("\"{id}\"")).ok();
        }
        (before, last) = (last, token);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Open,
    Close,
    Comma,
    Colon,
    /// The content of a quoted string.
    Text(&'a str),
    Other,
}

/// A tokenizer for almost-JSON.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    open: Open,
    /// Whether the input ended within a string.
    is_in_text: bool,
}

impl<'a> Scan<'a> {
    /// Returns the next token and its position.
    fn next(&mut self) -> Option<(usize, Token<'a>)> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let at = self.at + rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let byte = *self.text.as_bytes().get(at)?;
        self.at = at + 1;
        let token = match byte {
            b'{' | b'[' => {
                self.open.push(byte);
                Token::Open
            }
            b'}' => {
                self.open.close(b'{');
                Token::Close
            }
            b']' => {
                self.open.close(b'[');
                Token::Close
            }
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => self.text()?,
            _ => Token::Other,
        };
        Some((at, token))
    }

    fn text(&mut self) -> Option<Token<'a>> {
        let begin = self.at;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => {
                    self.is_in_text = true;
                    return None;
                }
            }
        }
        self.at += 1;
        self.text.get(begin..self.at - 1).map(Token::Text)
    }
}

/// The open brackets, and how many of them are square.
#[derive(Default)]
struct Open(Vec<u8>, usize);

impl Open {
    /// A list is open.
    fn list() -> Self {
        Self(vec![b'['], 1)
    }

    fn push(&mut self, bracket: u8) {
        self.1 += usize::from(bracket == b'[');
        self.0.push(bracket);
    }

    /// Closes a bracket and all unclosed ones within it. A bracket that was never opened closes nothing, and is not
    /// searched for.
    fn close(&mut self, opened: u8) {
        let of_its_kind = if opened == b'[' { self.1 } else { self.0.len() - self.1 };
        while of_its_kind > 0
            && let Some(closed) = self.0.pop()
        {
            self.1 -= usize::from(closed == b'[');
            if closed == opened {
                break;
            }
        }
    }
}
