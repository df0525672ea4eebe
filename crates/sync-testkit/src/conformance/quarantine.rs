use std::sync::Arc;

use kombo_model::{Endpoint, IntegrationId};
use sync_core::ports::{QuarantinePart, QuarantineRelease, Store};
use sync_core::pull::{Quarantined, RunId};

use super::sample::{alpha, beta, read, time, write};

fn record(integration_id: IntegrationId, endpoint: Endpoint, id: &str) -> Quarantined {
    Quarantined {
        integration_id,
        endpoint,
        record_id: id.to_owned(),
        json: format!(r#"{{ "id" : "{id}", "changed_at" : "never" }}"#),
        path: "changed_at".to_owned(),
        reason: "not a time such as 2022-08-07T14:01:29.196Z".to_owned(),
        observed_at: time("2026-01-02T03:04:05.678Z"),
        run_id: RunId(3),
    }
}

/// Records keep every field. Integration, endpoint and id identify a record. Records are listed in order.
pub async fn quarantined_records_are_kept_and_replaced<S: Store>(store: Arc<S>) {
    let mut replaced = record(alpha(), Endpoint::LmsUsers, "2");
    "what came was no JSON".clone_into(&mut replaced.json);
    replaced.run_id = RunId(4);
    let records = [
        record(beta(), Endpoint::LmsUsers, "1"),
        record(alpha(), Endpoint::LmsUsers, "2"),
        record(alpha(), Endpoint::LmsCourses, "2"),
        record(alpha(), Endpoint::LmsUsers, "10"),
    ];
    let (first, second) = (records.clone(), replaced.clone());
    write(&store, move |tx| tx.put_quarantined(&first)).await;
    write(&store, move |tx| tx.put_quarantined(&[second])).await;
    let (all, of_alpha, sizes) = read(&store, |tx| {
        let sizes = [
            tx.quarantine_size(QuarantinePart::Endpoint(&alpha(), Endpoint::LmsUsers))?,
            tx.quarantine_size(QuarantinePart::Endpoint(&alpha(), Endpoint::LmsCourses))?,
            tx.quarantine_size(QuarantinePart::Endpoint(&alpha(), Endpoint::LmsSkills))?,
            tx.quarantine_size(QuarantinePart::Endpoint(&beta(), Endpoint::LmsUsers))?,
            tx.quarantine_size(QuarantinePart::All)?,
        ];
        Ok((
            tx.quarantined(QuarantinePart::All, usize::MAX)?,
            tx.quarantined(QuarantinePart::Integration(&alpha()), usize::MAX)?,
            sizes,
        ))
    })
    .await;
    assert_eq!(sizes, [2, 1, 0, 1, 4]);
    assert_eq!(of_alpha, all[..3], "integrations come in order");
    assert_eq!(all[3], records[0]);
    let users: Vec<_> = of_alpha.iter().filter(|record| record.endpoint == Endpoint::LmsUsers).cloned().collect();
    assert!(users[0].json == records[3].json && users == [records[3].clone(), replaced], "ids come in order");
    let places: Vec<Endpoint> = of_alpha.iter().map(|record| record.endpoint).collect();
    assert_ne!(places[1], Endpoint::LmsCourses, "endpoints come in order");
}

/// A limit returns the first records in the same order, of all integrations or of one.
pub async fn quarantined_records_may_be_limited<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let of_alpha = ["2", "1", "3"].map(|id| record(alpha(), Endpoint::LmsUsers, id));
        tx.put_quarantined(&of_alpha)?;
        tx.put_quarantined(&[record(beta(), Endpoint::LmsCourses, "1")])?;
        let all = tx.quarantined(QuarantinePart::All, usize::MAX)?;
        assert_eq!(tx.quarantined(QuarantinePart::All, 2)?, all[..2]);
        assert_eq!(tx.quarantined(QuarantinePart::All, 9)?, all);
        assert_eq!(tx.quarantined(QuarantinePart::Integration(&beta()), 9)?, all[3..]);
        assert_eq!(tx.quarantined(QuarantinePart::Integration(&alpha()), 1)?, all[..1]);
        Ok(())
    })
    .await;
}

/// Records of one endpoint are read from an id on, in byte order.
pub async fn quarantined_records_are_read_from_an_id<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let of_users = ["b", "B", "#1", "ä"].map(|id| record(alpha(), Endpoint::LmsUsers, id));
        tx.put_quarantined(&of_users)?;
        tx.put_quarantined(&[record(beta(), Endpoint::LmsUsers, "c"), record(alpha(), Endpoint::LmsCourses, "c")])?;
        let mut from = |from: &str, limit| {
            let records = tx.quarantined(QuarantinePart::From(&alpha(), Endpoint::LmsUsers, from), limit)?;
            Ok::<Vec<String>, sync_core::ports::StoreError>(
                records.into_iter().map(|record| record.record_id).collect(),
            )
        };
        assert_eq!(from("", 9)?, ["#1", "B", "b", "ä"]);
        assert_eq!(from("", 2)?, ["#1", "B"]);
        assert_eq!(from("B", 2)?, ["B", "b"]);
        assert_eq!(from("a", 1)?, ["b"]);
        assert_eq!(from("中", 9)?, [""; 0]);
        Ok(())
    })
    .await;
}

/// Clearing by id removes only these records of one endpoint. Missing ids are not counted.
pub async fn quarantined_records_are_cleared_by_id<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        tx.put_quarantined(&[
            record(alpha(), Endpoint::LmsUsers, "1"),
            record(alpha(), Endpoint::LmsUsers, "2"),
            record(alpha(), Endpoint::LmsUsers, "3"),
            record(alpha(), Endpoint::LmsCourses, "1"),
            record(beta(), Endpoint::LmsUsers, "1"),
        ])?;
        let ids = ["1", "3", "4"].map(str::to_owned);
        assert_eq!(tx.clear_quarantined(&alpha(), Endpoint::LmsUsers, QuarantineRelease::Ids(&ids))?, 2);
        assert_eq!(tx.clear_quarantined(&alpha(), Endpoint::LmsUsers, QuarantineRelease::Ids(&ids))?, 0);
        let left: Vec<_> = tx
            .quarantined(QuarantinePart::All, usize::MAX)?
            .into_iter()
            .map(|left| (left.endpoint, left.record_id))
            .collect();
        assert_eq!(left.len(), 3);
        assert_eq!(tx.quarantine_size(QuarantinePart::Endpoint(&alpha(), Endpoint::LmsUsers))?, 1);
        Ok(())
    })
    .await;
}

/// Clearing by run removes the records of other runs, of one endpoint only.
pub async fn quarantined_records_are_cleared_by_run<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let of_run = |id: &str, run| Quarantined { run_id: RunId(run), ..record(alpha(), Endpoint::LmsUsers, id) };
        tx.put_quarantined(&[
            of_run("1", 2),
            of_run("2", 3),
            of_run("3", 4),
            record(alpha(), Endpoint::LmsCourses, "1"),
            record(beta(), Endpoint::LmsUsers, "1"),
        ])?;
        assert_eq!(tx.clear_quarantined(&alpha(), Endpoint::LmsUsers, QuarantineRelease::OfOtherRuns(RunId(4)))?, 2);
        assert_eq!(tx.clear_quarantined(&alpha(), Endpoint::LmsUsers, QuarantineRelease::OfOtherRuns(RunId(4)))?, 0);
        assert_eq!(
            (
                tx.quarantine_size(QuarantinePart::Endpoint(&alpha(), Endpoint::LmsUsers))?,
                tx.quarantine_size(QuarantinePart::All)?
            ),
            (1, 3)
        );
        Ok(())
    })
    .await;
}
