use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kombo_client::{Operation, Outcome, Pacer, ResponseEvent, TransportFault, UsersQuery};
use kombo_model::{Endpoint, ErrorCode};

use crate::server::{Reply, Server};
use crate::{builder, error_body, integration, page};

#[derive(Default)]
struct Counting {
    let_through: AtomicU32,
    given_up: AtomicU32,
}

impl Pacer for Counting {
    fn acquire(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.let_through.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn given_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn every_attempt_is_paced_and_told() {
    let limited = [("ratelimit-limit", "300"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "0")];
    let server = Server::start([
        Reply::Drop,
        Reply::new(429, &limited, error_body(r#""PLATFORM.RATE_LIMIT_EXCEEDED""#)),
        Reply::ok("[]"),
        Reply::ok(page("null", "[]")),
    ])
    .await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let pacer = Arc::new(Counting::default());
    let record = Arc::clone(&events);
    let client = builder(&server)
        .on_response(Arc::new(move |event: &ResponseEvent| record.lock().unwrap().push(event.clone())))
        .pacer(pacer.clone())
        .build()
        .unwrap();
    client.users(&integration(), UsersQuery::default()).next_page().await.unwrap().unwrap();

    assert_eq!(pacer.let_through.load(Ordering::Relaxed), 4);
    assert_eq!(pacer.given_up.load(Ordering::Relaxed), 0);
    let events = events.lock().unwrap();
    let pauses: Vec<bool> = events.iter().map(|event| event.pause.is_some()).collect();
    assert_eq!(pauses, [true, true, true, false], "each but the last is followed by a pause");
    let outcomes: Vec<_> = events.iter().map(|event| (event.attempt, event.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            (1, Outcome::Fault(TransportFault::Dropped)),
            (2, Outcome::Status(429)),
            (3, Outcome::Status(200)),
            (4, Outcome::Status(200)),
        ]
    );
    assert!(events.iter().all(|event| event.operation == Operation::List(Endpoint::LmsUsers)));
    assert_eq!(events[1].code, Some(ErrorCode::PlatformRateLimitExceeded));
    assert_eq!(events[1].rate_limit.remaining, Some(0));
    assert_eq!(events[1].rate_limit.limit, Some(300));
    assert_eq!(events[1].retry_after, Some(Duration::ZERO));
    assert_eq!(events[3].code, None);
}

#[tokio::test]
async fn an_attempt_that_is_dropped_is_given_up() {
    let server = Server::start([Reply::Hang]).await;
    let pacer = Arc::new(Counting::default());
    let client = builder(&server).pacer(pacer.clone()).build().unwrap();
    let mut users = client.users(&integration(), UsersQuery::default());
    let is_under_way = async {
        while server.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        page = users.next_page() => panic!("there is no answer: {page:?}"),
        () = is_under_way => {}
    }
    drop(users);
    assert_eq!(pacer.let_through.load(Ordering::Relaxed), 1);
    assert_eq!(pacer.given_up.load(Ordering::Relaxed), 1);
}
