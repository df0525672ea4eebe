//! Compiles what cannot be said in Rust without `unsafe`.

fn main() {
    const SOURCE: &str = "src/one_arena.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    // Nothing refers to it: it runs by itself as the program starts, if it is linked whole.
    cc::Build::new().file(SOURCE).cargo_metadata(false).compile("one_arena");
    let folder = std::env::var("OUT_DIR").unwrap_or_default();
    println!("cargo::rustc-link-search=native={folder}");
    println!("cargo::rustc-link-lib=static:+whole-archive=one_arena");
}
