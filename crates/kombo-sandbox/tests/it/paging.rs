//! Pages: their number, order and cursors.

use std::collections::BTreeSet;

use kombo_sandbox::{
    Behaviour, CursorKind, FIRST_INTEGRATION, GeneratorConfig, ListOrder, Model, Mutation, Sandbox, SandboxConfig,
};

use crate::client::{all, all_ids, get, start};

fn config(users: usize) -> SandboxConfig {
    let generator = GeneratorConfig { users, deleted_rate: 0.0, ..GeneratorConfig::default() };
    SandboxConfig { generator, ..SandboxConfig::default() }
}

fn with(behaviour: Behaviour) -> SandboxConfig {
    SandboxConfig { behaviour, ..config(25) }
}

#[tokio::test]
async fn pages_are_full_until_the_last() {
    for (users, size, pages) in
        [(0, 10, 1), (1, 10, 1), (10, 10, 1), (11, 10, 2), (20, 10, 2), (25, 7, 4), (300, 250, 2)]
    {
        let sandbox = start(config(users)).await;
        let (rows, took) = all(&sandbox, &format!("/lms/users?page_size={size}")).await;
        assert_eq!((rows.len(), took), (users, pages), "{users} users by {size}");
    }
}

#[tokio::test]
async fn a_page_has_a_hundred_rows_unless_told() {
    let sandbox = start(config(150)).await;
    assert_eq!(get(&sandbox, "/lms/users").await.results().len(), 100);
}

#[tokio::test]
async fn every_endpoint_lists_every_row_once() {
    let sandbox = start(SandboxConfig::default()).await;
    for (endpoint, model) in [
        ("users", Model::Users),
        ("courses", Model::Courses),
        ("course-progressions", Model::CourseProgressions),
        ("skills", Model::Skills),
    ] {
        let ids = all_ids(&sandbox, &format!("/lms/{endpoint}?page_size=17&include_deleted=true")).await;
        let expected: Vec<_> = sandbox
            .truth(FIRST_INTEGRATION, model)
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids, expected, "{endpoint}");
        let live = all_ids(&sandbox, &format!("/lms/{endpoint}?page_size=17")).await;
        let deleted = sandbox.truth(FIRST_INTEGRATION, model).unwrap();
        let deleted = deleted.iter().filter(|it| !it["remote_deleted_at"].is_null()).count();
        assert_eq!(live.len() + deleted, ids.len(), "{endpoint}");
    }
}

#[tokio::test]
async fn every_order_and_cursor_shows_every_row_once() {
    for order in [ListOrder::Id, ListOrder::ChangedAt, ListOrder::Shuffled] {
        for cursor in [CursorKind::Keyset, CursorKind::Offset] {
            let sandbox = start(with(Behaviour { order, cursor, ..Behaviour::default() })).await;
            let ids = all_ids(&sandbox, "/lms/users?page_size=4").await;
            assert_eq!(ids.len(), 25, "{order:?} {cursor:?}");
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 25, "{order:?} {cursor:?}");
            let again = all_ids(&sandbox, "/lms/users?page_size=9").await;
            assert_eq!(ids, again, "the order is stable: {order:?} {cursor:?}");
        }
    }
}

#[tokio::test]
async fn empty_pages_may_come_before_the_end_and_at_it() {
    let sandbox = start(with(Behaviour { empty_page_every: 2, ..Behaviour::default() })).await;
    let (rows, pages) = all(&sandbox, "/lms/users?page_size=10").await;
    assert_eq!((rows.len(), pages), (25, 5));
    let sandbox = start(with(Behaviour { trailing_empty_page: true, ..Behaviour::default() })).await;
    let (rows, pages) = all(&sandbox, "/lms/users?page_size=10").await;
    assert_eq!((rows.len(), pages), (25, 4));
}

async fn purged_between_two_pages(sandbox: &Sandbox) -> usize {
    let first = get(sandbox, "/lms/users?page_size=10").await;
    let gone = first.ids()[0].parse().unwrap();
    sandbox.mutate(FIRST_INTEGRATION, Mutation::purge(Model::Users, gone)).unwrap();
    let path = format!("/lms/users?page_size=250&cursor={}", first.next().unwrap());
    10 + get(sandbox, &path).await.results().len()
}

#[tokio::test]
async fn an_offset_cursor_misses_a_row_when_one_is_removed() {
    let keyset = start(config(25)).await;
    assert_eq!(purged_between_two_pages(&keyset).await, 25);
    let offset = start(with(Behaviour { cursor: CursorKind::Offset, ..Behaviour::default() })).await;
    assert_eq!(purged_between_two_pages(&offset).await, 24);
}

#[tokio::test]
async fn a_cursor_belongs_to_its_filters_endpoint_and_integration() {
    let sandbox = start(config(25)).await;
    let next = get(&sandbox, "/lms/users?page_size=5&include_deleted=true").await.next().unwrap();
    for path in [
        format!("/lms/users?page_size=5&cursor={next}"),
        format!("/lms/users?include_deleted=true&updated_after=2020-01-01&cursor={next}"),
        format!("/lms/courses?include_deleted=true&cursor={next}"),
        "/lms/users?include_deleted=true&cursor=nonsense".to_owned(),
        "/lms/users?include_deleted=true&cursor=".to_owned(),
    ] {
        let answer = get(&sandbox, &path).await;
        assert_eq!((answer.status, answer.code()), (400, "PLATFORM.INPUT_INVALID".into()), "{path}");
    }
    let answer = get(&sandbox, &format!("/lms/users?include_deleted=true&page_size=6&cursor={next}")).await;
    assert_eq!(answer.results().len(), 6, "the page size is no filter");
}

#[tokio::test]
async fn cursors_expire_on_demand_and_by_count() {
    let sandbox = start(config(25)).await;
    let next = get(&sandbox, "/lms/users?page_size=5").await.next().unwrap();
    let path = format!("/lms/users?page_size=5&cursor={next}");
    assert_eq!(get(&sandbox, &path).await.status, 200);
    sandbox.expire_cursors();
    let expired = get(&sandbox, &path).await;
    assert_eq!((expired.status, expired.code()), (400, "PLATFORM.INPUT_INVALID".into()));
    sandbox.edit(|state| state.behaviour.cursor_expires_after = Some(2));
    let next = get(&sandbox, "/lms/users?page_size=5").await.next().unwrap();
    let path = format!("/lms/users?page_size=5&cursor={next}");
    let statuses =
        [get(&sandbox, &path).await.status, get(&sandbox, &path).await.status, get(&sandbox, &path).await.status];
    assert_eq!(statuses, [200, 200, 400]);
}

#[tokio::test]
async fn kept_pages_are_the_same_and_go_with_any_change() {
    let sandbox = start(SandboxConfig { prerender: true, ..config(25) }).await;
    let first = get(&sandbox, "/lms/users?page_size=10").await.body;
    assert_eq!(get(&sandbox, "/lms/users?page_size=10").await.body, first);
    let (rows, _) = all(&sandbox, "/lms/users?page_size=10").await;
    assert_eq!(rows.len(), 25);
    let gone = rows[0]["id"].as_str().unwrap().parse().unwrap();
    sandbox.mutate(FIRST_INTEGRATION, Mutation::delete(Model::Users, gone)).unwrap();
    assert_eq!(all(&sandbox, "/lms/users?page_size=10").await.0.len(), 24);
}

#[tokio::test]
async fn kept_pages_know_how_many_pages_came_before() {
    let behaviour = Behaviour { empty_page_every: 2, ..Behaviour::default() };
    let sandbox = start(SandboxConfig { prerender: true, ..with(behaviour) }).await;
    for _ in 0..2 {
        let (rows, pages) = all(&sandbox, "/lms/users?page_size=10").await;
        assert_eq!((rows.len(), pages), (25, 5));
    }
}
