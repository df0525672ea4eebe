//! Chooses random mutations.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::Mutation;
use crate::{Id, Model, Stamp, Tables};

/// A possible event.
#[derive(Clone, Copy)]
enum Event {
    Add,
    RenameUser,
    RenameTitle,
    RenameProvider,
    RenameSkill,
    Status,
    ChangeCourse,
    Revise,
    RemoveRevision,
    MoveRevision,
    Assign,
    Unassign,
    Delete,
    Restore,
    Purge,
    Anonymise,
    Recreate,
    Silent,
}

/// All events, with the usual ones more often.
const EVENTS: &[Event] = &[
    Event::Add,
    Event::Add,
    Event::Add,
    Event::RenameUser,
    Event::RenameUser,
    Event::RenameTitle,
    Event::RenameTitle,
    Event::RenameProvider,
    Event::RenameSkill,
    Event::Status,
    Event::Status,
    Event::Status,
    Event::Status,
    Event::ChangeCourse,
    Event::Revise,
    Event::Revise,
    Event::RemoveRevision,
    Event::MoveRevision,
    Event::Assign,
    Event::Assign,
    Event::Unassign,
    Event::Delete,
    Event::Delete,
    Event::Delete,
    Event::Restore,
    Event::Restore,
    Event::Purge,
    Event::Anonymise,
    Event::Recreate,
    Event::Silent,
];

const RECORDS: &[Model] = &[
    Model::Users,
    Model::Courses,
    Model::CourseRevisions,
    Model::CourseProviders,
    Model::Skills,
    Model::CourseProgressions,
    Model::CourseProgressions,
    Model::CourseProgressions,
];

const WITH_TOMBSTONE: &[Model] =
    &[Model::Users, Model::Courses, Model::CourseRevisions, Model::Skills, Model::CourseProgressions];

/// Returns a mutation that is possible on these tables, chosen by `seed`; `None` if none was found.
pub(crate) fn choose(tables: &Tables, seed: u64, now: Stamp) -> Option<Mutation> {
    let mut chooser = Chooser { rng: StdRng::seed_from_u64(seed), tables, now };
    (0..64).find_map(|_| chooser.one())
}

struct Chooser<'a> {
    rng: StdRng,
    tables: &'a Tables,
    now: Stamp,
}

/// Returns a random key. The search starts at a random position, so that it is fast on a large table.
fn any<T>(rng: &mut StdRng, rows: &BTreeMap<Id, T>, fits: impl Fn(&T) -> bool) -> Option<Id> {
    let start = Id::random(rng);
    let found = rows.range(start..).chain(rows.range(..start)).take(2000).find(|(_, row)| fits(row));
    found.map(|(id, _)| *id)
}

impl Chooser<'_> {
    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        from.get(self.rng.random_range(0..from.len())).copied()
    }

    fn text(&mut self, what: &str) -> Value {
        let number = self.rng.random_range(0..1_000_000);
        let flavours =
            [format!("{what} {number}"), format!("{what} {number} – ümläut 改"), format!("🎯 {what} {number}")];
        let at = self.rng.random_range(0..flavours.len());
        flavours.get(at).map_or(Value::Null, |it| Value::from(it.as_str()))
    }

    fn live(&mut self, model: Model) -> Option<Id> {
        let (rng, tables) = (&mut self.rng, self.tables);
        match model {
            Model::Users => any(rng, &tables.users, |it| it.meta.remote_deleted_at.is_none()),
            Model::Courses => any(rng, &tables.courses, |it| it.meta.remote_deleted_at.is_none()),
            Model::CourseRevisions => any(rng, &tables.revisions, |it| it.meta.remote_deleted_at.is_none()),
            Model::CourseProviders => any(rng, &tables.providers, |_| true),
            Model::Skills => any(rng, &tables.skills, |it| it.meta.remote_deleted_at.is_none()),
            Model::CourseProgressions => any(rng, &tables.progressions, |it| it.remote_deleted_at.is_none()),
            Model::RevisionsSkills | Model::Of(_) => None,
        }
    }

    fn deleted(&mut self, model: Model) -> Option<Id> {
        let (rng, tables) = (&mut self.rng, self.tables);
        match model {
            Model::Users => any(rng, &tables.users, |it| it.meta.remote_deleted_at.is_some()),
            Model::Courses => any(rng, &tables.courses, |it| it.meta.remote_deleted_at.is_some()),
            Model::CourseRevisions => any(rng, &tables.revisions, |it| it.meta.remote_deleted_at.is_some()),
            Model::Skills => any(rng, &tables.skills, |it| it.meta.remote_deleted_at.is_some()),
            Model::CourseProgressions => any(rng, &tables.progressions, |it| it.remote_deleted_at.is_some()),
            Model::CourseProviders | Model::RevisionsSkills | Model::Of(_) => None,
        }
    }

    fn one(&mut self) -> Option<Mutation> {
        let seed = self.rng.random();
        match self.pick(EVENTS)? {
            Event::Add => self.add(seed),
            Event::RenameUser => self.rename(Model::Users, &["first_name", "last_name", "work_email"]),
            Event::RenameTitle => self.rename(Model::CourseRevisions, &["title", "description"]),
            Event::RenameProvider => self.rename(Model::CourseProviders, &["name"]),
            Event::RenameSkill => self.rename(Model::Skills, &["name"]),
            Event::ChangeCourse => self.rename(Model::Courses, &["origin_id", "remote_id"]),
            Event::Status => self.status(),
            Event::Revise => Some(Mutation::revise(self.live(Model::Courses)?, Id::random(&mut self.rng), seed)),
            Event::RemoveRevision => self.remove_revision(),
            Event::MoveRevision => self.move_revision(),
            Event::Assign => self.assign(),
            Event::Unassign => self.unassign(),
            Event::Delete => {
                let model = self.pick(WITH_TOMBSTONE)?;
                Some(Mutation::delete(model, self.live(model)?))
            }
            Event::Restore => {
                let model = self.pick(WITH_TOMBSTONE)?;
                Some(Mutation::restore(model, self.deleted(model)?))
            }
            Event::Purge => {
                let model = self.pick(RECORDS)?;
                Some(Mutation::purge(model, self.live(model)?))
            }
            Event::Anonymise => {
                let model = self.pick(WITH_TOMBSTONE)?;
                Some(Mutation::Anonymise { model, id: self.deleted(model)? })
            }
            Event::Recreate => {
                let model = self.pick(WITH_TOMBSTONE)?;
                let id = self.deleted(model)?;
                let set = match model {
                    // The old course may be gone, and a restored revision needs one.
                    Model::CourseRevisions => json!({ "course_id": self.live(Model::Courses)? }),
                    Model::Users
                    | Model::Courses
                    | Model::CourseProviders
                    | Model::Skills
                    | Model::RevisionsSkills
                    | Model::CourseProgressions
                    | Model::Of(_) => json!({}),
                };
                Some(Mutation::Recreate { model, id, seed, set: set.as_object().cloned().unwrap_or_default() })
            }
            Event::Silent => self.silent(),
        }
    }

    fn add(&mut self, seed: u64) -> Option<Mutation> {
        let id = Id::random(&mut self.rng);
        match self.pick(RECORDS)? {
            Model::CourseProgressions => {
                Some(Mutation::enrol(self.live(Model::Users)?, self.live(Model::CourseRevisions)?, id, seed))
            }
            Model::CourseRevisions => Some(Mutation::revise(self.live(Model::Courses)?, id, seed)),
            model @ (Model::Users
            | Model::Courses
            | Model::CourseProviders
            | Model::Skills
            | Model::RevisionsSkills
            | Model::Of(_)) => Some(Mutation::add(model, id, seed)),
        }
    }

    fn rename(&mut self, model: Model, fields: &[&str]) -> Option<Mutation> {
        let id = self.live(model)?;
        let field = self.pick(fields)?;
        let value = if self.rng.random_bool(0.1) && field != "remote_id" { Value::Null } else { self.text(field) };
        Some(Mutation::update(model, id, field, value))
    }

    fn status(&mut self) -> Option<Mutation> {
        let id = self.live(Model::CourseProgressions)?;
        let status = self.pick(&["ENROLLED", "IN_PROGRESS", "COMPLETED", "COMPLETED", "DROPPED"])?;
        let completed_at = (status == "COMPLETED").then(|| self.now.to_millis_precision());
        let set = json!({ "status": status, "completed_at": completed_at });
        let set = set.as_object().cloned().unwrap_or_default();
        Some(Mutation::Update { model: Model::CourseProgressions, id, set })
    }

    fn remove_revision(&mut self) -> Option<Mutation> {
        let course = any(&mut self.rng, &self.tables.courses, |it| it.revisions.len() > 1)?;
        let revisions = &self.tables.courses.get(&course)?.revisions;
        Some(Mutation::purge(Model::CourseRevisions, self.pick(revisions)?))
    }

    fn move_revision(&mut self) -> Option<Mutation> {
        let id = self.live(Model::CourseRevisions)?;
        let course = self.live(Model::Courses)?;
        let elsewhere = self.tables.revisions.get(&id)?.course_id != Some(course);
        elsewhere.then(|| Mutation::update(Model::CourseRevisions, id, "course_id", course.as_str()))
    }

    fn assign(&mut self) -> Option<Mutation> {
        let revision_id = self.live(Model::CourseRevisions)?;
        let skill_id = self.live(Model::Skills)?;
        let new = !self.tables.revisions.get(&revision_id)?.skills.contains(&skill_id);
        new.then_some(Mutation::AssignSkill { revision_id, skill_id })
    }

    fn unassign(&mut self) -> Option<Mutation> {
        let revision_id = any(&mut self.rng, &self.tables.revisions, |it| !it.skills.is_empty())?;
        let skills = &self.tables.revisions.get(&revision_id)?.skills;
        Some(Mutation::UnassignSkill { revision_id, skill_id: self.pick(skills)? })
    }

    fn silent(&mut self) -> Option<Mutation> {
        let model = self.pick(WITH_TOMBSTONE)?;
        let id = self.live(model)?;
        let field = match model {
            Model::Users => "work_email",
            Model::Courses => "origin_id",
            Model::CourseRevisions => "description",
            Model::Skills => "name",
            Model::CourseProgressions | Model::CourseProviders | Model::RevisionsSkills | Model::Of(_) => "remote_id",
        };
        Some(Mutation::silent(model, id, field, self.text("silent")))
    }
}
