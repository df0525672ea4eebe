//! Applies mutations and makes them visible.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::TimeDelta;
use kombo_model::Category;

use super::{Shared, State, Uncommitted};
use crate::{
    Applied, GeneratorConfig, Integration, Model, Mutation, SandboxError, Stamp,
    generate::generate,
    mutation::{apply, choose},
    records,
};

fn commit(state: &mut State, id: &str, mutation: &Mutation, at: Stamp) -> Result<Applied, SandboxError> {
    let integration = state.integrations.get_mut(id).ok_or_else(|| SandboxError::NoIntegration(id.to_owned()))?;
    let models = apply(&mut integration.tables, mutation, at)?;
    integration.version += 1;
    Ok(Applied { mutation: mutation.clone(), models, at, visible_at: at })
}

impl Shared {
    /// Applies a mutation at the clock's time, visible now or after the commit lag.
    pub(crate) fn mutate(self: &Arc<Self>, id: &str, mutation: Mutation) -> Result<Applied, SandboxError> {
        self.commit_due();
        let at = self.clock.now().to_millis_precision();
        let mut state = self.write();
        let lag = state.behaviour.commit_lag_ms;
        if lag == 0 {
            let applied = commit(&mut state, id, &mutation, at)?;
            drop(state);
            self.note_changes(id, &applied.models);
            return Ok(applied);
        }
        if !state.integrations.contains_key(id) {
            return Err(SandboxError::NoIntegration(id.to_owned()));
        }
        let visible_at = at.plus(TimeDelta::milliseconds(i64::try_from(lag).unwrap_or(i64::MAX)));
        let integration = id.to_owned();
        state.uncommitted.push(Uncommitted { visible_at, at, integration, mutation: mutation.clone() });
        drop(state);
        self.commit_later(lag);
        Ok(Applied { mutation, models: BTreeSet::new(), at, visible_at })
    }

    /// Applies a random mutation; `None` if none is possible.
    pub(crate) fn mutate_random(self: &Arc<Self>, id: &str, seed: u64) -> Result<Option<Applied>, SandboxError> {
        self.commit_due();
        let chosen = {
            let state = self.read();
            let integration = state.integration(id)?;
            match integration.category {
                Category::Lms => choose(&integration.tables, seed, self.clock.now()),
                category @ (Category::Hris | Category::Ats) => {
                    records::choose(&integration.tables.records, category, seed)
                }
            }
        };
        chosen.map(|it| self.mutate(id, it)).transpose()
    }

    /// Every reader commits what is due; this one exists to send the webhook.
    pub(super) fn commit_later(self: &Arc<Self>, millis: u64) {
        let shared = Arc::clone(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            shared.commit_due();
        });
    }

    /// Makes everything visible that is due: mutations after the commit lag, tasks and forced syncs.
    pub(crate) fn commit_due(self: &Arc<Self>) {
        let now = self.clock.now();
        self.end_syncs(now);
        self.end_tasks(now);
        if self.read().uncommitted.iter().all(|it| it.visible_at > now) {
            return;
        }
        let mut changed = Vec::new();
        let mut state = self.write();
        let all = std::mem::take(&mut state.uncommitted);
        let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| it.visible_at <= now);
        state.uncommitted = later;
        for it in due {
            // A mutation that has become impossible, such as changing a purged row, is dropped.
            if let Ok(applied) = commit(&mut state, &it.integration, &it.mutation, it.at) {
                changed.push((it.integration, applied.models));
            }
        }
        drop(state);
        for (integration, models) in changed {
            self.note_changes(&integration, &models);
        }
    }

    /// Connects another integration.
    pub(crate) fn add_integration(&self, id: &str, config: &GeneratorConfig) -> Result<(), SandboxError> {
        let tables = generate(config);
        let created_at = self.clock.now().to_millis_precision();
        let mut state = self.write();
        if state.integrations.contains_key(id) {
            return Err(SandboxError::IntegrationExists(id.to_owned()));
        }
        let integration = Integration::new(id, "Acme, Inc.", config.category, created_at, tables);
        state.integrations.insert(id.to_owned(), integration);
        Ok(())
    }

    /// Disables a model in the scope configuration: all its rows are deleted with tombstones.
    pub(crate) fn delete_all(self: &Arc<Self>, id: &str, model: Model) -> Result<usize, SandboxError> {
        let ids = self.read().integration(id)?.tables.ids(model);
        for it in &ids {
            self.mutate(id, Mutation::delete(model, *it))?;
        }
        Ok(ids.len())
    }
}
