#![doc = include_str!("../README.md")]

pub mod bench;
mod clock;
pub mod conformance;
pub mod history;
mod kombo;
mod lease;
mod memory;
pub mod postgres;
mod script;

pub use clock::ManualClock;
pub use kombo::{FakeKombo, FakePages, Lms, Nesting, Paging, Settings, Truth};
pub use lease::{lease_next_of, with_lease};
pub use memory::MemoryStore;
pub use script::{Answer, FetchKind, ScriptedPages, ScriptedSource};
