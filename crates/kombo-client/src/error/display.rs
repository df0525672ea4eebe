use std::fmt;

use super::{Error, TransportFault, Tried};

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation())?;
        match self {
            Self::Api { status, error, retry_after, tried, .. } => {
                write!(f, "HTTP {status}")?;
                if let Some(code) = &error.code {
                    write!(f, " {code}")?;
                }
                if let Some(title) = &error.title {
                    write!(f, ": {title}")?;
                }
                if !error.message.is_empty() {
                    write!(f, ": {}", error.message)?;
                }
                let mut notes = Notes::new(f);
                if let Some(log_url) = &error.log_url {
                    notes.add(format_args!("log: {log_url}"))?;
                }
                if let Some(wait) = retry_after {
                    notes.add(format_args!("retry after {wait:?}"))?;
                }
                notes.tried(*tried)?;
                notes.end()
            }
            Self::Foreign { status, content_type, retry_after, tried, .. } => {
                write!(f, "HTTP {status} without Kombo's error body")?;
                if *status == 407 {
                    f.write_str(": the proxy asks for credentials")?;
                }
                let mut notes = Notes::new(f);
                if let Some(content_type) = content_type {
                    notes.add(format_args!("{content_type}"))?;
                }
                if let Some(wait) = retry_after {
                    notes.add(format_args!("retry after {wait:?}"))?;
                }
                notes.tried(*tried)?;
                notes.end()
            }
            Self::Redirect { status, host, .. } => {
                let host = host.as_deref().unwrap_or("nowhere");
                write!(f, "HTTP {status} redirects to {host}, which is not followed: check the base URL")
            }
            Self::Transport { host, fault, timeout, tried, .. } => {
                match fault {
                    TransportFault::Dns => write!(f, "could not resolve {host}"),
                    TransportFault::Proxy => write!(f, "could not pass through the proxy {host}"),
                    TransportFault::Connect => write!(f, "could not connect to {host}"),
                    TransportFault::Tls => write!(f, "could not agree on TLS with {host}"),
                    TransportFault::Timeout => write!(f, "no complete answer from {host} within {timeout:?}"),
                    TransportFault::Dropped => write!(f, "{host} dropped the connection"),
                    TransportFault::Incomplete => write!(f, "incomplete answer from {host}"),
                    TransportFault::Other => write!(f, "could not send to {host}"),
                }?;
                let mut notes = Notes::new(f);
                notes.tried(*tried)?;
                notes.end()
            }
            Self::Decode { status, path, reason, content_type, tried, .. } => {
                write!(f, "HTTP {status} with an unexpected body, at {path}: {reason}")?;
                let mut notes = Notes::new(f);
                if let Some(content_type) = content_type {
                    notes.add(format_args!("{content_type}"))?;
                }
                notes.tried(*tried)?;
                notes.end()
            }
            Self::NotJson { status, reason, content_type, tried, .. } => {
                write!(f, "HTTP {status} with a body that is no JSON: {reason}")?;
                let mut notes = Notes::new(f);
                if let Some(content_type) = content_type {
                    notes.add(format_args!("{content_type}"))?;
                }
                notes.tried(*tried)?;
                notes.end()
            }
            Self::BodyTooLarge { status, limit, tried, .. } => {
                write!(f, "HTTP {status} with a body of more than {limit} bytes")?;
                let mut notes = Notes::new(f);
                notes.tried(*tried)?;
                notes.end()
            }
            Self::TooManyRecords { status, limit, .. } => {
                write!(f, "HTTP {status} with a page of more than {limit} records")
            }
            Self::RepeatedCursor { pages, .. } => {
                write!(f, "the page after {pages} others leads back to one of them: the listing would never end")
            }
            Self::InvalidRequest { reason, .. } => write!(f, "nothing was sent: {reason}"),
        }
    }
}

/// Writes ` (a; b)` after a sentence, or nothing if there are no notes.
struct Notes<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    any: bool,
}

impl<'a, 'b> Notes<'a, 'b> {
    fn new(f: &'a mut fmt::Formatter<'b>) -> Self {
        Self { f, any: false }
    }

    fn add(&mut self, note: fmt::Arguments<'_>) -> fmt::Result {
        self.f.write_str(if self.any { "; " } else { " (" })?;
        self.any = true;
        self.f.write_fmt(note)
    }

    fn tried(&mut self, tried: Tried) -> fmt::Result {
        if tried.attempts > 1 {
            self.add(format_args!("{} attempts", tried.attempts))?;
        }
        match tried.page_size {
            Some(size) => self.add(format_args!("page size {}", size.get())),
            None => Ok(()),
        }
    }

    fn end(self) -> fmt::Result {
        if self.any { self.f.write_str(")") } else { Ok(()) }
    }
}
