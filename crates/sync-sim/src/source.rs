use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kombo_model::catalogue::{Content, Node};
use kombo_model::{Endpoint, IntegrationCategory, IntegrationId, Timestamp};
use sync_core::jobs::SyncKind;
use sync_core::ports::{Clock, FailureClass, Fetch, FetchSpec, Pages, RecordPage, Rejected, Source, SourceError};
use sync_testkit::FakePages;
use tokio::time::{Instant, sleep};

use crate::mutant::Mutant;
use crate::process::{Process, SimLimiter};
use crate::store::Busy;
use crate::tally::Fault;
use crate::trouble::Trouble;

/// Time limit of a client for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Time for which a client repeats a failing request.
const RETRIES: Duration = Duration::from_secs(3);
/// The same for [`Mutant::PatientClient`].
const LONG_RETRIES: Duration = Duration::from_secs(120);

/// Kombo as a process sees it, over a network, by the process's own clock.
#[derive(Debug)]
pub(crate) struct SimSource {
    pub(crate) process: Arc<Process>,
    pub(crate) limiter: Arc<SimLimiter>,
}

/// A running fetch.
pub(crate) struct SimPages {
    process: Arc<Process>,
    limiter: Arc<SimLimiter>,
    priority: SyncKind,
    integration: IntegrationId,
    endpoint: Endpoint,
    inner: Option<FakePages>,
    /// The effect of [`Mutant::NoLookUp`].
    finds_nothing: bool,
    is_cut: bool,
}

impl Source for SimSource {
    type Pages = SimPages;

    fn open(&self, spec: FetchSpec) -> SimPages {
        let (integration, endpoint, priority) = (spec.integration_id.clone(), spec.endpoint, spec.priority);
        let finds_nothing = self.process.world.mutant == Some(Mutant::NoLookUp) && matches!(spec.fetch, Fetch::Ids(_));
        let (process, limiter) = (Arc::clone(&self.process), Arc::clone(&self.limiter));
        process.world.log(format_args!("{} opens {:?}", process.owner, spec));
        let inner = process.world.tenant(&integration).map(|tenant| tenant.kombo.open(spec));
        SimPages { process, limiter, priority, integration, endpoint, inner, finds_nothing, is_cut: false }
    }

    async fn category(&self, _: &IntegrationId) -> Result<IntegrationCategory, SourceError> {
        Ok(IntegrationCategory::Lms)
    }
}

impl Pages for SimPages {
    async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
        self.process.thaw().await;
        let is_alike = self.process.world.mutant == Some(Mutant::FullsAsDeltas);
        self.limiter.acquire(if is_alike { SyncKind::Delta } else { self.priority }).await;
        let mut under_way = UnderWay(Some(Arc::clone(&self.limiter)));
        let (requested_at, began) = (self.process.clock.now(), Instant::now());
        let process = Arc::clone(&self.process);
        let _fetching = Busy::new(&process.world.fetching);
        let (result, mut answer) = match process.world.quota.take(&process.world, self.priority) {
            Ok(answer) => (self.answer(requested_at, began).await, answer),
            Err(answer) => {
                sleep(process.world.between(Duration::from_millis(5), Duration::from_millis(200))).await;
                (Err(error(FailureClass::Transient, answer.reset)), answer)
            }
        };
        self.process.thaw().await;
        under_way.0 = None;
        let world = &self.process.world;
        if result.is_err() && world.trouble(&self.integration) == Some(Trouble::RateLimited) {
            answer.status = 429;
            if world.mutant == Some(Mutant::LimitBlamed) {
                (answer.remaining, answer.reset) = (Some(0), Some(Duration::from_secs(60)));
            }
        }
        self.limiter.learn(Some(&answer), None);
        match &result {
            Ok(Some(page)) => world.log(format_args!(
                "{} page of {} {}: {} records, {} rejected, next {:?}",
                self.process.owner,
                self.endpoint,
                self.integration,
                page.records.len(),
                page.rejected.len(),
                page.next.as_ref().map(|next| next.0.as_str()),
            )),
            Ok(None) => world.log(format_args!("{} no page of {}", self.process.owner, self.endpoint)),
            Err(error) => world.log(format_args!("{} {} fails: {:?}", self.process.owner, self.endpoint, error.class)),
        }
        result
    }
}

/// A request without an answer yet. When it is dropped, the limiter forgets it.
struct UnderWay(Option<Arc<SimLimiter>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(limiter) = &self.0 {
            limiter.forget();
        }
    }
}

impl SimPages {
    async fn answer(&mut self, requested_at: Timestamp, began: Instant) -> Result<Option<RecordPage>, SourceError> {
        let world = Arc::clone(&self.process.world);
        let rates = &world.manner.rates;
        let ttl = world.manner.policy.lease_ttl;
        let quick = || world.between(Duration::from_millis(5), Duration::from_millis(200));
        let (mut there, mut back) = (quick(), quick());
        if world.meets(Fault::PageSlow, rates.slow) {
            there += world.between(Duration::ZERO, Duration::from_secs(5));
            back += world.between(Duration::ZERO, Duration::from_secs(5));
        }
        if world.meets(Fault::PageVerySlow, rates.very_slow) {
            let most = (ttl * 6).max(world.manner.policy.overlap * 2);
            let long = world.between(ttl, most);
            if world.dice().bool() { there += long } else { back += long }
        }
        sleep(there).await;
        world.tally().pages += 1;
        if world.key_rejected.load(Ordering::SeqCst) {
            return Err(error(FailureClass::KeyRejected, None));
        }
        match world.trouble(&self.integration) {
            // Like the client, it checks whether the key works.
            Some(Trouble::Denied) => {
                if world.mutant == Some(Mutant::KeyBlamed) {
                    return Err(error(FailureClass::KeyRejected, None));
                }
                let classes = [FailureClass::RequestRefused, FailureClass::Unintelligible];
                return Err(error(world.dice().choice(classes).unwrap_or(FailureClass::RequestRefused), None));
            }
            Some(Trouble::RateLimited) => {
                let wait = world.between(Duration::from_secs(1), Duration::from_secs(120));
                return Err(error(FailureClass::Transient, Some(wait)));
            }
            Some(Trouble::Silent) => {
                let is_patient = world.mutant == Some(Mutant::PatientClient);
                sleep(if is_patient { LONG_RETRIES + TIMEOUT } else { TIMEOUT }).await;
                return Err(error(FailureClass::Transient, None));
            }
            Some(Trouble::Down) => {
                let most = if world.mutant == Some(Mutant::PatientClient) { LONG_RETRIES } else { RETRIES };
                sleep(world.between(most / 2, most)).await;
                return Err(error(FailureClass::Transient, None));
            }
            None => {}
        }
        if world.meets(Fault::ServerError, rates.server_error) {
            return Err(error(FailureClass::Transient, None));
        }
        if world.meets(Fault::RateLimited, rates.rate_limited) {
            let wait = world.between(Duration::from_secs(1), Duration::from_secs(120));
            return Err(error(FailureClass::Transient, Some(wait)));
        }
        if world.meets(Fault::PageUnintelligible, rates.unintelligible) {
            return Err(error(FailureClass::Unintelligible, None));
        }
        world.wind();
        if self.is_cut {
            return Ok(None);
        }
        let Some(inner) = self.inner.as_mut() else { return Err(error(FailureClass::IntegrationNotFound, None)) };
        let mut page = inner.next_page().await;
        if self.finds_nothing
            && let Ok(Some(page)) = &mut page
        {
            page.records.clear();
        }
        let date = world.kombo_now();
        sleep(back).await;
        let Some(mut page) = page? else { return Ok(None) };
        if page.next.is_some() && world.meets(Fault::ListTruncated, rates.truncated) {
            return Ok(None);
        }
        if page.next.is_some() && world.meets(Fault::ListCut, rates.cut) {
            page.next = None;
            self.is_cut = true;
            world.checks().excuse(&self.integration, self.endpoint);
        }
        self.leave_members_out(&mut page);
        self.spoil(&mut page);
        page.requested_at = requested_at;
        page.elapsed = began.elapsed();
        page.server_date = Timestamp::from_unix_millis(date.unix_millis().div_euclid(1_000) * 1_000);
        let is_undated = world.manner.undated && world.chaos.load(Ordering::SeqCst);
        if is_undated || world.meets(Fault::DateMissing, rates.date_missing) {
            page.server_date = Some(requested_at).filter(|_| world.mutant == Some(Mutant::DateInvented));
        }
        Ok(Some(page))
    }

    /// Omits members, or their list.
    fn leave_members_out(&self, page: &mut RecordPage) {
        let world = &self.process.world;
        for record in &mut page.records {
            if record.endpoint != Endpoint::LmsCourses || !world.meets(Fault::MembersCut, world.manner.rates.members) {
                continue;
            }
            world.checks().excuse(&self.integration, self.endpoint);
            let kind = world.dice().u8(0..4);
            // In the order of the catalogue: provider and revisions of a course, skill assignments of a revision.
            let Some(lists) = record.node.nested.get_mut(1) else { continue };
            let Content::Nodes { nodes: revisions, .. } = lists else { continue };
            let assignments = |revisions: &mut Vec<Node>, content: &Content| {
                revisions.iter_mut().flat_map(|revision| &mut revision.nested).for_each(|it| it.clone_from(content));
            };
            match kind {
                0 => *lists = Content::Absent,
                1 => revisions.clear(),
                2 => assignments(revisions, &Content::Null),
                _ => assignments(revisions, &Content::Nodes { nodes: Vec::new(), is_whole: true }),
            }
        }
    }

    /// Makes records unreadable.
    fn spoil(&self, page: &mut RecordPage) {
        let world = &self.process.world;
        let rates = &world.manner.rates;
        let mut good = Vec::new();
        for record in std::mem::take(&mut page.records) {
            let nameless = world.strikes(rates.nameless);
            if !nameless && !world.strikes(rates.unreadable) {
                good.push(record);
                continue;
            }
            let id = record.id().to_owned();
            world.count(if nameless { Fault::RecordNameless } else { Fault::RecordUnreadable });
            page.rejected.push(Rejected {
                json: format!(r#"{{"id":"{id}","changed_at":"never"}}"#),
                id: Some(id).filter(|_| !nameless),
                path: "changed_at".to_owned(),
                reason: "not a time".to_owned(),
            });
        }
        page.records = good;
        if !page.rejected.is_empty() {
            world.checks().excuse(&self.integration, self.endpoint);
        }
    }
}

fn error(class: FailureClass, retry_after: Option<Duration>) -> SourceError {
    SourceError { class, message: format!("Kombo answers {class:?}"), retry_after }
}
