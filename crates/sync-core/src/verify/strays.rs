use std::collections::BTreeSet;

use kombo_model::Endpoint;

use super::difference::{Difference, What};
use crate::error::SyncError;
use crate::ports::error::StoreError;
use crate::ports::store::Store;
use crate::rows::Model;
use crate::rows::row::Value;

/// Number of keys to read at a time.
const PAGE: usize = 10_000;

/// Calls `tell` with each row of these endpoints of an integration that is not registered. A person wrote it, or deleted
/// the registration; no fetch changes it. Stops at an error of `tell`.
pub async fn strays<S: Store, E: From<SyncError>>(
    store: &S,
    endpoints: &BTreeSet<Endpoint>,
    mut tell: impl FnMut(Difference) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |error: StoreError| E::from(SyncError::from(error));
    for model in Model::ALL.into_iter().filter(|model| endpoints.contains(&model.owner())) {
        for (integration, _) in store.read(move |tx| tx.stray_rows(model)).await.map_err(failed)? {
            let mut after = None;
            loop {
                let (id, from) = (integration.clone(), after.take());
                let read = store.read(move |tx| tx.keys_after(model, &id, from.as_ref(), PAGE));
                let keys = read.await.map_err(failed)?;
                for key in &keys {
                    tell(Difference {
                        integration_id: integration.clone(),
                        model,
                        record_id: key.to_string(),
                        field: None,
                        what: What::Extra,
                        kombo: Value::Null,
                        store: Value::Null,
                    })?;
                }
                after = keys.into_iter().last();
                if after.is_none() {
                    break;
                }
            }
        }
    }
    Ok(())
}
