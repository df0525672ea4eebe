//! Writes over the API: immediate ones, tasks and syncs.

use std::{collections::BTreeSet, sync::Arc};

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::{Shared, State};
use crate::{
    Endpoint, Id, Model, SandboxError, Stamp, Tables, Webhook,
    action::{self, NotFound, QueuedSync, Task},
    body::CourseItem,
};

fn millis(count: u64) -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(count).unwrap_or(i64::MAX))
}

impl Shared {
    /// Generates the id of a new row, task or sync.
    pub(crate) fn new_id(&self) -> Id {
        Id::random(&mut self.traffic().rng)
    }

    /// Changes an integration's rows. The change is visible immediately, ignoring the commit lag, so that a client can
    /// read its own writes.
    pub(crate) fn act<T>(
        self: &Arc<Self>,
        about: &str,
        action: impl FnOnce(&mut Tables, Stamp) -> Result<(T, BTreeSet<Model>), NotFound>,
    ) -> Result<T, NotFound> {
        let at = self.clock.now().to_millis_precision();
        let mut state = self.write();
        let integration = state.integrations.get_mut(about).ok_or(NotFound("integration"))?;
        let (result, changed) = action(&mut integration.tables, at)?;
        integration.version += 1;
        drop(state);
        self.note_changes(about, &changed);
        Ok(result)
    }

    /// Queues a sync, or returns the queued one with `true` as the second value.
    pub(crate) fn force_sync(self: &Arc<Self>, about: &str, sync_type: &'static str) -> (QueuedSync, bool) {
        let id = self.new_id();
        let started_at = self.clock.now().to_millis_precision();
        let mut state = self.write();
        if let Some(queued) = state.syncs.get(about) {
            return (queued.clone(), true);
        }
        let takes = state.behaviour.sync_takes_ms;
        let sync = QueuedSync { id, sync_type, started_at, due_at: started_at.plus(millis(takes)) };
        state.syncs.insert(about.to_owned(), sync.clone());
        drop(state);
        self.commit_later(takes);
        (sync, false)
    }

    /// Starts writing courses and returns the task id.
    pub(crate) fn upsert_courses(self: &Arc<Self>, about: &str, items: Vec<CourseItem>) -> Id {
        let id = self.new_id();
        let created_at = self.clock.now().to_millis_precision();
        let mut state = self.write();
        let takes = state.behaviour.task_takes_ms;
        let due_at = created_at.plus(millis(takes));
        let task = Task { integration: about.to_owned(), created_at, due_at, items, ended: None };
        state.tasks.insert(id.to_string(), task);
        drop(state);
        self.commit_later(takes);
        id
    }

    /// Removes an integration and sends the webhook about it.
    pub(crate) fn delete_integration(self: &Arc<Self>, about: &str) -> Result<(), SandboxError> {
        self.send(about, &Webhook::IntegrationDeleted)?;
        let mut state = self.write();
        state.integrations.remove(about);
        state.syncs.remove(about);
        Ok(())
    }

    /// Ends the syncs that are due and sends their webhooks.
    pub(super) fn end_syncs(self: &Arc<Self>, now: Stamp) {
        if self.read().syncs.values().all(|it| it.due_at > now) {
            return;
        }
        let mut state = self.write();
        let all = std::mem::take(&mut state.syncs);
        let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, it)| it.due_at <= now);
        state.syncs = later.into_iter().collect();
        drop(state);
        for (about, sync) in due {
            let finished = Webhook::SyncFinished { sync_state: "SUCCEEDED".to_owned() };
            // The integration may have been removed; then there is nothing to send.
            let _ = self.send_with(&about, &finished, |data| {
                let seconds = (sync.due_at.micros() - sync.started_at.micros()) / 1_000_000;
                data.insert("sync_id".to_owned(), json!(sync.id));
                data.insert("sync_started_at".to_owned(), json!(sync.started_at));
                data.insert("sync_ended_at".to_owned(), json!(sync.due_at));
                data.insert("sync_duration_seconds".to_owned(), json!(seconds));
            });
        }
    }

    /// Ends the tasks that are due.
    pub(super) fn end_tasks(self: &Arc<Self>, now: Stamp) {
        let is_due = |it: &Task| it.ended.is_none() && it.due_at <= now;
        if !self.read().tasks.values().any(is_due) {
            return;
        }
        let mut told = Vec::new();
        let mut state = self.write();
        let due: Vec<String> = state.tasks.iter().filter(|(_, it)| is_due(it)).map(|(id, _)| id.clone()).collect();
        for id in due {
            let Some(task) = state.tasks.get_mut(&id) else { continue };
            let (about, at, items) = (task.integration.clone(), task.due_at, std::mem::take(&mut task.items));
            let (mut ended, changed) = self.end_task(&mut state, &about, &items, at);
            ended.insert("completed_at".to_owned(), json!(at));
            if let Some(task) = state.tasks.get_mut(&id) {
                task.ended = Some(ended);
            }
            told.push((about, changed));
        }
        drop(state);
        for (about, changed) in told {
            self.note_changes(&about, &changed);
        }
    }

    fn end_task(
        &self,
        state: &mut State,
        about: &str,
        items: &[CourseItem],
        at: Stamp,
    ) -> (Map<String, Value>, BTreeSet<Model>) {
        let mut changed = BTreeSet::new();
        let Some(integration) = state.integrations.get_mut(about) else {
            return (failed("PLATFORM.INTEGRATION_NOT_FOUND", "The integration was deleted."), changed);
        };
        if let Some(refusal) = integration.refuses(Endpoint::UpsertCourses) {
            return (failed(refusal.code.as_deref().unwrap_or("PLATFORM.UNKNOWN_ERROR"), &refusal.message), changed);
        }
        let updates = integration.updates_courses;
        let mut outcomes = Vec::new();
        for item in items {
            let ids = (self.new_id(), self.new_id());
            let (written, models) = action::upsert(&mut integration.tables, item, updates, ids, at);
            changed.extend(models);
            let outcome = match written {
                Some(id) => json!({ "status": "SUCCEEDED", "data": { "id": id } }),
                None => json!({
                    "status": "FAILED",
                    "error": error("LMS.COURSE_UPDATE_NOT_SUPPORTED", "The tool cannot change courses."),
                }),
            };
            outcomes.push(with(outcome, "origin_id", json!(item.origin_id)));
        }
        integration.version += 1;
        let ended = [("status".to_owned(), json!("COMPLETED")), ("data".to_owned(), Value::Array(outcomes))];
        (Map::from_iter(ended), changed)
    }
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
    object
}

fn error(code: &str, message: &str) -> Value {
    json!({ "code": code, "title": null, "message": message, "log_url": null })
}

fn failed(code: &str, message: &str) -> Map<String, Value> {
    Map::from_iter([("status".to_owned(), json!("FAILED")), ("error".to_owned(), error(code, message))])
}
