use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;

use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, ConnectionSealed, Instrumentation, LoadConnection, SimpleConnection,
    TransactionManager as _,
};
use diesel::expression::QueryMetadata;
use diesel::migration::{CREATE_MIGRATIONS_TABLE, MigrationConnection};
use diesel::pg::Pg;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::{ConnectionError, ConnectionResult, QueryResult, RunQueryDsl as _};
use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, RowStream, Statement};

use super::query::{Encoded, QueryText};
use super::row::PgRow;
use crate::error::postgres::{ServerError, Spent};

/// A session with a server, for use on a thread that may block and belongs to a tokio runtime.
pub(crate) struct Conn {
    pub(super) client: Client,
    /// Prepared statements for texts that are used repeatedly.
    statements: RefCell<HashMap<QueryText, Statement>>,
    transactions: AnsiTransactionManager,
    instrumentation: Option<Box<dyn Instrumentation>>,
    /// Whether an error showed that this session, or every session of its age, is unusable.
    spent: Cell<Spent>,
    /// The server's message when it had no room for a write.
    trouble: RefCell<Option<String>>,
}

impl Conn {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            statements: RefCell::default(),
            transactions: AnsiTransactionManager::default(),
            instrumentation: None,
            spent: Cell::new(Spent::Nothing),
            trouble: RefCell::default(),
        }
    }

    /// Whether the session can be used for another transaction.
    pub(super) fn is_usable(&mut self) -> bool {
        !self.client.is_closed()
            && self.spent.get() == Spent::Nothing
            && !AnsiTransactionManager::is_broken_transaction_manager(self)
    }

    /// Whether an error showed that other sessions of the same age are unusable too.
    pub(super) fn shows_all_spent(&self) -> bool {
        self.spent.get() == Spent::AllSessions
    }

    /// Returns and clears the server's last message that it had no room for a write.
    pub(super) fn take_trouble(&self) -> Option<String> {
        self.trouble.take()
    }

    /// Waits for the server, and notes if an error makes this session unusable.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> QueryResult<T> {
        Handle::current().block_on(answer).map_err(|error| {
            let error = ServerError::new(error);
            self.spent.set(self.spent.get().max(error.spent()));
            if error.is_of_room() {
                self.trouble.replace(Some(error.to_string()));
            }
            error.into()
        })
    }

    /// Returns the statement if it is already prepared.
    pub(super) fn prepared(&self, text: &QueryText) -> Option<Statement> {
        self.statements.borrow().get(text).cloned()
    }

    /// Prepares a statement and caches it.
    pub(super) fn prepare(&self, text: QueryText) -> QueryResult<Statement> {
        let statement = self.wait(self.client.prepare_typed(&text.sql, &text.types))?;
        self.statements.borrow_mut().insert(text, statement.clone());
        Ok(statement)
    }

    fn prepared_or_prepare(&self, text: QueryText) -> QueryResult<Statement> {
        self.prepared(&text).map_or_else(|| self.prepare(text), Ok)
    }

    fn execute(&self, query: Encoded) -> QueryResult<usize> {
        let Encoded { text, binds, cacheable } = query;
        let rows = if cacheable {
            let statement = self.prepared_or_prepare(text)?;
            self.wait(self.client.execute_raw(&statement, binds))?
        } else {
            let binds = binds.iter().map(|bind| -> &(dyn ToSql + Sync) { bind });
            let binds: Vec<(&(dyn ToSql + Sync), Type)> = binds.zip(text.types).collect();
            self.wait(self.client.execute_typed(&text.sql, &binds))?
        };
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    fn query(&self, query: Encoded) -> QueryResult<Rows<'_>> {
        let Encoded { text, binds, cacheable } = query;
        let rows = if cacheable {
            let statement = self.prepared_or_prepare(text)?;
            self.wait(self.client.query_raw(&statement, binds))?
        } else {
            self.wait(self.client.query_typed_raw(&text.sql, binds.into_iter().zip(text.types)))?
        };
        Ok(Rows { conn: self, rows: Box::pin(rows) })
    }
}

/// The rows of a query, read as they arrive.
pub(crate) struct Rows<'a> {
    conn: &'a Conn,
    rows: Pin<Box<RowStream>>,
}

impl Iterator for Rows<'_> {
    type Item = QueryResult<PgRow>;

    fn next(&mut self) -> Option<Self::Item> {
        self.conn.wait(self.rows.try_next()).map(|row| row.map(PgRow)).transpose()
    }
}

impl SimpleConnection for Conn {
    fn batch_execute(&mut self, sql: &str) -> QueryResult<()> {
        self.wait(self.client.batch_execute(sql))
    }
}

impl ConnectionSealed for Conn {}

impl Connection for Conn {
    type Backend = Pg;
    type TransactionManager = AnsiTransactionManager;

    fn establish(_: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection("sessions are made by their pool".to_owned()))
    }

    fn execute_returning_count<T: QueryFragment<Pg> + QueryId>(&mut self, query: &T) -> QueryResult<usize> {
        self.execute(Encoded::new(query)?)
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut self.instrumentation
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.instrumentation = Some(Box::new(instrumentation));
    }

    fn set_prepared_statement_cache_size(&mut self, _: CacheSize) {}
}

impl LoadConnection for Conn {
    type Cursor<'conn, 'query> = Rows<'conn>;
    type Row<'conn, 'query> = PgRow;

    fn load<'conn, 'query, T>(&'conn mut self, query: T) -> QueryResult<Rows<'conn>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: QueryMetadata<T::SqlType>,
    {
        self.query(Encoded::new(&query)?)
    }
}

impl MigrationConnection for Conn {
    fn setup(&mut self) -> QueryResult<usize> {
        diesel::sql_query(CREATE_MIGRATIONS_TABLE).execute(self)
    }
}
