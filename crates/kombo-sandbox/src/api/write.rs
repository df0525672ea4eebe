//! Answers requests that change something.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Asked, Reply,
    answer::{integration, invalid, no_integration},
    error_reply,
};
use crate::{
    Endpoint, Integration,
    action::{self, NotFound},
    body,
    render::{CourseView, ProgressionView, Scene},
    shared::{Shared, State},
};

impl From<NotFound> for Reply {
    fn from(NotFound(what): NotFound) -> Self {
        error_reply(404, Some("PLATFORM.INPUT_INVALID"), &format!("{what}: not found in this integration"))
    }
}

/// Returns the answer, as `Ok` or `Err`.
pub(super) fn answer(shared: &Arc<Shared>, asked: &Asked) -> Result<Reply, Reply> {
    if let Some((name, _)) = asked.query.first() {
        return Err(invalid(&format!("query: unrecognised key {name:?}")));
    }
    let id = asked.id.as_deref().unwrap_or_default();
    let body = body::object(asked.content_type.as_deref(), &asked.body).map_err(|it| invalid(&it))?;
    let checked = |it: String| invalid(&it);
    if asked.endpoint == Endpoint::DeleteIntegration {
        body::nothing(&body).map_err(checked)?;
        shared.delete_integration(id).map_err(|_| no_integration(id))?;
        return Ok(Reply::success(&json!({})));
    }
    let about = integration(&shared.read(), asked)?.id.clone();
    match asked.endpoint {
        Endpoint::ForceSync => {
            let sync_type = body::sync_type(&body).map_err(checked)?;
            let (sync, found) = shared.force_sync(&about, sync_type);
            Ok(Reply::success(&json!({ "sync_id": sync.id, "already_queued": found, "type": sync.sync_type })))
        }
        Endpoint::CreateCourseProgression => {
            let enrolment = body::enrolment(&body).map_err(checked)?;
            let id = shared.new_id();
            shared.act(&about, |tables, at| action::enrol(tables, &enrolment, id, at).map(|it| ((), it)))?;
            show(shared, &about, &[], |scene| progression(scene, id))
        }
        Endpoint::CompleteCourseProgression => {
            let completion = body::completion(&body).map_err(checked)?;
            let (id, again) = shared.act(&about, |tables, at| {
                action::complete(tables, id, &completion, at).map(|(id, again, changed)| ((id, again), changed))
            })?;
            let warnings: &[_] = if again { &["The course progression was completed already."] } else { &[] };
            show(shared, &about, warnings, |scene| progression(scene, id))
        }
        Endpoint::UpsertCourses => {
            let items = body::courses(&body).map_err(checked)?;
            Ok(Reply::written(&json!({ "task_id": shared.upsert_courses(&about, items) }), &[]))
        }
        Endpoint::CourseTask => {
            let state = shared.read();
            let task = state.tasks.get(id).filter(|it| it.integration == about).ok_or(NotFound("task_id"))?;
            Ok(Reply::success(&task.render(id)))
        }
        Endpoint::DeactivateCourse => {
            body::nothing(&body).map_err(checked)?;
            let (id, again) = shared.act(&about, |tables, at| {
                action::deactivate(tables, id, at).map(|(id, again, changed)| ((id, again), changed))
            })?;
            let warnings: &[_] = if again { &["The course was not active."] } else { &[] };
            show(shared, &about, warnings, |scene| {
                let course = scene.tables.courses.get(&id).ok_or(NotFound("course_id"))?;
                value(CourseView::new(scene, id, course))
            })
        }
        Endpoint::LmsUsers
        | Endpoint::LmsCourses
        | Endpoint::LmsCourseProgressions
        | Endpoint::LmsSkills
        | Endpoint::CheckApiKey
        | Endpoint::Integration
        | Endpoint::DeleteIntegration
        | Endpoint::Unknown
        | Endpoint::Of(_) => Err(error_reply(404, None, &format!("No such endpoint: {}", asked.path))),
    }
}

/// Renders the written record as the read endpoints show it.
fn show(
    shared: &Shared,
    about: &str,
    warnings: &[&str],
    view: impl FnOnce(Scene<'_>) -> Result<Value, NotFound>,
) -> Result<Reply, Reply> {
    let state: &State = &shared.read();
    let integration: &Integration = state.integrations.get(about).ok_or_else(|| no_integration(about))?;
    let now = shared.clock.now();
    let scene = Scene { tables: &integration.tables, behaviour: &state.behaviour, now, include_deleted: false };
    Ok(Reply::written(&view(scene)?, warnings))
}

fn progression(scene: Scene<'_>, id: crate::Id) -> Result<Value, NotFound> {
    let row = scene.tables.progressions.get(&id).ok_or(NotFound("course_progression_id"))?;
    value(ProgressionView::new(scene, id, row))
}

fn value(view: impl Serialize) -> Result<Value, NotFound> {
    // Views are structs with text keys, which always serialize.
    serde_json::to_value(view).map_err(|_| NotFound("record"))
}
