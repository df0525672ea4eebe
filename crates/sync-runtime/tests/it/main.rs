//! Tests of the runtime over a store and a Kombo in memory, in virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that panics says why it failed"
)]

mod categories;
mod dispatcher;
mod host;
mod inbox;
mod jobs;
mod rate_limiter;
mod upkeep;
mod workers;
