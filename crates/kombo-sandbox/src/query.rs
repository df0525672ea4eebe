//! Parses query parameters of the list endpoints, as strictly as Kombo.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::{Endpoint, Stamp};

/// A list request.
#[derive(Clone, Debug)]
pub(crate) struct ListQuery {
    pub(crate) cursor: Option<String>,
    pub(crate) page_size: usize,
    pub(crate) filters: Filters,
}

/// The filters, which must be the same for all pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Filters {
    pub(crate) updated_after: Option<Stamp>,
    pub(crate) include_deleted: bool,
    pub(crate) ignore_unsupported: bool,
    pub(crate) ids: Option<BTreeSet<String>>,
    pub(crate) remote_ids: Option<BTreeSet<String>>,
    pub(crate) work_emails: Option<BTreeSet<String>>,
    pub(crate) user_ids: Option<BTreeSet<String>>,
    pub(crate) course_ids: Option<BTreeSet<String>>,
}

impl Filters {
    /// Returns a hash that the listing's cursors carry.
    pub(crate) fn fingerprint(&self, endpoint: Endpoint, integration: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self, endpoint, integration).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether rows are filtered only by time and deletion.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self { include_deleted: self.include_deleted, ..Self::default() }
    }
}

fn boolean(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("query.{name}: expected \"true\" or \"false\", got {value:?}")),
    }
}

fn list(name: &str, value: &str) -> Result<BTreeSet<String>, String> {
    if value.is_empty() || value.split(',').any(str::is_empty) {
        return Err(format!("query.{name}: expected a comma-separated list, got {value:?}"));
    }
    Ok(value.split(',').map(str::to_owned).collect())
}

fn size(value: &str) -> Result<usize, String> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let size = value.parse().ok().filter(|it| digits && (1..=250).contains(it));
    size.ok_or_else(|| format!("query.page_size: expected a whole number from 1 to 250, got {value:?}"))
}

/// Whether an endpoint of HRIS or ATS has a parameter. The sandbox does not have its filters.
fn has_parameter(endpoint: kombo_model::Endpoint, name: &str) -> bool {
    let facts = endpoint.info();
    match name {
        "cursor" | "page_size" => facts.is_paged,
        "updated_after" => facts.has_updated_after,
        "include_deleted" | "ignore_unsupported_filters" => facts.has_include_deleted,
        "ids" | "remote_ids" => true,
        _ => false,
    }
}

/// Parses the pairs of a query string. The error is Kombo's message.
pub(crate) fn parse(endpoint: Endpoint, pairs: &[(String, String)]) -> Result<ListQuery, String> {
    let is_whole = matches!(endpoint, Endpoint::Of(list) if !list.info().is_paged);
    let page_size = if is_whole { usize::MAX - 1 } else { 100 };
    let mut query = ListQuery { cursor: None, page_size, filters: Filters::default() };
    let mut seen = BTreeSet::new();
    for (name, value) in pairs {
        if !seen.insert(name.as_str()) {
            return Err(format!("query.{name}: given more than once"));
        }
        let filters = &mut query.filters;
        match (name.as_str(), endpoint) {
            (_, Endpoint::Of(list)) if !has_parameter(list, name) => {
                return Err(format!("query: unrecognised key {name:?}"));
            }
            ("cursor", _) => query.cursor = Some(value.clone()),
            ("page_size", _) => query.page_size = size(value)?,
            ("updated_after", _) => {
                let stamp = Stamp::parse_request(value);
                filters.updated_after =
                    Some(stamp.ok_or_else(|| format!("query.updated_after: not an accepted date-time: {value:?}"))?);
            }
            ("include_deleted", _) => filters.include_deleted = boolean(name, value)?,
            ("ignore_unsupported_filters", _) => filters.ignore_unsupported = boolean(name, value)?,
            ("ids", _) => filters.ids = Some(list(name, value)?),
            ("remote_ids", _) => filters.remote_ids = Some(list(name, value)?),
            ("work_emails", Endpoint::LmsUsers) => filters.work_emails = Some(list(name, value)?),
            ("user_ids", Endpoint::LmsCourseProgressions) => filters.user_ids = Some(list(name, value)?),
            ("course_ids", Endpoint::LmsCourseProgressions) => filters.course_ids = Some(list(name, value)?),
            _ => return Err(format!("query: unrecognised key {name:?}")),
        }
    }
    Ok(query)
}
