//! Pages that are too heavy for the source, a proxy or the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use kombo_client::{Client, Error, PageCursor, RetryPolicy, UsersQuery};

use crate::server::{Answering, Reply};
use crate::{integration, page};

/// Serves a list of `records`, with overrides from `answer`, and records the requested sizes.
async fn source(records: u32, answer: impl Fn(&Ask) -> Option<Reply> + Send + 'static) -> Answering {
    Answering::start(move |target| {
        let ask = Ask::read(target);
        answer(&ask).unwrap_or_else(|| {
            let ids = (ask.offset..records.min(ask.offset + ask.size)).map(|id| format!(r#"{{"id":"{id}"}}"#));
            let end = ask.offset + ask.size;
            let next = if end < records { format!("\"{end}-{}\"", ask.size) } else { "null".to_owned() };
            Reply::ok(page(&next, &format!("[{}]", ids.collect::<Vec<_>>().join(","))))
        })
    })
    .await
}

/// The parameters of a request for a page.
struct Ask {
    offset: u32,
    size: u32,
    /// The size of the page that returned the cursor.
    named_by: Option<u32>,
}

impl Ask {
    fn read(target: &str) -> Self {
        let value = |name: &str| {
            target.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)).map(|value| value.trim_start_matches('='))
        };
        let cursor = value("cursor").and_then(|cursor| cursor.split_once('-'));
        Self {
            offset: cursor.map_or(0, |(offset, _)| offset.parse().unwrap()),
            size: value("page_size").unwrap().parse().unwrap(),
            named_by: cursor.map(|(_, size)| size.parse().unwrap()),
        }
    }
}

async fn read_all(client: &Client, records: u32) -> Result<Vec<usize>, Error> {
    let mut pages = client.users(&integration(), UsersQuery::default());
    let (mut sizes, mut ids) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next_page().await? {
        sizes.push(page.records.len());
        ids.extend(page.records.into_iter().map(|user| user.id.as_str().parse::<u32>().unwrap()));
    }
    assert!(ids.into_iter().eq(0..records));
    Ok(sizes)
}

fn patient(server: &Answering) -> Client {
    Client::builder(crate::KEY).base_url(server.base_url()).retry(crate::QUICK).max_body_bytes(10_000).build().unwrap()
}

#[tokio::test]
async fn a_page_too_heavy_is_asked_for_in_smaller_ones_and_larger_ones_are_tried_later() {
    type Fault = fn() -> Reply;
    let faults: [(&str, Fault); 5] = [
        ("413", || Reply::new(413, &[], "")),
        ("body too large", || Reply::ok(" ".repeat(20_000))),
        ("500", || Reply::new(500, &[], "")),
        ("504", || Reply::json(504, crate::error_body("null"))),
        ("broken off", || Reply::raw(200, &[("content-length", "500")], "{")),
    ];
    for (name, fault) in faults {
        let server = source(3_000, move |ask| (ask.size > 70).then(fault)).await;
        let client = patient(&server);
        let sizes = read_all(&client, 3_000).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(sizes.iter().all(|size| *size <= 70), "{name}: {sizes:?}");
        let refused = server.targets().len() - sizes.len();
        assert!(refused < 32, "{name}: {refused} pages were too heavy, of {}", sizes.len());
        // The next listing starts with the reduced size.
        let before = server.targets().len();
        read_all(&client, 3_000).await.unwrap();
        let first = Ask::read(&server.targets()[before]).size;
        assert!((50..250).contains(&first), "{name}: {first}");
    }
}

#[tokio::test]
async fn a_page_too_slow_is_asked_for_in_smaller_ones() {
    let server = source(600, |ask| (ask.size > 70).then_some(Reply::Hang)).await;
    let client = Client::builder(crate::KEY).base_url(server.base_url()).retry(crate::QUICK);
    let client = client.timeout(Duration::from_millis(500)).build().unwrap();
    let mut pages = client.users(&integration(), UsersQuery::default());
    for records in [1, 4, 16, 64, 64] {
        assert_eq!(pages.next_page().await.unwrap().unwrap().records.len(), records);
    }
    let sizes: Vec<_> = server.targets().iter().map(|target| Ask::read(target).size).collect();
    assert_eq!(sizes, [250, 250, 1, 250, 4, 16, 64, 125, 64], "once may be chance");
}

#[tokio::test]
async fn sizes_go_back_up_when_pages_are_light_again() {
    let heavy = Arc::new(AtomicBool::new(true));
    let is_heavy = Arc::clone(&heavy);
    let answer = move |ask: &Ask| {
        let too_heavy = is_heavy.load(Ordering::SeqCst) && ask.size > 1;
        too_heavy.then(|| Reply::new(413, &[], ""))
    };
    let server = source(3_000, answer).await;
    let client = patient(&server);
    let mut pages = client.users(&integration(), UsersQuery::default());
    assert_eq!(pages.next_page().await.unwrap().unwrap().records.len(), 1);
    heavy.store(false, Ordering::SeqCst);
    let sizes: Vec<_> = pages.into_stream().map_ok(|page| page.records.len()).try_collect().await.unwrap();
    assert!(sizes.windows(2).take(sizes.len() - 2).all(|two| two[0] <= two[1]), "{sizes:?}");
    assert!(sizes.contains(&250), "{sizes:?}");
}

#[tokio::test]
async fn one_record_too_heavy_is_an_error_that_names_the_limit() {
    let server = source(3_000, |ask| (ask.offset > 0).then(|| Reply::ok(" ".repeat(20_000)))).await;
    let error = read_all(&patient(&server), 3_000).await.unwrap_err();
    assert!(error.to_string().contains("more than 10000 bytes"), "{error}");
    assert_eq!(server.targets().len(), 1 + 8, "250, 125, 62, 31, 15, 7, 3, 1");
}

/// Kombo does not document whether a cursor works with another page size than that of its page.
#[tokio::test]
async fn a_source_that_ties_cursors_to_the_page_size_is_coped_with() {
    let refused = || Reply::json(409, crate::error_body("null"));
    // The weight of the page was not the cause.
    let down = AtomicU32::new(0);
    let server = source(1_000, move |ask| match ask.named_by {
        Some(size) if size != ask.size => Some(refused()),
        Some(_) if down.fetch_add(1, Ordering::SeqCst) < 4 => Some(Reply::new(503, &[], "")),
        _ => None,
    })
    .await;
    assert_eq!(read_all(&patient(&server), 1_000).await.unwrap(), [250; 4]);

    // Nor was it in an earlier process, which stored the cursor.
    let down = AtomicBool::new(true);
    let server = source(1_000, move |ask| match ask.named_by {
        Some(size) if size != ask.size => Some(refused()),
        None if down.swap(false, Ordering::SeqCst) => Some(Reply::new(503, &[], "")),
        _ => None,
    })
    .await;
    let client = Client::builder(crate::KEY).base_url(server.base_url()).retry(RetryPolicy::NEVER);
    let client = client.build().unwrap();
    client.users(&integration(), UsersQuery::default()).next_page().await.unwrap_err();
    let query = UsersQuery { cursor: PageCursor::new("250-250".to_owned()), ..UsersQuery::default() };
    let pages: Vec<_> = client.users(&integration(), query).into_stream().try_collect().await.unwrap();
    assert_eq!(pages.len(), 3);

    // It was the cause: the next listing begins with smaller pages.
    let server = source(1_000, move |ask| match ask.named_by {
        Some(size) if size != ask.size => Some(refused()),
        _ if ask.size > 125 && ask.offset > 0 => Some(Reply::new(413, &[], "")),
        _ => None,
    })
    .await;
    let client = patient(&server);
    assert_eq!(read_all(&client, 1_000).await.unwrap_err().status(), Some(413));
    read_all(&client, 1_000).await.unwrap();
}

/// Two pauses at most, which is one and a half seconds with the default pauses.
#[tokio::test]
async fn whatever_a_source_takes_is_found_within_few_attempts() {
    for most in [1, 2, 3, 100, 249] {
        for status in [500, 502, 504, 413, 524] {
            let server = source(700, move |ask| (ask.size > most).then(|| Reply::new(status, &[], ""))).await;
            let pages = patient(&server).users(&integration(), UsersQuery::default()).into_stream();
            let pages: Vec<_> = pages.try_collect().await.unwrap_or_else(|error| panic!("{status}, {most}: {error}"));
            assert_eq!(pages.iter().map(|page| page.records.len()).sum::<usize>(), 700);
            let attempts = pages.iter().map(|page| page.meta.attempts).max().unwrap();
            assert!(attempts <= if status == 413 { 8 } else { 3 }, "{status} above {most}: {attempts} attempts");
            let failed = server.targets().len() - pages.len();
            assert!(failed <= 20, "{status} above {most}: {failed} failed, {} did not", pages.len());
        }
    }
}

/// Some gateways always send `Retry-After`.
#[tokio::test]
async fn a_page_too_heavy_is_found_although_the_answer_says_when_to_come_back() {
    let too_heavy = |ask: &Ask| (ask.size > 40).then(|| Reply::new(503, &[("Retry-After", "0")], ""));
    let server = source(700, too_heavy).await;
    read_all(&patient(&server), 700).await.unwrap();
    assert!(server.targets().len() < 60, "{} pages", server.targets().len());
}

#[tokio::test]
async fn a_heavy_record_among_light_ones_costs_few_pages() {
    let is_heavy = |ask: &Ask| ask.size > 1 && (ask.offset..ask.offset + ask.size).contains(&1_500);
    let server = source(3_000, move |ask| is_heavy(ask).then(|| Reply::new(502, &[], ""))).await;
    read_all(&patient(&server), 3_000).await.unwrap();
    assert!(server.targets().len() < 150, "{} pages", server.targets().len());
}

#[tokio::test]
async fn an_outage_leaves_nothing_behind() {
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let server = source(500, move |_| is_down.load(Ordering::SeqCst).then(|| Reply::new(503, &[], ""))).await;
    let retry = RetryPolicy { budget: Duration::from_millis(500), ..crate::QUICK };
    let client = Client::builder(crate::KEY).base_url(server.base_url()).retry(retry).build().unwrap();
    let error = read_all(&client, 500).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(error.attempts() < 3 || error.to_string().contains("page size 1)"), "{error}");
    let first: Vec<_> = server.targets().iter().take(3).map(|target| Ask::read(target).size).collect();
    assert_eq!(first, [250, 250, 1]);
    down.store(false, Ordering::SeqCst);
    assert_eq!(read_all(&client, 500).await.unwrap(), [250, 250]);
}

#[tokio::test]
async fn an_error_names_the_page_size_that_was_reached() {
    let server = source(500, |_| Some(Reply::new(504, &[], ""))).await;
    let client = Client::builder(crate::KEY).base_url(server.base_url()).retry(RetryPolicy::NEVER).build().unwrap();
    for size in [250, 1, 250] {
        let error = read_all(&client, 500).await.unwrap_err();
        assert!(error.to_string().contains(&format!("page size {size})")), "{error}");
    }
    let server = source(500, |_| Some(Reply::new(413, &[], ""))).await;
    let error = read_all(&patient(&server), 500).await.unwrap_err();
    assert!(error.to_string().contains("page size 1)"), "{error}");
    // An unrelated error does not mention a page size.
    let server = source(500, |_| Some(Reply::new(401, &[], ""))).await;
    let error = read_all(&patient(&server), 500).await.unwrap_err();
    assert!(!error.to_string().contains("page size"), "{error}");
}

/// One record with an unclear end among others.
#[tokio::test]
async fn a_garbled_record_is_found_by_smaller_pages_and_quarantined() {
    for place in [0, 1, 77, 499] {
        let server = source(500, move |ask| {
            let ids = ask.offset..500.min(ask.offset + ask.size);
            ids.contains(&place).then(|| {
                let record = |id| {
                    if id == place {
                        format!(r#"{{"id":"{id}","first_name":"A"da"}}"#)
                    } else {
                        format!(r#"{{"id":"{id}"}}"#)
                    }
                };
                let end = ask.offset + ask.size;
                let next = if end < 500 { format!("\"{end}-{}\"", ask.size) } else { "null".to_owned() };
                Reply::ok(page(&next, &format!("[{}]", ids.clone().map(record).collect::<Vec<_>>().join(","))))
            })
        })
        .await;
        let pages = patient(&server).users(&integration(), UsersQuery::default()).into_stream();
        let pages: Vec<_> = pages.try_collect().await.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(pages.iter().map(|page| page.records.len()).sum::<usize>(), 499, "{place}");
        let rejected: Vec<_> = pages.iter().flat_map(|page| &page.rejected).collect();
        assert_eq!(rejected.len(), 1);
        assert_eq!(rejected[0].id.as_deref(), Some(place.to_string().as_str()));
        assert!(server.targets().len() < 120, "{place}: {} pages", server.targets().len());
    }
}
