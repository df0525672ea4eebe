use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use kombo_model::{Category, Endpoint};

/// The categories of the registered integrations. A query of the queue costs something for each endpoint, so only
/// their endpoints are queried.
#[derive(Debug, Default)]
pub(crate) struct Categories(Mutex<Option<BTreeSet<Category>>>);

impl Categories {
    /// Sets the categories.
    pub(crate) fn set(&self, categories: BTreeSet<Category>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(categories);
    }

    /// Returns the endpoints of these categories, or all if the schedule has not read the categories yet.
    pub(crate) fn among(&self, endpoints: &BTreeSet<Endpoint>) -> BTreeSet<Endpoint> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_used =
            |endpoint: &&Endpoint| known.as_ref().is_none_or(|categories| categories.contains(&endpoint.category()));
        endpoints.iter().filter(is_used).copied().collect()
    }
}
