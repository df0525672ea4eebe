use kombo_model::{
    CompleteCourseProgression, Course, CourseId, CourseProgression, CourseProgressionId, CourseTask, ForceSync,
    ForcedSync, IntegrationId, NewCourseProgression, StartedTask, TaskId, UpsertCourses,
};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::Client;
use crate::request::Request;
use crate::{Answer, Error, Written, decode};

/// What changes something.
impl Client {
    /// Has Kombo read from the connected tool now: `POST /force-sync`. The answer comes when the sync waits its turn;
    /// the `sync-finished` webhook tells of its end.
    ///
    /// May be repeated: a sync that waits is found, and nothing is started.
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
    /// What [`Error`] lists.
    pub async fn force_sync(
        &self,
        integration: &IntegrationId,
        options: &ForceSync,
    ) -> Result<Answer<ForcedSync>, Error> {
        self.read(Request::force_sync(integration, options)?).await
    }

    /// Ends an integration and has Kombo delete its data: `DELETE /integrations/{id}`. There is no way back. The
    /// `integration-deleted` webhook tells of it.
    ///
    /// May be repeated, and is where an answer was lost: the error of the kind
    /// [`IntegrationNotFound`](crate::ErrorKind::IntegrationNotFound) then means that it is gone.
    ///
    /// # Errors
    /// What [`Error`] lists.
    pub async fn delete_integration(&self, id: &IntegrationId) -> Result<Answer<()>, Error> {
        let Answer { data: IgnoredAny, meta } = self.read(Request::delete_integration(id)?).await?;
        Ok(Answer { data: (), meta })
    }

    /// Enrols a user in a revision of a course: `POST /lms/course-progressions`. The answer shows the progression as the
    /// read endpoint does from then on.
    ///
    /// Not idempotent: tried again only if it certainly was not carried out.
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
    /// What [`Error`] lists; after one whose [`outcome_unknown`](Error::outcome_unknown) is true, list the user's
    /// progressions before you enrol again. Of the kind [`ActionUnavailable`](crate::ErrorKind::ActionUnavailable) where
    /// the integration cannot do it, of the kind [`ToolRefused`](crate::ErrorKind::ToolRefused) where the tool did not.
    pub async fn create_course_progression(
        &self,
        integration: &IntegrationId,
        progression: &NewCourseProgression,
    ) -> Result<Written<CourseProgression>, Error> {
        self.write(Request::create_progression(integration, progression)?).await
    }

    /// Marks a progression as completed: `POST /lms/course-progressions/{id}/complete`. In the place of Kombo's id, that
    /// of the connected tool can be given behind `remote:`.
    ///
    /// Whether a tool notes a second completion is not documented: tried again only if it certainly was not carried out.
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

    /// Creates courses in the connected tool, or changes those that were pushed under the same `origin_id` before:
    /// `POST /lms/courses/bulk`. Kombo does it in the background: ask [`course_task`](Self::course_task) what became of
    /// each course.
    ///
    /// Tried again only if it is certain that no task was started. Sending the same courses once more yourself changes them to
    /// what they are, when the first task has ended.
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

    /// Asks how far the task of an [`upsert_courses`](Self::upsert_courses) is: `GET /lms/courses/bulk/{task_id}`. A task
    /// can take as long as the connected tool does; ask again until it [has ended](CourseTask::has_ended).
    ///
    /// # Errors
    /// What [`Error`] lists; a task that failed is no error here.
    pub async fn course_task(&self, integration: &IntegrationId, id: &TaskId) -> Result<Answer<CourseTask>, Error> {
        self.read(Request::course_task(integration, id)?).await
    }

    /// Takes a course out of use in the connected tool: `POST /lms/courses/{id}/deactivate`. The answer shows the course
    /// as the read endpoint does from then on. In the place of Kombo's id, that of the connected tool can be given behind
    /// `remote:`.
    ///
    /// What a tool says of a course that is out of use already is not documented: tried again only if it certainly was
    /// not carried out.
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
