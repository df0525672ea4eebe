//! The stores with real databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod addresses;
mod bench;
mod category_plans;
mod claim_costs;
mod copies;
mod costs;
mod counters;
mod errors;
mod fleet_costs;
mod hand_edits;
mod hand_written;
mod history;
mod lists;
mod log_order;
mod odd_values;
mod partitions;
mod postgres;
mod query_plans;
mod row_security;
mod sqlite;
mod tables;
mod wakeup;
