use std::net::SocketAddr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Parses an address to listen on.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    // The value could be a misplaced secret, so it is not shown.
    text.trim().parse().map_err(|_| {
        D::Error::custom("no IP address with a port: write \"127.0.0.1:8080\", or \"0.0.0.0:8080\" for all addresses")
    })
}
