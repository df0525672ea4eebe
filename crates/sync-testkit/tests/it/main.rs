//! Tests of the test kit.
#![allow(clippy::unwrap_used, reason = "a test that panics says why it failed")]

mod kombo;
mod memory;
mod postgres;
mod suite;
