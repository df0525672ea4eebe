#![doc = include_str!("../README.md")]

pub mod apply;
pub mod assess;
pub mod compare;
pub mod delivery;
pub mod dispatch;
pub mod engine;
mod error;
pub mod hold;
pub mod horizon;
pub mod intake;
mod listing;
mod lookup;
pub mod mirror;
pub mod pacing;
pub mod planner;
pub mod planted;
pub mod port;
pub mod quarantine;
pub mod queue;
mod removals;
pub mod retention;
pub mod schedule;
pub mod types;
mod unlisted;
pub mod verify;
pub mod watermark;

pub use error::SyncError;
