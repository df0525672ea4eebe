use std::fmt;

use kombo_model::catalogue::Record;
use kombo_model::{
    Course, CourseId, CourseProgression, CourseProgressionId, Endpoint, Fault, InPart, ReadInPart, Skill, SkillId,
    Timestamp, User, UserId,
};
use serde::Deserializer;
use serde::de::DeserializeOwned;

use crate::comma_lists::{CommaLists, comma_list};

/// A record type that a read endpoint lists: one of a single endpoint ([`Typed`]), or [`Record`] for any.
///
/// Sealed: Kombo defines the set.
pub trait Listed: Sized + Send + sealed::Sealed + 'static {
    /// The type of the record's id.
    type Id: AsRef<str> + fmt::Debug + Clone + Send + Sync;
    /// The filters that only this endpoint has; `()` if none.
    type Filters: CommaLists + fmt::Debug + Default + Clone + Send + Sync;

    /// Reads a whole record.
    #[doc(hidden)]
    fn read<'de, D: Deserializer<'de>>(endpoint: Endpoint, deserializer: D) -> Result<Self, D::Error>;

    /// Reads the readable parts of a record.
    #[doc(hidden)]
    fn read_in_part(endpoint: Endpoint, json: &str) -> Result<InPart<Self>, Fault>;

    /// Returns the record's id.
    #[doc(hidden)]
    fn id(&self) -> &str;
}

/// A record type of one endpoint: [`User`], [`Course`], [`CourseProgression`] and [`Skill`].
pub trait Typed: Listed + DeserializeOwned + ReadInPart {
    /// The endpoint that lists the records.
    const ENDPOINT: Endpoint;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for kombo_model::catalogue::Record {}
    impl Sealed for kombo_model::User {}
    impl Sealed for kombo_model::Course {}
    impl Sealed for kombo_model::CourseProgression {}
    impl Sealed for kombo_model::Skill {}
}

impl Listed for Record {
    type Id = String;
    type Filters = ();

    fn read<'de, D: Deserializer<'de>>(endpoint: Endpoint, deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(endpoint, deserializer)
    }

    fn read_in_part(endpoint: Endpoint, json: &str) -> Result<InPart<Self>, Fault> {
        Self::read_in_part(endpoint, json)
    }

    fn id(&self) -> &str {
        self.id()
    }
}

macro_rules! typed {
    ($($record:ty: $id:ty, $filters:ty, $endpoint:ident;)*) => {$(
        impl Listed for $record {
            type Id = $id;
            type Filters = $filters;

            fn read<'de, D: Deserializer<'de>>(_: Endpoint, deserializer: D) -> Result<Self, D::Error> {
                serde::Deserialize::deserialize(deserializer)
            }

            fn read_in_part(_: Endpoint, json: &str) -> Result<InPart<Self>, Fault> {
                ReadInPart::read_in_part(json)
            }

            fn id(&self) -> &str {
                self.record_id()
            }
        }

        impl Typed for $record {
            const ENDPOINT: Endpoint = Endpoint::$endpoint;
        }
    )*};
}

typed! {
    User: UserId, UserFilters, LmsUsers;
    Course: CourseId, (), LmsCourses;
    CourseProgression: CourseProgressionId, ProgressionFilters, LmsCourseProgressions;
    Skill: SkillId, (), LmsSkills;
}

/// A query for the records of any endpoint.
pub type RecordsQuery = ListQuery<Record>;
/// A query for users.
pub type UsersQuery = ListQuery<User>;
/// A query for courses.
pub type CoursesQuery = ListQuery<Course>;
/// A query for course progressions.
pub type ProgressionsQuery = ListQuery<CourseProgression>;
/// A query for skills.
pub type SkillsQuery = ListQuery<Skill>;

/// Selects the records of a listing. The default lists all that are not deleted. Filters combine with AND; an empty
/// list does not filter.
///
/// Items of the comma-separated lists (`ids` and similar) must not be blank or contain a comma, because Kombo has no
/// escape for it: the listing then fails with [`Error::InvalidRequest`](crate::Error::InvalidRequest). The maximum
/// number of items is not documented; a server or proxy rejects too many with status 414.
///
/// ```
/// use kombo_client::{ProgressionFilters, ProgressionsQuery};
///
/// let query = ProgressionsQuery {
///     updated_after: Some("2026-01-01T00:00:00Z".parse()?),
///     include_deleted: true,
///     filters: ProgressionFilters { user_ids: vec!["7xPdr68N8kG9EzLwjsN9xyz".into()], ..Default::default() },
///     ..Default::default()
/// };
/// # Ok::<(), kombo_model::ParseTimestampError>(())
/// ```
pub struct ListQuery<R: Listed> {
    /// Start position: the [`next`](crate::Page::next) of the last page that was processed. The filters must be those
    /// of the original listing.
    pub cursor: Option<PageCursor>,
    /// Records per page; the client's page size if `None`.
    pub page_size: Option<PageSize>,
    /// Only records that changed after this time, including changes in their nested records.
    pub updated_after: Option<Timestamp>,
    /// Also records that Kombo no longer finds in the connected tool (`remote_deleted_at` is set). Without it, a
    /// listing never shows deletions.
    pub include_deleted: bool,
    /// Ignore filters on fields that the connected tool does not supply, instead of returning nothing.
    pub ignore_unsupported_filters: bool,
    /// Only records with one of these ids.
    pub ids: Vec<R::Id>,
    /// Only records with one of these ids in the connected tool.
    pub remote_ids: Vec<String>,
    /// The filters that only this endpoint has.
    pub filters: R::Filters,
}

impl<R: Listed> Default for ListQuery<R> {
    fn default() -> Self {
        Self {
            cursor: None,
            page_size: None,
            updated_after: None,
            include_deleted: false,
            ignore_unsupported_filters: false,
            ids: Vec::new(),
            remote_ids: Vec::new(),
            filters: R::Filters::default(),
        }
    }
}

// Written by hand, because a derived implementation would require `R: Clone`.
impl<R: Listed> Clone for ListQuery<R> {
    fn clone(&self) -> Self {
        Self {
            cursor: self.cursor.clone(),
            page_size: self.page_size,
            updated_after: self.updated_after,
            include_deleted: self.include_deleted,
            ignore_unsupported_filters: self.ignore_unsupported_filters,
            ids: self.ids.clone(),
            remote_ids: self.remote_ids.clone(),
            filters: self.filters.clone(),
        }
    }
}

impl<R: Listed> fmt::Debug for ListQuery<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListQuery")
            .field("cursor", &self.cursor)
            .field("page_size", &self.page_size)
            .field("updated_after", &self.updated_after)
            .field("include_deleted", &self.include_deleted)
            .field("ignore_unsupported_filters", &self.ignore_unsupported_filters)
            .field("ids", &self.ids)
            // Some tools use mail addresses as ids.
            .field("remote_ids", &format_args!("{} of them", self.remote_ids.len()))
            .field("filters", &self.filters)
            .finish()
    }
}

/// The filters that only users have.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserFilters {
    /// Only users with one of these work email addresses.
    pub work_emails: Vec<String>,
}

impl fmt::Debug for UserFilters {
    /// Shows only their number: mail addresses are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserFilters {{ work_emails: {} }}", self.work_emails.len())
    }
}

/// The filters that only course progressions have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgressionFilters {
    /// Only progressions of these users.
    pub user_ids: Vec<UserId>,
    /// Only progressions in these courses.
    pub course_ids: Vec<CourseId>,
}

/// Kombo's opaque token for a page. Send it back unchanged to continue a listing, in this process or another one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = kombo_sandbox::Sandbox::start(kombo_sandbox::SandboxConfig::default()).await?;
/// # let client = kombo_client::Client::builder("sandbox-key").base_url(sandbox.base_url()).build()?;
/// # let integration = kombo_model::IntegrationId::from(kombo_sandbox::FIRST_INTEGRATION);
/// use kombo_client::{PageCursor, UsersQuery};
///
/// let first = client.users(&integration, UsersQuery::default()).next_page().await?.unwrap();
/// let stored: Option<String> = first.next.map(PageCursor::into_string);
///
/// let cursor = stored.and_then(PageCursor::new);
/// # assert!(cursor.is_none(), "the sandbox has one page of users");
/// let mut rest = client.users(&integration, UsersQuery { cursor, ..UsersQuery::default() });
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageCursor(String);

impl PageCursor {
    /// Wraps a token from an earlier listing; `None` if it is blank, which means the end of a list.
    pub fn new(token: String) -> Option<Self> {
        (!token.trim().is_empty()).then_some(Self(token))
    }

    /// Returns the token, for storage.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the token without a copy.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Number of records per page, 1 to 250.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageSize(u16);

impl PageSize {
    /// The largest page that Kombo accepts, and its recommendation for mirrors.
    pub const MAX: Self = Self(250);

    /// One record.
    pub const MIN: Self = Self(1);

    /// Returns `None` outside 1 to 250.
    pub fn new(records: u16) -> Option<Self> {
        (1..=Self::MAX.0).contains(&records).then_some(Self(records))
    }

    /// Returns the number of records.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl CommaLists for UserFilters {
    fn append(&self, parameters: &mut Vec<(&'static str, String)>) -> Result<(), &'static str> {
        comma_list(parameters, "work_emails", &self.work_emails)
    }
}

impl CommaLists for ProgressionFilters {
    fn append(&self, parameters: &mut Vec<(&'static str, String)>) -> Result<(), &'static str> {
        comma_list(parameters, "user_ids", &self.user_ids)?;
        comma_list(parameters, "course_ids", &self.course_ids)
    }
}
