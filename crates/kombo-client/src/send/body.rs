//! From the bytes of a response to the text of its body.

use std::error::Error as StdError;
use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use reqwest::Response;
use reqwest::header::HeaderMap;

use crate::headers;

/// How a body that is compressed with gzip begins. No JSON does.
const GZIP: [u8; 2] = [0x1f, 0x8b];

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
    body.end()
}

/// A body that is being read.
enum Body {
    /// Less than what tells whether it is compressed.
    Begun(Limited),
    Plain(Limited),
    Gzip(Box<MultiGzDecoder<Limited>>),
}

impl Body {
    fn take(self, chunk: &[u8]) -> Result<Self, Unread> {
        match self {
            Self::Begun(mut begun) => {
                begun.write_all(chunk).map_err(|_| Unread::TooLarge)?;
                if begun.bytes.len() < GZIP.len() {
                    Ok(Self::Begun(begun))
                } else if begun.bytes.starts_with(&GZIP) {
                    let compressed = std::mem::take(&mut begun.bytes);
                    Self::Gzip(Box::new(MultiGzDecoder::new(begun))).take(&compressed)
                } else {
                    Ok(Self::Plain(begun))
                }
            }
            Self::Plain(mut plain) => {
                plain.write_all(chunk).map_err(|_| Unread::TooLarge)?;
                Ok(Self::Plain(plain))
            }
            Self::Gzip(mut decoder) => match decoder.write_all(chunk) {
                Ok(()) => Ok(Self::Gzip(decoder)),
                Err(error) => Err(unread(error, decoder.get_ref())),
            },
        }
    }

    fn end(self) -> Result<Vec<u8>, Unread> {
        match self {
            Self::Begun(body) | Self::Plain(body) => Ok(body.bytes),
            Self::Gzip(mut decoder) => {
                if let Err(error) = decoder.try_finish() {
                    return Err(unread(error, decoder.get_ref()));
                }
                match decoder.finish() {
                    Ok(body) => Ok(body.bytes),
                    Err(error) => Err(Unread::Broken(error.into())),
                }
            }
        }
    }
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
