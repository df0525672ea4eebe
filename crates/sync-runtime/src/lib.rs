#![doc = include_str!("../README.md")]

mod dispatcher;
mod host;
pub mod inbox;
mod jobs;
mod key_gate;
mod missed;
mod observer;
mod rate_limiter;
mod runtime;
mod upkeep;
mod workers;

pub use dispatcher::{DeliveryPolicy, Receiver};
pub use host::{Host, KeyState};
pub use jobs::FinishedRun;
pub use key_gate::KeyGate;
pub use observer::{Notice, RuntimeObserver, WaitReason};
pub use rate_limiter::{Answer, RateLimiter};
pub use runtime::{Runtime, RuntimePolicy, Wakers};
