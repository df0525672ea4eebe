#![doc = include_str!("../README.md")]

mod action;
pub mod catalogue;
mod date;
mod envelope;
mod error_body;
mod free_json;
mod ids;
mod in_part;
mod integration;
mod maybe;
mod model_name;
mod number;
mod open_enum;
mod record;
mod redacted;
mod timestamp;
mod webhook;

pub use action::{
    CompleteCourseProgression, CourseContent, CourseLanguage, CourseOutcome, CourseTask, ExternalCourse, ForceSync,
    ForcedSync, InvalidCourseLanguage, InvalidScore, NewCourseProgression, OutcomeStatus, Score, StartedTask, SyncType,
    TaskStatus, UpsertCourse, UpsertCourses, UpsertedCourse,
};
pub use catalogue::{Category, Endpoint, EndpointSelection, Model, UnknownCategory, UnknownEndpoint};
pub use date::{Date, ParseDateError};
pub use envelope::{ListData, ListEnvelope, ObjectEnvelope, Warning, WriteEnvelope};
pub use error_body::{ApiError, ErrorBody, ErrorCode};
pub use free_json::FreeJson;
pub use ids::{
    CourseId, CourseProgressionId, CourseProviderId, CourseRevisionId, IntegrationId, SkillId, TaskId, UserId,
    WebhookEventId,
};
pub use in_part::{Fault, InPart, ReadInPart, mend_json};
pub use integration::{
    ApiKeyInfo, CoverageStatus, CoveredField, EndUser, Integration, IntegrationCategory, IntegrationState, ReadModel,
    ScopeConfig, ScopeSetting, SetupStatus, Tool, WriteAction,
};
pub use maybe::Maybe;
pub use model_name::ModelName;
pub use record::{
    ActiveStatus, Course, CourseCopy, CourseProgression, CourseRevision, CourseRevisionCopy, Extra, IntegrationField,
    IntegrationFieldKind, ProgressionStatus, ProviderCopy, Skill, SkillAssignment, SkillCopy, User, UserCopy,
};
pub use timestamp::{ParseTimestampError, Timestamp};
pub use webhook::{
    ChangedModel, ConnectionFlowFailed, DataChanged, IntegrationCreated, IntegrationDeleted, IntegrationStateChanged,
    QaStatus, SyncFinished, SyncState, Webhook, WebhookEvent,
};
