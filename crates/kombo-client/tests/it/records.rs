use kombo_client::CoursesQuery;

use crate::server::{Reply, Server};
use crate::{client, integration, page};

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
    // What can be read of the bad one is there; what cannot is named below.
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
