//! From the bytes of a response to the text of its body.

use std::error::Error as StdError;
use std::io::{self, Write};

use flate2::write::GzDecoder;
use reqwest::Response;
use reqwest::header::HeaderMap;

use crate::headers;

/// How a body that is compressed with gzip begins. No JSON does.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How often a body may be compressed anew.
const MOST_LAYERS: usize = 2;

/// Why a body could not be read.
pub(super) enum Unread {
    TooLarge,
    Broken(Box<dyn StdError + Send + Sync>),
}

/// Reads a body of at most `limit` bytes, those that were sent and those after decompression. What the first bytes say
/// counts, not the header: a proxy may have decompressed the body and left the header as it was.
pub(super) async fn read(response: &mut Response, limit: usize) -> Result<Vec<u8>, Unread> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Unread::TooLarge);
    }
    let mut sent = 0_usize;
    let mut body = Body::Begun(Limited { bytes: Vec::new(), limit, is_full: false });
    while let Some(chunk) = response.chunk().await.map_err(|error| Unread::Broken(error.without_url().into()))? {
        sent = sent.saturating_add(chunk.len());
        if sent > limit {
            return Err(Unread::TooLarge);
        }
        body = body.take(&chunk)?;
    }
    let mut body = body.end()?;
    // Compressed by two that knew nothing of each other.
    for _ in 0..MOST_LAYERS {
        if !body.bytes.starts_with(&GZIP) {
            break;
        }
        let compressed = std::mem::take(&mut body.bytes);
        body = Body::Begun(body).take(&compressed)?.end()?;
    }
    Ok(body.bytes)
}

/// A body that is being read.
enum Body {
    /// Less than what tells whether it is compressed.
    Begun(Limited),
    Plain(Limited),
    /// A member of gzip.
    Gzip(Box<GzDecoder<Limited>>),
    /// One or more members of gzip, and less than what tells whether another one follows.
    Between(Limited, Vec<u8>),
    /// Members of gzip with something else behind them, such as the zeros that fill a block.
    Padded(Limited),
}

impl Body {
    fn take(mut self, mut chunk: &[u8]) -> Result<Self, Unread> {
        while !chunk.is_empty() {
            (self, chunk) = self.take_some(chunk)?;
        }
        Ok(self)
    }

    /// Takes some of a chunk, and returns the rest.
    fn take_some(self, chunk: &[u8]) -> Result<(Self, &[u8]), Unread> {
        match self {
            Self::Begun(mut begun) => {
                begun.write_all(chunk).map_err(|_| Unread::TooLarge)?;
                let body = if begun.bytes.len() < GZIP.len() {
                    Self::Begun(begun)
                } else if begun.bytes.starts_with(&GZIP) {
                    let compressed = std::mem::take(&mut begun.bytes);
                    Self::Gzip(Box::new(GzDecoder::new(begun))).take(&compressed)?
                } else {
                    Self::Plain(begun)
                };
                Ok((body, &[]))
            }
            Self::Plain(mut plain) => {
                plain.write_all(chunk).map_err(|_| Unread::TooLarge)?;
                Ok((Self::Plain(plain), &[]))
            }
            Self::Gzip(mut decoder) => match decoder.write(chunk) {
                // The member has ended.
                Ok(0) => Ok((Self::Between(finish(decoder)?, Vec::new()), chunk)),
                Ok(taken) => Ok((Self::Gzip(decoder), chunk.get(taken..).unwrap_or_default())),
                Err(error) => Err(unread(error, decoder.get_ref())),
            },
            Self::Between(body, mut behind) => {
                behind.extend_from_slice(chunk);
                let body = if behind.starts_with(&GZIP) {
                    Self::Gzip(Box::new(GzDecoder::new(body))).take(&behind)?
                } else if GZIP.starts_with(&behind) {
                    Self::Between(body, behind)
                } else {
                    Self::Padded(body)
                };
                Ok((body, &[]))
            }
            Self::Padded(body) => Ok((Self::Padded(body), &[])),
        }
    }

    fn end(self) -> Result<Limited, Unread> {
        match self {
            Self::Begun(body) | Self::Plain(body) | Self::Between(body, _) | Self::Padded(body) => Ok(body),
            Self::Gzip(decoder) => finish(decoder),
        }
    }
}

/// The end of a member of gzip.
fn finish(mut decoder: Box<GzDecoder<Limited>>) -> Result<Limited, Unread> {
    if let Err(error) = decoder.try_finish() {
        return Err(unread(error, decoder.get_ref()));
    }
    decoder.finish().map_err(|error| Unread::Broken(error.into()))
}

fn unread(error: io::Error, body: &Limited) -> Unread {
    if body.is_full { Unread::TooLarge } else { Unread::Broken(error.into()) }
}

/// Takes so many bytes and no more.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit.saturating_sub(self.bytes.len()) {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of a body. Bytes that are no UTF-8 become U+FFFD, so that one of them costs the text that it stands in and
/// not the page.
pub(super) fn text(body: Vec<u8>, headers: &HeaderMap) -> String {
    const BYTE_ORDER_MARK: char = '\u{feff}';
    let mut text = match String::from_utf8(body) {
        Ok(text) => text,
        Err(error) if headers::is_latin1(headers) => error.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    text
}

/// The name of the encoding of a body, if it is UTF-16 or UTF-32. JSON begins with a character of ASCII.
pub(super) fn foreign_charset(body: &[u8]) -> Option<&'static str> {
    match body {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [1..=255, 0, 0, 0, ..] | [0, 0, 0, 1..=255, ..] => {
            Some("UTF-32")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [1..=255, 0, ..] | [0, 1..=255, ..] => Some("UTF-16"),
        _ => None,
    }
}
