use std::env;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sync_testkit::postgres::{Options, PostgresError, PrivatePostgres, programs_folder, test_database};

/// Set for the process that is killed while it owns a server.
const OWNER: &str = "SYNC_TESTKIT_OWNS_POSTGRES";
const MARK: &str = "owned:";

#[test]
fn a_server_answers_and_ends_with_its_owner() {
    let server = PrivatePostgres::start().unwrap();
    let (folder, port) = (server.folder().to_path_buf(), server.port());
    assert!(server.url("postgres").contains(&format!("127.0.0.1:{port}/")));

    let first = server.create_database("Answers").unwrap();
    let second = server.create_database("Answers").unwrap();
    assert_ne!(first, second);
    assert!(first.contains("/db_answers_"), "{first}");
    assert_eq!(query(&first, "select 1"), "1");
    assert_eq!(query(&first, "show max_connections"), "200");
    assert_eq!(query(&first, "show fsync"), "off");

    drop(server);
    assert!(!listens(port));
    assert!(!folder.exists());
}

#[test]
fn options_reach_the_server() {
    let settings = vec![("work_mem".into(), "7MB".into()), ("max_connections".into(), "33".into())];
    let options = Options { durable: true, shared_buffers: "32MB".into(), settings, ..Options::default() };
    let server = PrivatePostgres::start_with(options).unwrap();
    let url = server.url("postgres");
    assert_eq!(query(&url, "show fsync"), "on");
    assert_eq!(query(&url, "show shared_buffers"), "32MB");
    assert_eq!(query(&url, "show work_mem"), "7MB");
    assert_eq!(query(&url, "show max_connections"), "33", "further settings win");
}

#[test]
fn a_setting_that_the_server_refuses_is_reported_from_its_log() {
    let settings = vec![("no_such_setting".into(), "1".into())];
    let error = PrivatePostgres::start_with(Options { settings, ..Options::default() }).unwrap_err();
    assert!(matches!(&error, PostgresError::Ended { log } if log.contains("no_such_setting")), "{error}");
}

#[test]
fn committed_data_outlives_a_killed_server() {
    let mut server = PrivatePostgres::start().unwrap();
    let url = server.create_database("crash").unwrap();
    query(&url, "create table kept as select 42 as answer");
    let pid = server.pid();

    server.kill_9().unwrap();
    assert_eq!(server.pid(), None);
    assert!(!listens(server.port()));
    server.kill_9().unwrap();

    server.restart().unwrap();
    assert_ne!(server.pid(), pid);
    assert_eq!(query(&url, "select answer from kept"), "42");

    server.restart().unwrap();
    assert_eq!(query(&url, "select answer from kept"), "42", "a clean restart keeps it as well");
}

#[test]
fn a_killed_owner_takes_its_server_along() {
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "postgres::owns_a_server_until_killed", "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut printed = BufReader::new(owner.stdout.take().unwrap()).lines().map_while(Result::ok);
    let server = printed.find_map(|line| Some(line.split_once(MARK)?.1.to_owned())).unwrap();
    let (port, folder) = server.split_once(' ').unwrap();
    let (port, folder) = (port.parse().unwrap(), PathBuf::from(folder));
    assert!(listens(port));
    assert!(folder.exists());

    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("the server is gone", || !listens(port));
    wait_until("its folder is gone", || !folder.exists());
}

/// The process that [`a_killed_owner_takes_its_server_along`] starts and kills. Run alone, it passes at once.
#[test]
fn owns_a_server_until_killed() {
    if env::var_os(OWNER).is_none() {
        return;
    }
    let server = PrivatePostgres::start().unwrap();
    println!("{MARK}{} {}", server.port(), server.folder().display());
    loop {
        thread::park();
    }
}

#[test]
fn each_test_database_is_empty_and_goes_with_its_test() {
    let other = test_database().unwrap();
    let database = test_database().unwrap();
    assert_ne!(database.name(), other.name());
    database.execute("create table mine as select 1 as one").unwrap();
    assert_eq!(database.execute("select one from mine").unwrap(), "1");
    let error = other.execute("select one from mine").unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");

    let count = format!("select count(*) from pg_database where datname = '{}'", database.name());
    assert_eq!(other.execute(&count).unwrap(), "1");
    drop(database);
    assert_eq!(other.execute(&count).unwrap(), "0");
}

fn query(url: &str, sql: &str) -> String {
    let psql = programs_folder().unwrap().join("psql");
    let output = Command::new(psql).args(["-XqAtd", url, "-c", sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
