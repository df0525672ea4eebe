//! Mistakes in the environment, files and addresses around the program.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::{Case, case};

const READ: &str = "plan lms_users";

pub(super) fn table() -> Vec<Case> {
    [files(), environment(), network()].into_iter().flatten().collect()
}

fn files() -> Vec<Case> {
    vec![
        case("sync --config missing.toml").says(2, &["missing.toml", "No such file"]),
        case("sync --config .").says(2, &["cannot read the configuration .", "directory"]),
        case("sync --config /dev/null").says(2, &["kombo.api_key is not set"]),
        case("sync --config syncd.toml/a").says(2, &["syncd.toml/a", "Not a directory"]),
        case("sync --config").argument("\u{1b}[2J.toml").says(2, &["No such file"]),
        case("sync --config").argument("").says(2, &["--config"]),
        case("sync")
            .set("store.url", "\"sqlite://garbage\"")
            .file("garbage", "no database ".repeat(200))
            .says(1, &["store.url", "garbage"]),
        case("status").set("store.url", "\"sqlite://empty\"").file("empty", "").says(1, &["empty", "`syncd migrate`"]),
        case("status").set("store.url", "\"sqlite://short\"").file("short", "SQLite format 3\0").says(1, &["short"]),
        case("man syncd.toml").says(1, &["syncd.toml"]),
        case("sync")
            .unset("kombo.api_key")
            .set("kombo.api_key_file", "\"/proc/self/mem\"")
            .says(2, &["kombo.api_key_file", "/proc/self/mem"]),
    ]
}

fn environment() -> Vec<Case> {
    let variable = |name: &str, value: &str, words: &[&str]| case(READ).variable(name, value).says(2, words);
    let not_utf8 = || OsString::from_vec(b"key-that-must\xffnot-be-shown".to_vec());
    vec![
        variable("SYNCD__KOMBO__PAGE_SIZE", "many", &["kombo.page_size", "no whole number", "environment"]),
        variable("SYNCD__KOMBO__PAGE_SIZE", "0", &["kombo.page_size", "1 to 250"]),
        variable("SYNCD__KOMBO__PAGE_SIZE", "1,000", &["kombo.page_size", "no whole number"]),
        variable("SYNCD__SYNC__WORKERS", "-1", &["sync.workers", "out of range"]),
        variable("SYNCD__SYNC__WORKERS", "99999999999999999999999", &["sync.workers", "out of range"]),
        variable("SYNCD__KOMBO__TIMEOUT", "30", &["kombo.timeout", "is no duration"]),
        variable("SYNCD__KOMBO__REGION", "de", &["kombo.region", "`eu` or `us`"]),
        variable("SYNCD__SYNC__CHANGE_VALUES", "sure", &["sync.change_values", "true"]),
        variable("SYNCD__SYNC__ENDPOINTS", "users,teachers", &["sync.endpoints", "teachers"]),
        variable("SYNCD__SYNC__ENDPOINTS", ",", &["sync.endpoints", "at least one"]),
        variable("SYNCD__SERVER__WEBHOOKS", "8080", &["server.webhooks", "no IP address with a port"]),
        variable("SYNCD__KOMBO__API_KYE", "key-that-must-not-be-shown", &["did you mean api_key?"]),
        variable("SYNCD__KOMBO__API__KEY", "key-that-must-not-be-shown", &["did you mean api_key?"]),
        variable("SYNCD__KOMOB__API_KEY", "key-that-must-not-be-shown", &["did you mean kombo?"]),
        variable("SYNCD__KOMBO", "key-that-must-not-be-shown", &["kombo", "expected struct"]),
        variable("SYNCD__STORE", "postgres://me:database-password@host/db", &["store", "expected struct"]),
        variable("SYNCD__STORE__URL__PASSWORD", "database-password", &["store.url", "expected a string"]),
        variable("SYNCD__KOMBO__WEBHOOK_SECRET__0", "key-that-must-not-be-shown", &["kombo.webhook_secret", "a list"]),
        variable(
            "SYNCD__KOMBO__API_KEY[0]",
            "key-that-must-not-be-shown",
            &["SYNCD__KOMBO__API_KEY[0]", "not a setting"],
        ),
        variable("SYNCD__INTEGRATIONS", "sandbox:a,sandbox:b", &["integrations", "expected a sequence"]),
        variable("SYNCD__", "key-that-must-not-be-shown", &["unknown field"]),
        variable("SYNCD____", "key-that-must-not-be-shown", &["unknown field"]),
        variable("SYNCD_LOG", "loud", &["--log loud", "debug"]),
        variable("SYNCD_LOG", "syncd=loud", &["--log syncd=loud", "debug"]),
        case(READ).variable("SYNCD__KOMBO__API_KEY", not_utf8()).says(2, &["SYNCD__KOMBO__API_KEY", "is not UTF-8"]),
        case(READ)
            .variable("syncd__kombo__page_size", not_utf8())
            .says(2, &["syncd__kombo__page_size", "is not UTF-8"]),
        case("status")
            .variable("SYNCD__STORE__URL", "mysql://me:database-password@host/db")
            .says(2, &["store.url", "mysql"]),
        case("sync")
            .variable("SYNCD__KOMBO__API_KEY_FILE", "elsewhere")
            .says(2, &["kombo.api_key and kombo.api_key_file are both set"]),
        case("status").variable("SYNCD__STORE__URL_FILE", "elsewhere").says(2, &["store.url and store.url_file"]),
        // Empty variables, and those of other programs, count as not set.
        case(READ).variable("SYNCD__KOMBO__PAGE_SIZE", "").says(0, &["call"]),
        case("plan lms_badges").variable("SYNCD_LOG", "").says(0, &["WARN"]),
        case(READ).variable("ANOTHER__KOMBO__PAGE_SIZE", "many").says(0, &["call"]),
        case(READ).variable("SYNCD_KOMBO__PAGE_SIZE", "many").says(2, &["write SYNCD__KOMBO__PAGE_SIZE"]),
        case(READ).variable("OTHER", not_utf8()).says(0, &["call"]),
        case(READ).variable("SYNCD__KOMBO__PAGE_SIZE", " 30 ").says(0, &["call"]),
    ]
}

/// Addresses without a Kombo.
fn network() -> Vec<Case> {
    let elsewhere = |command: &str, url: &str| case(command).set("kombo.base_url", &format!("{url:?}"));
    vec![
        elsewhere("sync --integration sandbox:a", "http://127.0.0.1:1/v1")
            .says(1, &["127.0.0.1:1", "kombo.base_url", "check the network"]),
        elsewhere("sync --integration sandbox:b", "http://host.invalid/v1")
            .says(1, &["host.invalid", "kombo.base_url"]),
        elsewhere("config check", "http://127.0.0.1:1/v1").says(1, &["FAILED  kombo.api_key", "127.0.0.1:1"]),
        elsewhere("config check", "http://host.invalid/v1").says(1, &["FAILED  kombo.api_key", "host.invalid"]),
        elsewhere("config check", "https://127.0.0.1:1/v1").says(1, &["FAILED  kombo.api_key"]),
        case("config check").set("kombo.api_key", "\"another\"").says(1, &["FAILED  kombo.api_key", "AUTHENTICATION"]),
        case("config check")
            .behind("[[integrations]]\nid = \"sandbox:unknown\"")
            .says(1, &["ok      kombo.api_key", "FAILED  integration sandbox:unknown"]),
        case("config check")
            .set("store.url", "\"sqlite:///nowhere/syncd.db\"")
            .says(1, &["FAILED  store", "no folder"]),
        case("config check")
            .set("store.url", "\"postgres://me:database-password@127.0.0.1:1/db\"")
            .says(1, &["FAILED  store", "me:***@127.0.0.1:1"]),
        case("run")
            .set("kombo.webhook_secret", "\"a secret\"")
            .set("server.webhooks", "\"192.0.2.1:80\"")
            .says(2, &["server.webhooks", "cannot listen on 192.0.2.1:80"]),
    ]
}
