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

use std::collections::BTreeMap;

use kombo_model::{Category, IntegrationId};

pub use clock::ManualClock;
pub use kombo::{FakeKombo, FakePages, Lms, Nesting, Paging, Settings, Truth};
pub use lease::{lease_next_of, with_lease};
pub use memory::MemoryStore;
pub use script::{Answer, FetchKind, ScriptedPages, ScriptedSource};

/// Returns integrations of the category LMS, to register.
pub fn lms(ids: impl IntoIterator<Item = IntegrationId>) -> BTreeMap<IntegrationId, Option<Category>> {
    ids.into_iter().map(|id| (id, Some(Category::Lms))).collect()
}
