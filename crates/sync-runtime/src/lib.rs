#![doc = include_str!("../README.md")]

mod host;
pub mod inbox;
mod key_gate;
mod missed;
mod observer;
mod rate_limiter;
mod runtime;

pub use host::{Host, KeyState};
pub use key_gate::KeyGate;
pub use observer::{Notice, RuntimeObserver, WaitReason};
pub use rate_limiter::{Answer, RateLimiter};
pub use runtime::{DeliveryPolicy, FinishedRun, Receiver, Runtime, RuntimePolicy, Wakers};
