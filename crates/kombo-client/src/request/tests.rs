use kombo_model::{Course, CourseId, CourseProgression, Skill, User, UserId};
use proptest::prelude::*;

use super::*;
use crate::base_url;
use crate::query::{ProgressionFilters, UserFilters};
use crate::query::{ProgressionsQuery, Typed, UsersQuery};

const PATTERN_LENGTH: usize = "2022-08-07T14:01:29.196Z".len();

fn page<R: Typed>(query: &ListQuery<R>, cursor: Option<&str>) -> Result<Request, Error> {
    let cursor = cursor.and_then(|token| PageCursor::new(token.to_owned()));
    Request::page(&IntegrationId::from("sandbox:7C9M"), R::ENDPOINT, query, cursor.as_ref(), PageSize::MAX)
}

fn pairs(request: &Request) -> Vec<String> {
    request.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn url(request: &Request) -> String {
    request.url(&base_url::parse("http://127.0.0.1:9000/proxy/v1/").unwrap()).to_string()
}

#[test]
fn a_default_query_says_how_many_and_that_deleted_ones_stay_out() {
    let request = page::<User>(&UsersQuery::default(), None).unwrap();
    assert_eq!(pairs(&request), ["page_size=250", "include_deleted=false"]);
    assert_eq!(request.integration, Some(IntegrationId::from("sandbox:7C9M")));
    assert_eq!(url(&request), "http://127.0.0.1:9000/proxy/v1/lms/users?page_size=250&include_deleted=false");
}

#[test]
fn every_endpoint_has_its_path() {
    let base = base_url::parse("https://api.kombo.dev/v1").unwrap();
    let path = |request: Result<Request, Error>| request.unwrap().url(&base).path().to_owned();
    assert_eq!(path(page::<User>(&ListQuery::default(), None)), "/v1/lms/users");
    assert_eq!(path(page::<Course>(&ListQuery::default(), None)), "/v1/lms/courses");
    assert_eq!(path(page::<CourseProgression>(&ListQuery::default(), None)), "/v1/lms/course-progressions");
    assert_eq!(path(page::<Skill>(&ListQuery::default(), None)), "/v1/lms/skills");
    assert_eq!(path(Ok(Request::check_api_key())), "/v1/check-api-key");
}

#[test]
fn every_filter_is_sent() {
    let query = UsersQuery {
        updated_after: Some("2022-08-07T16:01:29.1967+02:00".parse().unwrap()),
        include_deleted: true,
        ignore_unsupported_filters: true,
        ids: vec![UserId::from("a"), UserId::from("b")],
        remote_ids: vec!["1".to_owned(), "2 3".to_owned()],
        filters: UserFilters { work_emails: vec!["a+b@example.com".to_owned(), "c@example.com".to_owned()] },
        ..UsersQuery::default()
    };
    let request = page(&query, Some("next/page=")).unwrap();
    assert_eq!(
        pairs(&request),
        [
            "cursor=next/page=",
            "page_size=250",
            "updated_after=2022-08-07T14:01:29.196Z",
            "include_deleted=true",
            "ignore_unsupported_filters=true",
            "ids=a,b",
            "remote_ids=1,2 3",
            "work_emails=a+b@example.com,c@example.com",
        ]
    );
    assert!(url(&request).contains("?cursor=next%2Fpage%3D&"));
    assert!(url(&request).ends_with("&work_emails=a%2Bb%40example.com%2Cc%40example.com"));
}

#[test]
fn progressions_have_filters_of_their_own() {
    let query = ProgressionsQuery {
        filters: ProgressionFilters { user_ids: vec![UserId::from("u")], course_ids: vec![CourseId::from("c")] },
        ..ProgressionsQuery::default()
    };
    assert_eq!(
        pairs(&page(&query, None).unwrap()),
        ["page_size=250", "include_deleted=false", "user_ids=u", "course_ids=c"]
    );
}

#[test]
fn items_that_a_comma_list_cannot_hold_are_refused() {
    for item in ["a,b", ",", "", "  "] {
        let query = UsersQuery { remote_ids: vec!["x".to_owned(), item.to_owned()], ..UsersQuery::default() };
        assert!(matches!(page(&query, None), Err(Error::InvalidRequest { .. })), "{item:?}");
    }
}

#[test]
fn ids_that_a_header_or_a_path_cannot_hold_are_refused() {
    for id in ["", "a b", "a\r\nx-evil: 1", "ü"] {
        let request = Request::page(&id.into(), Endpoint::LmsUsers, &UsersQuery::default(), None, PageSize::MAX);
        assert!(matches!(request, Err(Error::InvalidRequest { .. })), "{id:?}");
    }
    for id in ["", " ", ".", "..", ".\t", "\n..", ".\r\r.", "a\nb", "a\tb"] {
        assert!(Request::integration(&id.into()).is_err(), "{id:?}");
        let course = Request::deactivate_course(&"sandbox:a".into(), &id.into());
        assert!(course.is_err(), "{id:?}");
    }
}

#[test]
fn an_integration_id_stays_one_segment_of_the_path() {
    let address = |id: &str| url(&Request::integration(&id.into()).unwrap());
    assert_eq!(address("sandbox:7C9M"), "http://127.0.0.1:9000/proxy/v1/integrations/sandbox:7C9M");
    assert_eq!(address("a/../b?c#d%e f"), "http://127.0.0.1:9000/proxy/v1/integrations/a%2F..%2Fb%3Fc%23d%25e%20f");
}

proptest! {
    #[test]
    fn times_match_what_kombo_accepts(millis in -62_167_219_200_000_i64..=253_402_300_799_999) {
        let text = time(Timestamp::from_unix_millis(millis).unwrap());
        prop_assert_eq!(text.len(), PATTERN_LENGTH);
        prop_assert!(text.ends_with('Z') && !text.contains('+'));
        prop_assert_eq!(text.parse::<Timestamp>().unwrap().unix_millis(), millis);
    }

    #[test]
    fn values_survive_the_address(cursor in "\\PC{1,40}", email in "[^,\\s]{1,40}") {
        let query = UsersQuery { filters: UserFilters { work_emails: vec![email.clone()] }, ..UsersQuery::default() };
        let request = page(&query, Some(&cursor)).unwrap();
        let url = request.url(&base_url::parse("http://h/v1").unwrap());
        let sent: Vec<(String, String)> =
            url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        if !cursor.trim().is_empty() {
            prop_assert_eq!(&sent[0], &("cursor".to_owned(), cursor));
        }
        prop_assert_eq!(sent.last().unwrap(), &("work_emails".to_owned(), email));
    }
}
