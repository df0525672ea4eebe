use std::time::Duration;

use kombo_model::{Endpoint, Timestamp};

use super::*;
use crate::ports::source::Rejected;
use crate::pull::run::PageCursor;

fn page(ids: impl IntoIterator<Item = u64>) -> RecordPage {
    let record = |id: u64| Record::read(Endpoint::LmsSkills, &format!(r#"{{"id":"{id}"}}"#)).unwrap();
    RecordPage {
        records: ids.into_iter().map(record).collect(),
        rejected: Vec::new(),
        next: Some(PageCursor("another one".to_owned())),
        requested_at: Timestamp::from_unix_millis(0).unwrap(),
        elapsed: Duration::ZERO,
        server_date: None,
    }
}

/// Returns after how many pages the list is given up, and why.
fn given_up(pages: impl IntoIterator<Item = RecordPage>) -> Option<(usize, Standstill)> {
    let mut progress = Progress::default();
    let standstill =
        pages.into_iter().enumerate().find_map(|(number, page)| Some((number, progress.note(&page).err()?)));
    assert!(progress.sample.len() <= Progress::SAMPLE);
    standstill
}

#[test]
fn a_list_that_shows_something_new_goes_on() {
    assert_eq!(given_up((0..2_000).map(|number| page(number * 100..number * 100 + 100))), None);
    // Each record appears twice.
    assert_eq!(given_up((0..2_000).map(|number| page(number * 50..number * 50 + 100))), None);
    // Between two pages with records, many may be empty.
    let some_empty = (0..5_000).map(|number| if number % 999 == 0 { page([number]) } else { page([]) });
    assert_eq!(given_up(some_empty), None);
    // One record a page.
    assert_eq!(given_up((0..50_000).map(|number| page([number]))), None);
}

#[test]
fn a_list_that_goes_round_in_circles_is_given_up() {
    assert_eq!(given_up((0..5_000).map(|_| page([]))), Some((999, Standstill::Empty)));
    assert_eq!(given_up((0..500).map(|_| page(0..3))), Some((100, Standstill::Repeated)));
    assert_eq!(given_up((0..500).map(|number| page([number % 2]))), Some((101, Standstill::Repeated)));
    // Empty pages in between do not matter.
    let with_gaps = (0..500).map(|number| if number % 2 == 0 { page(0..3) } else { page([]) });
    assert_eq!(given_up(with_gaps), Some((200, Standstill::Repeated)));
}

/// Now and then something new does not end a list either.
#[test]
fn a_list_that_shows_hardly_anything_new_is_given_up() {
    for every in [6, 50, 99, 100] {
        // A page of five known records, and on some pages one new one.
        let pages = (0..5_000).map(|number| page((0..5).chain((number % every == 0).then_some(number + 5))));
        let (pages, why) = given_up(pages).unwrap();
        assert!(pages < 1_000 && why == Standstill::Repeated, "{every}: {pages}, {why}");
    }
    let one_of_many = (0..5_000).map(|number| page((0..49).chain([number + 49])));
    assert!(matches!(given_up(one_of_many), Some((..200, Standstill::Repeated))));
    // A known record between empty pages is no progress.
    let some_known = (0..5_000).map(|number| if number % 500 == 0 { page([7]) } else { page([]) });
    assert!(matches!(given_up(some_known), Some((..1_100, Standstill::Empty))));
    // But three known records for each new one are no circle.
    assert_eq!(given_up((0..5_000).map(|number| page(number * 25..number * 25 + 100))), None);
}

/// The memory does not depend on the length of the circle.
#[test]
fn a_long_circle_is_noticed() {
    let around = |length: u64| given_up((0..60_000).map(|number| page((0..50).map(|i| (number * 50 + i) % length))));
    for length in [1_000, 30_000, 200_000] {
        let (pages, why) = around(length).unwrap();
        assert_eq!(why, Standstill::Repeated);
        assert!(pages > usize::try_from(length / 50).unwrap(), "{length}: {pages}");
    }
}

#[test]
fn what_cannot_be_read_counts_by_its_id_or_by_what_it_says() {
    let unreadable = |id: Option<String>, json: String| {
        let rejected = Rejected { id, json, path: ".".to_owned(), reason: "a reason".to_owned() };
        RecordPage { rejected: vec![rejected], ..page([]) }
    };
    let named = (0..500).map(|number| unreadable(Some("u".to_owned()), format!("{number}")));
    assert_eq!(given_up(named), Some((100, Standstill::Repeated)));
    assert_eq!(given_up((0..500).map(|_| unreadable(None, "7".to_owned()))), Some((100, Standstill::Repeated)));
    assert_eq!(given_up((0..500).map(|number| unreadable(None, format!("{number}")))), None);
}
