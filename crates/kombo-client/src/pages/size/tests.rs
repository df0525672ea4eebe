use super::*;

fn size(records: u16) -> PageSize {
    PageSize::new(records).unwrap()
}

#[test]
fn a_size_is_halved_down_to_one_and_doubled_after_more_and_more_pages() {
    let (sizes, integration, other) = (Sizes::default(), IntegrationId::from("a"), IntegrationId::from("b"));
    let reduce = |records| sizes.reduce(&integration, Endpoint::Users, size(records)).map(PageSize::get);
    let mut halves = vec![250];
    while let Some(smaller) = reduce(halves[halves.len() - 1]) {
        halves.push(smaller);
    }
    assert_eq!(halves, [250, 125, 62, 31, 15, 7, 3, 1]);
    assert_eq!(sizes.get(&integration, Endpoint::Users), PageSize::new(1));
    assert_eq!(sizes.get(&integration, Endpoint::Courses), None);
    assert_eq!(sizes.get(&other, Endpoint::Users), None);

    // How many pages it takes to get to twice the size.
    let pages_until_larger = || {
        let now = sizes.get(&integration, Endpoint::Users).unwrap();
        let pages = (1..1_000).find(|_| {
            sizes.succeeded(&integration, Endpoint::Users, now, size(250));
            sizes.get(&integration, Endpoint::Users).unwrap() > now
        });
        (pages.unwrap(), sizes.get(&integration, Endpoint::Users).unwrap().get())
    };
    let (first, larger) = pages_until_larger();
    assert_eq!(larger, 2);
    assert_eq!(pages_until_larger(), (first, 4));
    assert_eq!(reduce(4), Some(2));
    let (later, _) = pages_until_larger();
    assert!(later > first || later == 512, "{first}, then {later}");
    let mut last = 4;
    while last < 250 {
        last = pages_until_larger().1;
    }
    assert_eq!(last, 250);
}

#[test]
fn what_another_listing_found_out_counts() {
    let (sizes, integration) = (Sizes::default(), IntegrationId::from("a"));
    assert_eq!(sizes.reduce(&integration, Endpoint::Users, size(60)), PageSize::new(30));
    assert_eq!(sizes.reduce(&integration, Endpoint::Users, size(250)), PageSize::new(125));
    assert_eq!(sizes.get(&integration, Endpoint::Users), PageSize::new(30));
    sizes.succeeded(&integration, Endpoint::Users, size(125), size(250));
    assert_eq!(sizes.get(&integration, Endpoint::Users), PageSize::new(30));
}
