//! Invariants for every input from outside.
//!
//! Each fuzz target has one function, so that `cargo test` can also check earlier findings. Private modules of other
//! crates are compiled here again, so that nothing must be public for fuzzing.
#![forbid(unsafe_code)]

use kombo::*;
use syncd::{nearest, output, secret};

#[allow(dead_code, unused_imports, unreachable_pub, missing_docs, clippy::all, reason = "borrowed")]
#[path = "../../crates/kombo-client/src"]
mod kombo {
    pub(crate) mod answer;
    pub(crate) mod base_url;
    pub(crate) mod builder;
    pub(crate) mod client;
    pub(crate) mod clock;
    pub(crate) mod comma_lists;
    pub(crate) mod decode;
    pub(crate) mod error;
    pub(crate) mod headers;
    pub(crate) mod meta;
    pub(crate) mod observe;
    pub(crate) mod operation;
    pub(crate) mod page;
    pub(crate) mod pages;
    pub(crate) mod query;
    pub(crate) mod request;
    pub(crate) mod retry;
    pub(crate) mod send;

    pub use builder::{BuildError, ClientBuilder, Region};
    pub use client::Client;
    pub use error::{Error, ErrorKind, TransportFault, Tried};
    pub use meta::{Answer, RateLimit, ResponseMeta, Written};
    pub use observe::{Outcome, Pacer, ResponseEvent};
    pub use operation::Operation;
    pub use page::{Page, RejectedRecord};
    pub use pages::Pages;
    pub use query::{
        CoursesQuery, ListQuery, Listed, PageCursor, PageSize, ProgressionFilters, ProgressionsQuery, RecordsQuery,
        SkillsQuery, Typed, UserFilters, UsersQuery,
    };
    pub use retry::RetryPolicy;
    pub use secrecy::SecretString;
}

#[allow(dead_code, unused_imports, unreachable_pub, missing_docs, clippy::all, reason = "borrowed")]
#[path = "../../crates/syncd/src"]
mod syncd {
    pub(crate) mod config;
    pub(crate) mod nearest;
    pub(crate) mod secret;

    pub(crate) mod output {
        /// Returns the text of an error; the real function adds the causes.
        pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
            error.to_string()
        }
    }
}

/// The client's clock, and a fixed one for the configuration.
mod clock {
    pub(crate) use crate::kombo::clock::*;

    pub(crate) struct SystemClock;

    impl SystemClock {
        pub(crate) fn now(&self) -> kombo_model::Timestamp {
            kombo_model::Timestamp::MIN
        }
    }
}

mod targets {
    pub(crate) mod configuration;
    pub(crate) mod page;
    pub(crate) mod query;
    pub(crate) mod webhook;
}

pub use targets::configuration::configuration;
pub use targets::page::page;
pub use targets::query::query;
pub use targets::webhook::webhook;

/// A marker that seeds use as a secret or a customer's data: it must not be shown.
const MARK: &str = "marked-value-7";
