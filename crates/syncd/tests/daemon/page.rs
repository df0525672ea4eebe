//! The status page over HTTP: who may see it, and who may act on it.

use kombo_model::IntegrationId;
use kombo_sandbox::{FIRST_INTEGRATION, GeneratorConfig, Model, Mutation, SandboxConfig};
use sync_core::jobs::IntegrationStatus;

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, data_changed, world_for};
use crate::http::{self, Answer};
use crate::world::World;

on_both_databases!(pages_show_what_is_stored);

/// The token of the page in these tests.
pub const TOKEN: &str = "operations-token-of-these-tests";
/// A name that would do harm if it were not shown as text.
pub const HOSTILE: &str = "<img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script>'\"&";

/// Creates a small world with a hostile name in it.
pub fn hostile_world(backend: Backend, place: Place) -> (World, String) {
    let generator = GeneratorConfig { users: 5, ..GeneratorConfig::default() };
    let mut world = world_for(backend, SandboxConfig { generator, ..SandboxConfig::default() }, place);
    world.set("server.operations_token", TOKEN);
    let user = world.sandbox.ids(FIRST_INTEGRATION, Model::Users).unwrap()[0];
    world.sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, user, "first_name", HOSTILE)).unwrap();
    (world, user.to_string())
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

fn get(place: Place, path: &str) -> Answer {
    http::get_with(place.operations, path, &[("Authorization", &bearer())]).unwrap()
}

fn act(place: Place, integration: &str, action: &str) -> Answer {
    let body = format!("integration={integration}&action={action}");
    let headers = [("Authorization", bearer()), ("Content-Type", FORM.to_owned())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    http::post(place.operations, "/act", &headers, body.as_bytes()).unwrap()
}

const FORM: &str = "application/x-www-form-urlencoded";

fn pages_show_what_is_stored(backend: Backend) {
    let place = Place::new();
    let (world, user) = hostile_world(backend, place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let mutation = Mutation::update(Model::Users, user.parse().unwrap(), "last_name", "Changed");
    world.sandbox.mutate(FIRST_INTEGRATION, mutation).unwrap();
    look.wait_until_settled(&world);
    // An integration with an equally hostile id.
    let evil = data_changed("evil", "evil:<script>window.pwned=1</script>", &[]);
    assert_eq!(daemon.webhook(&evil).status, 200);
    look.wait_until_planned();

    let status = get(place, "/");
    assert_eq!(status.status, 200, "{}", status.text);
    for part in ["<svg", "Rows changed, by the hour", "integration?id=sandbox%3A", "evil:&#60;script&#62;", "run?id="] {
        assert!(status.text.contains(part), "{part}: {}", status.text);
    }
    let record = get(place, &format!("/record?integration={FIRST_INTEGRATION}&id={user}"));
    for part in ["lms_users", "&#60;img src=x", "last_name", "direct", "live"] {
        assert!(record.text.contains(part), "{part}: {}", record.text);
    }
    for page in [&status, &record] {
        assert!(!page.text.contains("<img") && !page.text.contains("<script>"), "{}", page.text);
        let head = page.text.to_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none'; style-src 'self'; script-src 'self';"));
        assert!(head.contains("frame-ancestors 'none'"));
    }
    let integration = get(place, &format!("/integration?id={FIRST_INTEGRATION}"));
    assert!(integration.text.contains("course-progressions") && integration.text.contains("last_name"));
    let run = look.read(|tx| tx.runs(None, None, 1))[0].id;
    assert!(get(place, &format!("/run?id={run}")).text.contains("Rows updated"));
    let runs = get(place, "/runs?before=2");
    assert!(runs.text.contains("run?id=1") && !runs.text.contains("run?id=2\""), "{}", runs.text);

    for (path, status) in [
        ("/integration?id=none", 404),
        ("/run?id=99999", 404),
        ("/run?id=x", 404),
        ("/record", 200),
        ("/record?integration=none&id=none", 200),
        ("/runs?before=x", 200),
        ("/?after=%F0%9F", 200),
        ("/page/none", 404),
        ("/page/style.css", 200),
        ("/page/script.js", 200),
        ("/act", 405),
    ] {
        assert_eq!(get(place, path).status, status, "{path}");
    }
    daemon.stop();
}

#[test]
fn a_pause_lasts_until_somebody_resumes() {
    let place = Place::new();
    let (world, user) = hostile_world(Backend::Sqlite, place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let status = || {
        let id = IntegrationId::from(FIRST_INTEGRATION);
        look.read(move |tx| tx.integration(&id)).unwrap().status
    };

    assert!(act(place, FIRST_INTEGRATION, "pause").text.contains("done=paused"));
    assert_eq!(status(), IntegrationStatus::Held);
    let held = || daemon.metric("syncd_integration_held", FIRST_INTEGRATION);
    assert_eq!(held(), Some(1.0), "so that alerts can leave it out");
    assert!(act(place, FIRST_INTEGRATION, "pause").text.contains("done=already"));
    assert!(act(place, FIRST_INTEGRATION, "fetch").text.contains("done=held"));
    let mutation = Mutation::update(Model::Users, user.parse().unwrap(), "last_name", "While it was paused");
    world.sandbox.mutate(FIRST_INTEGRATION, mutation).unwrap();
    // The requests of the paused integration wait.
    assert_eq!(daemon.webhook(&data_changed("held", FIRST_INTEGRATION, &["lms_users"])).status, 200);
    look.wait_until_planned();
    let waiting = look.requests();
    assert!(!waiting.is_empty() && waiting.iter().all(|request| request.lease.is_none()), "{waiting:?}");
    assert_eq!(status(), IntegrationStatus::Held, "a webhook does not end it");
    // A manual fetch does not end it either.
    world.syncd(&["sync", "--integration", FIRST_INTEGRATION]).expect_code(0);
    assert_eq!(status(), IntegrationStatus::Held, "nor does a fetch that succeeds");

    let resumed = world.syncd(&["resume", FIRST_INTEGRATION]).expect_code(0);
    assert!(resumed.stdout.contains("is resumed"), "{}", resumed.stdout);
    assert_eq!(held(), Some(0.0));
    look.assert_faithful_in_the_end(&world);
    assert_eq!(status(), IntegrationStatus::Active);

    let before = look.read(|tx| tx.runs(None, None, 1))[0].id;
    assert!(act(place, FIRST_INTEGRATION, "full").text.contains("done=asked"));
    look.wait_until_settled(&world);
    let after = look.read(|tx| tx.runs(None, None, 3));
    assert!(after.iter().all(|run| run.id > before && run.target.kind.as_str() == "full"), "{after:?}");
    assert!(act(place, FIRST_INTEGRATION, "retry").text.contains("done=0-0"));
    assert_eq!(act(place, "none", "pause").status, 404);
    assert_eq!(act(place, FIRST_INTEGRATION, "delete").status, 400);
    daemon.stop();
}

#[test]
fn only_the_token_opens_the_page() {
    let place = Place::new();
    let (world, user) = hostile_world(Backend::Sqlite, place);
    let daemon = Daemon::start(&world, place);
    let get = |path: &str, headers: &[(&str, &str)]| http::get_with(place.operations, path, headers).unwrap();
    let post = |path: &str, headers: &[(&str, &str)], body: &str| {
        let headers = [&[("Content-Type", FORM)], headers].concat();
        http::post(place.operations, path, &headers, body.as_bytes()).unwrap()
    };
    for path in ["/", "/integration?id=x", "/runs", "/run?id=1", &format!("/record?integration=x&id={user}")] {
        let answer = get(path, &[]);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.text.contains("name=\"token\"") && !answer.text.contains("sandbox:"), "{}", answer.text);
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(path, &[]).status, 200, "{path} stays open");
    }
    for wrong in ["", "token=", "token=wrong", "token=operations-token-of-these-test", "token=%F0"] {
        let answer = post("/sign-in", &[], wrong);
        assert!([400, 401].contains(&answer.status), "{wrong}");
        assert!(!answer.text.to_lowercase().contains("set-cookie"), "{wrong}");
    }
    assert_eq!(get("/", &[("Authorization", "Bearer wrong")]).status, 401);
    assert_eq!(get("/", &[("Authorization", &bearer())]).status, 200);

    let answer = post("/sign-in", &[], &format!("token={TOKEN}"));
    assert_eq!(answer.status, 303);
    let cookie = answer.text.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let page = get(&format!("/integration?id={FIRST_INTEGRATION}"), &[("Cookie", cookie)]);
    assert_eq!(page.status, 200);
    let key = page.text.split("name=\"key\" value=\"").nth(1).unwrap().split('"').next().unwrap();

    let pause = format!("integration={FIRST_INTEGRATION}&action=pause");
    let with_key = format!("{pause}&key={key}");
    assert_eq!(post("/act", &[], &pause).status, 401, "a stranger");
    assert_eq!(post("/act", &[], &with_key).status, 401, "a stranger with a key");
    assert_eq!(post("/act", &[("Cookie", cookie)], &pause).status, 403, "a form of another site");
    assert_eq!(post("/act", &[("Cookie", cookie)], &format!("{pause}&key=wrong")).status, 403);
    assert_eq!(post("/act", &[("Cookie", cookie), ("Sec-Fetch-Site", "cross-site")], &with_key).status, 403);
    assert_eq!(post("/act", &[("Cookie", cookie)], &"x".repeat(20_000)).status, 400);
    let status = || world.read(|tx| tx.integrations())[0].status;
    assert_eq!(status(), IntegrationStatus::Active, "none of them did anything");
    assert_eq!(post("/act", &[("Cookie", cookie), ("Sec-Fetch-Site", "same-origin")], &with_key).status, 303);
    assert_eq!(status(), IntegrationStatus::Held);
    let out = post("/sign-out", &[("Cookie", cookie)], &format!("key={key}"));
    assert!(out.status == 303 && out.text.contains("Max-Age=0"), "{}", out.text);
    let finished = daemon.stop();
    assert!(!finished.stderr.contains(TOKEN) && !finished.stderr.contains(key));
}

#[test]
fn without_a_token_everybody_may_look_and_nobody_may_act() {
    let place = Place::new();
    let (mut world, user) = hostile_world(Backend::Sqlite, place);
    world.unset("server.operations_token");
    let daemon = Daemon::start(&world, place);
    Look::new(&world).wait_until_loaded(&world);
    let page = http::get(place.operations, &format!("/integration?id={FIRST_INTEGRATION}")).unwrap();
    assert!(page.status == 200 && !page.text.contains("<form"), "{}", page.text);
    let record = http::get(place.operations, &format!("/record?integration={FIRST_INTEGRATION}&id={user}")).unwrap();
    assert!(record.text.contains("server.operations_token") && !record.text.contains("first_name"), "{}", record.text);
    let body = format!("integration={FIRST_INTEGRATION}&action=pause&key=");
    let answer = http::post(place.operations, "/act", &[("Content-Type", FORM)], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 403);
    let answer = http::post(place.operations, "/sign-in", &[("Content-Type", FORM)], b"token=").unwrap();
    assert!(!answer.text.to_lowercase().contains("set-cookie"), "{}", answer.text);
    daemon.stop();

    world.set("server.operations_token", "too short");
    let refused = world.syncd(&["run"]).expect_code(2);
    assert!(refused.complaint().contains("at least 16 characters"), "{}", refused.stderr);
}
