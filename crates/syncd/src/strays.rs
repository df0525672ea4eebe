use std::collections::BTreeSet;

use kombo_model::Endpoint;
use store_diesel::DieselStore;
use sync_core::ports::{Store as _, StoreError};
use sync_core::rows::Model;

use crate::output;

/// Warns of rows of integrations that are not registered. No fetch changes them.
pub(crate) async fn warn(store: &DieselStore, endpoints: &BTreeSet<Endpoint>) -> Result<(), StoreError> {
    for model in Model::ALL.into_iter().filter(|model| endpoints.contains(&model.owner())) {
        for (integration, rows) in store.read(move |tx| tx.stray_rows(model)).await? {
            tracing::warn!(
                integration.id = output::one_line(integration.as_str()),
                table = model.as_str(),
                rows,
                "rows of an integration that is not registered: no fetch changes them; delete them, or correct their \
                 integration_id"
            );
        }
    }
    Ok(())
}
