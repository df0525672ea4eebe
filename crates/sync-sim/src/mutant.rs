use std::fmt;
use std::time::Duration;

use kombo_model::Timestamp;
use sync_core::horizon::Horizon;
use sync_core::jobs::{Eligible, EndpointState, HeldLease, Lease, QueuedRequest};
use sync_core::rows::{Key, Model, StoredRow, Value};

/// Longer than any clock is wrong.
const FOREVER: Duration = Duration::from_secs(100 * 86_400);

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A deliberate bug at one of the ports, to check that a simulation detects it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[$doc])* $name,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns a description for reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

mutants! {
    /// Stores the time of the commit as the watermark.
    WatermarkAtEnd = "the watermark is made of the end of a fetch",
    /// Keeps the watermark of a transaction that fails.
    WatermarkFirst = "the watermark is stored apart from the last batch",
    /// Hides from a worker that its request was made again.
    NoRerun = "a webhook during a fetch does not lead to one more",
    /// Look-ups by id return nothing.
    NoLookUp = "a sweep removes without looking up",
    /// A lost lease seems to be valid.
    NoLeaseCheck = "nobody checks that a lease still holds",
    /// Stores a watermark that moves as an earlier time.
    WatermarkBack = "a watermark moves back",
    /// An integration that a person paused seems to be active.
    NoPause = "what a person paused is worked on",
    /// A refusal of one integration is attributed to the key.
    KeyBlamed = "401 or 403 of one integration closes the gate for all",
    /// The rate limit of one integration is attributed to the key.
    LimitBlamed = "429 of one integration stops the requests of all",
    /// Work waits for a stored time, however far ahead it is.
    FutureTrusted = "a stored time 40 days ahead is waited for",
    /// Rows with an id that cannot be sent are not looked up.
    OddIdsLeft = "a sweep leaves rows with odd ids",
    /// Notes of a full fetch are compared with rows of the listed model only.
    MembersLeft = "a sweep leaves rows that no endpoint lists",
    /// An unreadable stored value seems to be null.
    UnreadableIsNull = "a value that cannot be read counts as null",
    /// A `synced_at` in the future seems to come from a fetch.
    SyncedAtTrusted = "a synced_at in the future is believed",
    /// A row that the database refuses is left out.
    RefusedLeftOut = "a refused row is left out without a word",
    /// The values of deleted records are not kept.
    TombstonesMirrored = "a deleted record loses its values, with tombstones kept",
    /// An answer without a `Date` seems to be dated by our clock.
    DateInvented = "our clock stands in for Kombo's",
    /// Webhooks are stored without the note that they wait to be planned.
    StoredNotPlanned = "a stored webhook is never planned",
    /// A search for webhooks that wait to be planned finds none.
    NoSearchForWebhooks = "nobody plans what a process stored before it ended",
    /// A request of an integration that fails keeps its worker for minutes.
    PatientClient = "the client tries for minutes inside a worker",
    /// Requests that failed last time may take all workers.
    RetriesUnlimited = "no share of the workers limits what failed last time",
    /// Requests of full fetches count as those of deltas.
    FullsAsDeltas = "a full fetch uses the rate limit like a delta",
}

impl Mutant {
    /// Whether only many integrations that share the workers show it.
    pub(crate) fn is_of_fleet(self) -> bool {
        matches!(self, Self::PatientClient | Self::RetriesUnlimited)
    }

    /// Returns the requests that a worker may lease.
    pub(crate) fn eligible(self, eligible: &Eligible) -> Eligible {
        Eligible { retries: eligible.retries || self == Self::RetriesUnlimited, ..eligible.clone() }
    }

    /// Returns the request as a worker with this lease reads it.
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

    /// Returns the bounds for stored times in a search for work.
    pub(crate) fn horizon(self, horizon: Horizon) -> Horizon {
        if self == Self::FutureTrusted {
            return Horizon { longest_wait: FOREVER, lease_ttl: FOREVER, ..horizon };
        }
        horizon
    }

    /// Whether a sweep finds a row that no page showed.
    pub(crate) fn is_swept(self, model: Model, key: &Key) -> bool {
        let is_odd = key.first().contains(',') || key.first().trim().is_empty();
        let is_listed = model.owner().lists() == model;
        !(self == Self::OddIdsLeft && is_odd || self == Self::MembersLeft && !is_listed)
    }

    /// Returns a row as a worker reads it.
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

    /// Returns the state of an endpoint as it is written at this time.
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
