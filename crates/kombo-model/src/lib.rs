#![doc = include_str!("../README.md")]

mod endpoint;
mod envelope;
mod error_body;
mod free_json;
mod ids;
mod integration;
mod maybe;
mod model_name;
mod open_enum;
mod record;
mod redacted;
mod timestamp;
mod webhook;

pub use endpoint::{Endpoint, UnknownEndpoint};
pub use envelope::{ListData, ListEnvelope, ObjectEnvelope};
pub use error_body::{ApiError, ErrorBody, ErrorCode};
pub use free_json::FreeJson;
pub use ids::{
    CourseId, CourseProgressionId, CourseProviderId, CourseRevisionId, IntegrationId, SkillId, UserId, WebhookEventId,
};
pub use integration::{
    ApiKeyInfo, EndUser, Integration, IntegrationCategory, IntegrationState, ReadModel, SetupStatus, Tool,
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
