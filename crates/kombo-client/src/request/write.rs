use kombo_model::{
    CompleteCourseProgression, CourseId, CourseProgressionId, ForceSync, IntegrationId, NewCourseProgression, TaskId,
    UpsertCourses,
};
use serde::Serialize;

use super::{Request, check_header, filled, segments};
use crate::{Error, Operation};

/// Requests that change something, and the requests for their state.
impl Request {
    /// `DELETE /integrations/{id}`
    pub(crate) fn delete_integration(id: &IntegrationId) -> Result<Self, Error> {
        let operation = Operation::DeleteIntegration;
        let path = filled(operation, id.as_str()).ok_or(Error::InvalidRequest {
            operation,
            reason: "the integration id is blank, made of dots or holds control characters",
        })?;
        Ok(Self { operation, integration: None, path, parameters: Vec::new(), body: Some("{}".to_owned()) })
    }

    /// `POST /force-sync`
    pub(crate) fn force_sync(integration: &IntegrationId, body: &ForceSync) -> Result<Self, Error> {
        Self::of(Operation::ForceSync, integration, None, Some(body))
    }

    /// `POST /lms/course-progressions`
    pub(crate) fn create_progression(integration: &IntegrationId, body: &NewCourseProgression) -> Result<Self, Error> {
        Self::of(Operation::CreateCourseProgression, integration, None, Some(body))
    }

    /// `POST /lms/course-progressions/{id}/complete`
    pub(crate) fn complete_progression(
        integration: &IntegrationId,
        id: &CourseProgressionId,
        body: &CompleteCourseProgression,
    ) -> Result<Self, Error> {
        Self::of(Operation::CompleteCourseProgression, integration, Some(id.as_str()), Some(body))
    }

    /// `POST /lms/courses/bulk`
    pub(crate) fn upsert_courses(integration: &IntegrationId, body: &UpsertCourses) -> Result<Self, Error> {
        Self::of(Operation::UpsertCourses, integration, None, Some(body))
    }

    /// `GET /lms/courses/bulk/{id}`
    pub(crate) fn course_task(integration: &IntegrationId, id: &TaskId) -> Result<Self, Error> {
        Self::of::<()>(Operation::CourseTask, integration, Some(id.as_str()), None)
    }

    /// `POST /lms/courses/{id}/deactivate`
    pub(crate) fn deactivate_course(integration: &IntegrationId, id: &CourseId) -> Result<Self, Error> {
        let empty = serde_json::Map::new();
        Self::of(Operation::DeactivateCourse, integration, Some(id.as_str()), Some(&empty))
    }

    fn of<B: Serialize>(
        operation: Operation,
        integration: &IntegrationId,
        id: Option<&str>,
        body: Option<&B>,
    ) -> Result<Self, Error> {
        let invalid = |reason| Error::InvalidRequest { operation, reason };
        check_header(integration).map_err(invalid)?;
        let path = match id {
            None => segments(operation.path()),
            Some(id) => filled(operation, id)
                .ok_or_else(|| invalid("the id is blank, made of dots or holds control characters"))?,
        };
        let body = body.map(serde_json::to_string).transpose().map_err(|_| invalid("the body cannot be written"))?;
        Ok(Self { operation, integration: Some(integration.clone()), path, parameters: Vec::new(), body })
    }
}
