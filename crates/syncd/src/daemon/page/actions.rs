//! Actions of the status page. Commands offer the same ones.

use std::str::FromStr;

use kombo_model::{IntegrationId, Timestamp};
use sync_core::jobs::pause::{self, PauseOutcome};
use sync_core::jobs::queue;
use sync_core::jobs::{IntegrationStatus, RequestCause, SyncKind, Target};
use sync_core::ports::{Scope, Store as _, StoreError};
use sync_core::pull::quarantine::{RetryPolicy, retry};

use super::super::Shared;

/// Action of a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Fetch,
    Full,
    Pause,
    Resume,
    Retry,
}

impl FromStr for Action {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "fetch" => Self::Fetch,
            "full" => Self::Full,
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "retry" => Self::Retry,
            _ => return Err(()),
        })
    }
}

/// Result of an action. Its word becomes part of the address to which the browser is redirected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Asked,
    Paused,
    Resumed,
    Already,
    Unknown,
    Held,
    Retried { applied: usize, kept: usize },
}

impl Outcome {
    /// Returns the word for an address.
    pub(super) fn word(self) -> String {
        match self {
            Self::Asked => "asked".to_owned(),
            Self::Paused => "paused".to_owned(),
            Self::Resumed => "resumed".to_owned(),
            Self::Already => "already".to_owned(),
            Self::Unknown => "unknown".to_owned(),
            Self::Held => "held".to_owned(),
            Self::Retried { applied, kept } => format!("{applied}-{kept}"),
        }
    }

    /// Returns the text of the result, for people.
    pub(super) fn say(word: &str) -> Option<String> {
        Some(match word {
            "asked" => "The fetch was requested. A worker will start it.".to_owned(),
            "paused" => "Paused: nothing is fetched until somebody resumes it.".to_owned(),
            "resumed" => "Resumed: what changed meanwhile is being fetched.".to_owned(),
            "already" => "It was so already.".to_owned(),
            "unknown" => "There is no such integration, or it was deleted at Kombo.".to_owned(),
            "held" => "It is paused: resume it first.".to_owned(),
            numbers => {
                let (applied, kept) = numbers.split_once('-')?;
                let (applied, kept): (usize, usize) = (applied.parse().ok()?, kept.parse().ok()?);
                format!("Tried again: {applied} are out of quarantine, {kept} stay.")
            }
        })
    }
}

/// Performs the action.
pub(super) async fn perform(
    shared: &Shared,
    action: Action,
    id: IntegrationId,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let known = {
        let id = id.clone();
        shared.store.read(move |tx| tx.integration(&id)).await?
    };
    let Some(known) = known.filter(|known| known.status != IntegrationStatus::Deleted) else {
        return Ok(Outcome::Unknown);
    };
    tracing::info!(integration.id = id.as_str(), action = ?action, "requested on the status page");
    let endpoints = shared.config.plan_policy().endpoints;
    let outcome = match action {
        Action::Fetch | Action::Full if known.status == IntegrationStatus::Held => Outcome::Held,
        Action::Fetch | Action::Full => {
            let kind = if action == Action::Full { SyncKind::Full } else { SyncKind::Delta };
            shared
                .store
                .transact(Scope::Shared, move |tx| {
                    for endpoint in known.endpoints(&endpoints) {
                        let target = Target { integration_id: id.clone(), endpoint, kind };
                        queue::request(tx, target, RequestCause::Command, now, now)?;
                    }
                    Ok::<_, StoreError>(Outcome::Asked)
                })
                .await?
        }
        Action::Pause => outcome(pause::pause(&*shared.store, &id, now).await?, Outcome::Paused),
        Action::Resume => outcome(pause::resume(&*shared.store, &id, &endpoints, now).await?, Outcome::Resumed),
        Action::Retry => {
            let policy = shared.config.policy();
            let policy = RetryPolicy { tombstones: policy.tombstones, change_values: policy.change_values };
            let retried = retry(&*shared.store, &id, policy, now).await?;
            let kept = retried.iter().filter(|retried| retried.applied.is_none()).count();
            Outcome::Retried { applied: retried.len() - kept, kept }
        }
    };
    shared.runtime.wakers().work.notify_one();
    Ok(outcome)
}

fn outcome(held: PauseOutcome, done: Outcome) -> Outcome {
    match held {
        PauseOutcome::Done => done,
        PauseOutcome::Already => Outcome::Already,
        PauseOutcome::Unknown => Outcome::Unknown,
    }
}
