//! Mistakes on the command line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::{Case, case};

const ENDPOINTS: &[&str] = &["use a name such as lms/users"];

fn bytes(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

pub(super) fn table() -> Vec<Case> {
    [commands(), options(), values(), names(), without_tables()].into_iter().flatten().collect()
}

fn commands() -> Vec<Case> {
    let known = |case: Case, words: &[&str]| case.says(2, &[&["unrecognized subcommand"], words].concat());
    vec![
        case("").says(2, &["Usage: syncd", "verify", "quarantine"]),
        case("--").says(2, &["Usage: syncd"]),
        known(case("snyc"), &["snyc", "'sync'"]),
        known(case("statsu"), &["'status'"]),
        known(case("verfiy"), &["'verify'"]),
        known(case("migrations"), &["'migrate'"]),
        known(case("SYNC"), &["SYNC"]),
        known(case("daemon"), &["daemon"]),
        known(case("help nothing"), &["nothing"]),
        known(case("").argument(""), &["Usage"]),
        known(case("").argument("pl\u{1b}[31man"), &["Usage"]),
        known(case("").argument(bytes(b"\xff\xfe")), &["Usage"]),
        case("-- sync").says(2, &["unexpected argument 'sync'", "remove the '--'"]),
        case("config").says(2, &["Usage: syncd config", "check"]),
        known(case("config chek"), &["'check'"]),
        known(case("config show"), &["show"]),
        case("quarantine").says(2, &["Usage: syncd quarantine", "list", "retry"]),
        known(case("quarantine retyr"), &["'retry'"]),
        case("completions").says(2, &["<SHELL>"]),
        case("completions cobol").says(2, &["cobol", "bash", "zsh"]),
        case("completions Bash").says(2, &["'bash'"]),
    ]
}

fn options() -> Vec<Case> {
    let unexpected = |command: &str| {
        let last = command.split_whitespace().next_back().unwrap();
        case(command).says(2, &["unexpected argument", last, "Usage"])
    };
    let mut rows: Vec<Case> = [
        "-x",
        "--verbose",
        "status --verbose",
        "status extra",
        "run extra",
        "run --full",
        "migrate extra",
        "migrate --no-migrate",
        "demo extra",
        "config check extra",
        "sync users",
        "sync -f",
        "changes --endpoint",
        "verify --full",
        "pause a b",
        "resume a --full",
        "quarantine list --integration",
        "plan lms_users --full",
        "completions bash zsh",
        "man a b",
    ]
    .into_iter()
    .map(unexpected)
    .collect();
    let twice = |command: &str, option: &str| case(command).says(2, &[option, "cannot be used multiple times"]);
    let lacks = |command: &str, option: &str| case(command).says(2, &[option, "a value is required"]);
    rows.extend([
        case("sync --ful").says(2, &["unexpected argument '--ful'", "'--full'"]),
        case("sync --integrations a").says(2, &["'--integration'"]),
        case("sync --end users").says(2, &["'--end'"]),
        case("--config a.toml --confg b.toml status").says(2, &["'--config'"]),
        case("sync --full=yes").says(2, &["unexpected value 'yes'", "--full"]),
        case("sync --allow-mass-removal").says(2, &["--full"]),
        twice("sync --full --full", "--full"),
        twice("status --json --json", "--json"),
        twice("status --config a --config b", "--config"),
        twice("status --log info --log debug", "--log"),
        twice("changes --since 1 --since 2", "--since"),
        twice("changes --integration a --integration b", "--integration"),
        lacks("--config", "--config"),
        lacks("status --log", "--log"),
        lacks("sync --integration", "--integration"),
        lacks("verify --endpoint", "--endpoint"),
        lacks("changes --since", "--since"),
        case("plan").says(2, &["<MODEL>"]),
        case("pause").says(2, &["<ID>"]),
        case("resume").says(2, &["<ID>"]),
    ]);
    rows
}

fn values() -> Vec<Case> {
    let mut rows = Vec::new();
    for command in ["sync", "verify"] {
        for endpoint in ["user", "Users", "lms_users", "users,courses", "*"] {
            rows.push(case(&format!("{command} --endpoint {endpoint}")).says(2, ENDPOINTS));
        }
        rows.push(case(&format!("{command} --endpoint")).argument("").says(2, ENDPOINTS));
    }
    for command in ["sync --integration", "verify --integration", "changes --integration", "pause", "resume"] {
        for id in ["", " ", "\t\n"] {
            rows.push(case(command).argument(id).says(2, &["an integration id such as sandbox:"]));
        }
    }
    for since in ["-1", "soon", "1.5", "1e3", "0x10", "99999999999999999999", "9223372036854775808"] {
        rows.push(case(&format!("changes --since={since}")).says(2, &[since, "--since"]));
    }
    rows.push(case("changes").argument("--since=").says(2, &["--since"]));
    for level in ["loud", "dbug", "Warning", "loud==", "info;debug", "syncd=loud", "6"] {
        rows.push(case(&format!("status --log {level}")).says(2, &["--log", level, "warn", "debug"]));
    }
    rows.push(case("status --log").argument("").says(2, &["--log", "debug"]));
    rows.push(case("status --log").argument("\u{1b}[2J").says(2, &["--log", "debug"]));
    rows.push(case("plan").argument(bytes(b"lms_\xff")).says(2, &["invalid UTF-8"]));
    rows.push(case("sync --integration").argument(bytes(b"\xff")).says(2, &["invalid UTF-8"]));
    rows.push(case("sync --endpoint").argument("\u{1b}[31musers").says(2, ENDPOINTS));
    rows
}

fn names() -> Vec<Case> {
    let no_model = |name: &str, words: &[&str]| {
        case("plan").argument(name).says(2, &[&["is no model name", "look like lms_users"], words].concat())
    };
    vec![
        no_model("courses", &["did you mean lms_courses?"]),
        no_model("user", &["did you mean lms_users?"]),
        no_model("progressions", &[]),
        no_model("", &[]),
        no_model("\u{1b}[31musers", &["\u{fffd}[31musers"]),
        no_model("a\nb", &[]),
        case("plan lms_users courses").says(2, &["\"courses\" is no model name"]),
        case("plan lms_user").says(0, &["did you mean lms_users?"]),
        case("plan lms_badges").says(0, &["lms_badges", "fetches every endpoint"]),
        case("plan").argument("lms_\u{1b}[2J\u{202e}").says(0, &["fetches every endpoint"]),
        case("plan hris_employees").says(0, &["call   hris/employees"]),
        case("plan assessment_orders").says(0, &["ignore assessment_orders"]),
        case("sync --endpoint user").argument("--full").says(2, &["did you mean users?"]),
        case("verify --endpoint course_progression").says(2, &["did you mean course-progressions?"]),
    ]
}

/// Commands that require tables, without tables.
fn without_tables() -> Vec<Case> {
    let mut rows: Vec<Case> = [
        "status",
        "changes",
        "changes --follow",
        "verify",
        "pause sandbox:a",
        "resume sandbox:a",
        "quarantine list",
        "quarantine retry",
        "sync --no-migrate",
    ]
    .into_iter()
    .map(|command| case(command).says(1, &["store.url: there is no /", "`syncd migrate`"]))
    .collect();
    rows.push(
        case("run --no-migrate")
            .set("kombo.webhook_secret", "\"a secret\"")
            .set("server.webhooks", "\"127.0.0.1:0\"")
            .set("server.operations", "\"127.0.0.1:0\"")
            .says(1, &["store.url: there is no /", "`syncd migrate`"]),
    );
    rows.push(case("man /dev/null").says(1, &["/dev/null"]));
    rows.push(case("man /nowhere").says(1, &["/nowhere"]));
    rows.push(case("man").argument("").says(2, &["FOLDER"]));
    rows
}
