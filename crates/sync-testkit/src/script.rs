use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kombo_model::{Endpoint, IntegrationCategory, IntegrationId};
use sync_core::ports::{FailureClass, Fetch, FetchSpec, Pages, RecordPage, Source, SourceError};

/// The kind of fetch that a script answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchKind {
    /// With `updated_after`.
    Delta,
    /// Without `updated_after` and ids.
    Full,
    /// By ids.
    Ids,
}

impl From<&Fetch> for FetchKind {
    fn from(fetch: &Fetch) -> Self {
        match fetch {
            Fetch::List { updated_after: Some(_), .. } => Self::Delta,
            Fetch::List { updated_after: None, .. } => Self::Full,
            Fetch::Ids(_) => Self::Ids,
        }
    }
}

/// Response for one page of a script.
pub type Answer = Result<RecordPage, SourceError>;

/// A [`Source`] with scripted answers. Clones share the script.
///
/// Every fetch takes the next list of answers for its integration, endpoint and kind. A fetch without one fails with
/// [`FailureClass::Unintelligible`].
#[derive(Debug, Clone, Default)]
pub struct ScriptedSource(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    fetches: BTreeMap<(IntegrationId, Endpoint, FetchKind), VecDeque<Vec<Answer>>>,
    asked: Vec<FetchSpec>,
}

impl ScriptedSource {
    /// Creates a source with an empty script.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fetch to the script, with the answers to its pages in order.
    pub fn script(
        &self,
        integration: &IntegrationId,
        endpoint: Endpoint,
        kind: FetchKind,
        answers: impl IntoIterator<Item = Answer>,
    ) {
        let answers = answers.into_iter().collect();
        self.lines().fetches.entry((integration.clone(), endpoint, kind)).or_default().push_back(answers);
    }

    /// Returns the fetches that began since the last call.
    pub fn asked(&self) -> Vec<FetchSpec> {
        std::mem::take(&mut self.lines().asked)
    }

    fn lines(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for ScriptedSource {
    type Pages = ScriptedPages;

    fn open(&self, spec: FetchSpec) -> ScriptedPages {
        let mut script = self.lines();
        let key = (spec.integration_id.clone(), spec.endpoint, FetchKind::from(&spec.fetch));
        let answers = script.fetches.get_mut(&key).and_then(VecDeque::pop_front);
        let answers = answers.unwrap_or_else(|| {
            let message = format!("nobody foresaw this fetch: {spec:?}");
            vec![Err(SourceError { class: FailureClass::Unintelligible, message, retry_after: None })]
        });
        script.asked.push(spec);
        ScriptedPages(answers.into())
    }

    async fn category(&self, _: &IntegrationId) -> Result<IntegrationCategory, SourceError> {
        Ok(IntegrationCategory::Lms)
    }
}

/// A fetch from a [`ScriptedSource`].
#[derive(Debug)]
pub struct ScriptedPages(VecDeque<Answer>);

impl Pages for ScriptedPages {
    async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
        tokio::task::yield_now().await;
        self.0.pop_front().transpose()
    }
}
