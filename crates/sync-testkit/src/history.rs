//! Parts of random histories: edits at Kombo, a daemon that mirrors them, and a ledger that replays the change log.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what panics says what is wrong")]

mod daemon;
mod edit;
mod ledger;

pub use daemon::{Daemon, Tables};
pub use edit::{Edit, Kind};
pub use ledger::{Fields, Ledger, Table};
