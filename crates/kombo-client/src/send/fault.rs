use std::error::Error as StdError;
use std::io;

use crate::TransportFault;

/// Classifies the fault that prevented a response.
pub(super) fn classify(error: &reqwest::Error) -> TransportFault {
    if error.is_builder() {
        return TransportFault::Other;
    }
    if caused_by(error, &|cause| cause.is::<rustls::Error>()) {
        return TransportFault::Tls;
    }
    if error.is_connect() {
        // The resolver's error has no public type to test for.
        let dns = caused_by(error, &|cause| cause.to_string() == "dns error");
        return if dns { TransportFault::Dns } else { TransportFault::Connect };
    }
    if error.is_timeout() {
        return TransportFault::Timeout;
    }
    TransportFault::Dropped
}

/// Whether the error or one of its sources matches.
fn caused_by(error: &(dyn StdError + 'static), fits: &dyn Fn(&(dyn StdError + 'static)) -> bool) -> bool {
    if fits(error) {
        return true;
    }
    // `source()` of an I/O error skips the error that it wraps.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => caused_by(wrapped, fits),
        None => error.source().is_some_and(|source| caused_by(source, fits)),
    }
}

#[cfg(test)]
mod tests;
