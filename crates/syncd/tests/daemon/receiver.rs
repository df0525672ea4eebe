//! A receiver of deliveries: a server that checks, records and answers them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::deployment::Look;
use crate::program::wait_until;

/// Longer than a sender takes for a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// A received delivery.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Everything before the body, in lower case.
    pub head: String,
    /// The body as received.
    pub body: String,
    /// The body as JSON.
    pub json: Value,
    /// The status of the answer; `None` if the connection was closed.
    pub status: Option<u16>,
}

impl Delivered {
    /// Returns its id.
    pub fn id(&self) -> &str {
        self.json["id"].as_str().unwrap()
    }

    /// Returns the integration of its changes.
    pub fn integration(&self) -> &str {
        self.json["data"]["integration_id"].as_str().unwrap()
    }

    /// Returns its entries.
    pub fn changes(&self) -> &[Value] {
        self.json["data"]["changes"].as_array().unwrap()
    }

    /// Returns the numbers of its entries.
    pub fn seqs(&self) -> Vec<i64> {
        self.changes().iter().map(|change| change["seq"].as_i64().unwrap()).collect()
    }

    /// Returns one of its headers.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Whether it was signed with this secret.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let signature = kombo_sandbox::sign(secret, self.body.as_bytes()).to_lowercase();
        self.header("x-syncd-signature") == Some(signature.as_str())
    }
}

/// Chooses the status of an answer; `None` closes the connection without one.
type Answer = dyn Fn(&Delivered) -> Option<u16> + Send + Sync;

#[derive(Default)]
struct Notes {
    delivered: Mutex<Vec<Delivered>>,
    under_way: Mutex<BTreeSet<String>>,
    overlaps: AtomicBool,
}

/// A receiver that runs until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    notes: Arc<Notes>,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens at `address`, and answers each delivery by `answer`.
    pub fn start(address: SocketAddr, answer: impl Fn(&Delivered) -> Option<u16> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let (notes, stop, answer): (Arc<Notes>, Arc<AtomicBool>, Arc<Answer>) =
            (Arc::default(), Arc::default(), Arc::new(answer));
        let (noting, stopping) = (Arc::clone(&notes), Arc::clone(&stop));
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (notes, answer) = (Arc::clone(&noting), Arc::clone(&answer));
                // A sender may disconnect during a request.
                std::thread::spawn(move || stream.and_then(|stream| receive(stream, &notes, &*answer)));
            }
        });
        Self { address, notes, stop, server: Some(server) }
    }

    /// Returns everything received, in the order of the answers.
    pub fn delivered(&self) -> Vec<Delivered> {
        self.notes.delivered.lock().unwrap().clone()
    }

    /// Returns the accepted deliveries, which were answered with success.
    pub fn taken(&self) -> Vec<Delivered> {
        let delivered = self.delivered().into_iter();
        delivered.filter(|it| it.status.is_some_and(|status| (200..300).contains(&status))).collect()
    }

    /// Returns the accepted entries by integration, each once, in the order of their first acceptance.
    pub fn entries(&self) -> BTreeMap<String, Vec<i64>> {
        let mut seen = BTreeSet::new();
        let mut entries: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for delivered in self.taken() {
            let new = delivered.seqs().into_iter().filter(|seq| seen.insert(*seq));
            entries.entry(delivered.integration().to_owned()).or_default().extend(new);
        }
        entries
    }

    /// Waits until every log entry after `since` was accepted, and fails unless the deliveries of each integration came
    /// in order and one after the other.
    #[track_caller]
    pub fn assert_gets_all(&self, look: &Look, since: i64) {
        let log = look.read(move |tx| tx.changes(None, since, 1_000_000));
        let mut expected: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for change in log {
            expected.entry(change.integration_id.to_string()).or_default().push(change.seq);
        }
        let total = |entries: &BTreeMap<String, Vec<i64>>| entries.values().map(Vec::len).sum::<usize>();
        wait_until("all entries are delivered", || total(&self.entries()) >= total(&expected));
        assert_eq!(self.entries(), expected);
        assert!(!self.notes.overlaps.load(Ordering::SeqCst), "one delivery of an integration at a time");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Unblocks the thread, which waits for the next connection.
        drop(TcpStream::connect(self.address));
        if let Some(server) = self.server.take() {
            server.join().unwrap_or_default();
        }
    }
}

fn receive(mut stream: TcpStream, notes: &Notes, answer: &Answer) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut part = [0; 16 * 1024];
        let length = stream.read(&mut part)?;
        if length == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&part[..length]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if let Some(body) = bytes.get(end + 4..end + 4 + length.unwrap_or(0)) {
            break (head, String::from_utf8(body.to_vec()).unwrap());
        }
    };
    let json = serde_json::from_str(&body).unwrap();
    let mut delivered = Delivered { head, body, json, status: None };
    let integration = delivered.integration().to_owned();
    if !notes.under_way.lock().unwrap().insert(integration.clone()) {
        notes.overlaps.store(true, Ordering::SeqCst);
    }
    delivered.status = answer(&delivered);
    let status = delivered.status;
    notes.under_way.lock().unwrap().remove(&integration);
    // Recorded before it is answered, so that the sender never knows more than the record.
    notes.delivered.lock().unwrap().push(delivered);
    if let Some(status) = status {
        let place = if (300..400).contains(&status) { "Location: /elsewhere\r\n" } else { "" };
        let head = format!("HTTP/1.1 {status} Some\r\n{place}Content-Length: 2\r\nConnection: close\r\n\r\nok");
        stream.write_all(head.as_bytes())?;
    }
    Ok(())
}
