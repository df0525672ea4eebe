use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Endpoint, Model, Shape};

/// A category of connected tools. An integration has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Learning management systems.
    Lms,
    /// Human resources information systems.
    Hris,
    /// Applicant tracking systems.
    Ats,
}

impl Category {
    /// All categories.
    pub const ALL: [Self; 3] = [Self::Lms, Self::Hris, Self::Ats];

    /// Returns the name in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lms => "lms",
            Self::Hris => "hris",
            Self::Ats => "ats",
        }
    }

    /// Returns the endpoints of the category.
    pub fn endpoints(self) -> impl Iterator<Item = Endpoint> {
        Endpoint::ALL.into_iter().filter(move |endpoint| endpoint.category() == self)
    }

    /// Returns the models of the category.
    pub fn models(self) -> impl Iterator<Item = Model> {
        Model::ALL.into_iter().filter(move |model| model.category() == self)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No category has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown category \"{0}\": use lms, hris or ats")]
pub struct UnknownCategory(pub String);

impl FromStr for Category {
    type Err = UnknownCategory;

    /// Parses the name in any case: Kombo writes categories in capitals.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let category = Self::ALL.into_iter().find(|category| category.as_str().eq_ignore_ascii_case(name));
        category.ok_or_else(|| UnknownCategory(name.to_owned()))
    }
}

/// The facts on an endpoint.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact by itself")]
pub struct EndpointInfo {
    /// The path below the base URL, which is the endpoint's name.
    pub path: &'static str,
    /// The category.
    pub category: Category,
    /// The model of the records that it lists.
    pub lists: Model,
    /// What becomes of a record.
    pub shape: Shape,
    /// Whether it has the parameter `updated_after`. Without it, every fetch is a full fetch.
    pub has_updated_after: bool,
    /// Whether it has the parameter `include_deleted`.
    pub has_include_deleted: bool,
    /// Whether it has pages.
    pub is_paged: bool,
    /// Whether it is fetched unless the configuration says otherwise.
    pub is_enabled: bool,
    /// The filters that not every endpoint has.
    pub filters: &'static [Filter],
    /// What is deliberately not mirrored, or no filter.
    pub left_out: &'static [LeftOut],
    /// Paths of fields that Kombo added after the contract that the catalogue is compared with.
    pub newer: &'static [&'static str],
}

/// A field of records that is no column, or a parameter that is no filter.
#[derive(Debug)]
pub struct LeftOut {
    /// Path of the field, or name of the parameter.
    pub name: &'static str,
    /// The reason.
    pub reason: &'static str,
}

/// A filter of an endpoint.
#[derive(Debug)]
pub struct Filter {
    /// Name of the parameter.
    pub name: &'static str,
    /// Kind of the value.
    pub kind: FilterKind,
    /// Meaning.
    pub about: &'static str,
}

/// The kind of a filter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterKind {
    /// Texts, separated by commas.
    List,
    /// One text.
    Text,
    /// A time.
    Time,
    /// A date.
    Date,
}

impl Endpoint {
    /// Returns the name used in configuration, on the command line and in tables: the path below the base URL.
    pub fn as_str(self) -> &'static str {
        self.info().path
    }

    /// Returns the path below the base URL.
    pub fn path(self) -> &'static str {
        self.info().path
    }

    /// Returns the last part of the path. Endpoints of different categories may have the same.
    pub fn short_name(self) -> &'static str {
        let path = self.info().path;
        path.split_once('/').map_or(path, |(_, name)| name)
    }

    /// Returns the category.
    pub fn category(self) -> Category {
        self.info().category
    }

    /// Returns the model of the records that the endpoint lists.
    pub fn lists(self) -> Model {
        self.info().lists
    }

    /// Returns the endpoint with this path.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No endpoint has this name, or several have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} \"{name}\": use {}", self.remedy(), problem = if candidates.is_empty() { "unknown endpoint" } else { "ambiguous endpoint" })]
pub struct UnknownEndpoint {
    /// The name.
    pub name: String,
    /// The endpoints with this name, if there are several.
    pub candidates: Vec<Endpoint>,
}

impl UnknownEndpoint {
    fn remedy(&self) -> String {
        match self.candidates.as_slice() {
            [] => "a name such as lms/users".to_owned(),
            several => several.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(" or "),
        }
    }
}

impl FromStr for Endpoint {
    type Err = UnknownEndpoint;

    /// Parses the path, or the last part of it if only one endpoint has it.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let EndpointSelection(endpoints) = name.parse()?;
        match endpoints.as_slice() {
            [endpoint] => Ok(*endpoint),
            _ => Err(UnknownEndpoint { name: name.to_owned(), candidates: endpoints }),
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        // Earlier versions stored short names, which meant endpoints of the first category.
        let EndpointSelection(endpoints) = name.parse().map_err(serde::de::Error::custom)?;
        endpoints.first().copied().ok_or_else(|| serde::de::Error::custom("no endpoint"))
    }
}

/// The endpoints that a name stands for: one for a path, and one of each category that has it for the last part of a
/// path. An integration has one category, so that for it the short name stands for one endpoint.
///
/// ```
/// use kombo_model::catalogue::{Endpoint, EndpointSelection};
///
/// let EndpointSelection(endpoints) = "course-progressions".parse()?;
/// assert_eq!(endpoints, [Endpoint::LmsCourseProgressions]);
/// # Ok::<(), kombo_model::UnknownEndpoint>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSelection(pub Vec<Endpoint>);

impl<'de> Deserialize<'de> for EndpointSelection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for EndpointSelection {
    type Err = UnknownEndpoint;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if let Some(endpoint) = Endpoint::from_path(name) {
            return Ok(Self(vec![endpoint]));
        }
        let endpoints: Vec<_> = Endpoint::ALL.into_iter().filter(|endpoint| endpoint.short_name() == name).collect();
        if endpoints.is_empty() {
            Err(UnknownEndpoint { name: name.to_owned(), candidates: Vec::new() })
        } else {
            Ok(Self(endpoints))
        }
    }
}
