//! Checks the corpus, including earlier findings, without a fuzzer: `cargo test` in this folder.

use std::fs;
use std::path::Path;

fn each(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(path).unwrap());
        files += 1;
    }
    assert!(files > 0);
}

#[test]
fn webhook() {
    each("webhook", syncd_fuzz::webhook);
}

#[test]
fn page() {
    each("page", syncd_fuzz::page);
}

#[test]
fn query() {
    each("query", syncd_fuzz::query);
}

#[test]
fn configuration() {
    each("configuration", syncd_fuzz::configuration);
}
