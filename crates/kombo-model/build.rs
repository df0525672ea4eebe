//! Writes the tables of the catalogue from its files.

#![allow(
    clippy::expect_used,
    clippy::format_collect,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::struct_excessive_bools,
    clippy::unwrap_used,
    reason = "a build script reports what is wrong in the catalogue by a panic, and its speed does not matter"
)]

#[path = "build/source.rs"]
mod source;
#[path = "build/tables.rs"]
mod tables;

use std::env;
use std::fs;
use std::path::PathBuf;

fn main() {
    let folder = |name: &str| PathBuf::from(env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}")));
    println!("cargo::rerun-if-changed=build");
    let (categories, common) = source::read(&folder("CARGO_MANIFEST_DIR").join("catalogue"));
    let written = tables::Catalogue::new(&categories, &common).write();
    let path = folder("OUT_DIR").join("catalogue.rs");
    fs::write(&path, written).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
