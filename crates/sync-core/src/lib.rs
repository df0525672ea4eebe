#![doc = include_str!("../README.md")]

pub mod changes;
mod error;
pub mod horizon;
pub mod jobs;
pub mod outbox;
pub mod ports;
pub mod pull;
pub mod ratelimit;
pub mod rows;
mod stable_hash;
pub mod verify;
pub mod webhooks;
mod words;

pub use error::SyncError;
pub use words::UnknownWord;
