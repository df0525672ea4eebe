use kombo_model::{
    CompleteCourseProgression, Course, CourseId, CourseProgression, CourseProgressionId, CourseTask, ForceSync,
    ForcedSync, IntegrationId, NewCourseProgression, StartedTask, TaskId, UpsertCourses,
};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::Client;
use crate::request::Request;
use crate::{Answer, Error, Written, decode};

/// Operations that change something.
impl Client {
    /// Makes Kombo read from the connected tool now: `POST /force-sync`. The answer comes as soon as the sync is
    /// queued; the `sync-finished` webhook reports its end.
    ///
    /// Safe to repeat: if a sync is already queued, no other is started.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = kombo_sandbox::Sandbox::start(kombo_sandbox::SandboxConfig::default()).await?;
    /// # let client = kombo_client::Client::builder("sandbox-key").base_url(sandbox.base_url()).build()?;
    /// # let integration = kombo_model::IntegrationId::from(kombo_sandbox::FIRST_INTEGRATION);
    /// use kombo_model::ForceSync;
    ///
    /// let sync = client.force_sync(&integration, &ForceSync::default()).await?.data;
    /// println!("sync {} {}", sync.sync_id, if sync.already_queued == Some(true) { "waits" } else { "was started" });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns any [`Error`].
    pub async fn force_sync(
        &self,
        integration: &IntegrationId,
        options: &ForceSync,
    ) -> Result<Answer<ForcedSync>, Error> {
        self.read(Request::force_sync(integration, options)?).await
    }

    /// Deletes an integration and its data at Kombo: `DELETE /integrations/{id}`. This cannot be undone. The
    /// `integration-deleted` webhook reports it.
    ///
    /// Safe to repeat, and retried if an answer is lost. An error of kind
    /// [`IntegrationNotFound`](crate::ErrorKind::IntegrationNotFound) then means that the integration is gone.
    ///
    /// # Errors
    /// Returns any [`Error`].
    pub async fn delete_integration(&self, id: &IntegrationId) -> Result<Answer<()>, Error> {
        let Answer { data: IgnoredAny, meta } = self.read(Request::delete_integration(id)?).await?;
        Ok(Answer { data: (), meta })
    }

    /// Enrols a user in a revision of a course: `POST /lms/course-progressions`. The answer shows the progression as
    /// the read endpoint does from now on.
    ///
    /// Not idempotent: retried only if it certainly was not carried out.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = kombo_sandbox::Sandbox::start(kombo_sandbox::SandboxConfig::default()).await?;
    /// # let client = kombo_client::Client::builder("sandbox-key").base_url(sandbox.base_url()).build()?;
    /// # let integration = kombo_model::IntegrationId::from(kombo_sandbox::FIRST_INTEGRATION);
    /// # let users = client.users(&integration, Default::default()).next_page().await?.unwrap().records;
    /// # let courses = client.courses(&integration, Default::default()).next_page().await?.unwrap().records;
    /// # let revision = courses.iter().find_map(|course| course.revisions.value()?.first()).unwrap();
    /// use kombo_model::{NewCourseProgression, ProgressionStatus};
    ///
    /// let wanted = NewCourseProgression { user_id: users[0].id.clone(), course_revision_id: revision.id.clone() };
    /// match client.create_course_progression(&integration, &wanted).await {
    ///     Ok(enrolled) => assert_eq!(enrolled.data.status, Some(ProgressionStatus::Enrolled)),
    ///     Err(error) if error.outcome_unknown() => { /* look whether the user is enrolled */ }
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns any [`Error`]. If its [`outcome_unknown`](Error::outcome_unknown) is true, list the user's progressions
    /// before you enrol again. The kind is [`ActionUnavailable`](crate::ErrorKind::ActionUnavailable) if the
    /// integration does not support the action, and [`ToolRefused`](crate::ErrorKind::ToolRefused) if the tool refused
    /// it.
    pub async fn create_course_progression(
        &self,
        integration: &IntegrationId,
        progression: &NewCourseProgression,
    ) -> Result<Written<CourseProgression>, Error> {
        self.write(Request::create_progression(integration, progression)?).await
    }

    /// Marks a progression as completed: `POST /lms/course-progressions/{id}/complete`. Instead of Kombo's id, you can
    /// give `remote:` followed by the connected tool's id.
    ///
    /// It is not documented whether a tool records a second completion, so this is retried only if it certainly was not
    /// carried out.
    ///
    /// # Errors
    /// As for [`create_course_progression`](Self::create_course_progression).
    pub async fn complete_course_progression(
        &self,
        integration: &IntegrationId,
        id: &CourseProgressionId,
        completion: &CompleteCourseProgression,
    ) -> Result<Written<CourseProgression>, Error> {
        self.write(Request::complete_progression(integration, id, completion)?).await
    }

    /// Creates courses in the connected tool, or changes those pushed earlier under the same `origin_id`:
    /// `POST /lms/courses/bulk`. Kombo works in the background: call [`course_task`](Self::course_task) for the outcome
    /// of each course.
    ///
    /// Retried only if certainly no task was started. You may send the same courses again after the first task has
    /// ended: that leaves them as they are.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = kombo_sandbox::Sandbox::start(kombo_sandbox::SandboxConfig::default()).await?;
    /// # let client = kombo_client::Client::builder("sandbox-key").base_url(sandbox.base_url()).build()?;
    /// # let integration = kombo_model::IntegrationId::from(kombo_sandbox::FIRST_INTEGRATION);
    /// use kombo_model::{ExternalCourse, UpsertCourse, UpsertCourses};
    ///
    /// let course = ExternalCourse::new("Welding", "https://courses.example.com/welding").into();
    /// let items = vec![UpsertCourse { origin_id: "course-1".to_owned(), course }];
    /// let started = client.upsert_courses(&integration, &UpsertCourses { items }).await?;
    /// let task = client.course_task(&integration, &started.data.task_id).await?.data;
    /// for outcome in task.outcomes.unwrap_or_default() {
    ///     println!("{}: {}", outcome.origin_id, outcome.status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`create_course_progression`](Self::create_course_progression).
    pub async fn upsert_courses(
        &self,
        integration: &IntegrationId,
        courses: &UpsertCourses,
    ) -> Result<Written<StartedTask>, Error> {
        self.write(Request::upsert_courses(integration, courses)?).await
    }

    /// Returns the state of the task that [`upsert_courses`](Self::upsert_courses) started:
    /// `GET /lms/courses/bulk/{task_id}`. The connected tool may take long; ask again until the task [has
    /// ended](CourseTask::has_ended).
    ///
    /// # Errors
    /// Returns any [`Error`]; a failed task is not an error here.
    pub async fn course_task(&self, integration: &IntegrationId, id: &TaskId) -> Result<Answer<CourseTask>, Error> {
        self.read(Request::course_task(integration, id)?).await
    }

    /// Takes a course out of use in the connected tool: `POST /lms/courses/{id}/deactivate`. The answer shows the
    /// course as the read endpoint does from now on. Instead of Kombo's id, you can give `remote:` followed by the
    /// connected tool's id.
    ///
    /// It is not documented how a tool answers if the course is already out of use, so this is retried only if it
    /// certainly was not carried out.
    ///
    /// # Errors
    /// As for [`create_course_progression`](Self::create_course_progression).
    pub async fn deactivate_course(
        &self,
        integration: &IntegrationId,
        id: &CourseId,
    ) -> Result<Written<Course>, Error> {
        self.write(Request::deactivate_course(integration, id)?).await
    }

    async fn write<T: DeserializeOwned>(&self, request: Request) -> Result<Written<T>, Error> {
        let ((data, warnings), meta) = self.inner.sender.send(request, decode::written).await?;
        Ok(Written { data, warnings, meta })
    }
}
