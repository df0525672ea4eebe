//! What is to be true of everything that comes from outside, whatever it is.
//!
//! One function for each fuzz target, so that `cargo test` can hold what was once found against it as well. Modules that
//! are private to their crate are compiled here once more: nothing has to be public for the sake of this.
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
        CoursesQuery, ListQuery, Listed, PageCursor, PageSize, ProgressionFilters, ProgressionsQuery, SkillsQuery,
        UserFilters, UsersQuery,
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
        /// What an error says; the real one adds the causes.
        pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
            error.to_string()
        }
    }
}

/// The clock of the client, and one for the configuration that stands still.
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

/// A word that seeds put where a secret or a customer's data stands: it must not show.
const MARK: &str = "marked-value-7";
