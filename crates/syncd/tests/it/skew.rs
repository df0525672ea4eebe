//! Clocks that disagree: no change is lost, although every delta requests changes from its watermark without an
//! overlap.

use chrono::TimeDelta;
use fastrand::Rng;
use kombo_sandbox::{
    Behaviour, GeneratorConfig, Id, Model, Mutation, NestedReading, RateLimit, SandboxConfig, SandboxError,
};
use serde_json::{Map, Value, json};

use crate::database::Backend;
use crate::mirror::{Skills, assert_faithful};
use crate::world::World;

/// Maximum number of changes between two syncs.
const MUTATIONS: usize = 4;

#[test]
fn kombo_ahead_by_ten_minutes() {
    lose_nothing(TimeDelta::minutes(10), NestedReading::Guide);
}

#[test]
fn kombo_behind_by_ten_minutes() {
    lose_nothing(TimeDelta::minutes(-10), NestedReading::Reference);
}

fn world(nested: NestedReading) -> World {
    let generator =
        GeneratorConfig { users: 30, courses: 12, skills: 8, progressions: 60, ..GeneratorConfig::default() };
    let behaviour = Behaviour { nested, ..Behaviour::default() };
    // The test runs more syncs than the default limit for a minute allows.
    let rate_limit = RateLimit { requests: 100_000, ..RateLimit::default() };
    let mut world =
        World::new(Backend::Sqlite, SandboxConfig { generator, behaviour, rate_limit, ..SandboxConfig::default() });
    world.set("sync.overlap", "0s");
    world
}

fn lose_nothing(skew: TimeDelta, nested: NestedReading) {
    let world = world(nested);
    world.sandbox.clock().skew(skew);
    world.sync();
    assert_faithful(&world, Skills::FromCourses);
    let mut chance = Chance { world: &world, rng: Rng::with_seed(4), nested };
    let rounds = 100;
    let mut done = 0_usize;
    for round in 1..=rounds {
        // Some rounds have no changes.
        done += (0..MUTATIONS).filter(|_| round % 7 != 0 && chance.mutate().is_ok()).count();
        world.syncd(&["sync", "--log", "error"]).expect_code(0);
        if round % 10 == 0 {
            assert_faithful(&world, Skills::FromCourses);
        }
    }
    assert!(done > 2 * rounds, "{done} things happened");
}

/// Random changes that a delta shows.
struct Chance<'a> {
    world: &'a World,
    rng: Rng,
    nested: NestedReading,
}

impl Chance<'_> {
    fn integration(&self) -> String {
        self.world.sandbox.integrations().remove(0)
    }

    fn any(&mut self, model: Model) -> Id {
        let ids = self.world.sandbox.ids(&self.integration(), model).unwrap();
        ids[self.rng.usize(..ids.len())]
    }

    fn new_id(&mut self) -> Id {
        format!("new-{:012x}", self.rng.u64(..1 << 48)).parse().unwrap()
    }

    fn text(&mut self) -> Value {
        if self.rng.u8(..10) == 0 { Value::Null } else { json!(format!("Ünïcode {} 改", self.rng.u32(..))) }
    }

    fn update(&mut self, model: Model, fields: &[&str]) -> Mutation {
        let field = fields[self.rng.usize(..fields.len())];
        let (id, value) = (self.any(model), self.text());
        Mutation::update(model, id, field, value)
    }

    fn with_tombstone(&mut self) -> Model {
        let models = [Model::Users, Model::Courses, Model::CourseRevisions, Model::CourseProgressions];
        models[self.rng.usize(..models.len())]
    }

    fn mutate(&mut self) -> Result<(), SandboxError> {
        let mutation = self.mutation();
        self.world.sandbox.mutate(&self.integration(), mutation).map(drop)
    }

    fn mutation(&mut self) -> Mutation {
        // In one reading of Kombo's documentation, deltas also show these.
        let kinds = if self.nested == NestedReading::Guide { 15 } else { 11 };
        match self.rng.u8(..kinds) {
            0 => {
                let seed = self.rng.u64(..);
                Mutation::add(Model::Users, self.new_id(), seed)
            }
            1 => Mutation::add(Model::Courses, self.new_id(), 1),
            2 | 3 => {
                let (user, revision) = (self.any(Model::Users), self.any(Model::CourseRevisions));
                Mutation::enrol(user, revision, self.new_id(), 2)
            }
            4 => Mutation::revise(self.any(Model::Courses), self.new_id(), 3),
            5 => self.update(Model::Users, &["first_name", "last_name", "work_email"]),
            6 => self.update(Model::CourseRevisions, &["title", "description", "remote_url"]),
            7 => self.update(Model::Courses, &["origin_id"]),
            8 => {
                let status = json!({ "status": "COMPLETED", "completed_at": "2025-11-01T10:00:00.123456Z" });
                let set: Map<String, Value> = status.as_object().cloned().unwrap();
                Mutation::Update { model: Model::CourseProgressions, id: self.any(Model::CourseProgressions), set }
            }
            9 => {
                let model = self.with_tombstone();
                Mutation::delete(model, self.any(model))
            }
            10 => {
                let model = self.with_tombstone();
                Mutation::restore(model, self.any(model))
            }
            11 => self.update(Model::CourseProviders, &["name"]),
            12 => self.update(Model::Skills, &["name"]),
            13 => {
                let (revision_id, skill_id) = (self.any(Model::CourseRevisions), self.any(Model::Skills));
                Mutation::AssignSkill { revision_id, skill_id }
            }
            _ => {
                let (revision_id, skill_id) = (self.any(Model::CourseRevisions), self.any(Model::Skills));
                Mutation::UnassignSkill { revision_id, skill_id }
            }
        }
    }
}

/// Changes that no delta shows (purged rows, silent changes, renamed providers) arrive with the next full fetch.
#[test]
fn anything_at_all_and_a_full_fetch() {
    let mut world = world(NestedReading::Reference);
    world.set_toml("sync.endpoints", r#"["users", "courses", "course-progressions", "skills"]"#);
    world.sync();
    let integration = world.sandbox.integrations().remove(0);
    for round in 0..10 {
        for seed in 0..20 {
            world.sandbox.mutate_random(&integration, round * 1_000 + seed).unwrap();
        }
        world.syncd(&["sync"]).expect_code(0);
        // More records may be gone than a full fetch removes without approval.
        let full = world.syncd(&["sync", "--full"]);
        if full.code != Some(0) {
            assert!(full.complaint().contains("--allow-mass-removal"), "{}", full.stderr);
            world.syncd(&["sync", "--full", "--allow-mass-removal"]).expect_code(0);
        }
        assert_faithful(&world, Skills::FromTheirEndpoint);
    }
}
