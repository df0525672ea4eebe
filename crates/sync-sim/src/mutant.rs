use std::fmt;

use kombo_model::Timestamp;
use sync_core::jobs::{EndpointState, HeldLease, Lease, QueuedRequest};

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

    /// The state of an endpoint that is written at this time.
    pub(crate) fn endpoint(self, state: &EndpointState, before: Option<Timestamp>, now: Timestamp) -> EndpointState {
        let mut state = state.clone();
        if self == Self::WatermarkAtEnd && state.watermark > before {
            state.watermark = Some(now);
        }
        state
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
