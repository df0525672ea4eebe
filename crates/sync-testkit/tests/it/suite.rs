use std::collections::BTreeSet;
use std::path::Path;

/// A test that is missing from the macro would never run.
#[test]
fn the_suite_names_all_its_tests() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut written = BTreeSet::new();
    for file in std::fs::read_dir(source.join("conformance")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("pub async fn ") {
                written.insert(rest.split('<').next().unwrap_or_default().to_owned());
            }
        }
    }
    let text = std::fs::read_to_string(source.join("conformance.rs")).unwrap();
    let lists = text.split("conformance_tests! { $make;").skip(1);
    let named: BTreeSet<String> =
        lists.flat_map(|list| list.split_once('}').unwrap().0.split_whitespace()).map(str::to_owned).collect();
    assert_eq!(named, written);
}
