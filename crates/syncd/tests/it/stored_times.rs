//! Times that a wrong clock or a wrong answer left in the database, and clocks that are wrong now.

use chrono::TimeDelta;
use kombo_sandbox::{GeneratorConfig, Model, Mutation, SandboxConfig};

use crate::database::Backend;
use crate::mirror::{Skills, assert_faithful};
use crate::world::World;

on_both_databases!(
    a_rate_limit_that_lies_ahead_does_not_hang,
    a_watermark_that_lies_ahead_hides_no_change,
    rows_dated_ahead_are_written_again,
    a_clock_off_by_a_year_is_harmless,
    the_log_is_not_trimmed_by_a_clock_that_is_ahead,
    a_check_compares_the_clocks,
);

fn world(backend: Backend) -> World {
    let generator = GeneratorConfig { users: 12, courses: 5, progressions: 20, ..GeneratorConfig::default() };
    World::new(backend, SandboxConfig { generator, ..SandboxConfig::default() })
}

/// SQL for a time `hours` from now.
fn hours(backend: Backend, hours: i64) -> String {
    match backend {
        Backend::Sqlite => format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{hours} hours')"),
        Backend::Postgres => format!("now() + interval '{hours} hours'"),
    }
}

fn rename_a_user(world: &World, name: &str) {
    rename(world, 0, name);
}

fn rename(world: &World, user: usize, name: &str) {
    let integration = world.sandbox.integrations().remove(0);
    let user = world.sandbox.ids(&integration, Model::Users).unwrap().remove(user);
    world.sandbox.mutate(&integration, Mutation::update(Model::Users, user, "first_name", name)).unwrap();
}

fn a_rate_limit_that_lies_ahead_does_not_hang(backend: Backend) {
    let mut world = world(backend);
    world.sync();
    // Slow enough that no reserved time is further ahead, and fast enough that the test does not wait.
    world.set_toml("kombo.max_requests_per_minute", "6000");
    for ahead in [1, 40 * 24] {
        let until = hours(backend, ahead);
        world.database.execute(&format!(
            "UPDATE sync_pacing SET budget_limit = 300, budget_left = 0, budget_until = {until}, next_at = {until}"
        ));
        rename_a_user(&world, &format!("Ada {ahead}"));
        world.sync();
        assert_faithful(&world, Skills::FromCourses);
    }
}

fn a_watermark_that_lies_ahead_hides_no_change(backend: Backend) {
    let world = world(backend);
    world.sync();
    for ahead in [1, 40 * 24] {
        rename_a_user(&world, &format!("Ada {ahead}"));
        world.database.execute(&format!("UPDATE sync_watermarks SET watermark = {}", hours(backend, ahead)));
        world.sync();
        assert_faithful(&world, Skills::FromCourses);
    }
}

fn rows_dated_ahead_are_written_again(backend: Backend) {
    let world = world(backend);
    world.sync();
    let ahead = hours(backend, 24);
    world.database.execute(&format!("UPDATE lms_users SET first_name = 'by hand', synced_at = {ahead}"));
    world.database.execute(&format!("UPDATE lms_course_providers SET name = 'by hand', synced_at = {ahead}"));
    world.syncd(&["verify"]).expect_code(3);
    world.syncd(&["sync", "--full"]).expect_code(0);
    assert_faithful(&world, Skills::FromCourses);
    world.syncd(&["verify"]).expect_code(0);
}

fn a_clock_off_by_a_year_is_harmless(backend: Backend) {
    for days in [366, -366] {
        let world = world(backend);
        world.sandbox.clock().skew(TimeDelta::days(days));
        let said = world.sync().stderr;
        assert!(said.contains(" days "), "{said}");
        rename_a_user(&world, "Ada");
        world.sync();
        assert_faithful(&world, Skills::FromCourses);
        // The clock is right again. Another record changes, because Kombo never moves the time of a record back.
        world.sandbox.clock().skew(TimeDelta::zero());
        rename(&world, 1, "Grace");
        world.sync();
        assert_faithful(&world, Skills::FromCourses);
    }
}

fn the_log_is_not_trimmed_by_a_clock_that_is_ahead(backend: Backend) {
    let world = world(backend);
    world.sync();
    rename_a_user(&world, "Ada");
    world.sync();
    let entries = || world.read(|tx| tx.changes(None, 0, 99)).len();
    let logged = entries();
    assert!(logged > 0);
    // As if our clock and the database's were 40 days ahead of Kombo's, so that everything seems old.
    world.database.execute(&format!("UPDATE sync_changes SET at = {}", hours(backend, -35 * 24)));
    world.sandbox.clock().skew(TimeDelta::days(-40));
    world.sync();
    assert!(entries() >= logged, "they are five days younger than Kombo's clock");
    world.sandbox.clock().skew(TimeDelta::zero());
    world.sync();
    assert_eq!(entries(), 0, "all clocks agree that they are old");
}

fn a_check_compares_the_clocks(backend: Backend) {
    let mut world = world(backend);
    world.set("kombo.webhook_secret", "a secret that only Kombo knows");
    world.sync();
    world.syncd(&["config", "check"]).expect_code(0);
    world.sandbox.clock().skew(TimeDelta::minutes(10));
    let warned = world.syncd(&["config", "check"]).expect_code(0);
    assert!(warned.stderr.contains("behind Kombo's"), "{}", warned.stderr);
    world.sandbox.clock().skew(TimeDelta::days(366));
    let refused = world.syncd(&["config", "check"]).expect_code(1);
    assert!(refused.stdout.contains("FAILED  clock: ") && refused.stdout.contains(" days behind Kombo's"));
}
