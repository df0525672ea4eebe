//! Connections to a PostgreSQL server: sockets, several hosts, encryption.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use store_diesel::{ConnectError, DieselStore, Moved, StoreUrl, Trial};
use sync_core::ports::{Scope, Store as _, StoreError};
use sync_testkit::postgres::{PrivatePostgres, programs_folder};

async fn open(url: &str) -> Result<DieselStore, ConnectError> {
    DieselStore::open(&url.parse::<StoreUrl>().unwrap_or_else(|error| panic!("{url}: {error}"))).await
}

/// Runs a transaction over the address `url`. `Err` contains the failure.
async fn works(url: &str) -> Result<(), String> {
    let store = open(url).await.map_err(|error| error.to_string())?;
    store.transact(Scope::Shared, |_| Ok::<(), StoreError>(())).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_sockets() {
    let server = PrivatePostgres::start().unwrap();
    let (port, folder) = (server.port(), server.folder().display().to_string());
    let escaped = folder.replace('/', "%2F");
    for url in [
        format!("postgres://postgres@/postgres?host={folder}&port={port}"),
        format!("postgres://postgres@{escaped}:{port}/postgres"),
        format!("postgres://postgres@127.0.0.1:1,127.0.0.1:{port}/postgres?target_session_attrs=read-write"),
        format!("postgres://postgres@nowhere.invalid:{port}/postgres?hostaddr=127.0.0.1"),
        format!("postgres:///postgres?user=postgres&host=127.0.0.1&port={port}&sslmode=allow"),
        format!("postgres://postgres@127.0.0.1:{port}/postgres?options=-c%20geqo%3Doff%20-c%20work_mem%3D8MB"),
    ] {
        assert_eq!(works(&url).await, Ok(()), "{url}");
    }
    let error = works(&format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=require")).await.unwrap_err();
    assert!(error.contains("TLS"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_from_a_file() {
    let mut server = PrivatePostgres::start().unwrap();
    let role = "CREATE ROLE filed LOGIN PASSWORD 'se:cret'";
    let psql = programs_folder().unwrap().join("psql");
    let made = Command::new(psql).args(["-X", "-d", &server.url("postgres"), "-c", role]).status().unwrap();
    assert!(made.success());
    let rules = "host all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(server.folder().join("data/pg_hba.conf"), rules).unwrap();
    server.restart().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    let write = |line: &str| {
        fs::write(&file, line).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let url = server.url("postgres").replacen("postgres@", "filed@", 1);
    let url = format!("{url}?passfile={}", file.display());
    write("*:*:*:filed:another\n");
    let error = works(&url).await.unwrap_err();
    assert!(error.contains("28P01") && !error.contains("another"), "{error}");
    write("*:*:*:other:another\n127.0.0.1:*:postgres:filed:se\\:cret\n");
    assert_eq!(works(&url).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_gone_over_to_only_if_it_works() {
    let (first, second) = (PrivatePostgres::start().unwrap(), PrivatePostgres::start().unwrap());
    let store = open(&first.url("postgres")).await.unwrap();
    store.migrate().await.unwrap();
    let move_to = async |url: String| store.move_to(&url.parse().unwrap()).await;
    assert_eq!(move_to(first.url("postgres")).await.unwrap(), Moved::Same);
    assert_eq!(move_to("sqlite://other.db".to_owned()).await.unwrap(), Moved::AtRestart);
    assert!(move_to("postgres://postgres@127.0.0.1:1/postgres".to_owned()).await.is_err());
    let error = move_to(second.url("postgres")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Server { remedy: "run `syncd migrate` there first", .. }), "{error}");
    let standby = first.standby().unwrap();
    assert!(move_to(standby.url("postgres")).await.is_err(), "a standby takes no writes");
    assert!(store.faults(Trial::FirstWritten).await.unwrap().is_empty());

    standby.promote().unwrap();
    assert_eq!(move_to(standby.url("postgres")).await.unwrap(), Moved::Done);
    drop(first);
    assert!(store.faults(Trial::FirstWritten).await.unwrap().is_empty());
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Gives the server a certificate for `localhost` by an authority of its own, and makes it refuse plain connections.
fn encrypt(server: &mut PrivatePostgres) -> String {
    let folder = server.folder().join("tls");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    let key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"];
    let own = ["req", "-x509", "-subj", "/CN=an authority", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&folder, &[&own[..], &key].concat());
    openssl(
        &folder,
        &[&["req", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"], &key[..3]].concat(),
    );
    let sign =
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
    openssl(&folder, &[&sign[..], &["-extfile", "names", "-out", "server.pem"]].concat());
    let owner = fs::metadata(server.folder()).unwrap();
    for name in ["server.key", "server.pem"] {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        chown(folder.join(name), Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let shown = folder.display();
    let settings = format!("ssl = on\nssl_cert_file = '{shown}/server.pem'\nssl_key_file = '{shown}/server.key'\n");
    let data = server.folder().join("data");
    let configuration = fs::read_to_string(data.join("postgresql.conf")).unwrap();
    fs::write(data.join("postgresql.conf"), configuration + &settings).unwrap();
    fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").unwrap();
    server.restart().unwrap();
    folder.join("ca.pem").display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_and_names() {
    let mut server = PrivatePostgres::start().unwrap();
    let authority = encrypt(&mut server);
    let port = server.port();
    let (named, unnamed) = ("localhost", "127.0.0.1");
    for (host, parameters, expected) in [
        (named, format!("sslmode=verify-full&sslrootcert={authority}"), Ok(())),
        (named, format!("sslmode=require&sslrootcert={authority}"), Ok(())),
        (named, format!("sslmode=prefer&sslrootcert={authority}"), Ok(())),
        (named, format!("sslmode=allow&sslrootcert={authority}"), Ok(())),
        (unnamed, format!("sslmode=verify-ca&sslrootcert={authority}"), Ok(())),
        (unnamed, format!("sslmode=verify-full&sslrootcert={authority}"), Err("certificate")),
        (unnamed, format!("sslmode=require&sslrootcert={authority}"), Err("certificate")),
        (named, "sslmode=verify-ca".to_owned(), Err("certificate")),
        (named, "sslrootcert=system".to_owned(), Err("certificate")),
        (named, "sslmode=disable".to_owned(), Err("pg_hba.conf")),
    ] {
        let url = format!("postgres://postgres@{host}:{port}/postgres?hostaddr=127.0.0.1&{parameters}");
        match (works(&url).await, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(words)) if error.contains(words) => {}
            (found, expected) => panic!("{url}: {found:?} is not {expected:?}"),
        }
    }
}
