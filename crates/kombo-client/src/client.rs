mod write;

use std::fmt;
use std::sync::Arc;

use kombo_model::catalogue::Record;
use kombo_model::{ApiKeyInfo, Course, CourseProgression, Endpoint, Integration, IntegrationId, Skill, User};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use crate::pages::{Pages, Sizes};
use crate::query::{CoursesQuery, ListQuery, ProgressionsQuery, RecordsQuery, SkillsQuery, Typed, UsersQuery};
use crate::request::Request;
use crate::send::Sender;
use crate::{Answer, ClientBuilder, Error, Pacer, PageSize, decode};

/// A client of Kombo's API for one key. Clones are cheap and share connections.
///
/// Requests that fail for a temporary reason are retried as its [`RetryPolicy`](crate::RetryPolicy) allows: callers
/// need no retry loop of their own. A write to the connected tool is retried only if it certainly was not carried out,
/// because Kombo cannot tell a repeated write from a second one. If that is uncertain, the error reports it:
/// [`Error::outcome_unknown`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = kombo_sandbox::Sandbox::start(kombo_sandbox::SandboxConfig::default()).await?;
/// # let client = kombo_client::Client::builder("sandbox-key").base_url(sandbox.base_url()).build()?;
/// # let integration = kombo_model::IntegrationId::from(kombo_sandbox::FIRST_INTEGRATION);
/// use kombo_client::ErrorKind;
///
/// let about = client.integration(&integration).await?;
/// println!("{} is {}, as of {:?}", about.data.tool.id, about.data.status, about.meta.server_date);
///
/// let error = client.integration(&"sandbox:elsewhere".into()).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::IntegrationNotFound);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Clone)]
pub(crate) struct Inner {
    pub(crate) sender: Sender,
    pub(crate) page_size: PageSize,
    pub(crate) sizes: Arc<Sizes>,
}

impl Client {
    /// Starts building a client for this API key.
    pub fn builder(api_key: impl Into<SecretString>) -> ClientBuilder {
        ClientBuilder::new(api_key.into())
    }

    /// Returns the same client with another pacer, so that requests with one key can wait at different priorities. Both
    /// share connections.
    #[must_use]
    pub fn with_pacer(&self, pacer: Arc<dyn Pacer>) -> Self {
        let mut inner = (*self.inner).clone();
        inner.sender.pacer = Some(pacer);
        Self { inner: Arc::new(inner) }
    }

    /// Lists users: `GET /lms/users`. Nothing is sent until the first page is requested.
    pub fn users(&self, integration: &IntegrationId, query: UsersQuery) -> Pages<User> {
        self.list(integration, query)
    }

    /// Lists courses: `GET /lms/courses`. Nothing is sent until the first page is requested.
    pub fn courses(&self, integration: &IntegrationId, query: CoursesQuery) -> Pages<Course> {
        self.list(integration, query)
    }

    /// Lists course progressions: `GET /lms/course-progressions`. Nothing is sent until the first page is requested.
    pub fn course_progressions(
        &self,
        integration: &IntegrationId,
        query: ProgressionsQuery,
    ) -> Pages<CourseProgression> {
        self.list(integration, query)
    }

    /// Lists skills: `GET /lms/skills`. Nothing is sent until the first page is requested.
    pub fn skills(&self, integration: &IntegrationId, query: SkillsQuery) -> Pages<Skill> {
        self.list(integration, query)
    }

    /// Lists the records of the read endpoint for a type, for callers that are generic over types.
    pub fn list<R: Typed>(&self, integration: &IntegrationId, query: ListQuery<R>) -> Pages<R> {
        Pages::new(self.clone(), integration.clone(), R::ENDPOINT, query)
    }

    /// Lists the records of any read endpoint, as the catalogue describes them. Nothing is sent until the first page is
    /// requested.
    pub fn records(&self, integration: &IntegrationId, endpoint: Endpoint, query: RecordsQuery) -> Pages<Record> {
        Pages::new(self.clone(), integration.clone(), endpoint, query)
    }

    /// Checks whether the key works: `GET /check-api-key`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = kombo_sandbox::Sandbox::start(kombo_sandbox::SandboxConfig::default()).await?;
    /// # let client = kombo_client::Client::builder("sandbox-key").base_url(sandbox.base_url()).build()?;
    /// # let integration = kombo_model::IntegrationId::from(kombo_sandbox::FIRST_INTEGRATION);
    /// let environment = client.check_api_key().await?.data.environment_id;
    /// # assert!(!environment.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`KeyRejected`](crate::ErrorKind::KeyRejected) if it does not.
    pub async fn check_api_key(&self) -> Result<Answer<ApiKeyInfo>, Error> {
        self.read(Request::check_api_key()).await
    }

    /// Reads the state of an integration: `GET /integrations/{id}`.
    ///
    /// # Errors
    /// Returns [`IntegrationNotFound`](crate::ErrorKind::IntegrationNotFound) if Kombo does not know the integration.
    /// It answers the same for an integration in the other region.
    pub async fn integration(&self, id: &IntegrationId) -> Result<Answer<Integration>, Error> {
        self.read(Request::integration(id)?).await
    }

    async fn read<T: DeserializeOwned>(&self, request: Request) -> Result<Answer<T>, Error> {
        let (data, meta) = self.inner.sender.send(request, decode::object).await?;
        Ok(Answer { data, meta })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.inner.sender.base_url.as_str())
            .field("page_size", &self.inner.page_size)
            .finish_non_exhaustive()
    }
}
