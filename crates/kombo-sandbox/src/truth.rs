//! The content of a correct mirror: each table as flat rows, as the API would show them with `include_deleted=true`.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    Behaviour, Id, Model, Stamp, Tables,
    records::Renderer,
    render::{CourseView, ProgressionView, RevisionView, Scene, SkillView, UserView},
};

/// A row by Kombo's column names.
pub type TruthRow = Map<String, Value>;

/// Returns the row without nested records, which are stored elsewhere.
fn flat(view: impl Serialize, nested: &[&str]) -> TruthRow {
    let mut row = match serde_json::to_value(view) {
        Ok(Value::Object(row)) => row,
        // Views are structs with text keys, which serialize as objects.
        Ok(_) | Err(_) => Map::new(),
    };
    for key in nested {
        row.remove(*key);
    }
    row
}

/// Returns the rows of `model`, sorted by id. Only revisions listed by a course and providers shown by a course are
/// included.
pub(crate) fn truth(tables: &Tables, behaviour: &Behaviour, now: Stamp, model: Model) -> Vec<TruthRow> {
    let scene = Scene { tables, behaviour, now, include_deleted: true };
    match model {
        Model::Users => tables.users.iter().map(|(id, row)| flat(UserView::new(scene, *id, row), &[])).collect(),
        Model::Courses => {
            let nested = ["provider", "revisions"];
            tables.courses.iter().map(|(id, row)| flat(CourseView::new(scene, *id, row), &nested)).collect()
        }
        Model::CourseRevisions => listed_revisions(tables)
            .filter_map(|id| Some((id, tables.revisions.get(&id)?)))
            .map(|(id, row)| flat(RevisionView::new(scene, id, row), &["skill_assignments"]))
            .collect(),
        Model::CourseProviders => shown_providers(scene)
            .into_iter()
            .filter_map(|id| Some((id, tables.providers.get(&id)?)))
            .map(|(id, row)| flat(json!({ "id": id, "remote_id": row.remote_id, "name": row.name }), &[]))
            .collect(),
        Model::Skills => tables.skills.iter().map(|(id, row)| flat(SkillView::new(scene, *id, row), &[])).collect(),
        Model::RevisionsSkills => assignments(scene),
        Model::Of(model) => Renderer { records: &tables.records, behaviour, now, include_deleted: true }.truth(model),
        Model::CourseProgressions => {
            let nested = ["user", "course_revision"];
            tables.progressions.iter().map(|(id, row)| flat(ProgressionView::new(scene, *id, row), &nested)).collect()
        }
    }
}

fn listed_revisions(tables: &Tables) -> impl Iterator<Item = Id> {
    let ids: BTreeSet<Id> = tables.courses.values().flat_map(|it| it.revisions.iter().copied()).collect();
    ids.into_iter()
}

fn shown_providers(scene: Scene<'_>) -> BTreeSet<Id> {
    let courses = scene.tables.courses.values();
    courses.filter_map(|it| scene.shown(&it.meta).soft(it.provider_id)).collect()
}

fn assignments(scene: Scene<'_>) -> Vec<TruthRow> {
    let mut rows = Vec::new();
    for id in listed_revisions(scene.tables) {
        let Some(revision) = scene.tables.revisions.get(&id) else { continue };
        let skills: BTreeSet<Id> = RevisionView::new(scene, id, revision).skills().collect();
        rows.extend(skills.into_iter().map(|skill| flat(json!({ "course_revision_id": id, "skill_id": skill }), &[])));
    }
    rows
}
