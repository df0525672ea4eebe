//! The daemon as a process: the real program between a sandbox and real databases, with signals, crashes and outages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

#[macro_use]
#[path = "../it/on_both_databases.rs"]
mod on_both_databases;

#[allow(dead_code, reason = "shared with the tests of the other commands")]
#[path = "../it/mirror.rs"]
mod mirror;
#[allow(dead_code, reason = "shared with the tests of the other commands")]
#[path = "../it/program.rs"]
mod program;
#[path = "../it/screen.rs"]
mod screen;
#[allow(dead_code, reason = "shared with the tests of the other commands")]
#[path = "../it/world.rs"]
mod world;

mod browser;
mod database;
mod deployment;
mod http;
mod log;
mod receiver;
mod sender;

mod answers;
mod bad_webhooks;
mod catch_up;
mod changed_tables;
mod clocks_apart;
mod coalescing;
mod crashes;
mod database_defaults;
mod deliveries;
mod events;
mod failing_neighbours;
mod failures;
mod few_connections;
mod forged_lines;
mod latency;
mod leaks;
mod least_privilege;
mod limited_files;
mod operations;
mod outage;
mod page;
mod page_in_browser;
mod pooler;
mod refused_bodies;
mod replaced_file;
mod replicas;
mod rotation;
mod scarce;
mod signals;
mod standby;
mod storm;
mod strays;
mod unfit;
mod unwritable_log;
