//! Mistyped arguments, the reaction of the program, and its own description of the command line.

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

/// A setting that is not read must not seem to be in effect.
#[test]
fn a_variable_that_is_not_read_is_named() {
    let world = World::new(Backend::Sqlite, SandboxConfig::empty());
    let with = |name: &str| {
        let mut command = world.command(&["status"]);
        command.env(name, "8");
        world.start(command).wait()
    };
    world.syncd(&["migrate"]).expect_code(0);
    let refused = with("SYNCD_SYNC_WORKERS").expect_code(2).complaint();
    assert!(
        refused.contains("SYNCD_SYNC_WORKERS in the environment is not read: write SYNCD__SYNC__WORKERS"),
        "{refused}"
    );
    let warned = with("SYNDC__SYNC__WORKERS").expect_code(0).stderr;
    assert!(warned.contains("SYNDC__SYNC__WORKERS") && warned.contains("SYNCD__SYNC__WORKERS"), "{warned}");
    assert_eq!(with("SYNCD_SERVICE_HOST").expect_code(0).stderr, "");
}

#[test]
fn a_key_that_travels_in_clear_is_worth_a_warning() {
    let mut world = World::new(Backend::Sqlite, SandboxConfig::empty());
    let warns = |world: &World, arguments: &[&str]| {
        let finished = world.syncd(arguments);
        format!("{}{}", finished.stdout, finished.stderr).contains("kombo.base_url: begins with http://")
    };
    assert!(!warns(&world, &["config", "check"]) && !warns(&world, &["sync"]));
    // An address that is reserved for documentation: nobody answers.
    world.set("kombo.base_url", "http://192.0.2.1:9/v1");
    world.set("kombo.timeout", "10ms");
    for arguments in [&["config", "check"][..], &["config", "check", "--json"], &["sync"], &["verify"]] {
        assert!(warns(&world, arguments), "{arguments:?}");
    }
}

#[test]
fn changes_that_travel_in_clear_are_worth_a_warning() {
    let mut world = World::new(Backend::Sqlite, SandboxConfig::empty());
    world.set("delivery.secret", "a secret that signs deliveries");
    let warns = |world: &World, arguments: &[&str]| {
        let finished = world.syncd(arguments);
        format!("{}{}", finished.stdout, finished.stderr).contains("delivery.url: begins with http://")
    };
    for (url, in_clear) in [
        ("http://127.0.0.1:9/changes", false),
        ("http://localhost:9/changes", false),
        ("https://192.0.2.1:9/changes", false),
        ("http://192.0.2.1:9/changes", true),
    ] {
        world.set("delivery.url", url);
        for arguments in [&["config", "check"][..], &["config", "check", "--json"], &["sync"]] {
            assert_eq!(warns(&world, arguments), in_clear, "{url} {arguments:?}");
        }
    }
}

/// Otherwise requests would bypass the proxy, and their failure would be blamed on the server.
#[test]
fn a_proxy_that_cannot_be_used_is_named() {
    let world = World::new(Backend::Sqlite, SandboxConfig::empty());
    let said = |name: &str, value: &str| {
        let mut command = world.command(&["config", "check"]);
        command.env(name, value);
        let finished = world.start(command).wait();
        format!("{}{}", finished.stdout, finished.stderr)
    };
    for value in ["ftp://proxy.example:3128", "http://u:hidden@proxy.example:port", "proxy example:3128", ":3128"] {
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
            let said = said(name, value);
            assert!(said.contains(&format!("WARNING {name}")) && !said.contains("hidden"), "{name}={value}: {said}");
        }
    }
    for value in
        ["", "http://proxy.example:3128", "proxy.example:3128", "http://u:p@proxy.example", "socks5h://[::1]:1080"]
    {
        assert!(!said("HTTPS_PROXY", value).contains("WARNING"), "{value}");
    }
}
