use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use kombo_model::IntegrationId;
use sync_core::ports::{LockMode, Scope, Store, StoreError, Tx, TxResult};
use sync_core::rows::{Model, StoredRow, Value};

use super::sample::{alpha, at, beta, change, delta, full_row, key, null_row, read, request, row_with, run, write};

const MODEL: Model = Model::LmsUsers;

/// Time limit for waiting for another transaction, which may itself have to wait for the store.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// Runs `work` on a thread of its own, so that a waiting transaction does not block the thread of the other.
pub(super) fn beside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || runtime.block_on(work))
}

/// Writes to every table.
fn write_everything(tx: &mut dyn Tx) -> TxResult<()> {
    for model in Model::ALL {
        let row = full_row(model, super::sample::example_key(model, "a"));
        tx.put_rows(model, &alpha(), &[row])?;
    }
    let id = tx.insert_run(&run(delta()))?;
    tx.put_seen(id, 0, Model::LmsUsers, &[super::sample::key("a")])?;
    tx.append_changes(&[change(alpha(), "a", at(1))])?;
    tx.put_request(&request(delta(), at(1)))?;
    tx.put_endpoint(&sync_core::jobs::EndpointState::new(alpha(), kombo_model::Endpoint::LmsUsers))
}

fn assert_nothing(tx: &mut dyn Tx) -> TxResult<()> {
    for model in Model::ALL {
        assert!(tx.rows_after(model, &alpha(), None, 1)?.is_empty(), "{model}");
    }
    assert!(tx.changes(None, 0, 1)?.is_empty());
    assert!(tx.requests()?.is_empty());
    assert!(tx.endpoints(None)?.is_empty());
    assert!(tx.runs(None, None, 1)?.is_empty());
    Ok(())
}

/// A transaction that returns an error leaves nothing, whatever it wrote before, and its error is returned unchanged.
pub async fn a_transaction_that_fails_leaves_nothing<S: Store>(store: Arc<S>) {
    #[derive(Debug, PartialEq)]
    enum Reason {
        Mine,
        Stores,
    }
    impl From<StoreError> for Reason {
        fn from(_: StoreError) -> Self {
            Self::Stores
        }
    }
    for scope in [Scope::Integration(alpha()), Scope::Shared] {
        let result = store
            .transact(scope, |tx| {
                write_everything(tx)?;
                write_everything(tx)?;
                Err::<(), _>(Reason::Mine)
            })
            .await;
        assert_eq!(result, Err(Reason::Mine));
        read(&store, assert_nothing).await;
    }
    let number = write(&store, |tx| tx.last_change()).await;
    assert!(number >= 0);
    write(&store, write_everything).await;
    let written = read(&store, |tx| Ok((tx.changes(None, 0, 9)?.len(), tx.requests()?.len()))).await;
    assert_eq!(written, (1, 1), "the store goes on after a failed transaction");
}

/// If one of several concurrent transactions fails, the others are not affected.
pub async fn a_transaction_that_fails_takes_no_other_with_it<S: Store>(store: Arc<S>) {
    let transactions = (0..60_u8).map(|number| {
        let store = Arc::clone(&store);
        beside(async move {
            let transaction = move |tx: &mut dyn Tx| {
                tx.put_rows(MODEL, &alpha(), &[full_row(MODEL, key(&format!("{number:02}")))])?;
                if number % 3 == 0 {
                    return Err(StoreError::Failed { message: number.to_string(), source: None });
                }
                Ok(number)
            };
            store.transact(Scope::Shared, transaction).await
        })
    });
    let ended: Vec<_> =
        transactions.collect::<Vec<_>>().into_iter().map(|transaction| transaction.join().unwrap()).collect();
    for (number, ended) in ended.iter().enumerate() {
        match ended {
            Ok(value) => assert_eq!(usize::from(*value), number),
            Err(error) => assert_eq!((error.to_string(), number % 3), (number.to_string(), 0)),
        }
    }
    let stored = read(&store, |tx| tx.rows_after(MODEL, &alpha(), None, 99)).await;
    let stored: Vec<String> = stored.iter().map(|stored| stored.row.key.to_string()).collect();
    let expected: Vec<String> = (0..60).filter(|number| number % 3 != 0).map(|number| format!("{number:02}")).collect();
    assert_eq!(stored, expected);
}

/// Statements see what earlier ones of the same transaction wrote.
pub async fn a_transaction_sees_what_it_wrote<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        write_everything(tx)?;
        for model in Model::ALL {
            assert_eq!(tx.live_rows(model, &alpha())?, 1, "{model}");
        }
        assert_eq!(tx.changes(None, 0, 9)?.len(), 1);
        assert_eq!(tx.requests()?.len(), 1);
        assert!(tx.request(&delta(), LockMode::Wait)?.locked().is_some() && tx.latest_run(&delta())?.is_some());
        Ok(())
    })
    .await;
}

/// A transaction that may be lost persists like any other unless the database crashes.
pub async fn a_transaction_that_may_be_lost_counts<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        write_everything(tx)?;
        tx.may_be_lost()
    })
    .await;
    write(&store, |tx| {
        assert_eq!(tx.changes(None, 0, 9)?.len(), 1);
        assert!(tx.request(&delta(), LockMode::Wait)?.locked().is_some() && tx.latest_run(&delta())?.is_some());
        for model in Model::ALL {
            assert_eq!(tx.live_rows(model, &alpha())?, 1, "{model}");
        }
        Ok(())
    })
    .await;
}

/// A transaction with a dropped future happened wholly or not at all, and the store continues to work.
pub async fn a_dropped_transaction_is_whole<S: Store>(store: Arc<S>) {
    for polls in 0..5 {
        {
            let transaction = store.transact(Scope::Integration(alpha()), |tx| {
                let row = full_row(MODEL, key("dropped"));
                tx.put_rows(MODEL, &alpha(), &[row])?;
                std::thread::yield_now();
                tx.append_changes(&[change(alpha(), "dropped", at(1))])
            });
            let mut transaction = std::pin::pin!(transaction);
            for _ in 0..polls {
                let polled: std::task::Poll<Result<(), StoreError>> =
                    std::future::poll_fn(|context| std::task::Poll::Ready(transaction.as_mut().poll(context))).await;
                if polled.is_ready() {
                    break;
                }
            }
        }
        // Transactions of the same integration wait for it if it still runs.
        write(&store, |tx| {
            let row = tx.rows(MODEL, &alpha(), &[key("dropped")])?.len();
            assert_eq!(row > 0, !tx.changes(None, 0, 9)?.is_empty());
            Ok(())
        })
        .await;
    }
    let done = write(&store, |tx| tx.put_rows(MODEL, &alpha(), &[null_row(MODEL, key("after"))]));
    done.await;
}

/// Reads a number, waits, and writes the next one.
fn increment(tx: &mut dyn Tx, integration: &IntegrationId) -> TxResult<()> {
    let stored = tx.rows(MODEL, integration, &[key("counter")])?;
    let count: u64 = stored.first().and_then(|row| row.row.get(MODEL, "first_name")?.text()?.parse().ok()).unwrap_or(0);
    std::thread::yield_now();
    let next = row_with(MODEL, key("counter"), "first_name", &Value::Text((count + 1).to_string()));
    tx.put_rows(MODEL, integration, &[next])
}

async fn counter(store: &impl Store, integration: IntegrationId) -> String {
    let rows = read(store, move |tx| tx.rows(MODEL, &integration, &[key("counter")])).await;
    rows[0].row.get(MODEL, "first_name").and_then(Value::text).unwrap_or_default().to_owned()
}

fn count_beside(store: &Arc<impl Store>, integrations: [IntegrationId; 3]) {
    const TRANSACTIONS: usize = 25;
    let counting = integrations.map(|integration| {
        let store = Arc::clone(store);
        beside(async move {
            for _ in 0..TRANSACTIONS {
                let of = integration.clone();
                let transaction = store.transact(Scope::Integration(integration.clone()), move |tx| increment(tx, &of));
                transaction.await.expect("the transaction passes");
            }
        })
    });
    for counting in counting {
        counting.join().expect("the writer passes");
    }
}

/// Transactions that read and then write lose no update of the others.
pub async fn transactions_of_an_integration_run_one_after_the_other<S: Store>(store: Arc<S>) {
    count_beside(&store, [alpha(), alpha(), alpha()]);
    assert_eq!(counter(&store, alpha()).await, "75");
}

/// Concurrent transactions of different integrations all succeed.
pub async fn transactions_of_several_integrations_all_count<S: Store>(store: Arc<S>) {
    count_beside(&store, [alpha(), beta(), beta()]);
    assert_eq!((counter(&store, alpha()).await, counter(&store, beta()).await), ("25".to_owned(), "50".to_owned()));
}

/// A reading transaction does not see what is committed meanwhile, neither in the table that it read nor in others.
pub async fn a_reader_sees_one_snapshot<S: Store>(store: Arc<S>) {
    write(&store, |tx| tx.put_rows(MODEL, &alpha(), &[null_row(MODEL, key("before"))])).await;
    let (begun, has_begun) = mpsc::channel();
    let (written, was_written) = mpsc::channel();
    let writing = Arc::clone(&store);
    let writer = beside(async move {
        has_begun.recv().expect("the reader begins");
        write(&writing, |tx| {
            tx.put_rows(MODEL, &alpha(), &[null_row(MODEL, key("after"))])?;
            tx.append_changes(&[change(alpha(), "after", at(1))])
        })
        .await;
        written.send(()).ok();
    });
    let reading = Arc::clone(&store);
    let reader = beside(async move {
        read(&reading, move |tx| {
            let first: Vec<StoredRow> = tx.rows_after(MODEL, &alpha(), None, 9)?;
            begun.send(()).expect("the writer waits");
            // A store may make writers wait for readers. The writer then finishes after this transaction.
            was_written.recv_timeout(PATIENCE).ok();
            let second = tx.rows_after(MODEL, &alpha(), None, 9)?;
            assert_eq!((first.len(), second.len()), (1, 1), "the rows are those of the beginning");
            assert!(tx.changes(None, 0, 9)?.is_empty(), "the log is that of the beginning");
            Ok(())
        })
        .await;
    });
    reader.join().expect("the reader passes");
    writer.join().expect("the writer passes");
    assert_eq!(read(&store, |tx| tx.rows_after(MODEL, &alpha(), None, 9)).await.len(), 2);
}
