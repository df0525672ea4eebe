use super::*;

fn size(records: u16) -> PageSize {
    PageSize::new(records).unwrap()
}

/// The state of one endpoint.
struct Known {
    sizes: Sizes,
    integration: IntegrationId,
}

impl Known {
    fn new() -> Self {
        Self { sizes: Sizes::default(), integration: IntegrationId::from("a") }
    }

    fn reduce(&self, records: u16, weight: Weight) -> Option<u16> {
        self.sizes.reduce(&self.integration, Endpoint::LmsUsers, size(records), weight).map(PageSize::get)
    }

    fn get(&self) -> u16 {
        self.sizes.get(&self.integration, Endpoint::LmsUsers).map_or(250, PageSize::get)
    }

    /// Returns the number of successful pages until the size grows, and the new size.
    fn grow(&self) -> (u32, u16) {
        let before = self.get();
        let pages = (1..1_000).find(|_| {
            self.sizes.succeeded(&self.integration, Endpoint::LmsUsers, size(before), size(250));
            self.get() > before
        });
        (pages.unwrap(), self.get())
    }
}

#[test]
fn a_size_too_heavy_is_halved_down_to_one() {
    let known = Known::new();
    let mut halves = vec![250];
    while let Some(smaller) = known.reduce(halves[halves.len() - 1], Weight::TooHeavy) {
        halves.push(smaller);
    }
    assert_eq!(halves, [250, 125, 62, 31, 15, 7, 3, 1]);
    assert_eq!(known.get(), 1);
    assert_eq!(known.sizes.get(&known.integration, Endpoint::LmsCourses), None);
    assert_eq!(known.sizes.get(&"b".into(), Endpoint::LmsUsers), None);
}

#[test]
fn after_a_suspicion_one_record_is_tried_and_then_quickly_more() {
    let known = Known::new();
    assert_eq!(known.reduce(250, Weight::Suspected), Some(1));
    // If the same size fails again, the weight is the cause.
    assert_eq!((known.grow(), known.reduce(250, Weight::Suspected)), ((1, 250), Some(4)));
    assert_eq!([known.grow(), known.grow(), known.grow()], [(1, 16), (1, 64), (1, 125)]);
    // It returns to the size that succeeded, and tries more after ever more pages.
    assert_eq!(known.reduce(125, Weight::Suspected), Some(64));
    let mut patience = Vec::new();
    for _ in 0..7 {
        let (pages, larger) = known.grow();
        patience.push(pages);
        assert_eq!((larger, known.reduce(128, Weight::Suspected)), (128, Some(64)));
    }
    assert_eq!(patience, [16, 32, 64, 128, 256, 512, 512]);
    // Records became heavier.
    assert_eq!(known.reduce(64, Weight::Suspected), Some(1));
    assert_eq!((known.grow(), known.reduce(64, Weight::Suspected)), ((1, 64), Some(4)));
    assert_eq!([known.grow(), known.grow()], [(1, 16), (1, 32)]);
    assert_eq!([known.grow(), known.grow(), known.grow()], [(8, 64), (8, 128), (8, 250)]);
    // The weight was not the cause.
    known.sizes.forget(&known.integration, Endpoint::LmsUsers);
    assert_eq!(known.get(), 250);
}

#[test]
fn what_another_listing_found_out_counts() {
    let known = Known::new();
    assert_eq!(known.reduce(60, Weight::TooHeavy), Some(30));
    assert_eq!(known.reduce(250, Weight::TooHeavy), Some(30));
    known.sizes.succeeded(&known.integration, Endpoint::LmsUsers, size(125), size(250));
    assert_eq!(known.get(), 30);
}

#[test]
fn an_outage_that_is_over_costs_one_small_page() {
    let known = Known::new();
    assert_eq!(known.reduce(250, Weight::Suspected), Some(1));
    assert_eq!(known.grow(), (1, 250));
    known.sizes.succeeded(&known.integration, Endpoint::LmsUsers, size(250), size(250));
    assert_eq!(known.sizes.get(&known.integration, Endpoint::LmsUsers), None, "nothing is left of it");
}
