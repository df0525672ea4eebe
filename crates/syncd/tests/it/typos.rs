//! What is mistyped, and what the program makes of it; and what it tells of its own command line.

use kombo_sandbox::SandboxConfig;

use crate::database::Backend;
use crate::world::World;

#[test]
fn the_right_name_is_suggested() {
    let mut world = World::new(Backend::Sqlite, SandboxConfig::empty());
    for (arguments, code, meant) in [
        (&["sync", "--endpoint", "user"][..], 2, "did you mean users?"),
        (&["verify", "--endpoint", "course_progression"], 2, "did you mean course-progressions?"),
        (&["plan", "courses"], 2, "did you mean lms_courses?"),
        (&["plan", "lms_user"], 0, "did you mean lms_users?"),
        (&["statsu"], 2, "status"),
    ] {
        let finished = world.syncd(arguments).expect_code(code);
        assert!(finished.stderr.contains(meant), "{arguments:?}: {}", finished.stderr);
    }
    assert!(!world.syncd(&["plan", "lms_users", "lms_badges"]).expect_code(0).stderr.contains("did you mean"));
    world.set("sync.fulevery", "7d");
    let finished = world.syncd(&["plan", "lms_users"]).expect_code(2);
    assert!(finished.complaint().contains("did you mean full_every?"), "{}", finished.stderr);
}

#[test]
fn completions_and_manual_pages_are_of_this_command_line() {
    let world = World::new(Backend::Sqlite, SandboxConfig::empty());
    for shell in ["bash", "zsh", "fish"] {
        let script = world.syncd(&["completions", shell]).expect_code(0).stdout;
        assert!(script.contains("allow-mass-removal"), "{shell}");
    }
    world.syncd(&["completions", "cobol"]).expect_code(2);
    let page = world.syncd(&["man"]).expect_code(0).stdout;
    assert!(page.contains(".TH syncd 1") && page.contains("quarantine"), "{page}");
    let folder = world.folder().to_str().unwrap();
    world.syncd(&["man", folder]).expect_code(0);
    assert!(std::fs::read_to_string(world.folder().join("syncd-sync.1")).unwrap().contains("mass\\-removal"));
    world.syncd(&["man", "/nowhere"]).expect_code(1);
}
