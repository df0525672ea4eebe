//! The whole program: the real binary with a sandbox and real databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

#[macro_use]
mod on_both_databases;

mod database;
mod mirror;
mod program;
mod screen;
mod world;

mod categories;
mod changes;
mod config_check;
mod config_errors;
mod first_sync;
mod help;
mod interrupted;
mod migrate;
mod misspelt_arguments;
mod operator_mistakes;
mod output;
mod passing_failures;
mod quarantine;
mod runtime_errors;
mod second_sync;
mod skew;
mod sources;
mod status_filters;
mod stored_times;
#[cfg(target_os = "linux")]
mod terminal;
mod untrusted_text;
mod unwritable_output;
mod verify;
mod waits;
mod whole_file;
