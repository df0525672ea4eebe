use tokio_postgres::config::{Host, SslMode};

use super::*;

const OTHER_NAME: &str = "the name of the database contains / or @; in a password, they are written %2F and %40";

fn postgres(text: &str) -> PostgresUrl {
    match text.parse() {
        Ok(StoreUrl::Postgres(url)) => *url,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn urls() {
    for (text, shown) in [
        ("sqlite://syncd.db", "sqlite://syncd.db"),
        ("sqlite:///var/lib/syncd.db", "sqlite:///var/lib/syncd.db"),
        ("sqlite:syncd.db", "sqlite://syncd.db"),
        ("sqlite://q.db?mode=rwc", "sqlite://q.db"),
        ("sqlite:///a%20b/%3F%23%25.db", "sqlite:///a b/%3F%23%25.db"),
        ("postgres://u:secret@host/db?password=x", "postgres://u:***@host/db"),
        ("postgresql://host:5433/db", "postgres://host:5433/db"),
        ("postgres://u@host/db", "postgres://u@host/db"),
        ("postgres://u:sec@ret@host/db", "postgres://u:***@host/db"),
        ("postgres://u:sec#ret@host/db", "postgres://u:***@host/db"),
        ("postgres://u:sec%2Fret%3F@host/db", "postgres://u:***@host/db"),
        ("postgres://u:secret@a:1,b,[::1]:3/db", "postgres://u:***@a:1,b,[::1]:3/db"),
        ("postgres://u@/db?host=/run/pg", "postgres://u@%2Frun%2Fpg/db"),
        ("postgres://u@%2Frun%2Fpg/db", "postgres://u@%2Frun%2Fpg/db"),
        ("postgres://u%20v@host/d%20b", "postgres://u%20v@host/d%20b"),
        ("postgres:///db?user=u&password=secret&host=h&port=7", "postgres://u:***@h:7/db"),
        ("postgres://host?dbname=db", "postgres://host/db"),
    ] {
        let url: StoreUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(url.to_string(), shown);
        assert!(!format!("{url:?}").contains("secret"));
    }
}

#[test]
fn files_of_sqlite() {
    for (text, file) in [
        ("sqlite://q.db?mode=rwc", "q.db"),
        ("sqlite://a%20b%25%3F%23.db", "a b%?#.db"),
        ("sqlite:///var/lib/./x.db", "/var/lib/./x.db"),
    ] {
        assert_eq!(text.parse(), Ok(StoreUrl::Sqlite(file.into())));
    }
    for (text, words) in [
        ("sqlite://q.db?mode=ro", "mode=rwc"),
        ("sqlite://q.db?mode=rw", "mode=rwc"),
        ("sqlite://q.db?cache=shared", "%3F"),
        ("sqlite://what?.db", "%3F"),
        ("sqlite://a#b.db", "%23"),
        ("sqlite://100%.db", "%25"),
        ("sqlite://a%00b.db", "%00"),
        ("sqlite://%ff.db", "UTF-8"),
        ("sqlite://~/x.db", "~"),
        ("sqlite://~me/x.db", "~"),
        ("sqlite://file:x.db", "file:"),
        ("sqlite://x?mode=memory", "memory"),
        ("sqlite://%3Amemory%3A", "memory"),
        ("sqlite://?mode=rwc", "names no file"),
        ("file:x.db", "use sqlite://FILE"),
    ] {
        let error = text.parse::<StoreUrl>().unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn what_is_wrong_is_said_without_secrets() {
    for (text, error) in [
        ("mysql://u:secret@host/db", StoreUrlError::Unsupported("mysql".to_owned())),
        ("", StoreUrlError::Unsupported(String::new())),
        ("host=h password=secret", StoreUrlError::KeyValue),
        ("sqlite://", StoreUrlError::NoFile),
        ("sqlite://:memory:", StoreUrlError::InMemory),
        ("postgres://host", StoreUrlError::Malformed("no database is named".to_owned())),
        ("postgres://u:12/secret@host/db", StoreUrlError::Malformed(OTHER_NAME.to_owned())),
        ("postgres://u:p@hostpostgres://u:secret@host", StoreUrlError::Malformed(OTHER_NAME.to_owned())),
    ] {
        let found = text.parse::<StoreUrl>().unwrap_err();
        match (&error, &found) {
            (StoreUrlError::Malformed(_), StoreUrlError::Malformed(_)) => {}
            _ => assert_eq!(found, error),
        }
        assert!(!found.to_string().contains("secret"), "{found}");
    }
    for (text, words) in [
        ("postgres://u:12/secret@host", "%2F"),
        ("postgres://u:12?secret@host/db", "%3F"),
        ("postgres://u:p&secret=x@host", "no database"),
        ("postgres://u:%secret@host/db", "%25"),
        ("postgres:///db?user=u&password=a&Secret=b", "one is unknown"),
        ("postgres:///db?password=secret", "no host"),
        ("postgres://h:1:secret/db", "port"),
        ("postgres://h:0/db", "port"),
        ("postgres://a,b:1/db?port=1,2,3", "as many ports"),
        ("postgres://[::1/db", "]"),
        ("postgres://a,/db", "a host is empty"),
        ("postgres://h/db?sslmode=sometimes", "verify-full"),
        ("postgres://h/db?sslmode=prefer&sslrootcert=system", "verify-full"),
        ("postgres://h/db?target_session_attrs=standby", "read-write"),
        ("postgres://h/db?target_session_attrs=often", "read-write"),
        ("postgres://h/db?connect_timeout=soon", "connect_timeout"),
        ("postgres://h/db?channel_binding=maybe", "channel_binding"),
        ("postgres://h/db?client_encoding=latin1", "UTF8"),
        ("postgres://h/db?sslcert=a", "sslcert: certificates of clients"),
        ("postgres://h/db?hostaddr=localhost", "IP address"),
        ("postgres://h/db?application_title=x", "\"application_title\" is unknown"),
        ("postgres://h/db?sslmode", "no ="),
        ("postgres+ssl://h/db", "kind of database \"postgres+ssl\""),
        ("", "names no kind of database"),
        ("syncd.db", "names no kind of database"),
        ("jdbc:postgresql://h/db", "names no kind of database"),
        ("postgres:secret@host://db", "names no kind of database"),
        ("postgres://h/db?sslnegotiation=direct", "sslnegotiation: direct goes with"),
        ("postgres://h/db?sslnegotiation=direct&sslmode=allow", "sslnegotiation: direct goes with"),
        ("postgres://h/db?sslmode=disable&sslnegotiation=direct", "sslnegotiation: direct goes with"),
        ("postgres://h/db?channel_binding=require&sslmode=disable", "channel_binding: require needs TLS"),
    ] {
        let error = text.parse::<StoreUrl>().unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
        assert!(!error.to_lowercase().contains("secret"), "{error}");
    }
}

#[test]
fn parameters_are_those_of_libpq() {
    let url = postgres(
        "postgres://me%20too:p%25w@a,b:5433/d%20b?options=-c%20geqo%3Doff&target_session_attrs=read-write\
         &sslmode=verify-ca&sslrootcert=/etc/ca.pem&connect_timeout=3&application_name=x%26y&keepalives_count=9\
         &tcp_user_timeout=2500&load_balance_hosts=random&passfile=/p&gssencmode=prefer&client_encoding=UTF8",
    );
    assert_eq!((url.encryption, &url.roots), (Encryption::AnyName, &Roots::File("/etc/ca.pem".to_owned())));
    assert_eq!((url.passfile, url.shuffle), (Some("/p".into()), true));
    let [first, second] = url.servers.as_slice() else { panic!("two servers") };
    assert_eq!((first.get_hosts(), first.get_ports()), (&[Host::Tcp("a".to_owned())][..], &[5432][..]));
    assert_eq!((second.get_hosts(), second.get_ports()), (&[Host::Tcp("b".to_owned())][..], &[5433][..]));
    assert_eq!(first.get_user(), Some("me too"));
    assert_eq!(first.get_password(), Some(b"p%w".as_slice()));
    assert_eq!(first.get_dbname(), Some("d b"));
    assert_eq!(first.get_options(), Some("-c geqo=off"));
    assert_eq!(first.get_application_name(), Some("x&y"));
    assert_eq!(first.get_ssl_mode(), SslMode::Require);
    assert_eq!(first.get_keepalives_retries(), Some(9));
    assert_eq!(first.get_connect_timeout(), Some(&std::time::Duration::from_secs(3)));
    assert_eq!(first.get_tcp_user_timeout(), Some(&std::time::Duration::from_millis(2500)));

    assert_eq!(postgres("postgres://h/db?sslmode=allow").encryption, Encryption::Allow);
    assert_eq!(postgres("postgres://h/db").encryption, Encryption::Prefer);
    assert_eq!(postgres("postgres://h/db?sslrootcert=system").encryption, Encryption::Require);
    let socket = postgres("postgres://u@/db?host=/run/pg&port=5433");
    assert_eq!(socket.servers[0].get_hosts(), [Host::Unix("/run/pg".into())]);
}
