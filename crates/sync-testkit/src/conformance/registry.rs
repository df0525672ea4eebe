use std::collections::BTreeSet;
use std::sync::Arc;

use kombo_model::{Category, Endpoint, IntegrationId};
use sync_core::jobs::{EndpointState, EndpointStatus, IntegrationRecord, IntegrationStatus};
use sync_core::ports::{Store, StoreError, Tx, TxResult};
use sync_core::rows::Model;

use super::sample::{alpha, at, beta, example_key, null_row, read, time, write};

fn record(id: IntegrationId, status: IntegrationStatus) -> IntegrationRecord {
    IntegrationRecord {
        id,
        tool: None,
        category: Category::ALL.get(usize::from(status == IntegrationStatus::Paused)).copied(),
        status,
        status_since: at(1),
        reason: None,
        registered_at: at(0),
        state_updated_at: None,
    }
}

/// Integrations keep every field, are replaced by id, and are listed in the order of ids.
pub async fn integrations_are_registered_and_replaced<S: Store>(store: Arc<S>) {
    assert!(read(&store, |tx| tx.integration(&alpha())).await.is_none());
    assert!(read(&store, |tx| tx.integrations()).await.is_empty());
    assert!(read(&store, |tx| tx.categories()).await.is_empty());
    let mut expected: Vec<IntegrationRecord> = IntegrationStatus::ALL
        .iter()
        .enumerate()
        .map(|(number, status)| record(IntegrationId::from(format!("sandbox:{number}")), *status))
        .collect();
    expected.push(record(IntegrationId::from("Moodle:é"), IntegrationStatus::Active));
    let written = expected.clone();
    write(&store, move |tx| written.iter().rev().try_for_each(|record| tx.put_integration(record))).await;
    expected.sort_by(|left, right| left.id.cmp(&right.id));
    assert_eq!(read(&store, |tx| tx.integrations()).await, expected);
    assert_eq!(read(&store, |tx| tx.categories()).await, [Category::Lms, Category::Hris].into());

    let replaced = IntegrationRecord {
        tool: Some("Moodle".to_owned()),
        status: IntegrationStatus::Deleted,
        status_since: time("2026-05-06T07:08:09.123Z"),
        reason: Some("it was deleted at Kombo".to_owned()),
        state_updated_at: Some(time("2026-05-06T07:08:08.999Z")),
        ..expected[0].clone()
    };
    let written = replaced.clone();
    write(&store, move |tx| tx.put_integration(&written)).await;
    let id = replaced.id.clone();
    assert_eq!(read(&store, move |tx| tx.integration(&id)).await, Some(replaced.clone()));
    expected[0] = replaced;
    assert_eq!(read(&store, |tx| tx.integrations()).await, expected);
}

/// The states of endpoints keep every field, are replaced, and are listed in the order of integrations.
pub async fn endpoints_are_written_and_replaced<S: Store>(store: Arc<S>) {
    assert!(read(&store, |tx| tx.endpoint(&alpha(), Endpoint::LmsUsers)).await.is_none());
    write(&store, |tx| {
        for integration in [beta(), alpha()] {
            for endpoint in Endpoint::ALL {
                tx.put_endpoint(&EndpointState::new(integration.clone(), endpoint))?;
            }
        }
        Ok(())
    })
    .await;
    let found = read(&store, |tx| tx.endpoints(None)).await;
    let integrations: Vec<&str> = found.iter().map(|state| state.integration_id.as_str()).collect();
    assert_eq!(
        integrations,
        [[alpha().as_str(); Endpoint::ALL.len()], [beta().as_str(); Endpoint::ALL.len()]].concat()
    );

    for status in EndpointStatus::ALL {
        let state = EndpointState {
            integration_id: alpha(),
            endpoint: Endpoint::LmsCourseProgressions,
            watermark: Some(time("2026-01-02T03:04:05.678Z")),
            loaded_at: Some(at(2)),
            last_delta_at: Some(at(3)),
            last_full_at: Some(at(4)),
            next_full_at: Some(at(5)),
            last_blind_full_at: Some(at(6)),
            status: *status,
            status_since: Some(at(7)),
            reason: Some("because".to_owned()),
            pending_removals: Some(8),
        };
        let written = state.clone();
        write(&store, move |tx| tx.put_endpoint(&written)).await;
        let found = read(&store, |tx| tx.endpoint(&alpha(), Endpoint::LmsCourseProgressions)).await;
        assert_eq!(found, Some(state));
    }
    let fresh = EndpointState::new(alpha(), Endpoint::LmsCourseProgressions);
    let written = fresh.clone();
    write(&store, move |tx| tx.put_endpoint(&written)).await;
    assert_eq!(read(&store, |tx| tx.endpoint(&alpha(), Endpoint::LmsCourseProgressions)).await, Some(fresh));
    let all = read(&store, |tx| tx.endpoints(None)).await;
    assert_eq!(all.len(), 2 * Endpoint::ALL.len());
    for id in [alpha(), beta()] {
        let own: Vec<_> = all.iter().filter(|state| state.integration_id == id).cloned().collect();
        assert_eq!(read(&store, move |tx| tx.endpoints(Some(&id))).await, own);
    }
}

/// An integration is due for a look at its time, after a change, and if its time is too far ahead.
pub async fn integrations_are_looked_at_when_it_is_time<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        for id in [alpha(), beta()] {
            tx.put_integration(&record(id, IntegrationStatus::Active))?;
        }
        let due = |tx: &mut dyn Tx, now: i64| {
            let found = tx.integrations_to_look_at(at(now), at(now + 100), 9)?;
            Ok::<_, StoreError>(found.into_iter().map(|known| known.id).collect::<BTreeSet<_>>())
        };
        assert_eq!(due(tx, 1)?, [alpha(), beta()].into());
        assert_eq!(tx.integrations_to_look_at(at(1), at(101), 1)?.len(), 1);
        tx.put_next_looks(&[(alpha(), at(10)), (beta(), at(20))])?;
        assert_eq!(due(tx, 9)?, BTreeSet::new());
        assert_eq!((due(tx, 10)?, due(tx, 20)?), ([alpha()].into(), [alpha(), beta()].into()));
        tx.put_next_looks(&[(alpha(), at(120)), (beta(), at(121))])?;
        assert_eq!(due(tx, 20)?, [beta()].into(), "nobody waits so long");
        tx.put_next_looks(&[(beta(), at(50))])?;
        tx.put_integration(&record(alpha(), IntegrationStatus::Paused))?;
        assert_eq!(due(tx, 21)?, [alpha()].into(), "it changed");
        tx.put_next_looks(&[(alpha(), at(50))])?;
        tx.look_at_all_integrations()?;
        assert_eq!(due(tx, 22)?, [alpha(), beta()].into());
        Ok(())
    })
    .await;
}

/// Only rows that are not removed count, and only those of integrations that are not registered.
pub async fn rows_of_unregistered_integrations_are_counted<S: Store>(store: Arc<S>) {
    let strays = write(&store, |tx| {
        tx.put_integration(&record(alpha(), IntegrationStatus::Deleted))?;
        for model in Model::ALL {
            let mut rows = ["a", "b", "c"].map(|id| null_row(model, example_key(model, id)));
            tx.put_rows(model, &alpha(), &rows)?;
            rows[0].removed_at = Some(at(1));
            tx.put_rows(model, &beta(), &rows)?;
            tx.put_rows(model, &IntegrationId::from("other:removed"), &rows[..1])?;
            tx.put_rows(model, &IntegrationId::from("Alpha"), &rows[2..])?;
        }
        Model::ALL.into_iter().map(|model| tx.stray_rows(model)).collect::<TxResult<Vec<_>>>()
    })
    .await;
    for of_model in strays {
        assert_eq!(of_model, [(IntegrationId::from("Alpha"), 1), (beta(), 2)]);
    }
}
