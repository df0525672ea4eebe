//! Deltas lose nothing, however far the clocks are apart.

use kombo_model::Endpoint;
use sync_core::rows::Model;

use crate::bench::Bench;

#[tokio::test]
async fn a_hundred_deltas_lose_nothing_however_wrong_the_clocks_are() {
    for skew_millis in [-600_000, -61_000, -999, 0, 1, 61_000, 600_000] {
        let bench = Bench::new(&[Endpoint::Users]);
        bench.kombo.configure(|settings| settings.skew_millis = skew_millis);
        bench.furnish();
        bench.load().await;
        for round in 0..100_u64 {
            // Some changes become visible only a while after their date, some while the pages are read.
            let late = std::time::Duration::from_secs(round % 110);
            bench.kombo.edit_late(late, |lms| lms.rename_user("u1", &format!("round {round}")));
            bench.kombo.before_page(1, move |lms| lms.rename_user("u2", &format!("round {round}")));
            bench.pass(round * 7 % 200);
            let watermark = bench.watermark(Endpoint::Users);
            bench.delta(Endpoint::Users).await;
            assert!(bench.watermark(Endpoint::Users) >= watermark);
            let name = bench.text(Model::LmsUsers, "u1", "first_name");
            assert_eq!(name, Some(format!("round {round}")), "{skew_millis} ms of skew");
        }
        bench.delta(Endpoint::Users).await;
        bench.assert_mirrors();
    }
}
