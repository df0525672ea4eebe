use std::time::Duration;

use kombo_model::{IntegrationId, Timestamp};
use sync_core::SyncError;
use sync_core::changes::Change;
use sync_core::jobs::queue::Claim;
use sync_core::jobs::retention;
use sync_core::jobs::{IntegrationStatus, LeaseToken};
use sync_core::outbox::DeliveryState;
use sync_core::outbox::{
    self, Content, DeadLetter, DeliveryId, DeliveryStatus, Failure, Sending, Undelivered, Verdict, delivery_statuses,
};
use sync_core::ports::{Clock as _, Lock, LockMode};
use sync_core::pull::RunId;
use sync_core::rows::Model;
use sync_core::rows::{ChangeCause, ChangeKind};
use sync_core::webhooks::set_status;
use sync_testkit::{ManualClock, MemoryStore};

const TTL: Duration = Duration::from_secs(40);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A store with integrations and the delivery of their changes.
struct Post {
    store: MemoryStore,
    clock: ManualClock,
    tokens: std::cell::Cell<u32>,
}

fn a() -> IntegrationId {
    IntegrationId::from("sandbox:a")
}

fn b() -> IntegrationId {
    IntegrationId::from("sandbox:b")
}

impl Post {
    /// Starts delivery before any integration is registered.
    fn new() -> Self {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let post = Self { store: MemoryStore::new(), clock, tokens: std::cell::Cell::new(0) };
        post.store.edit(|tx| outbox::begin(tx, post.now())).unwrap();
        post
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn register(&self, id: &IntegrationId) {
        let now = self.now();
        let status = IntegrationStatus::Active;
        self.store.edit(|tx| set_status(tx, id, "", status, None, now)).unwrap();
    }

    /// Logs one entry for each record.
    fn log(&self, id: &IntegrationId, records: &[&str]) {
        let fields = |record: &str| if record == "large" { "x".repeat(700_000) } else { String::new() };
        let changes: Vec<Change> = records
            .iter()
            .map(|record| Change {
                seq: 0,
                integration_id: id.clone(),
                model: Model::LmsUsers,
                record_id: (*record).to_owned(),
                kind: ChangeKind::Updated,
                cause: ChangeCause::Direct,
                fields: serde_json::json!([fields(record)]),
                run_id: RunId(1),
                at: self.now(),
            })
            .collect();
        self.store.edit(|tx| tx.append_changes(&changes)).unwrap();
    }

    fn take(&self) -> Option<Sending> {
        self.take_up_to(2)
    }

    fn take_up_to(&self, most: usize) -> Option<Sending> {
        let number = self.tokens.get() + 1;
        self.tokens.set(number);
        let claim = Claim {
            owner: format!("process {number}"),
            token: LeaseToken(format!("token {number}")),
            ttl: TTL,
            longest_wait: DAY,
        };
        let (fresh, now) = (DeliveryId(format!("id {number}")), self.now());
        let horizon = claim.horizon(now);
        let due = self.store.look(|tx| outbox::is_due(tx, &horizon)).unwrap();
        let sending = self.store.edit(|tx| outbox::take_next(tx, &claim, &fresh, most, now)).unwrap();
        assert!(due || sending.is_none(), "what is taken was due");
        sending
    }

    fn arrives(&self, sending: &Sending) -> Result<(), SyncError> {
        let now = self.now();
        self.store.edit(|tx| outbox::delivered(tx, sending, now))
    }

    fn fails(&self, sending: &Sending) -> Result<Verdict, SyncError> {
        self.fails_with(sending, None)
    }

    fn fails_with(&self, sending: &Sending, retry_after: Option<Duration>) -> Result<Verdict, SyncError> {
        let (now, body) = (self.now(), body(sending));
        let failure = Failure { error: "HTTP 500".to_owned(), retry_after };
        self.store.edit(|tx| outbox::failed(tx, sending, &failure, &body, DAY, now))
    }

    /// Fails until the batch is given up. Returns the number of attempts.
    fn is_given_up(&self) -> u32 {
        for tries in 1.. {
            let sending = self.take().unwrap();
            match self.fails(&sending).unwrap() {
                Verdict::GivenUp => return tries,
                Verdict::Again(at) => self.clock.advance(at.since(self.now())),
            };
        }
        unreachable!("it is given up at last")
    }

    fn letters(&self) -> Vec<DeadLetter> {
        self.store.look(|tx| tx.dead_letters(None)).unwrap()
    }

    fn status(&self, id: &IntegrationId) -> DeliveryStatus {
        let all = self.store.look(delivery_statuses).unwrap();
        all.into_iter().find(|status| status.delivery.integration_id == *id).unwrap()
    }
}

/// Returns a store with a dead letter of `a` that was queued again.
fn back_in_line() -> Post {
    let post = Post::new();
    post.register(&a());
    post.log(&a(), &["1"]);
    post.is_given_up();
    let now = post.now();
    post.store.edit(|tx| outbox::retry(tx, None, now)).unwrap();
    post
}

fn records(sending: &Sending) -> Vec<String> {
    match &sending.content {
        Content::Entries(entries) => entries.iter().map(|entry| entry.record_id.clone()).collect(),
        Content::Body(body) => body.split(' ').map(str::to_owned).collect(),
    }
}

fn body(sending: &Sending) -> String {
    records(sending).join(" ")
}

#[test]
fn the_entries_of_an_integration_go_out_in_their_order() {
    let post = Post::new();
    post.register(&a());
    post.log(&a(), &["1", "2", "3", "4", "5"]);
    let mut ids = Vec::new();
    for expected in [&["1", "2"][..], &["3", "4"], &["5"]] {
        let sending = post.take().unwrap();
        assert_eq!(records(&sending), expected);
        assert!(post.take().is_none(), "one batch at a time");
        ids.push(sending.batch.id.clone());
        post.arrives(&sending).unwrap();
    }
    assert!(post.take().is_none());
    ids.dedup();
    assert_eq!(ids.len(), 3, "each batch has an id of its own");
    assert_eq!(post.status(&a()).state(post.now()), DeliveryState::Delivered);
}

#[test]
fn what_was_logged_before_delivery_began_does_not_go_out() {
    let post = Post { store: MemoryStore::new(), ..Post::new() };
    post.register(&a());
    post.log(&a(), &["before"]);
    post.store.edit(|tx| outbox::begin(tx, post.now())).unwrap();
    assert!(post.take().is_none());
    post.log(&a(), &["after"]);
    post.store.edit(|tx| outbox::begin(tx, post.now())).unwrap();
    post.register(&b());
    post.log(&b(), &["first"]);
    let sent = [post.take().unwrap(), post.take().unwrap()];
    assert_eq!(sent.each_ref().map(records), [["after"], ["first"]]);
}

#[test]
fn integrations_take_turns_and_do_not_wait_for_each_other() {
    let post = Post::new();
    post.register(&a());
    post.register(&b());
    post.log(&a(), &["a1", "a2", "a3", "a4", "a5", "a6"]);
    post.log(&b(), &["b1", "b2", "b3"]);
    let mut order = Vec::new();
    while let Some(sending) = post.take() {
        order.push(records(&sending).concat());
        post.clock.advance(SECOND);
        post.arrives(&sending).unwrap();
    }
    assert_eq!(order, ["a1a2", "b1b2", "a3a4", "b3", "a5a6"]);

    post.log(&a(), &["poison"]);
    post.log(&b(), &["b4"]);
    let (other, poisoned) = (post.take().unwrap(), post.take().unwrap());
    assert_eq!((records(&other), records(&poisoned)), (vec!["b4".to_owned()], vec!["poison".to_owned()]));
    post.fails(&poisoned).unwrap();
    post.arrives(&other).unwrap();
    assert!(post.take().is_none(), "it waits");
    assert_eq!(post.status(&a()).state(post.now()), DeliveryState::Retrying);
    post.log(&b(), &["b5"]);
    assert_eq!(records(&post.take().unwrap()), ["b5"]);
}

/// A batch is sent again unchanged after a failure or the death of its process, even if entries were logged since.
#[test]
fn a_batch_stays_the_same() {
    let post = Post::new();
    post.register(&a());
    post.log(&a(), &["1"]);
    let died = post.take().unwrap();
    post.log(&a(), &["2", "3"]);
    post.clock.advance(TTL.saturating_sub(SECOND));
    assert!(post.take().is_none(), "the lease holds");
    post.clock.advance(SECOND);
    let failed = post.take().unwrap();
    assert_eq!((&failed.batch.id, records(&failed)), (&died.batch.id, records(&died)));
    assert_eq!(failed.batch.first_tried_at, post.now(), "nobody came to try it");
    let Verdict::Again(at) = post.fails(&failed).unwrap() else { panic!("it is tried again") };
    assert!(post.take().is_none());
    post.clock.advance(at.since(post.now()));
    let arrived = post.take_up_to(100).unwrap();
    assert_eq!((arrived.batch.id.clone(), records(&arrived)), (died.batch.id, vec!["1".to_owned()]));
    assert_eq!((arrived.batch.attempts, arrived.batch.error.as_deref()), (1, Some("HTTP 500")));
    post.arrives(&arrived).unwrap();
    assert_eq!(records(&post.take().unwrap()), ["2", "3"]);
}

#[test]
fn a_lease_that_was_lost_changes_nothing() {
    let post = Post::new();
    post.register(&a());
    post.log(&a(), &["1", "2", "3"]);
    let slept = post.take().unwrap();
    post.clock.advance(TTL);
    let taken_over = post.take().unwrap();
    let before = post.status(&a());
    assert!(matches!(post.arrives(&slept), Err(SyncError::LeaseLost(_))));
    assert!(matches!(post.fails(&slept), Err(SyncError::LeaseLost(_))));
    let release = |sending: &Sending| post.store.edit(|tx| outbox::release(tx, sending));
    assert!(matches!(release(&slept), Err(SyncError::LeaseLost(_))));
    assert_eq!(post.status(&a()), before);
    post.arrives(&taken_over).unwrap();
    assert!(matches!(post.arrives(&taken_over), Err(SyncError::LeaseLost(_))), "once is enough");

    // A batch that was released untried is immediately available.
    let untried = post.take().unwrap();
    release(&untried).unwrap();
    assert_eq!(post.take().unwrap().batch, untried.batch);
}

#[test]
fn what_a_dead_process_held_is_free_at_once() {
    let post = Post::new();
    post.register(&a());
    post.register(&b());
    post.log(&a(), &["1"]);
    post.log(&b(), &["2"]);
    let (dead, alive) = (post.take().unwrap(), post.take().unwrap());
    let is_gone = |owner: &str| owner == "process 1";
    assert_eq!(post.store.edit(|tx| outbox::release_abandoned(tx, is_gone)).unwrap(), 1);
    assert_eq!(post.take().unwrap().batch, dead.batch);
    post.arrives(&alive).unwrap();
}

#[test]
fn waits_grow_and_the_last_try_is_no_earlier_than_it_is_given_up() {
    let post = Post::new();
    post.register(&a());
    post.log(&a(), &["1", "2", "3"]);
    let began = post.now();
    let tries = post.is_given_up();
    assert_eq!(post.now(), began.saturating_add(DAY), "the last try is at the end");
    assert!((80..=110).contains(&tries), "{tries} tries in a day, every quarter of an hour in the end");
    let [letter] = post.letters().try_into().unwrap();
    assert_eq!((letter.entries, letter.first_tried_at, letter.last_tried_at), (2, began, post.now()));
    assert_eq!(
        (letter.attempts, letter.error.as_str(), letter.again),
        (i32::try_from(tries).unwrap(), "HTTP 500", false)
    );
    assert_eq!(post.store.look(|tx| tx.dead_letter_body(&a(), &letter.id)).unwrap().as_deref(), Some("1 2"));
    // Later entries continue immediately.
    let next = post.take().unwrap();
    assert_eq!(records(&next), ["3"]);
    post.arrives(&next).unwrap();
    assert_eq!(post.status(&a()).state(post.now()), DeliveryState::Delivered);
}

#[test]
fn a_receiver_that_asks_for_time_gets_it_until_it_is_given_up() {
    let post = Post::new();
    post.register(&a());
    post.log(&a(), &["1"]);
    let began = post.now();
    let asked = |wait| post.fails_with(&post.take().unwrap(), Some(wait)).unwrap();
    assert_eq!(asked(HOUR), Verdict::Again(began.saturating_add(HOUR)));
    post.clock.advance(HOUR);
    assert_eq!(asked(DAY * 365), Verdict::Again(began.saturating_add(DAY)));
    post.clock.advance(HOUR * 23);
    assert_eq!(asked(HOUR), Verdict::GivenUp);
}

#[test]
fn a_dead_letter_goes_out_again_as_it_was_before_what_is_new() {
    let post = Post::new();
    post.register(&a());
    post.log(&a(), &["1", "2"]);
    post.is_given_up();
    let letter = post.letters().pop().unwrap();
    post.log(&a(), &["3"]);
    post.arrives(&post.take().unwrap()).unwrap();
    // The log no longer contains its entries.
    post.clock.advance(DAY * 60);
    let now = post.now();
    let trimmed = post.store.edit(|tx| retention::trim(tx, DAY * 30, Undelivered::Keep, now)).unwrap();
    assert_eq!(trimmed.changes, 3);

    let retry = |id: Option<&IntegrationId>| post.store.edit(|tx| outbox::retry(tx, id, post.now())).unwrap();
    assert_eq!((retry(Some(&b())), retry(Some(&a())), retry(None)), (0, 1, 0));
    post.log(&a(), &["4"]);
    assert_eq!(post.status(&a()).state(post.now()), DeliveryState::Due);
    let again = post.take().unwrap();
    assert_eq!((again.batch.id.clone(), body(&again)), (letter.id.clone(), "1 2".to_owned()));
    // The same time to fail starts again.
    post.store.edit(|tx| outbox::release(tx, &again)).unwrap();
    let tries = post.is_given_up();
    let twice = post.letters().pop().unwrap();
    assert_eq!((&twice.id, twice.first_tried_at, twice.again), (&letter.id, letter.first_tried_at, false));
    assert_eq!(twice.attempts, letter.attempts + i32::try_from(tries).unwrap());
    post.arrives(&post.take().unwrap()).unwrap();

    assert_eq!(retry(None), 1);
    let arrives = post.take().unwrap();
    assert_eq!(body(&arrives), "1 2");
    post.arrives(&arrives).unwrap();
    assert!(post.letters().is_empty() && post.take().is_none());
    assert_eq!(post.status(&a()).delivery.delivered_seq, 4, "what was delivered before is not sent again");
}

#[test]
fn asking_to_try_again_waits_for_nothing() {
    let post = Post::new();
    post.register(&a());
    post.log(&a(), &["1"]);
    post.fails_with(&post.take().unwrap(), Some(HOUR)).unwrap();
    assert!(post.take().is_none());
    let now = post.now();
    assert_eq!(post.store.edit(|tx| outbox::retry(tx, None, now)).unwrap(), 0);
    assert_eq!(records(&post.take().unwrap()), ["1"]);
}

/// A dead letter that was dropped while it waited is not tried any more.
#[test]
fn what_is_thrown_away_is_not_tried_any_more() {
    let post = back_in_line();
    post.fails(&post.take().unwrap()).unwrap();
    let batch = || post.store.look(|tx| tx.delivery(&a(), LockMode::Wait).map(Lock::locked)).unwrap().unwrap().batch;
    assert!(batch().is_some());
    assert_eq!(post.store.edit(|tx| outbox::drop_letters(tx, None)).unwrap(), 1);
    assert_eq!(batch(), None);
}

#[test]
fn what_is_thrown_away_does_not_go_out_again() {
    let post = back_in_line();
    let sending = post.take().unwrap();
    post.log(&a(), &["2"]);
    assert_eq!(post.store.edit(|tx| outbox::drop_letters(tx, Some(&b()))).unwrap(), 0);
    assert_eq!(post.store.edit(|tx| outbox::drop_letters(tx, None)).unwrap(), 1);
    // It was being sent when it was dropped.
    let Verdict::Again(at) = post.fails(&sending).unwrap() else { panic!("it is tried again") };
    post.clock.advance(at.since(post.now()));
    let next = post.take().unwrap();
    assert_eq!((records(&next), next.batch.attempts), (vec!["2".to_owned()], 0));
    assert_ne!(next.batch.id, sending.batch.id);
}

/// Old entries are kept for the receiver, unless delivery is switched off. When it is switched on again, it continues
/// with the entries that still exist.
#[test]
fn entries_that_are_not_delivered_outlive_others() {
    let post = Post::new();
    post.register(&a());
    post.register(&b());
    post.log(&a(), &["1", "2", "3"]);
    post.log(&b(), &["4"]);
    let (first, other) = (post.take().unwrap(), post.take().unwrap());
    post.fails(&first).unwrap();
    post.arrives(&other).unwrap();
    post.clock.advance(DAY * 40);
    let trim = |undelivered| {
        let now = post.now();
        post.store.edit(|tx| retention::trim(tx, DAY * 30, undelivered, now)).unwrap().changes
    };
    assert_eq!((trim(Undelivered::Keep), trim(Undelivered::Keep)), (1, 0));
    let again = post.take().unwrap();
    assert_eq!((&again.batch.id, records(&again)), (&first.batch.id, vec!["1".to_owned(), "2".to_owned()]));
    post.store.edit(|tx| outbox::release(tx, &again)).unwrap();
    // Delivery is switched off, and on again.
    post.log(&a(), &["5"]);
    assert_eq!(trim(Undelivered::Remove), 3);
    let rest = post.take().unwrap();
    assert_eq!(records(&rest), ["5"]);
    assert_ne!(rest.batch.id, first.batch.id, "what is not the same has another id");
}

#[test]
fn a_batch_is_not_too_large() {
    let post = Post::new();
    post.register(&a());
    post.log(&a(), &["large", "large", "small", "large"]);
    let mut sizes = Vec::new();
    while let Some(sending) = post.take_up_to(100) {
        sizes.push(records(&sending).join(" "));
        post.arrives(&sending).unwrap();
    }
    assert_eq!(sizes, ["large", "large small", "large"]);
}
