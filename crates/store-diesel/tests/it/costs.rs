//! What work costs PostgreSQL, counted by the server, on a fleet of any size.

use store_diesel::DieselStore;
use sync_testkit::postgres::{Options, PrivatePostgres};
use tokio_postgres::{Client, NoTls};

/// What the server did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) statements: i64,
    pub(crate) blocks: i64,
    pub(crate) rows: i64,
}

impl Cost {
    /// Fails unless a larger fleet costs what a smaller one does: the same statements, and about as many rows.
    #[track_caller]
    pub(crate) fn assert_flat(&self, larger: &Self, what: &str) {
        eprintln!("{what}: {self:?} of 100 integrations, {larger:?} of 10,000");
        assert_eq!(self.statements, larger.statements, "{what}");
        assert!(larger.rows * 10 <= self.rows * 13, "{what}: {self:?}, {larger:?}");
        // Larger indexes are deeper.
        let most_blocks = self.blocks * 3 / 2 + 16 * self.statements;
        assert!(larger.blocks <= most_blocks, "{what}: {self:?}, {larger:?}");
    }
}

/// A server that counts statements.
pub(crate) async fn counting_server() -> PrivatePostgres {
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let settings = vec![setting("shared_preload_libraries", "pg_stat_statements"), setting("autovacuum", "off")];
    let options = Options { settings, ..Options::default() };
    tokio::task::spawn_blocking(|| PrivatePostgres::start_with(options).unwrap()).await.unwrap()
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn number(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// A database with the rows of a fleet.
pub(crate) struct Fleet {
    url: String,
    client: Client,
}

impl Fleet {
    async fn new(server: &PrivatePostgres) -> Self {
        let url = server.create_database("fleet").unwrap();
        DieselStore::open(&url.parse().unwrap()).await.unwrap().migrate().await.unwrap();
        let client = connect(&url).await;
        client.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
        client.batch_execute("VACUUM ANALYZE").await.unwrap();
        Self { url, client }
    }

    /// Creates a database and inserts rows into its tables.
    pub(crate) async fn filled(server: &PrivatePostgres, rows: &str) -> Self {
        let fleet = Self::new(server).await;
        fleet.fill(rows).await;
        fleet
    }

    /// Inserts rows in a session of its own: what a session did is counted when it ends.
    async fn fill(&self, rows: &str) {
        let filler = connect(&self.url).await;
        let process: i32 = filler.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        filler.batch_execute(rows).await.unwrap();
        drop(filler);
        let is_there = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {process}");
        while number(&self.client, &is_there).await > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn store(&self) -> DieselStore {
        DieselStore::open_with(&self.url.parse().unwrap(), 1).await.unwrap()
    }

    /// Returns what `work` costs with a store of one session.
    pub(crate) async fn cost(&self, work: impl AsyncFnOnce(&DieselStore)) -> Cost {
        let store = self.store().await;
        self.cost_with(store, work).await
    }

    async fn cost_with(&self, store: DieselStore, work: impl AsyncFnOnce(&DieselStore)) -> Cost {
        let client = &self.client;
        client.batch_execute("SELECT pg_stat_statements_reset(), pg_stat_reset()").await.unwrap();
        work(&store).await;
        drop(store);
        // The counts of a session are complete once it has ended.
        let sessions =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        while number(client, sessions).await > 0 {
            tokio::task::yield_now().await;
        }
        let of = |sum: &str| {
            format!(
                "SELECT COALESCE({sum}, 0)::bigint FROM pg_stat_statements JOIN pg_database AS d ON d.oid = dbid \
                 WHERE datname = current_database() AND query ~ 'sync_'"
            )
        };
        let rows = "SELECT sum(seq_tup_read + COALESCE(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables WHERE relname ~ '^sync_'";
        Cost {
            statements: number(client, &of("sum(calls)")).await,
            blocks: number(client, &of("sum(shared_blks_hit + shared_blks_read)")).await,
            rows: number(client, rows).await,
        }
    }
}

/// Returns what `work` costs on the tables that `fleet` fills. `warm_up` runs while the tables are empty: the session planned
/// its statements then, and statistics are from then.
pub(crate) async fn cost(
    server: &PrivatePostgres,
    fleet: &str,
    warm_up: impl AsyncFnOnce(&DieselStore),
    work: impl AsyncFnOnce(&DieselStore),
) -> Cost {
    let empty = Fleet::new(server).await;
    let store = empty.store().await;
    warm_up(&store).await;
    empty.fill(fleet).await;
    empty.cost_with(store, work).await
}
