//! Compiles what cannot be said in Rust without `unsafe`.

fn main() {
    const SOURCE: &str = "src/one_arena.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    // Nothing refers to it, so it has to be linked as a whole: it runs by itself as the program starts.
    cc::Build::new().file(SOURCE).link_lib_modifier("+whole-archive").compile("one_arena");
}
