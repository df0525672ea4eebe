use sync_testkit::{MemoryStore, conformance_suite};

conformance_suite!(async || (MemoryStore::new(), ()));

mod faults {
    use kombo_model::IntegrationId;
    use sync_core::ports::{Scope, Store, StoreError, Tx};
    use sync_core::rows::Model;
    use sync_testkit::MemoryStore;

    fn two_statements(tx: &mut dyn Tx) -> Result<i64, StoreError> {
        tx.live_rows(Model::LmsUsers, &IntegrationId::from("a:b"))?;
        tx.last_change()
    }

    #[tokio::test]
    async fn the_statement_that_was_chosen_fails_once() {
        let store = MemoryStore::new();
        store.fail_statement(3, StoreError::Unavailable { message: "lost".to_owned(), source: None });
        assert!(store.transact(Scope::Shared, two_statements).await.is_ok());
        assert!(store.transact(Scope::Shared, two_statements).await.is_err_and(|error| error.is_transient()));
        assert!(store.transact(Scope::Shared, two_statements).await.is_ok());
        assert_eq!(store.statements(), 5);
    }

    #[tokio::test]
    async fn a_transaction_whose_statement_failed_cannot_pass() {
        let store = MemoryStore::new();
        store.fail_statement(1, StoreError::Unavailable { message: "lost".to_owned(), source: None });
        let swallowed = store.transact(Scope::Shared, |tx| {
            two_statements(tx).ok();
            Ok::<_, StoreError>(())
        });
        assert!(swallowed.await.is_err());
    }

    #[tokio::test]
    async fn a_transaction_that_reads_must_not_write() {
        let store = MemoryStore::new();
        let written = store.read(|tx| tx.append_changes(&[])).await;
        assert!(written.is_err());
    }
}
