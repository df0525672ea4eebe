//! The ports of the engine: what it needs of the world around it.

pub(crate) mod clock;
pub(crate) mod observer;
pub(crate) mod source;
pub(crate) mod store;

pub use clock::Clock;
pub use observer::{Event, Observer, Silent};
pub use source::{FailureClass, Fetch, FetchSpec, Pages, Record, RecordPage, Rejected, Source, SourceError};
pub use store::{Scope, Store, StoreError, TryRequest, Tx, TxResult};
