#![doc = include_str!("../README.md")]

mod clock;
pub mod conformance;
mod memory;
pub mod postgres;

pub use clock::ManualClock;
pub use memory::MemoryStore;
