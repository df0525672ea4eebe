//! The stores on real databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod addresses;
mod errors;
mod hand_written;
mod history;
mod postgres;
mod row_security;
mod sqlite;
mod tables;
mod wakeup;
