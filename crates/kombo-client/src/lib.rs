#![doc = include_str!("../README.md")]

mod answer;
mod base_url;
mod builder;
mod client;
mod clock;
mod comma_lists;
mod decode;
mod error;
mod headers;
mod meta;
mod observe;
mod operation;
mod page;
mod pages;
mod query;
mod request;
mod retry;
mod send;
pub mod webhook;

pub use base_url::unusable_proxies;
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
/// Wraps API keys and webhook secrets and never prints them.
pub use secrecy::SecretString;
