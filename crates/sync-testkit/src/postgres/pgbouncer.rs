use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::PostgresError;
use super::PrivatePostgres;
use super::installation::pgbouncer;
use super::server::{free_port, own_folder};
use super::supervisor::Supervisor;

const READY_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(10);

/// The period for which a client of a pooler keeps a session with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// Until it disconnects.
    Session,
    /// Until its transaction ends.
    Transaction,
    /// Until its statement ends.
    Statement,
}

/// A private `PgBouncer` in front of a [`PrivatePostgres`], on a free port of 127.0.0.1. Every role of the server may
/// connect through it without a password. It ends like the server.
#[derive(Debug)]
pub struct PrivatePgBouncer {
    port: u16,
    // Fields are dropped in this order: the pooler ends before its folder is removed.
    _running: Supervisor,
    _folder: TempDir,
}

impl PrivatePgBouncer {
    /// Starts a pooler with these roles and a maximum number of sessions, and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// [`PostgresError::NoPgBouncer`] if the program is not found; other variants if the start fails.
    pub fn start(
        server: &PrivatePostgres,
        mode: PoolMode,
        sessions: u32,
        roles: &[&str],
    ) -> Result<Self, PostgresError> {
        let program = pgbouncer()?;
        let (folder, owner) = own_folder()?;
        let port = free_port()?;
        let mode = match mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
            PoolMode::Statement => "statement",
        };
        let path = |name: &str| folder.path().join(name);
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = {sessions}\n\
             max_client_conn = 200\n",
            server.port(),
            path("users").display(),
        );
        let users: Vec<String> = roles.iter().map(|role| format!("\"{role}\" \"\"")).collect();
        fs::write(path("users"), users.join("\n") + "\n").map_err(PostgresError::io("write the pooler's users"))?;
        fs::write(path("pgbouncer.ini"), settings).map_err(PostgresError::io("write the pooler's settings"))?;
        let arguments = vec![path("pgbouncer.ini").into_os_string()];
        // A pooler does not handle the signals that end a PostgreSQL server immediately.
        let environment = [("ABANDON_WITH", "TERM".into())];
        let mut running = Supervisor::spawn(&program, owner, folder.path(), &environment, arguments)?;
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = || fs::read_to_string(path("server.log")).unwrap_or_default();
            if running.has_ended()? {
                return Err(PostgresError::Ended { log: log() });
            }
            if Instant::now() >= deadline {
                let directory = folder.path().to_path_buf();
                return Err(PostgresError::NotReady { directory, waited: READY_WITHIN, log: log() });
            }
            thread::sleep(POLL_EVERY);
        }
        Ok(Self { port, _running: running, _folder: folder })
    }

    /// Returns the URL of a database behind this pooler.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@{}:{}/{database}", Ipv4Addr::LOCALHOST, self.port)
    }
}
