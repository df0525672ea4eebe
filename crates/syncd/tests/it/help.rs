//! The output of `--help`.

use kombo_sandbox::SandboxConfig;

use crate::database::Backend;
use crate::world::World;

#[test]
fn help() {
    let world = World::new(Backend::Sqlite, SandboxConfig::empty());
    for (name, arguments) in [
        ("help", &["--help"][..]),
        ("help-sync", &["sync", "--help"]),
        ("help-plan", &["plan", "--help"]),
        ("help-changes", &["changes", "--help"]),
        ("help-config", &["config", "--help"]),
    ] {
        let finished = world.start(world.command_as_it_is(arguments)).wait().expect_code(0);
        assert_eq!(finished.stderr, "");
        insta::assert_snapshot!(name, finished.stdout);
    }
    let version = world.syncd(&["--version"]).expect_code(0).stdout;
    assert_eq!(version, concat!("syncd ", env!("CARGO_PKG_VERSION"), "\n"));
}
