use kombo_model::{CourseProgression, Endpoint, IntegrationId, User};
use reqwest::Url;

use crate::request::Request;
use crate::{ListQuery, PageCursor, PageSize, ProgressionFilters, UserFilters};

const BASE: &str = "http://127.0.0.1:9/v1";

/// The values of a query, one per line: integration, cursor, time, page size, then ids.
///
/// The URL decodes to exactly these values: none leaks into another, the path or the headers. Values that cannot be
/// sent are rejected.
pub fn query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default().to_owned();
    let integration = IntegrationId::from(next());
    let token = next();
    let time = next();
    let size = next();
    let items: Vec<String> = lines.map(str::to_owned).collect();

    let cursor = PageCursor::new(token.clone());
    assert_eq!(cursor.is_none(), token.trim().is_empty());
    assert!(cursor.as_ref().is_none_or(|it| it.as_str() == token && it.clone().into_string() == token));
    let updated_after = time.parse().ok();
    if let Some(moment) = updated_after {
        let moment: kombo_model::Timestamp = moment;
        assert_eq!(moment.to_string().parse(), Ok(moment), "a time reads as it was written");
        assert!(moment.to_string().ends_with('Z'));
    }
    let page_size = size.parse().ok().and_then(PageSize::new).unwrap_or(PageSize::MAX);
    assert!((1..=250).contains(&page_size.get()));

    let users = ListQuery::<User> {
        updated_after,
        ids: items.iter().map(|it| it.as_str().into()).collect(),
        remote_ids: items.clone(),
        filters: UserFilters { work_emails: items.clone() },
        ..ListQuery::default()
    };
    let progressions = ListQuery::<CourseProgression> {
        filters: ProgressionFilters {
            user_ids: items.iter().map(|it| it.as_str().into()).collect(),
            course_ids: items.iter().map(|it| it.as_str().into()).collect(),
        },
        ignore_unsupported_filters: true,
        ..ListQuery::default()
    };
    let sayable = items.iter().all(|it| !it.contains(',') && !it.trim().is_empty());
    let can_be_a_header =
        !integration.as_str().is_empty() && integration.as_str().bytes().all(|it| it.is_ascii_graphic());
    let built = [
        (Request::page(&integration, Endpoint::LmsUsers, &users, cursor.as_ref(), page_size), "/v1/lms/users", ["ids", "work_emails"]),
        (
            Request::page(&integration, Endpoint::LmsCourseProgressions, &progressions, cursor.as_ref(), page_size),
            "/v1/lms/course-progressions",
            ["user_ids", "course_ids"],
        ),
    ];
    for (request, path, lists) in built {
        assert_eq!(request.is_ok(), sayable && can_be_a_header);
        let Ok(request) = request else { continue };
        let url = address(&request);
        assert_eq!(url.path(), path);
        let read: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let value = |name: &str| {
            let mut found = read.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
            let value = found.next();
            assert_eq!(found.next(), None, "{name} stands there once");
            value
        };
        assert_eq!(read.len(), request.parameters.len());
        assert_eq!(value("cursor"), cursor.as_ref().map(PageCursor::as_str));
        assert_eq!(value("page_size"), Some(page_size.get().to_string().as_str()));
        for list in lists {
            let said: Vec<&str> = value(list).map(|it| it.split(',').collect()).unwrap_or_default();
            assert_eq!(said, items, "{list}");
        }
    }
    // An id in a path is always a single segment.
    if let Ok(request) = Request::integration(&integration) {
        let url = address(&request);
        let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
        assert_eq!(segments.len(), 3, "{url}");
        assert_eq!(&segments[..2], ["v1", "integrations"]);
    }
    for id in &items {
        if let Ok(request) = Request::deactivate_course(&"sandbox:a".into(), &id.as_str().into()) {
            let url = address(&request);
            let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
            assert_eq!(segments.len(), 5, "{url}");
            assert_eq!((segments[2], segments[4]), ("courses", "deactivate"));
        }
    }
}

fn address(request: &Request) -> Url {
    let base: Url = BASE.parse().expect("an address");
    let url = request.url(&base);
    assert_eq!((url.scheme(), url.host_str(), url.port()), ("http", Some("127.0.0.1"), Some(9)));
    assert!(url.fragment().is_none() && url.username().is_empty());
    url
}
