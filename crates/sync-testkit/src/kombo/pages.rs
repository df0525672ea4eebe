use kombo_model::Timestamp;
use sync_core::ports::{Clock, FailureClass, Fetch, FetchSpec, Pages, Record, RecordPage, Rejected, SourceError};
use sync_core::pull::PageCursor;

use super::{FakeKombo, Paging, World};

/// A fetch from a [`FakeKombo`].
#[derive(Debug)]
pub struct FakePages {
    kombo: FakeKombo,
    spec: FetchSpec,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Page(Option<PageCursor>),
    Nothing,
}

impl FakePages {
    pub(super) fn new(kombo: FakeKombo, spec: FetchSpec) -> Self {
        let from = match &spec.fetch {
            Fetch::List { from, .. } => from.clone(),
            Fetch::Ids(_) => None,
        };
        Self { kombo, spec, next: Next::Page(from) }
    }

    fn serve(&mut self) -> Result<Option<RecordPage>, SourceError> {
        let Next::Page(cursor) = std::mem::replace(&mut self.next, Next::Nothing) else { return Ok(None) };
        let requested_at = self.kombo.clock.now();
        let mut world = self.kombo.world();
        let latency = world.settings.latency;
        let page = world.serve(&self.spec, cursor, requested_at);
        drop(world);
        self.kombo.clock.advance(latency);
        let page = page?;
        if let Some(cursor) = &page.next {
            self.next = Next::Page(Some(cursor.clone()));
        }
        Ok(Some(page))
    }
}

impl Pages for FakePages {
    async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
        tokio::task::yield_now().await;
        self.serve()
    }
}

impl World {
    fn serve(
        &mut self,
        spec: &FetchSpec,
        cursor: Option<PageCursor>,
        requested_at: Timestamp,
    ) -> Result<RecordPage, SourceError> {
        self.pages += 1;
        self.lms.stamp = Some(self.server_time(requested_at));
        for hook in self.hooks.remove(&self.pages).unwrap_or_default() {
            hook(&mut self.lms);
        }
        let class = self.faults.remove(&self.pages).or_else(|| self.refused.get(&spec.endpoint).copied());
        if let Some(class) = class {
            return Err(error(class, format!("{} answers {class:?}", spec.endpoint)));
        }
        if let Fetch::Ids(ids) = &spec.fetch
            && (ids.len() > self.settings.most_ids || !ids.iter().all(|id| (self.settings.takes_id)(id)))
        {
            return Err(error(FailureClass::RequestRefused, format!("{} does not take these ids", spec.endpoint)));
        }
        if let Fetch::Ids(ids) = &spec.fetch
            && let Some(class) = ids.iter().find_map(|id| self.failing_ids.get(id))
        {
            return Err(error(*class, format!("{} fails on one of these ids", spec.endpoint)));
        }
        let wanted = self.wanted(spec);
        let offset = match cursor {
            Some(cursor) => self.offset(&cursor, &wanted)?,
            None => 0,
        };
        let end = offset.saturating_add(self.settings.page_size.max(1));
        let last = wanted.get(end - 1).filter(|_| end < wanted.len());
        let next = last.map(|last| {
            let place = match self.settings.paging {
                Paging::Offset => end.to_string(),
                Paging::After => last.id().to_owned(),
            };
            PageCursor(format!("{}:{place}", self.cursor_generation))
        });
        let (mut records, mut rejected) = (Vec::new(), Vec::new());
        for record in wanted.into_iter().take(end).skip(offset) {
            if self.spoiled.contains(&(spec.endpoint, record.id().to_owned())) {
                rejected.push(Rejected {
                    id: Some(record.id().to_owned()),
                    json: format!(r#"{{"id":"{}","changed_at":"never"}}"#, record.id()),
                    path: "changed_at".to_owned(),
                    reason: "not a time".to_owned(),
                });
            } else {
                records.push(record);
            }
        }
        let answered_at = self.server_time(requested_at.saturating_add(self.settings.latency));
        let date = Timestamp::from_unix_millis(answered_at.unix_millis().div_euclid(1_000) * 1_000);
        let server_date = date.filter(|_| self.settings.dated);
        Ok(RecordPage { records, rejected, next, requested_at, elapsed: self.settings.latency, server_date })
    }

    fn wanted(&self, spec: &FetchSpec) -> Vec<Record> {
        let mut records = self.lms.list(spec.endpoint);
        match &spec.fetch {
            Fetch::List { updated_after: Some(after), .. } => {
                let nesting = self.settings.nesting;
                records.retain(|record| self.lms.updated_at(spec.endpoint, record.id(), nesting) > *after);
            }
            Fetch::List { updated_after: None, .. } => {}
            Fetch::Ids(ids) => records.retain(|record| ids.iter().any(|id| id == record.id())),
        }
        records
    }

    fn offset(&self, cursor: &PageCursor, wanted: &[Record]) -> Result<usize, SourceError> {
        let read = cursor.0.split_once(':').and_then(|(generation, place)| {
            let known = generation.parse() == Ok(self.cursor_generation);
            match self.settings.paging {
                _ if !known => None,
                Paging::Offset => place.parse().ok(),
                Paging::After => Some(wanted.iter().take_while(|record| record.id() <= place).count()),
            }
        });
        read.ok_or_else(|| error(FailureClass::RequestRefused, "the cursor is not known".to_owned()))
    }
}

fn error(class: FailureClass, message: String) -> SourceError {
    SourceError { class, message, retry_after: None }
}
