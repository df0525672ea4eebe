//! The ground truth, rebuilt from the API's answers.

use std::collections::BTreeMap;

use kombo_sandbox::{FIRST_INTEGRATION, Model, Sandbox, SandboxConfig};
use serde_json::{Value, json};

use crate::client::{all, start};

type Mirror = BTreeMap<Model, BTreeMap<String, Value>>;

fn take(row: &mut Value, key: &str) -> Value {
    row.as_object_mut().unwrap().remove(key).unwrap()
}

fn keep(mirror: &mut Mirror, model: Model, row: Value) {
    let key = row.get("id").map_or_else(|| row.to_string(), Value::to_string);
    mirror.entry(model).or_default().insert(key, row);
}

async fn mirrored(sandbox: &Sandbox) -> Mirror {
    let mut mirror = Mirror::new();
    for row in all(sandbox, "/lms/users?include_deleted=true").await.0 {
        keep(&mut mirror, Model::Users, row);
    }
    for row in all(sandbox, "/lms/skills?include_deleted=true").await.0 {
        keep(&mut mirror, Model::Skills, row);
    }
    for mut row in all(sandbox, "/lms/courses?include_deleted=true").await.0 {
        let (provider, revisions) = (take(&mut row, "provider"), take(&mut row, "revisions"));
        if !provider.is_null() {
            assert_eq!(provider["id"], row["provider_id"]);
            keep(&mut mirror, Model::CourseProviders, provider);
        }
        for mut revision in revisions.as_array().unwrap().clone() {
            for assignment in take(&mut revision, "skill_assignments").as_array().unwrap() {
                let join = json!({ "course_revision_id": revision["id"], "skill_id": assignment["skill"]["id"] });
                keep(&mut mirror, Model::RevisionsSkills, join);
            }
            assert_eq!(revision["course_id"], row["id"]);
            keep(&mut mirror, Model::CourseRevisions, revision);
        }
        keep(&mut mirror, Model::Courses, row);
    }
    for mut row in all(sandbox, "/lms/course-progressions?include_deleted=true").await.0 {
        let (user, revision) = (take(&mut row, "user"), take(&mut row, "course_revision"));
        assert_eq!((&user["id"], &revision["id"]), (&row["user_id"], &row["course_revision_id"]));
        let full = &mirror[&Model::Users][&user["id"].to_string()];
        for (key, value) in user.as_object().unwrap() {
            assert_eq!(value, &full[key], "the copy agrees with the row");
        }
        keep(&mut mirror, Model::CourseProgressions, row);
    }
    mirror
}

#[tokio::test]
async fn it_is_what_the_api_shows_whatever_happens() {
    let sandbox = start(SandboxConfig::default()).await;
    for round in 0..20 {
        let mirror = mirrored(&sandbox).await;
        for model in Model::all() {
            let truth = sandbox.truth(FIRST_INTEGRATION, model).unwrap();
            let mut expected = Mirror::new();
            for row in truth {
                keep(&mut expected, model, Value::Object(row));
            }
            assert_eq!(mirror.get(&model), expected.get(&model), "round {round}, {model}");
        }
        for seed in 0..25 {
            sandbox.mutate_random(FIRST_INTEGRATION, round * 1000 + seed).unwrap();
        }
    }
}

#[tokio::test]
async fn random_changes_are_decided_by_their_seed_and_cover_every_kind() {
    let (one, same) = (start(SandboxConfig::default()).await, start(SandboxConfig::default()).await);
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let (a, b) =
            (one.mutate_random(FIRST_INTEGRATION, seed).unwrap(), same.mutate_random(FIRST_INTEGRATION, seed).unwrap());
        let (a, b) = (a.unwrap(), b.unwrap());
        // Times differ, and a completed progression contains one.
        if !json!(a.mutation).to_string().contains("completed_at") {
            assert_eq!(a.mutation, b.mutation);
        }
        kinds.insert(json!(a.mutation)["kind"].as_str().unwrap().to_owned());
    }
    let expected = [
        "add",
        "anonymise",
        "assign_skill",
        "delete",
        "purge",
        "recreate",
        "restore",
        "silent_update",
        "unassign_skill",
        "update",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
}
