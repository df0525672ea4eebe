//! The ports of the engine: the traits that connect it to the outside.

pub(crate) mod clock;
pub(crate) mod error;
pub(crate) mod lock;
pub(crate) mod observer;
pub(crate) mod source;
pub(crate) mod store;

pub use clock::Clock;
pub use error::{Invariant, StoreError, TxResult};
pub use kombo_model::catalogue::Record;
pub use lock::{Lock, LockMode};
pub use observer::{Event, Observer, Silent};
pub use source::{FailureClass, Fetch, FetchSpec, Pages, RecordPage, Rejected, Source, SourceError};
pub use store::{
    BulkRows, ChangeLog, DeadLetters, Deliveries, Endpoints, Integrations, MirrorRows, Quarantine, QuarantinePart,
    QuarantineRelease, RateLimit, Requests, Runs, Scope, SeenNotes, Store, Tx, UNSEEN_PAGE, WebhookEvents,
};
