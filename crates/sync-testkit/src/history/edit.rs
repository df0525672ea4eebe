use fastrand::Rng;
use kombo_model::{FreeJson, ProgressionStatus};
use sync_core::rows::Model;

use crate::Lms;

/// A change of a record at Kombo. Small numbers identify records. An edit of a missing record does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named after what it calls of `Lms`, which says what it does")]
pub enum Edit {
    AddUser(u8),
    RenameUser(u8, u8),
    Describe(Kind, u8, u8),
    Delete(Kind, u8),
    Restore(Kind, u8),
    Anonymise(Kind, u8),
    AddCourse(u8),
    AddRevision(u8, u8),
    SetTitle(u8, u8),
    Move(u8, u8),
    Assign(u8, u8),
    Unassign(u8, u8),
    AddSkill(u8),
    RenameSkill(u8, u8),
    AddProvider(u8),
    RenameProvider(u8, u8),
    Provide(u8, u8),
    Enrol(u8, u8, u8),
    Progress(u8, u8),
    Purge(Kind, u8),
}

/// The models with records that can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are Kombo's words")]
pub enum Kind {
    User,
    Course,
    Revision,
    Skill,
    Progression,
}

impl Kind {
    const ALL: [Self; 5] = [Self::User, Self::Course, Self::Revision, Self::Skill, Self::Progression];

    fn model(self) -> Model {
        match self {
            Self::User => Model::LmsUsers,
            Self::Course => Model::LmsCourses,
            Self::Revision => Model::LmsCourseRevisions,
            Self::Skill => Model::LmsSkills,
            Self::Progression => Model::LmsCourseProgressions,
        }
    }

    fn id(self, number: u8) -> String {
        let letter = match self {
            Self::User => 'u',
            Self::Course => 'c',
            Self::Revision => 'r',
            Self::Skill => 's',
            Self::Progression => 'g',
        };
        format!("{letter}{number}")
    }
}

impl Edit {
    /// Derives an edit from a seed, for one of the first `records` records of each model. Deltas or webhooks show every
    /// such edit: nothing is purged.
    pub fn random(seed: u64, records: u8) -> Self {
        let mut rng = Rng::with_seed(seed);
        let kind = rng.choice(Kind::ALL).unwrap_or(Kind::User);
        let (one, two, three, value) = (rng.u8(0..records), rng.u8(0..records), rng.u8(0..records), rng.u8(..));
        match rng.u8(0..19) {
            0 => Self::AddUser(one),
            1 => Self::RenameUser(one, value),
            2 => Self::Describe(kind, one, value),
            3 => Self::Delete(kind, one),
            4 => Self::Restore(kind, one),
            5 => Self::Anonymise(kind, one),
            6 => Self::AddCourse(one),
            7 => Self::AddRevision(one, two),
            8 => Self::SetTitle(one, value),
            9 => Self::Move(one, two),
            10 => Self::Assign(one, two),
            11 => Self::Unassign(one, two),
            12 => Self::AddSkill(one),
            13 => Self::RenameSkill(one, value),
            14 => Self::AddProvider(one),
            15 => Self::RenameProvider(one, value),
            16 => Self::Provide(one, two),
            17 => Self::Enrol(one, two, three),
            _ => Self::Progress(one, value),
        }
    }

    /// Makes the edit.
    pub fn apply(&self, lms: &mut Lms) {
        match self {
            Self::AddUser(user) => lms.add_user(&Kind::User.id(*user)),
            Self::RenameUser(user, to) => lms.rename_user(&Kind::User.id(*user), &name(*to)),
            Self::Describe(kind, id, value) => describe(lms, *kind, &kind.id(*id), *value),
            Self::Delete(kind, id) => lms.delete(kind.model(), &kind.id(*id)),
            Self::Restore(kind, id) => lms.restore(kind.model(), &kind.id(*id)),
            Self::Anonymise(kind, id) => lms.anonymise(kind.model(), &kind.id(*id)),
            Self::AddCourse(course) => {
                if !lms.ids(Model::LmsCourses).contains(&Kind::Course.id(*course)) {
                    lms.add_course(&Kind::Course.id(*course), &Kind::Revision.id(*course), &name(*course));
                }
            }
            Self::AddRevision(course, revision) => {
                lms.add_revision(&Kind::Course.id(*course), &Kind::Revision.id(*revision), "added");
            }
            Self::SetTitle(revision, title) => lms.set_title(&Kind::Revision.id(*revision), &name(*title)),
            Self::Move(revision, course) => {
                lms.move_revision(&Kind::Revision.id(*revision), &Kind::Course.id(*course));
            }
            Self::Assign(revision, skill) => lms.assign(&Kind::Revision.id(*revision), &Kind::Skill.id(*skill)),
            Self::Unassign(revision, skill) => lms.unassign(&Kind::Revision.id(*revision), &Kind::Skill.id(*skill)),
            Self::AddSkill(skill) => lms.add_skill(&Kind::Skill.id(*skill), "skill"),
            Self::RenameSkill(skill, to) => lms.rename_skill(&Kind::Skill.id(*skill), &name(*to)),
            Self::AddProvider(provider) => lms.add_provider(&format!("p{provider}"), "provider"),
            Self::RenameProvider(provider, to) => lms.rename_provider(&format!("p{provider}"), &name(*to)),
            Self::Provide(course, provider) => {
                let provider = format!("p{provider}");
                let known = lms.ids(Model::LmsCourseProviders).contains(&provider);
                lms.provide(&Kind::Course.id(*course), known.then_some(provider.as_str()));
            }
            Self::Enrol(id, user, revision) => {
                let (user, revision) = (Kind::User.id(*user), Kind::Revision.id(*revision));
                lms.add_progression(&Kind::Progression.id(*id), &user, &revision);
            }
            Self::Progress(id, status) => {
                let status = match status % 3 {
                    0 => ProgressionStatus::InProgress,
                    1 => ProgressionStatus::Completed,
                    _ => ProgressionStatus::Dropped,
                };
                lms.progress(&Kind::Progression.id(*id), status);
            }
            Self::Purge(kind, id) => lms.purge(kind.model(), &kind.id(*id)),
        }
    }
}

fn name(number: u8) -> String {
    format!("näme {number}")
}

/// Fills fields with JSON and times.
fn describe(lms: &mut Lms, kind: Kind, id: &str, value: u8) {
    let fields = FreeJson::new(format!(r#"{{"b":{value},"a":["é",null,{{"x":true}}]}}"#)).ok();
    let data = FreeJson::new(format!(r#"{{"/v1/{value}":{{"data":"{}"}}}}"#, "x".repeat(value.into()))).ok();
    match kind {
        Kind::User => lms.update_user(id, |user| (user.custom_fields, user.remote_data) = (fields, data)),
        Kind::Course => lms.update_course(id, |course| (course.custom_fields, course.remote_data) = (fields, data)),
        Kind::Revision => lms.update_revision(id, |revision| {
            (revision.integration_fields, revision.description) = (fields, Some(name(value)));
        }),
        Kind::Skill => lms.update_skill(id, |skill| (skill.custom_fields, skill.remote_data) = (fields, data)),
        Kind::Progression => lms.update_progression(id, |progression| {
            (progression.completed_at, progression.remote_data) = (progression.changed_at, data);
        }),
    }
}
