//! Reads the body of a response as text.

use std::error::Error as StdError;
use std::io::{self, Write};

use flate2::write::GzDecoder;
use reqwest::Response;
use reqwest::header::HeaderMap;

use crate::headers;

/// First bytes of a gzip body. No JSON begins so.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Largest number of nested compressions.
const MOST_LAYERS: usize = 2;

/// The reason why a body could not be read.
pub(super) enum Unread {
    TooLarge,
    Broken(Box<dyn StdError + Send + Sync>),
}

/// Reads a body of at most `limit` bytes, both as sent and after decompression. The first bytes decide, not the header:
/// a proxy may have decompressed the body without changing the header.
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
    // Two servers may each have compressed it.
    for _ in 0..MOST_LAYERS {
        if !body.bytes.starts_with(&GZIP) {
            break;
        }
        let compressed = std::mem::take(&mut body.bytes);
        body = Body::Begun(body).take(&compressed)?.end()?;
    }
    Ok(body.bytes)
}

/// A body while it is read.
enum Body {
    /// At most the first byte, which is too little to detect compression.
    Begun(Limited),
    Plain(Limited),
    /// A gzip member.
    Gzip(Box<GzDecoder<Limited>>),
    /// One or more gzip members.
    Between(Limited),
    /// The same, followed by the first byte of [`GZIP`].
    BetweenAndHalf(Limited),
    /// Gzip members followed by something else, such as zeros that fill a block.
    Padded(Limited),
}

impl Body {
    fn take(mut self, mut chunk: &[u8]) -> Result<Self, Unread> {
        while !chunk.is_empty() {
            (self, chunk) = self.take_some(chunk)?;
        }
        Ok(self)
    }

    /// Processes part of a chunk and returns the rest.
    fn take_some(self, chunk: &[u8]) -> Result<(Self, &[u8]), Unread> {
        let [first, second] = GZIP;
        match (self, chunk) {
            (Self::Begun(mut begun), [second_byte, rest @ ..]) if !begun.bytes.is_empty() => {
                if begun.bytes == [first] && *second_byte == second {
                    begun.bytes.clear();
                    Ok((Self::member(begun)?, rest))
                } else {
                    Ok((Self::Plain(begun), chunk))
                }
            }
            (Self::Begun(mut begun), _) => {
                let (byte, rest) = chunk.split_at(1);
                begun.write_all(byte).map_err(|_| Unread::TooLarge)?;
                Ok((Self::Begun(begun), rest))
            }
            (Self::Plain(mut plain), _) => {
                plain.write_all(chunk).map_err(|_| Unread::TooLarge)?;
                Ok((Self::Plain(plain), &[]))
            }
            (Self::Gzip(mut decoder), _) => match decoder.write(chunk) {
                // The member has ended.
                Ok(0) => Ok((Self::Between(finish(decoder)?), chunk)),
                Ok(taken) => Ok((Self::Gzip(decoder), chunk.get(taken..).unwrap_or_default())),
                Err(error) => Err(unread(error, decoder.get_ref())),
            },
            (Self::Between(body), [byte, rest @ ..]) if *byte == first => Ok((Self::BetweenAndHalf(body), rest)),
            (Self::BetweenAndHalf(body), [byte, rest @ ..]) if *byte == second => Ok((Self::member(body)?, rest)),
            (Self::Between(body) | Self::BetweenAndHalf(body) | Self::Padded(body), _) => Ok((Self::Padded(body), &[])),
        }
    }

    /// Begins a gzip member after its first two bytes.
    fn member(body: Limited) -> Result<Self, Unread> {
        let mut decoder = Box::new(GzDecoder::new(body));
        match decoder.write_all(&GZIP) {
            Ok(()) => Ok(Self::Gzip(decoder)),
            Err(error) => Err(unread(error, decoder.get_ref())),
        }
    }

    fn end(self) -> Result<Limited, Unread> {
        match self {
            Self::Begun(body)
            | Self::Plain(body)
            | Self::Between(body)
            | Self::BetweenAndHalf(body)
            | Self::Padded(body) => Ok(body),
            Self::Gzip(decoder) => finish(decoder),
        }
    }
}

/// Ends a gzip member.
fn finish(mut decoder: Box<GzDecoder<Limited>>) -> Result<Limited, Unread> {
    if let Err(error) = decoder.try_finish() {
        return Err(unread(error, decoder.get_ref()));
    }
    decoder.finish().map_err(|error| Unread::Broken(error.into()))
}

fn unread(error: io::Error, body: &Limited) -> Unread {
    if body.is_full { Unread::TooLarge } else { Unread::Broken(error.into()) }
}

/// A buffer with a size limit.
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

/// Decodes the text of a body. Invalid UTF-8 becomes U+FFFD, so that a bad byte costs only its text and not the page.
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

/// Returns the encoding of a body that is UTF-16 or UTF-32. JSON begins with an ASCII character.
pub(super) fn foreign_charset(body: &[u8]) -> Option<&'static str> {
    match body {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [1..=255, 0, 0, 0, ..] | [0, 0, 0, 1..=255, ..] => {
            Some("UTF-32")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [1..=255, 0, ..] | [0, 1..=255, ..] => Some("UTF-16"),
        _ => None,
    }
}
