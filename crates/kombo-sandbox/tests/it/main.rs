//! The sandbox over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

mod anonymise;
mod client;
mod control;
mod faults;
mod nested;
mod paging;
mod rates;
mod states;
mod strictness;
mod truth;
mod webhooks;
mod writes;
