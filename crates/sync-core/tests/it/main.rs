//! Tests of the core: its plain functions, and its engine over a store and a Kombo in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that panics says why it failed"
)]

mod apply;
mod bench;
mod catch_up;
mod clocks;
mod compare;
mod crash;
mod engine;
mod failing_look_ups;
mod failures;
mod invariants;
mod outbox;
mod pause;
mod planner;
mod queue;
mod records;
mod schedule;
mod skewed_clocks;
mod sweep;
mod verify;
mod watermark;
mod webhook_order;
mod webhooks;
mod week;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls a future of the memory store, which never waits, to completion.
fn finish<F: Future>(future: F) -> F::Output {
    let (mut future, mut context) = (pin!(future), Context::from_waker(Waker::noop()));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
