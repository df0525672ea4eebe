use futures_util::{StreamExt as _, TryStreamExt as _};
use kombo_client::{
    Client, CoursesQuery, Error, ErrorKind, PageCursor, PageSize, ProgressionFilters, ProgressionsQuery, SkillsQuery,
    UserFilters, UsersQuery,
};
use kombo_model::{CourseId, UserId};

use crate::server::{Answering, Reply, Server};
use crate::{builder, client, integration, page};

#[tokio::test]
async fn every_page_repeats_the_filters_and_only_null_ends_the_list() {
    let server = Server::start([
        Reply::ok(page(r#""p/2""#, r#"[{"id":"a"},{"id":"b"}]"#)),
        Reply::ok(page(r#""p3""#, "[]")),
        Reply::ok(page("null", r#"[{"id":"c"}]"#)),
    ])
    .await;
    let query = UsersQuery {
        page_size: PageSize::new(2),
        updated_after: Some("2022-08-07T14:01:29.196Z".parse().unwrap()),
        include_deleted: true,
        filters: UserFilters { work_emails: vec!["a@example.com".to_owned()] },
        ..UsersQuery::default()
    };
    let mut pages = client(&server).users(&integration(), query);

    let first = pages.next_page().await.unwrap().unwrap();
    assert_eq!(first.records.len(), 2);
    assert_eq!(first.next.unwrap().as_str(), "p/2");
    let empty = pages.next_page().await.unwrap().unwrap();
    assert!(empty.records.is_empty() && empty.next.is_some());
    let last = pages.next_page().await.unwrap().unwrap();
    assert_eq!(last.records[0].id, UserId::from("c"));
    assert_eq!(last.next, None);
    assert!(pages.next_page().await.unwrap().is_none());
    assert!(pages.next_page().await.unwrap().is_none());

    let filters =
        "page_size=2&updated_after=2022-08-07T14%3A01%3A29.196Z&include_deleted=true&work_emails=a%40example.com";
    assert_eq!(
        server.targets(),
        [
            format!("/v1/lms/users?{filters}"),
            format!("/v1/lms/users?cursor=p%2F2&{filters}"),
            format!("/v1/lms/users?cursor=p3&{filters}"),
        ]
    );
    for request in server.seen() {
        assert_eq!(request.header("authorization"), Some("Bearer the-key-that-nobody-may-see"));
        assert_eq!(request.header("x-integration-id"), Some("sandbox:7C9M5sXAQx2cNMpVHLojrFpL"));
        assert!(request.header("user-agent").unwrap().starts_with("kombo-client/"));
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("accept-encoding"), Some("gzip"));
    }
}

#[tokio::test]
async fn a_blank_next_ends_the_list_too() {
    for blank in [r#""""#, r#"" ""#] {
        let server = Server::start([Reply::ok(page(blank, r#"[{"id":"a"}]"#))]).await;
        let pages: Vec<_> =
            client(&server).courses(&integration(), CoursesQuery::default()).into_stream().try_collect().await.unwrap();
        assert_eq!(pages.len(), 1);
        assert_eq!(pages[0].next, None);
    }
}

#[tokio::test]
async fn every_endpoint_is_listed_under_its_path() {
    let empty = || Reply::ok(page("null", "[]"));
    let server = Server::start([empty(), empty(), empty(), empty()]).await;
    let client = builder(&server).page_size(7).build().unwrap();
    let progressions = ProgressionsQuery {
        filters: ProgressionFilters { user_ids: vec![UserId::from("u")], course_ids: vec![CourseId::from("c")] },
        ..ProgressionsQuery::default()
    };
    client.users(&integration(), UsersQuery::default()).next_page().await.unwrap().unwrap();
    client.courses(&integration(), CoursesQuery::default()).next_page().await.unwrap().unwrap();
    client.course_progressions(&integration(), progressions).next_page().await.unwrap().unwrap();
    client.skills(&integration(), SkillsQuery::default()).next_page().await.unwrap().unwrap();
    assert_eq!(
        server.targets(),
        [
            "/v1/lms/users?page_size=7&include_deleted=false",
            "/v1/lms/courses?page_size=7&include_deleted=false",
            "/v1/lms/course-progressions?page_size=7&include_deleted=false&user_ids=u&course_ids=c",
            "/v1/lms/skills?page_size=7&include_deleted=false",
        ]
    );
}

#[tokio::test]
async fn a_listing_resumes_at_a_cursor() {
    let server = Server::start([Reply::ok(page("null", "[]"))]).await;
    let query = UsersQuery { cursor: PageCursor::new("kept".to_owned()), ..UsersQuery::default() };
    let pages: Vec<_> = client(&server).users(&integration(), query).into_stream().try_collect().await.unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(server.targets(), ["/v1/lms/users?cursor=kept&page_size=250&include_deleted=false"]);
}

#[tokio::test]
async fn a_listing_that_goes_in_circles_is_an_error() {
    for (start, replies) in
        [(None, &[r#""a""#, r#""b""#, r#""a""#][..]), (None, &[r#""a""#, r#""a""#]), (Some("a"), &[r#""b""#, r#""a""#])]
    {
        let server = Server::start(replies.iter().map(|next| Reply::ok(page(next, "[]")))).await;
        let cursor = start.and_then(|token: &str| PageCursor::new(token.to_owned()));
        let query = UsersQuery { cursor, ..UsersQuery::default() };
        let results: Vec<_> = client(&server).users(&integration(), query).into_stream().collect().await;
        let (last, before) = results.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok));
        let error = last.as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RepeatedCursor);
        assert!(!error.is_retryable());
        assert_eq!(results.len(), replies.len());
    }
}

#[tokio::test]
async fn after_an_error_the_same_page_can_be_asked_for_again() {
    let server = Server::start([
        Reply::ok(page(r#""p2""#, "[]")),
        Reply::json(400, crate::error_body(r#""PLATFORM.INPUT_INVALID""#)),
        Reply::ok(page("null", r#"[{"id":"a"}]"#)),
    ])
    .await;
    let mut pages = client(&server).users(&integration(), UsersQuery::default());
    pages.next_page().await.unwrap().unwrap();
    pages.next_page().await.unwrap_err();
    assert_eq!(pages.next_page().await.unwrap().unwrap().records.len(), 1);
    assert!(pages.next_page().await.unwrap().is_none());
    let targets = server.targets();
    assert_eq!(targets[1], targets[2]);
}

#[tokio::test]
async fn nothing_is_sent_before_the_first_page_is_asked_for() {
    let server = Server::start([]).await;
    drop(client(&server).users(&integration(), UsersQuery::default()));
    let query = UsersQuery { remote_ids: vec!["a,b".to_owned()], ..UsersQuery::default() };
    let error = client(&server).users(&integration(), query).next_page().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InputInvalid);
    assert_eq!(error.attempts(), 0);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn listings_can_move_to_other_tasks() {
    let server = Server::start([Reply::ok(page(r#""n""#, "[]")), Reply::ok(page("null", "[]"))]).await;
    let client = client(&server);
    let mut pages = client.clone().users(&integration(), UsersQuery::default());
    let pages = tokio::spawn(async move {
        pages.next_page().await.unwrap().unwrap();
        pages
    });
    let rest = pages.await.unwrap().into_stream();
    assert_eq!(tokio::spawn(rest.count()).await.unwrap(), 1);
}

/// Answers a list of `records` under these rules, and notes the sizes that were asked for.
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

/// What a page was asked for with.
struct Ask {
    offset: u32,
    size: u32,
    /// The size of the page that named the cursor.
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
        assert!(sizes.iter().all(|size| *size <= 62), "{name}: {sizes:?}");
        let refused = server.targets().len() - sizes.len();
        assert!(refused < 32, "{name}: {refused} pages were too heavy, of {}", sizes.len());
        // The next listing knows.
        let before = server.targets().len();
        read_all(&client, 3_000).await.unwrap();
        assert!(server.targets()[before].contains("page_size=62"), "{name}: {}", server.targets()[before]);
    }
}

#[tokio::test]
async fn a_page_too_slow_is_asked_for_in_smaller_ones() {
    let server = source(600, |ask| (ask.size > 70).then_some(Reply::Hang)).await;
    let client = Client::builder(crate::KEY).base_url(server.base_url()).retry(crate::QUICK);
    let client = client.timeout(std::time::Duration::from_millis(500)).build().unwrap();
    let mut pages = client.users(&integration(), UsersQuery::default());
    assert_eq!(pages.next_page().await.unwrap().unwrap().records.len(), 62);
    let sizes: Vec<_> = server.targets().iter().map(|target| Ask::read(target).size).collect();
    assert_eq!(sizes, [250, 250, 125, 62], "once may be chance");
}

#[tokio::test]
async fn sizes_go_back_up_when_pages_are_light_again() {
    let heavy = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_heavy = std::sync::Arc::clone(&heavy);
    let answer = move |ask: &Ask| {
        let too_heavy = is_heavy.load(std::sync::atomic::Ordering::SeqCst) && ask.size > 1;
        too_heavy.then(|| Reply::new(413, &[], ""))
    };
    let server = source(3_000, answer).await;
    let client = patient(&server);
    let mut pages = client.users(&integration(), UsersQuery::default());
    assert_eq!(pages.next_page().await.unwrap().unwrap().records.len(), 1);
    heavy.store(false, std::sync::atomic::Ordering::SeqCst);
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

/// Kombo does not say whether a cursor goes with another page size than the page had that named it.
#[tokio::test]
async fn a_source_that_ties_cursors_to_the_page_size_is_coped_with() {
    let refused = || Reply::json(409, crate::error_body("null"));
    // It was not the weight of the page.
    let down = std::sync::atomic::AtomicU32::new(0);
    let server = source(1_000, move |ask| match ask.named_by {
        Some(size) if size != ask.size => Some(refused()),
        Some(_) if down.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 4 => Some(Reply::new(503, &[], "")),
        _ => None,
    })
    .await;
    assert_eq!(read_all(&patient(&server), 1_000).await.unwrap(), [250; 4]);

    // Nor was it in a process before, which left the cursor.
    let down = std::sync::atomic::AtomicBool::new(true);
    let server = source(1_000, move |ask| match ask.named_by {
        Some(size) if size != ask.size => Some(refused()),
        None if down.swap(false, std::sync::atomic::Ordering::SeqCst) => Some(Reply::new(503, &[], "")),
        _ => None,
    })
    .await;
    let client = Client::builder(crate::KEY).base_url(server.base_url()).retry(kombo_client::RetryPolicy::NEVER);
    let client = client.build().unwrap();
    client.users(&integration(), UsersQuery::default()).next_page().await.unwrap_err();
    let query = UsersQuery { cursor: PageCursor::new("250-250".to_owned()), ..UsersQuery::default() };
    let pages: Vec<_> = client.users(&integration(), query).into_stream().try_collect().await.unwrap();
    assert_eq!(pages.len(), 3);

    // It was: the next listing begins with smaller pages.
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
