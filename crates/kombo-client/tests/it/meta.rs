use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use kombo_client::{RateLimit, UsersQuery};
use kombo_model::Timestamp;

use crate::server::{Reply, Server};
use crate::{builder, client, integration, page};

#[tokio::test]
async fn a_page_says_when_it_was_asked_for_and_what_is_left() {
    let headers = [
        ("date", "Sun, 07 Aug 2022 14:01:29 GMT"),
        ("ratelimit-limit", "300"),
        ("ratelimit-remaining", "287"),
        ("ratelimit-reset", "41"),
    ];
    let server = Server::start([Reply::Drop, Reply::new(200, &headers, page("null", "[]"))]).await;
    // A clock that advances by a second at each reading: the second attempt's reading counts.
    let seconds = Arc::new(AtomicI64::new(1));
    let clock = move || Timestamp::from_unix_millis(1_000 * seconds.fetch_add(1, Ordering::Relaxed)).unwrap();
    let client = builder(&server).clock(clock).build().unwrap();
    let page = client.users(&integration(), UsersQuery::default()).next_page().await.unwrap().unwrap();
    assert_eq!(page.meta.requested_at.to_string(), "1970-01-01T00:00:02.000Z");
    assert_eq!(page.meta.server_date, Some("2022-08-07T14:01:29Z".parse().unwrap()));
    let reset = Some(Duration::from_secs(41));
    assert_eq!(page.meta.rate_limit, RateLimit { limit: Some(300), remaining: Some(287), reset });
    assert_eq!(page.meta.attempts, 2);
    assert!(page.meta.elapsed > Duration::ZERO);
}

#[tokio::test]
async fn a_page_without_headers_says_nothing() {
    let server = Server::start([Reply::ok(page("null", "[]"))]).await;
    let page = client(&server).users(&integration(), UsersQuery::default()).next_page().await.unwrap().unwrap();
    assert_eq!(page.meta.server_date, None);
    assert_eq!(page.meta.rate_limit, RateLimit::default());
    // The system clock is the default.
    assert!(page.meta.requested_at > "2024-01-01T00:00:00Z".parse().unwrap());
}
