use std::fmt;
use std::time::Duration;

use kombo_model::Timestamp;
use sync_core::horizon::Horizon;
use sync_core::jobs::{EndpointState, HeldLease, Lease, QueuedRequest};
use sync_core::rows::{Key, Model, StoredRow, Value};

/// Longer than any clock is off.
const FOREVER: Duration = Duration::from_secs(100 * 86_400);

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A bug that is made on purpose, at one of the ports, to see that a simulation finds it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[$doc])* $name,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What is wrong, for reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

mutants! {
    /// The watermark that is stored is the time of the commit.
    WatermarkAtEnd = "the watermark is made of the end of a fetch",
    /// The watermark survives a transaction that fails.
    WatermarkFirst = "the watermark is stored apart from the last batch",
    /// A worker never sees that its request was made again.
    NoRerun = "a webhook during a fetch does not lead to one more",
    /// Look-ups by id return nothing.
    NoLookUp = "a sweep removes without looking up",
    /// A lease that was lost seems to hold.
    NoLeaseCheck = "nobody checks that a lease still holds",
    /// A watermark that moves is stored as earlier than it was.
    WatermarkBack = "a watermark moves back",
    /// An integration that a person paused seems to be active.
    NoPause = "what a person paused is worked on",
    /// The refusal of one integration is taken for that of the key.
    KeyBlamed = "401 or 403 of one integration closes the gate for all",
    /// The limit of one integration is taken for that of the key.
    LimitBlamed = "429 of one integration stops the requests of all",
    /// What waits for a time waits for it, however far ahead that is.
    FutureTrusted = "a stored time 40 days ahead is waited for",
    /// Rows with an id that cannot be sent are not looked for.
    OddIdsLeft = "a sweep leaves rows with odd ids",
    /// What a full fetch showed is never compared with other models than the listed one.
    MembersLeft = "a sweep leaves rows that no endpoint lists",
    /// What is stored and cannot be read seems to be null.
    UnreadableIsNull = "a value that cannot be read counts as null",
    /// A `synced_at` in the future seems to be that of a fetch.
    SyncedAtTrusted = "a synced_at in the future is believed",
    /// A row that the database refuses is left out.
    RefusedLeftOut = "a refused row is left out without a word",
    /// The values of deleted records are not kept.
    TombstonesMirrored = "a deleted record loses its values, with tombstones kept",
    /// An answer without a date seems to be dated by our clock.
    DateInvented = "our clock stands in for Kombo's",
}

impl Mutant {
    /// The request that a worker with this lease reads.
    pub(crate) fn request(self, mut request: QueuedRequest, lease: &Lease) -> QueuedRequest {
        if request.target != lease.request.target {
            return request;
        }
        if self == Self::NoLeaseCheck {
            let hold = HeldLease {
                token: lease.token.clone(),
                owner: String::new(),
                expires_at: request.not_before,
                generation: request.generation,
            };
            request.lease = Some(HeldLease { token: lease.token.clone(), ..request.lease.unwrap_or(hold) });
        }
        if self == Self::NoRerun
            && let Some(hold) = &request.lease
        {
            request.generation = hold.generation;
        }
        request
    }

    /// The times that count when work is looked for.
    pub(crate) fn horizon(self, horizon: Horizon) -> Horizon {
        if self == Self::FutureTrusted {
            return Horizon { longest_wait: FOREVER, lease_ttl: FOREVER, ..horizon };
        }
        horizon
    }

    /// Whether a sweep finds a row that no page showed.
    pub(crate) fn is_swept(self, model: Model, key: &Key) -> bool {
        let is_odd = key.first().contains(',') || key.first().trim().is_empty();
        let is_listed = Model::listed_by(model.owner()) == model;
        !(self == Self::OddIdsLeft && is_odd || self == Self::MembersLeft && !is_listed)
    }

    /// A row as a worker reads it.
    pub(crate) fn row(self, mut stored: StoredRow, now: Timestamp) -> StoredRow {
        if self == Self::SyncedAtTrusted {
            stored.synced_at = stored.synced_at.min(now);
        }
        if self == Self::UnreadableIsNull {
            let unreadable = stored.row.values_mut().iter_mut().filter(|value| value.is_unreadable());
            unreadable.for_each(|value| *value = Value::Null);
        }
        stored
    }

    /// The state of an endpoint that is written at this time.
    pub(crate) fn endpoint(self, state: &EndpointState, before: Option<Timestamp>, now: Timestamp) -> EndpointState {
        let mut state = state.clone();
        if self == Self::WatermarkAtEnd && state.watermark > before {
            state.watermark = Some(now);
        }
        if self == Self::WatermarkBack && state.watermark > before {
            state.watermark = before.map(|before| before.saturating_sub(Duration::from_secs(1))).or(state.watermark);
        }
        state
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
