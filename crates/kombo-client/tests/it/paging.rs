use futures_util::{StreamExt as _, TryStreamExt as _};
use kombo_client::{
    CoursesQuery, ErrorKind, PageCursor, PageSize, ProgressionFilters, ProgressionsQuery, SkillsQuery, UserFilters,
    UsersQuery,
};
use kombo_model::{CourseId, UserId};

use crate::server::{Reply, Server};
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

#[tokio::test]
async fn a_cursor_is_taken_in_what_forms_it_can_be_sent_back() {
    let long = "x".repeat(10_000);
    for (next, sent) in
        [("7", "7"), ("-1", "-1"), (r#""a\nb &=#""#, "a%0Ab+%26%3D%23"), (&format!("\"{long}\""), &long)]
    {
        let server = Server::start([Reply::ok(page(next, "[]")), Reply::ok(page("null", "[]"))]).await;
        let users = client(&server).users(&integration(), UsersQuery::default());
        assert_eq!(users.into_stream().try_collect::<Vec<_>>().await.unwrap().len(), 2);
        assert!(server.targets()[1].contains(&format!("cursor={sent}&")));
    }
    for next in [&format!("\"{}\"", "x".repeat(100_000)), "true", "{}", r#"["a"]"#] {
        let server = Server::start([Reply::ok(page(next, "[]")), Reply::ok(page(next, "[]"))]).await;
        let error = client(&server).users(&integration(), UsersQuery::default()).next_page().await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("at data.next: ") && said.len() < 200, "{said}");
        assert_eq!(error.kind(), ErrorKind::Decode);
    }
}
