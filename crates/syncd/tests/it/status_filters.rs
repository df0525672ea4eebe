//! Filters and exit codes of `syncd status`.

use kombo_sandbox::{Endpoint, Refusal, SandboxConfig};
use serde_json::Value;

use crate::database::Backend;
use crate::world::World;

/// Three integrations: a healthy one, one without courses, and one paused by a person.
fn world() -> (World, Vec<String>) {
    let world = World::new(Backend::Sqlite, SandboxConfig { integrations: 3, ..SandboxConfig::default() });
    let integrations = world.sandbox.integrations();
    world.sandbox.edit(|state| {
        let known = state.integration_mut(&integrations[1]).unwrap();
        known.endpoint_refusals.insert(Endpoint::LmsCourses, Refusal::model_not_available());
    });
    world.syncd(&["sync"]).expect_code(1);
    world.syncd(&["pause", &integrations[2]]).expect_code(0);
    (world, integrations)
}

fn shown(report: &Value) -> Vec<(String, usize)> {
    let integrations = report["integrations"].as_array().unwrap();
    integrations
        .iter()
        .map(|it| (it["id"].as_str().unwrap().to_owned(), it["endpoints"].as_array().unwrap().len()))
        .collect()
}

#[test]
fn what_fails_is_found_first_and_alone() {
    let (world, ids) = world();
    let status = |arguments: &[&str]| world.syncd(&[&["status", "--json"], arguments].concat());
    let all = status(&[]).expect_code(0).json();
    assert_eq!(shown(&all)[0].0, ids[1], "what fails comes first");
    assert_eq!(shown(&all).len(), 3);

    let failed = status(&["--failed"]).expect_code(0).json();
    assert_eq!(shown(&failed), [(ids[1].clone(), 1)]);
    assert_eq!(failed["integrations"][0]["endpoints"][0]["state"], "model_unavailable");
    assert!(failed["runs"].as_array().unwrap().iter().all(|run| run["integration_id"] == ids[1].as_str()));

    assert_eq!(shown(&status(&["--state", "model_unavailable"]).json()), [(ids[1].clone(), 1)]);
    assert_eq!(shown(&status(&["--state", "held"]).json()), [(ids[2].clone(), 3)]);
    assert_eq!(shown(&status(&["--integration", &ids[0]]).json()), [(ids[0].clone(), 3)]);
    assert_eq!(shown(&status(&["--integration", &ids[0], "--failed"]).json()), []);
    let text = world.syncd(&["status", "--state", "not_found"]).expect_code(0).stdout;
    assert!(text.contains("No integration and no endpoint is in such a state."), "{text}");
}

#[test]
fn check_exits_with_3_if_something_fails() {
    let (world, ids) = world();
    world.syncd(&["status", "--check"]).expect_code(3);
    world.syncd(&["status", "--check", "--integration", &ids[0]]).expect_code(0);
    world.syncd(&["status", "--check", "--integration", &ids[2]]).expect_code(0);
    world.sandbox.edit(|state| state.integration_mut(&ids[1]).unwrap().endpoint_refusals.clear());
    world.syncd(&["resume", &ids[2]]).expect_code(0);
    world.sync();
    world.syncd(&["status", "--check"]).expect_code(0);
}

#[test]
fn what_is_not_known_is_named() {
    let (world, _) = world();
    let said = world.syncd(&["status", "--integration", "sandbox:unknown"]).expect_code(2).stderr;
    assert!(said.contains("sandbox:unknown is not in this store"), "{said}");
    let said = world.syncd(&["status", "--state", "retrieing"]).expect_code(2).stderr;
    assert!(said.contains("did you mean retrying?"), "{said}");
}
