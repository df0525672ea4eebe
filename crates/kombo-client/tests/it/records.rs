use futures_util::TryStreamExt as _;
use kombo_client::{Client, CoursesQuery, UsersQuery};

use crate::server::{Answering, Reply, Server};
use crate::{KEY, QUICK, client, integration, page};

#[tokio::test]
async fn a_broken_field_costs_no_more_than_itself() {
    let results = r#"[
        {"id": "good"},
        {"id": "bad", "revisions": [{"id": "r"}, {"id": "s"}, {"id": "t", "changed_at": "yesterday"}]},
        "nonsense",
        {"id": "good too", "status": "ADDED_LATER", "added_later": {}}
    ]"#;
    let server = Server::start([Reply::ok(page(r#""n""#, results))]).await;
    let page = client(&server).courses(&integration(), CoursesQuery::default()).next_page().await.unwrap().unwrap();
    let good: Vec<_> = page.records.iter().map(|course| course.id.as_str()).collect();
    // The readable parts of the bad record are included; the unreadable ones are listed below.
    assert_eq!(good, ["good", "bad", "good too"]);
    assert_eq!(page.next.unwrap().as_str(), "n");

    let [bad, nonsense] = &page.rejected[..] else { panic!("{:?}", page.rejected) };
    assert_eq!((bad.index, bad.id.as_deref()), (1, Some("bad")));
    assert_eq!(bad.path, "revisions[2].changed_at");
    assert_eq!(bad.reason, "not a time such as 2022-08-07T14:01:29.196Z");
    assert!(bad.json.as_str().starts_with(r#"{"id": "bad""#));
    assert_eq!((nonsense.index, nonsense.id.as_deref(), nonsense.path.as_str()), (2, None, "."));
    assert!(!format!("{bad:?}").contains("yesterday"));
}

/// Answers a list of three records. The second one contains a value.
fn three(value: &str, target: &str) -> Reply {
    let bad = format!(r#"{{"id":"bad","custom_fields":{{"a":{value}}}}}"#);
    let records = [r#"{"id":"a"}"#, &bad, r#"{"id":"b"}"#];
    let asked = |name: &str| target.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.parse().ok());
    let (from, size): (usize, usize) = (asked("cursor=").unwrap_or(0), asked("page_size=").unwrap());
    let end = (from + size).min(3);
    let next = if end < 3 { format!("\"{end}\"") } else { "null".to_owned() };
    Reply::ok(page(&next, &format!("[{}]", records[from..end].join(","))))
}

#[tokio::test]
async fn a_value_that_is_no_json_costs_no_more_than_its_record() {
    for value in ["NaN", "-Infinity", "01", "", "'a'", r#""a" "b""#, r#""a"b""#, "[1", r#""\x""#] {
        let server = Answering::start(move |target| three(value, target)).await;
        let client = Client::builder(KEY).base_url(server.base_url()).retry(QUICK).build().unwrap();
        let pages = client.users(&integration(), UsersQuery::default()).into_stream();
        let pages: Vec<_> = pages.try_collect().await.unwrap_or_else(|error| panic!("{value}: {error}"));
        let ids: Vec<_> = pages.iter().flat_map(|page| &page.records).map(|user| user.id.as_str()).collect();
        assert_eq!(ids.iter().filter(|id| **id != "bad").copied().collect::<Vec<_>>(), ["a", "b"], "{value}");
        let rejected: Vec<_> = pages.iter().flat_map(|page| &page.rejected).collect();
        assert_eq!((rejected.len(), rejected[0].id.as_deref()), (1, Some("bad")), "{value}");
        assert!(["no JSON", "not JSON"].contains(&rejected[0].reason.as_str()), "{value}: {}", rejected[0].reason);
    }
}
