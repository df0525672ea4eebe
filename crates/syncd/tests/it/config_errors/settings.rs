//! Mistakes in the configuration file.

use super::{Case, case};

/// A command that reads the configuration and has no effect.
const READ: &str = "plan lms_users";

pub(super) fn table() -> Vec<Case> {
    [types(), numbers(), durations(), words(), addresses(), stores(), secrets(), delivery(), integrations(), toml()]
        .into_iter()
        .flatten()
        .collect()
}

/// A case with one setting, which the error must name.
fn setting(key: &str, value: &str, words: &[&str]) -> Case {
    case(READ).set(key, value).says(2, &[&[key], words].concat())
}

/// Values of a wrong type.
fn types() -> Vec<Case> {
    let mut rows = Vec::new();
    for key in [
        "kombo.api_key_file",
        "kombo.timeout",
        "kombo.webhook_secret_file",
        "store.url_file",
        "server.webhooks",
        "server.operations_token_file",
        "sync.full_every",
        "sync.tombstones",
    ] {
        rows.push(setting(key, "[\"a\"]", &["expected a string"]));
        rows.push(setting(key, "{ a = 1 }", &["expected a string"]));
    }
    // A section that is set to a value.
    for (section, value) in [
        ("kombo", "\"key-that-must-not-be-shown\""),
        ("store", "\"postgres://me:database-password@host/db\""),
        ("server", "\"key-that-must-not-be-shown\""),
    ] {
        let text = format!("{section} = {value}");
        rows.push(case(READ).instead(text).says(2, &[section, "expected struct"]));
    }
    rows.extend([
        setting("sync.endpoints", "7", &["a list of texts is needed"]),
        setting("sync.endpoints", "{ users = true }", &["a list of texts is needed"]),
        setting("kombo.webhook_secret", "{ a = \"key-that-must-not-be-shown\" }", &["one secret or a list of secrets"]),
        setting("kombo.webhook_secret", "[[\"key-that-must-not-be-shown\"]]", &["one secret or a list of secrets"]),
        setting("kombo.api_key", "[\"key-that-must-not-be-shown\"]", &["expected a string"]),
        setting("store.url", "[\"postgres://me:database-password@host/db\"]", &["expected a string"]),
        setting("server.operations_token", "{ a = \"key-that-must-not-be-shown\" }", &["expected a string"]),
    ]);
    rows
}

fn numbers() -> Vec<Case> {
    let mut rows = Vec::new();
    for value in ["0", "251", "1000"] {
        rows.push(setting("kombo.page_size", value, &["1 to 250"]));
    }
    for value in ["-1", "65536", "99999999999", "\"70000\""] {
        rows.push(setting("kombo.page_size", value, &["out of range"]));
    }
    for value in ["\"many\"", "\"0xfa\"", "\"1.5\"", "\"\"", "\"key-that-must-not-be-shown\""] {
        rows.push(setting("kombo.page_size", value, &["no whole number"]));
    }
    for value in ["1.5", "true", "[1]", "{ a = 1 }", "1979-05-27"] {
        rows.push(setting("kombo.page_size", value, &["whole number"]));
    }
    for value in ["-1", "4294967296"] {
        rows.push(setting("kombo.max_requests_per_minute", value, &["out of range"]));
    }
    for value in ["0", "257", "1000000000"] {
        rows.push(setting("sync.workers", value, &["1 to 256"]));
    }
    rows.push(setting("sync.workers", "-1", &["out of range"]));
    for key in ["sync.change_values", "sync.accept_unknown"] {
        for value in ["\"perhaps\"", "\"yes\"", "\"1\"", "2", "0", "1.0", "[true]"] {
            rows.push(setting(key, value, &["true"]));
        }
    }
    rows
}

fn durations() -> Vec<Case> {
    let no_duration = |key: &str, value: &str| setting(key, value, &["is no duration", "\"30s\""]);
    let mut rows: Vec<Case> = [
        "\"soon\"",
        "\"-1s\"",
        "\"1 fortnight\"",
        "\"\"",
        "\"5\"",
        "5",
        "2.5",
        "-2",
        "true",
        "\"1h 30\"",
        "\"1e3s\"",
        "\"99999999999999999999s\"",
        "\"∞\"",
    ]
    .into_iter()
    .map(|value| no_duration("sync.overlap", value))
    .collect();
    for key in ["kombo.timeout", "sync.blind_full_min_interval", "sync.lease", "sync.poll_every", "changes.keep_for"] {
        rows.push(no_duration(key, "\"a while\""));
    }
    rows.extend([
        setting("kombo.timeout", "\"0s\"", &["longer than nothing"]),
        setting("sync.full_every", "\"0s\"", &["at least \"1m\""]),
        setting("sync.full_every", "\"59s\"", &["at least \"1m\""]),
        setting("sync.lease", "\"0s\"", &["at least \"1s\""]),
        setting("sync.lease", "\"999ms\"", &["at least \"1s\""]),
    ]);
    rows
}

fn words() -> Vec<Case> {
    let mut rows = Vec::new();
    for value in ["\"mars\"", "\"EU\"", "\" eu\"", "\"\"", "7"] {
        rows.push(setting("kombo.region", value, &["`eu` or `us`"]));
    }
    rows.push(setting("sync.mode", "\"clever\"", &["planned", "simple"]));
    rows.push(setting("sync.mode", "\"\"", &["planned", "simple"]));
    rows.push(setting("sync.tombstones", "\"forget\"", &["mirror", "keep"]));
    for value in ["[]", "\"\"", "\",\""] {
        rows.push(setting("sync.endpoints", value, &["name at least one"]));
    }
    for value in ["[\"user\"]", "[\"users\", \"\"]", "\"users;courses\"", "\"Users\"", "[\"users\", \"teachers\"]"] {
        rows.push(setting("sync.endpoints", value, &["use a name such as lms/users"]));
    }
    for (key, meant) in [
        ("kombo.api_kye", "api_key"),
        ("kombo.apikey", "api_key"),
        ("kombo.webhook_secrets", "webhook_secret"),
        ("store.urls", "url"),
        ("sync.fulevery", "full_every"),
        ("sync.full-every", "full_every"),
        ("sync.FULL_EVERY", "full_every"),
        ("changes.keepfor", "keep_for"),
        ("server.webhook", "webhooks"),
    ] {
        rows.push(setting(key, "\"key-that-must-not-be-shown\"", &[&format!("did you mean {meant}?")]));
    }
    rows.push(case(READ).set("stroe.url", "\"key-that-must-not-be-shown\"").says(2, &["did you mean store?"]));
    rows.push(setting("sync.colour", "\"red\"", &["unknown field `colour`", "`full_every`"]));
    rows
}

fn addresses() -> Vec<Case> {
    let mut rows = Vec::new();
    for value in
        ["0.0.0.0", ":8080", "8080", "0.0.0.0:99999", "1.2.3:80", "[::1", "::1:80", "http://0.0.0.0:80", "/run/a.sock"]
    {
        rows.push(setting("server.webhooks", &format!("{value:?}"), &["no IP address with a port", "127.0.0.1:8080"]));
    }
    rows.push(setting("server.operations", "\"localhost:9090\"", &["no IP address with a port"]));
    rows.push(setting("server.operations", "9090", &["no IP address with a port"]));
    for (url, words) in [
        ("", "relative URL"),
        ("api.kombo.dev/v1", "relative URL"),
        ("//127.0.0.1/v1", "relative URL"),
        ("http://", "host"),
        ("http://:80/v1", "host"),
        ("ftp://api.kombo.dev/v1", "not http or https"),
        ("file:///etc/passwd", "not http or https"),
        ("http://127.0.0.1:99999/v1", "port"),
        ("http://127.0.0.1:abc/v1", "port"),
        ("http://[::1/v1", "IPv6"),
        ("http://exa mple/v1", "domain name"),
        ("http://me:database-password@127.0.0.1:1/v1", "user name or password"),
        ("http://127.0.0.1:1/v1?key=database-password", "query"),
        ("http://127.0.0.1:1/v1#database-password", "fragment"),
    ] {
        for command in ["sync", "config check"] {
            rows.push(
                case(command).set("kombo.base_url", &format!("{url:?}")).says(2, &["kombo.base_url", words, "9000/v1"]),
            );
        }
    }
    rows
}

fn stores() -> Vec<Case> {
    let mut rows = Vec::new();
    for (url, words) in [
        ("", "it names no kind of database"),
        ("syncd.db", "it names no kind of database"),
        ("/var/lib/syncd.db", "it names no kind of database"),
        ("sqlite", "it names no kind of database"),
        ("sqlite3://syncd.db", "\"sqlite3\""),
        ("SQLITE://syncd.db", "\"SQLITE\""),
        ("mysql://root:database-password@host/db", "\"mysql\""),
        ("jdbc:postgresql://me:database-password@host/db", "it names no kind of database"),
        ("host=h password=database-password dbname=db", "key=value"),
        ("file:syncd.db", "it names no kind of database"),
        ("sqlite:", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite://:memory:", "memory"),
        ("sqlite://syncd.db?mode=ro", "mode=rwc"),
        ("sqlite://syncd.db?cache=shared", "%3F"),
        ("sqlite://syncd#1.db", "%23"),
        ("sqlite://100%.db", "%25"),
        ("sqlite://~/syncd.db", "~"),
        ("postgres://", "no database is named"),
        ("postgres://host", "no database is named"),
        ("postgres://me:database-password@host", "no database is named"),
        ("postgres://me:database-password@host/", "no database is named"),
        ("postgres://me:database-password@host:port/db", "port"),
        ("postgres://me:database-password@host:99999/db", "port"),
        ("postgres://me:database-password@[::1/db", "malformed"),
        ("postgres:///db?password=database-password", "no host"),
        ("postgres://me:database-password@h/db?sslmode=sometimes", "sslmode"),
        ("postgres://me:database-password@h/db?sslmode=prefer&sslrootcert=system", "verify-full"),
        ("postgres://me:database-password@h/db?ssl=maybe", "ssl"),
        ("postgres://me:database-password@h/db?sslcert=mine", "certificates of clients"),
        ("postgres://me:database-password@h/db?connect_timeout=soon", "connect_timeout"),
        ("postgres://me:database-password@h/db?target_session_attrs=standby", "read-write"),
        ("postgres://me:database-password@h,/db", "a host is empty"),
        ("postgres://me@h/db?password=a&database-password=b", "a password"),
        ("postgres://me:12/database-password@host/db", "written %2F and %40"),
        ("postgres://me:12/database-password@host", "written %2F and %40"),
    ] {
        rows.push(case("status").set("store.url", &format!("{url:?}")).says(2, &["store.url", words]));
    }
    for (url, words) in [
        ("sqlite:///nowhere/syncd.db", "there is no folder"),
        ("sqlite:///proc/syncd.db", "/proc/syncd.db"),
        ("sqlite:///dev/null", "/dev/null"),
        ("sqlite:///", "sqlite:///"),
        ("postgres://me:database-password@127.0.0.1:1/db", "me:***@127.0.0.1:1/db"),
        ("postgres://me:database-password@host.invalid/db", "me:***@host.invalid"),
        ("postgres://me:database-password@127.0.0.1:1/db?ssl=true", "me:***@127.0.0.1:1/db"),
        ("postgres://me:database-password@127.0.0.1:1/db?passfile=/nowhere", "me:***@127.0.0.1:1/db"),
        ("postgres://me@127.0.0.1:1/db?passfile=/nowhere", "passfile: cannot read /nowhere"),
    ] {
        rows.push(case("migrate").set("store.url", &format!("{url:?}")).says(1, &["store.url", words]));
    }
    // Values that can never work are errors of the configuration, also for the daemon: it does not wait for a database.
    for command in ["migrate", "sync", "config check", "run"] {
        let url = "\"postgres://me:database-password@127.0.0.1:1/db?sslrootcert=/nowhere\"";
        let row = case(command).set("store.url", url).set("kombo.webhook_secret", "\"a secret\"");
        let code = if command == "config check" { 1 } else { 2 };
        rows.push(row.says(code, &["store", "/nowhere"]));
    }
    let url = "\"postgres://me:database-password@127.0.0.1:1/db?target_session_attrs=standby\"";
    rows.push(case("run").set("store.url", url).set("kombo.webhook_secret", "\"a secret\"").says(2, &["read-write"]));
    rows
}

fn secrets() -> Vec<Case> {
    let mut rows = vec![
        case("sync")
            .unset("kombo.api_key")
            .says(2, &["kombo.api_key is not set", "SYNCD__KOMBO__API_KEY", "syncd.toml"]),
        case("config check").unset("kombo.api_key").says(2, &["kombo.api_key is not set"]),
        case("run").says(2, &["kombo.webhook_secret is not set", "SYNCD__KOMBO__WEBHOOK_SECRET"]),
        case("run").set("kombo.webhook_secret", "[]").says(2, &["kombo.webhook_secret is not set"]),
        case("run").set("kombo.webhook_secret", "[\"a\", \" \"]").says(2, &["kombo.webhook_secret is not set"]),
    ];
    for blank in ["\"\"", "\"  \"", "\"\\n\""] {
        rows.push(case("sync").set("kombo.api_key", blank).says(2, &["kombo.api_key is not set"]));
        rows.push(case("run").set("kombo.webhook_secret", blank).says(2, &["kombo.webhook_secret is not set"]));
    }
    for odd in [" with a space", "\\u0000", "\\n", "\u{fc}"] {
        let key = format!("\"key-that-must-not-be-shown{odd}x\"");
        rows.push(case("sync").set("kombo.api_key", &key).says(2, &["kombo.api_key", "characters that no key has"]));
    }
    for token in ["\"short\"", "\"\"", "\"fifteen letters\"", "\"                    \""] {
        let words = ["server.operations_token", "at least 16 characters"];
        rows.push(case("config check").set("server.operations_token", token).says(2, &words));
    }
    for (setting, command) in [
        ("kombo.api_key", "sync"),
        ("kombo.webhook_secret", "run"),
        ("store.url", "status"),
        ("server.operations_token", "config check"),
    ] {
        let file = format!("{setting}_file");
        let both = case(command).set(setting, "\"key-that-must-not-be-shown\"").set(&file, "\"here\"");
        rows.push(both.file("here", "key-that-must-not-be-shown").says(2, &[setting, &file, "both set: keep one"]));
        let missing = case(command).unset(setting).set(&file, "\"no-such-file\"");
        rows.push(missing.says(2, &[&file, "no-such-file", "No such file"]));
        rows.push(case(command).unset(setting).set(&file, "\".\"").says(2, &[&file, "directory"]));
        for blank in ["", " \n\t\n"] {
            let case = case(command).unset(setting).set(&file, "\"blank\"").file("blank", blank);
            rows.push(case.says(2, &[&file, "blank is empty"]));
        }
        let binary = case(command).unset(setting).set(&file, "\"binary\"").file("binary", b"key-that-must\xff\xfe");
        rows.push(binary.says(2, &[&file, "UTF-8"]));
        // Several webhook secrets are allowed.
        if setting != "kombo.webhook_secret" {
            let two = "key-that-must-not-be-shown\nkey-that-must-not-be-shown\n";
            let case = case(command).unset(setting).set(&file, "\"two\"").file("two", two);
            rows.push(case.says(2, &[&file, "two", "line"]));
        }
    }
    rows
}

/// Settings of the delivery.
fn delivery() -> Vec<Case> {
    let url = "\"https://me:key-that-must-not-be-shown@example.org/changes\"";
    let signed = |command: &str| case(command).set("delivery.secret", "\"key-that-must-not-be-shown\"");
    let mut rows = Vec::new();
    for wrong in [
        "\"\"",
        "\"key-that-must-not-be-shown\"",
        "\"ftp://me:key-that-must-not-be-shown@example.org/\"",
        "\"mailto:me@example.org\"",
        "\"https://\"",
        "\"//example.org/changes\"",
    ] {
        let words = ["delivery.url", "such as \"https://example.org/changes\""];
        rows.push(signed("config check").set("delivery.url", wrong).says(2, &words));
    }
    for secret in ["\"\"", "\"  \"", "\"\\n\""] {
        let words = ["delivery.secret is not set", "SYNCD__DELIVERY__SECRET"];
        rows.push(case("config check").set("delivery.url", url).set("delivery.secret", secret).says(2, &words));
    }
    let missing = ["delivery.secret is not set, and delivery.url is"];
    rows.push(case("deliveries").set("delivery.url", url).says(2, &missing));
    rows.push(case("config check").set("delivery.url", url).says(2, &missing));
    let both = signed("config check").set("delivery.url", url).set("delivery.secret_file", "\"here\"");
    rows.push(both.says(2, &["delivery.secret", "delivery.secret_file", "both set: keep one"]));
    for (content, words) in
        [("", "here is empty"), ("key-that-must-not-be-shown\nkey-that-must-not-be-shown\n", "more than one line")]
    {
        let case = case("config check").set("delivery.url", url).set("delivery.secret_file", "\"here\"");
        rows.push(case.file("here", content).says(2, &["delivery.secret_file", words]));
    }
    for value in ["0", "1001"] {
        rows.push(setting("delivery.batch", value, &["1 to 1000"]));
    }
    rows.push(setting("delivery.batch", "-1", &["out of range"]));
    for value in ["\"0s\"", "\"301s\""] {
        rows.push(setting("delivery.timeout", value, &["at most \"5m\""]));
    }
    rows.push(setting("delivery.give_up_after", "\"999ms\"", &["at least \"1s\""]));
    for (give_up_after, keep_for) in [("\"30d\"", "\"30d\""), ("\"1d\"", "\"23h\"")] {
        let case = signed(READ).set("delivery.url", url).set("delivery.give_up_after", give_up_after);
        let words =
            ["delivery.give_up_after", "shorter than changes.keep_for", "shorten the one or lengthen the other"];
        rows.push(case.set("changes.keep_for", keep_for).says(2, &words));
    }
    rows.push(signed(READ).set("delivery.url", url).set("changes.keep_for", "\"0s\"").says(0, &[]));
    rows.push(setting("delivery.urls", "\"key-that-must-not-be-shown\"", &["unknown field `urls`", "`url`"]));
    rows
}

fn integrations() -> Vec<Case> {
    let listed = |text: &str, words: &[&str]| case(READ).behind(text).says(2, &[&["integrations"], words].concat());
    vec![
        listed("[[integrations]]", &["missing"]),
        listed("[[integrations]]\nid = \"\"", &["[0].id", "is empty"]),
        listed("[[integrations]]\nid = \" \\t\"", &["[0].id", "is empty"]),
        listed("[[integrations]]\nid = \"a\"\n[[integrations]]\nid = \"\"", &["[1].id", "is empty"]),
        listed("[[integrations]]\nname = \"a\"", &["unknown field `name`", "`id`"]),
        listed("[[integrations]]\nid = \"a\"\ntool = \"b\"", &["unknown field `tool`"]),
        listed("[[integrations]]\nid = [\"a\"]", &["expected a string"]),
        listed("[integrations]\nid = \"a\"", &["expected a sequence"]),
        case(READ).instead("integrations = [\"a\"]").says(2, &["integrations[0]", "expected struct Integration"]),
        case(READ).instead("integrations = \"a\"").says(2, &["integrations", "expected a sequence"]),
        case("sync").says(2, &["--integration", "[[integrations]]"]),
    ]
}

fn toml() -> Vec<Case> {
    let broken = |text: &str, line: &str| case(READ).instead(text).says(2, &["syncd.toml", line]);
    vec![
        broken("[kombo]\napi_key = \"key-that-must-not-be-shown\nregion = \"eu\"\n", "line 2"),
        broken("[kombo]\nregion = \"eu\"\napi_key = key-that-must-not-be-shown\n", "line 3"),
        broken("[kombo]\napi_key = \"\\key-that-must-not-be-shown\"\n", "line 2"),
        broken("[kombo]\nkey-that-must-not-be-shown\n", "line 2"),
        broken("[kombo]\napi_key = 'key-that-must-not-be-shown' x\n", "line 2"),
        broken("[kombo]\napi_key = 0key-that-must-not-be-shown\n", "line 2"),
        broken("[kombo\n", "line 1"),
        broken("'kombo[99999999].a' = \"key-that-must-not-be-shown\"\n", "no setting has"),
        broken("[[integrations]]\n\"id[7]\" = \"key-that-must-not-be-shown\"\n", "no setting has"),
        broken("[kombo]\nregion = \"eu\"\nregion = \"us\"\n", "line 3"),
        broken("[kombo]\nregion = \"eu\"\n[kombo]\npage_size = 5\n", "line 3"),
        broken("[sync]\n\n\nworkers = \n", "line 4"),
        broken("{\"kombo\": {\"region\": \"eu\"}}", "line 1"),
        broken("kombo:\n  region: eu\n", "line 1"),
        broken("region\t=\teu\n", "line 1"),
        broken("\u{0}", "line 1"),
        case(READ).instead(b"[kombo]\nregion = \"\xff\"\n").says(2, &["syncd.toml", "UTF-8"]),
        case(READ).instead("[[kombo]]\nregion = \"eu\"").says(2, &["kombo"]),
        case(READ).instead("[Sync]\nworkers = 1").says(2, &["did you mean sync?"]),
        case(READ).instead("workers = 1").says(2, &["unknown field `workers`"]),
    ]
}
