//! Requests as values, built from a query or a body without IO.

mod write;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use reqwest::Url;

use crate::comma_lists::{CommaLists as _, comma_list};
use crate::query::{ListQuery, Listed, PageCursor, PageSize};
use crate::{Error, Operation};

/// A request to Kombo, complete except for the host and the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) operation: Operation,
    /// The value of `X-Integration-Id`, if the operation needs it.
    pub(crate) integration: Option<IntegrationId>,
    /// The path below the base URL, not yet percent-encoded.
    path: Vec<String>,
    /// The parameters in the order of Kombo's documentation, not yet percent-encoded.
    pub(crate) parameters: Vec<(&'static str, String)>,
    /// JSON, if the operation needs it.
    pub(crate) body: Option<String>,
}

impl Request {
    /// `GET /check-api-key`
    pub(crate) fn check_api_key() -> Self {
        let operation = Operation::CheckApiKey;
        Self { operation, integration: None, path: segments(operation.path()), parameters: Vec::new(), body: None }
    }

    /// `GET /integrations/{id}`
    pub(crate) fn integration(id: &IntegrationId) -> Result<Self, Error> {
        let operation = Operation::Integration;
        let path = filled(operation, id.as_str()).ok_or(Error::InvalidRequest {
            operation,
            reason: "the integration id is blank, made of dots or holds control characters",
        })?;
        Ok(Self { operation, integration: None, path, parameters: Vec::new(), body: None })
    }

    /// One page of a read endpoint. `cursor` replaces the query's cursor; the filters are the same for every page.
    pub(crate) fn page<R: Listed>(
        integration: &IntegrationId,
        endpoint: Endpoint,
        query: &ListQuery<R>,
        cursor: Option<&PageCursor>,
        page_size: PageSize,
    ) -> Result<Self, Error> {
        let operation = Operation::List(endpoint);
        let invalid = |reason| Error::InvalidRequest { operation, reason };
        check_header(integration).map_err(invalid)?;
        let mut parameters = Vec::new();
        let facts = endpoint.info();
        if let Some(cursor) = cursor {
            parameters.push(("cursor", cursor.as_str().to_owned()));
        }
        if facts.is_paged {
            parameters.push(("page_size", page_size.get().to_string()));
        }
        match query.updated_after {
            Some(_) if !facts.has_updated_after => return Err(invalid("the endpoint has no parameter updated_after")),
            Some(after) => parameters.push(("updated_after", time(after))),
            None => {}
        }
        if facts.has_include_deleted {
            parameters.push(("include_deleted", query.include_deleted.to_string()));
        }
        if query.ignore_unsupported_filters {
            parameters.push(("ignore_unsupported_filters", true.to_string()));
        }
        comma_list(&mut parameters, "ids", &query.ids).map_err(invalid)?;
        comma_list(&mut parameters, "remote_ids", &query.remote_ids).map_err(invalid)?;
        query.filters.append(&mut parameters).map_err(invalid)?;
        let path = segments(operation.path());
        Ok(Self { operation, integration: Some(integration.clone()), path, parameters, body: None })
    }

    /// Whether it requests a page of one record.
    pub(crate) fn asks_for_one_record(&self) -> bool {
        self.parameters.iter().any(|(name, value)| *name == "page_size" && value == "1")
    }

    /// Returns the URL of the request below `base`, which has a path without a trailing slash.
    pub(crate) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        // Fails only for a URL without a host, which a base URL never is.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&self.path);
        }
        if !self.parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.parameters);
        }
        url
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

/// Inserts `id` into the operation's path; `None` if the id is not valid in a path.
fn filled(operation: Operation, id: &str) -> Option<Vec<String>> {
    // Dots alone would move up the path.
    // Line breaks and tabs would be dropped from a URL, which changes the id.
    if id.trim().is_empty() || matches!(id, "." | "..") || id.contains(char::is_control) {
        return None;
    }
    let named = |segment: &str| if segment == "{id}" { id } else { segment }.to_owned();
    Some(operation.path().split('/').map(named).collect())
}

fn check_header(integration: &IntegrationId) -> Result<(), &'static str> {
    let id = integration.as_str();
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the integration id is empty or not made of visible ASCII characters");
    }
    Ok(())
}

/// Kombo rejects an offset such as `+00:00`; a timestamp always prints as UTC with `Z`.
fn time(moment: Timestamp) -> String {
    moment.to_string()
}

#[cfg(test)]
mod tests;
