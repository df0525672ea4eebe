use std::fmt;

use kombo_model::Endpoint;

/// What was asked of Kombo. Prints as method and path, such as `GET /lms/users`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Whether the API key works.
    CheckApiKey,
    /// The state of one integration.
    Integration,
    /// A page of one of the read endpoints.
    List(Endpoint),
}

impl Operation {
    /// The path below the base URL, with a placeholder where it holds an id.
    pub fn path(self) -> &'static str {
        match self {
            Self::CheckApiKey => "check-api-key",
            Self::Integration => "integrations/{id}",
            Self::List(endpoint) => endpoint.path(),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET /{}", self.path())
    }
}
