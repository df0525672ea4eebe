//! Integrations of HRIS and ATS: every endpoint is loaded, followed by deltas, fetched in full, swept and verified.

use kombo_model::{Category, Endpoint, IntegrationId};
use kombo_sandbox::{Behaviour, FIRST_INTEGRATION, GeneratorConfig, NestedReading, SandboxConfig};

use crate::database::Backend;
use crate::mirror::{differences_of, rows};
use crate::world::World;

on_both_databases!(
    every_endpoint_of_hris,
    every_endpoint_of_ats,
    a_delta_that_misses_nested_changes_of_hris,
    a_delta_that_misses_nested_changes_of_ats,
);

fn every_endpoint_of_hris(backend: Backend) {
    every_endpoint(backend, Category::Hris, NestedReading::Guide);
}

fn every_endpoint_of_ats(backend: Backend) {
    every_endpoint(backend, Category::Ats, NestedReading::Guide);
}

fn a_delta_that_misses_nested_changes_of_hris(backend: Backend) {
    every_endpoint(backend, Category::Hris, NestedReading::Reference);
}

fn a_delta_that_misses_nested_changes_of_ats(backend: Backend) {
    every_endpoint(backend, Category::Ats, NestedReading::Reference);
}

fn world(backend: Backend, category: Category, nested: NestedReading) -> World {
    let generator =
        GeneratorConfig { category, users: 100, null_rate: 0.1, deleted_rate: 0.05, ..GeneratorConfig::default() };
    let behaviour = Behaviour { nested, ..Behaviour::default() };
    World::new(backend, SandboxConfig { generator, behaviour, ..SandboxConfig::default() })
}

#[track_caller]
fn assert_same(world: &World, category: Category, is_whole: bool) {
    let found = differences_of(world, &IntegrationId::from(FIRST_INTEGRATION), category, is_whole);
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found[..found.len().min(20)].join("\n"));
}

fn every_endpoint(backend: Backend, category: Category, nested: NestedReading) {
    let world = world(backend, category, nested);
    let loaded = world.sync().json();
    let endpoints: Vec<Endpoint> = category.endpoints().filter(|endpoint| endpoint.info().is_enabled).collect();
    assert_eq!(loaded["runs"].as_array().unwrap().len(), endpoints.len(), "{loaded}");
    assert_same(&world, category, true);
    let integration = IntegrationId::from(FIRST_INTEGRATION);
    for model in category.models() {
        assert!(!rows(&world, &integration, model).is_empty(), "{model} has no row");
    }

    for round in 0..3 {
        for seed in 0..20 {
            // A change may be impossible, such as one of a row that an earlier change purged.
            let _ = world.sandbox.mutate_random(FIRST_INTEGRATION, round * 20 + seed);
        }
        world.sync();
        if nested == NestedReading::Guide {
            assert_same(&world, category, false);
        }
    }
    // The first may find that too many rows are gone, which the second is allowed to remove.
    world.syncd(&["sync", "--full"]);
    world.syncd(&["sync", "--full", "--allow-mass-removal"]).expect_code(0);
    assert_same(&world, category, true);
    let verified = world.syncd(&["verify"]).expect_code(0);
    assert!(verified.stdout.contains("Kombo and the store agree"), "{}", verified.stdout);
}
