//! The program never prints, logs or serves secrets and personal data to strangers, whatever the log level and whatever
//! fails.

use std::fmt::Write as _;
use std::net::SocketAddr;

use base64::Engine as _;
use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, Fault, FaultKind, GeneratorConfig, Model, Mutation, SandboxConfig};
use serde_json::json;

use crate::database::{Backend, Database};
use crate::deployment::{Daemon, Look, Place, SECRET, data_changed, post_webhook, world_for};
use crate::http;
use crate::program::{Finished, wait_until};
use crate::receiver::Receiver;
use crate::screen::OnTerminal;
use crate::world::{API_KEY, DATABASE_PASSWORD, World};

on_both_databases!(nothing_is_reported);

const TOKEN: &str = "operations-token-that-must-not-be-shown";
/// Input of strangers, which may be a mistyped secret.
const TYPED: &str = "token-that-somebody-mistyped";
/// The secret that signs deliveries. It is also part of the receiver's URL.
const DELIVERY_SECRET: &str = "delivery-secret-that-must-not-be-shown";
const DELIVERY_PASSWORD: &str = "delivery-password-not-to-be-shown";
const DELIVERY_QUERY: &str = "delivery-query-that-must-not-be-shown";
const SECRETS: [&str; 8] =
    [API_KEY, SECRET, DATABASE_PASSWORD, TOKEN, TYPED, DELIVERY_SECRET, DELIVERY_PASSWORD, DELIVERY_QUERY];
const PEOPLE: [&str; 4] = ["Markedfirst", "Markedlast", "marked.mail@example.org", "marked-quarantined-value"];

/// Returns the possible spellings of a text.
fn forms(mark: &str) -> Vec<String> {
    let bytes = mark.as_bytes();
    let listed: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    vec![
        mark.to_owned(),
        mark.replace('@', "%40"),
        listed.join(", "),
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(mark),
        hex,
    ]
}

/// All collected output, with its source.
#[derive(Default)]
struct Output(Vec<(String, String)>);

impl Output {
    fn collect(&mut self, by: impl Into<String>, text: impl Into<String>) {
        self.0.push((by.into(), text.into()));
    }

    fn process(&mut self, by: impl Into<String>, finished: &Finished) {
        self.collect(by, format!("{}{}", finished.stdout, finished.stderr));
    }

    /// Returns the marks that were found, with the source of the output.
    fn leaks<'a>(&self, marks: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut leaks = Vec::new();
        for mark in marks {
            let forms = forms(mark);
            let tellers = self.0.iter().filter(|(_, text)| forms.iter().any(|form| text.contains(form)));
            leaks.extend(tellers.map(|(by, _)| format!("{by} tells {mark}")));
        }
        leaks
    }
}

#[test]
fn what_is_reported_is_found_in_any_form() {
    for form in forms(API_KEY) {
        let mut output = Output::default();
        output.collect("a log", format!("before {form} after"));
        assert_eq!(output.leaks(SECRETS), [format!("a log tells {API_KEY}")], "{form}");
        assert!(output.leaks(PEOPLE).is_empty());
    }
}

fn nothing_is_reported(backend: Backend) {
    let place = Place::new();
    let generator = GeneratorConfig { users: 12, courses: 2, progressions: 6, ..GeneratorConfig::default() };
    let mut world = world_for(backend, SandboxConfig { generator, ..SandboxConfig::default() }, place);
    if let Database::Postgres(database) = &world.database {
        // The server trusts everyone, so it accepts any password.
        let url = database.url().replacen("postgres@", &format!("postgres:{DATABASE_PASSWORD}@"), 1);
        world.set("store.url", &url);
    }
    world.set("server.operations_token", TOKEN);
    world.set_toml("sync.change_values", "true");
    let receiver = Place::new().webhooks;
    world.set("delivery.url", &format!("http://me:{DELIVERY_PASSWORD}@{receiver}/changes?key={DELIVERY_QUERY}"));
    world.set("delivery.secret", DELIVERY_SECRET);
    let user = world.sandbox.ids(FIRST_INTEGRATION, Model::Users).unwrap()[0];
    let rename = |field: &str, value: &str| {
        world.sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, user, field, value)).unwrap();
    };
    rename("first_name", PEOPLE[0]);
    rename("work_email", PEOPLE[2]);
    let odd = |field: &str| FaultKind::MalformedRecord { index: 3, field: field.to_owned(), value: json!([PEOPLE[3]]) };
    world.sandbox.inject(Fault::once(odd("last_name")).at(Endpoint::LmsUsers));

    let mut output = Output::default();
    with_daemon(&world, place, &mut output, &|| rename("last_name", PEOPLE[1]), receiver);
    commands(&world, &mut output);
    failures(&mut world, &mut output);
    assert!(output.0.len() > 40, "{} were heard", output.0.len());
    assert_eq!(output.leaks(SECRETS.into_iter().chain(PEOPLE)), [""; 0]);
}

/// Runs a daemon that logs everything, with all kinds of webhooks and with strangers.
fn with_daemon(world: &World, place: Place, output: &mut Output, change: &dyn Fn(), receiver: SocketAddr) {
    let command = world.command(&["run", "--log", "trace"]);
    let daemon = Daemon::launch_as(world, place, command);
    wait_until("the daemon is ready", || daemon.is_ready());
    let look = Look::new(world);
    look.wait_until_loaded(world);
    let since = look.read(|tx| tx.last_change());
    change();
    look.wait_until_settled(world);
    is_delivered(world, &look, since, receiver, output);

    let person = json!({ "organization_name": PEOPLE[0], "creator_email": PEOPLE[2], "origin_id": PEOPLE[1] });
    let about = json!({ "integration_id": FIRST_INTEGRATION, "integration_tool": "sandbox", "integration_category": "LMS",
        "end_user": person, "changed_models": PEOPLE[1], "added_later": PEOPLE[2], "sync_state": 7, "state": PEOPLE });
    for kind in ["data-changed", "sync-finished", "integration-state-changed", "connection-flow-failed", "new-type"] {
        let body = json!({ "id": format!("odd {kind}"), "type": kind, "data": about }).to_string();
        output.collect(format!("the answer to {kind}"), post_webhook(place, SECRET, &body).unwrap().text);
        output.collect(format!("the answer to {kind} of a stranger"), post_webhook(place, TYPED, &body).unwrap().text);
    }
    for body in [format!("{{\"id\": \"{}", PEOPLE[2]), PEOPLE[0].to_owned(), format!("[\"{TYPED}\"]")] {
        output.collect("the answer to no webhook", post_webhook(place, SECRET, &body).unwrap().text);
    }
    let signature = [("X-Kombo-Signature", TYPED)];
    let refused = http::post(place.webhooks, "/webhooks/kombo", &signature, PEOPLE[2].as_bytes()).unwrap();
    output.collect("the answer to no signature", refused.text);
    assert_eq!(daemon.webhook(&data_changed("good", FIRST_INTEGRATION, &["lms_users"])).status, 200);
    look.wait_until_settled(world);

    let record = format!(
        "/record?integration={FIRST_INTEGRATION}&id={}",
        world.sandbox.ids(FIRST_INTEGRATION, Model::Users).unwrap()[0]
    );
    let integration = format!("/integration?id={FIRST_INTEGRATION}");
    for path in
        ["/", "/healthz", "/readyz", "/metrics", "/runs", "/run?id=1", "/sign-in", "/none", &record, &integration]
    {
        let authorization = format!("Bearer {TYPED}");
        let cookie = format!("syncd_session={TYPED}.{TYPED}");
        for headers in [&[][..], &[("Authorization", authorization.as_str())], &[("Cookie", cookie.as_str())]] {
            output.collect(path, http::get_with(place.operations, path, headers).unwrap().text);
        }
        // A visitor with the token may see personal data, but no secret either.
        let bearer = format!("Bearer {TOKEN}");
        let shown = http::get_with(place.operations, path, &[("Authorization", &bearer)]).unwrap();
        let mut seen = Output::default();
        seen.collect(path, shown.text);
        assert_eq!(seen.leaks(SECRETS), [""; 0]);
        if path == record {
            assert_eq!(seen.leaks([PEOPLE[0]]).len(), 1, "there was something to be output");
        }
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for (path, body) in [
        ("/sign-in", format!("token={TYPED}")),
        ("/sign-in", format!("token={TOKEN}")),
        ("/sign-out", format!("key={TYPED}")),
        ("/act", format!("action=pause&integration={TYPED}&key={TYPED}")),
    ] {
        output.collect(path, http::post(place.operations, path, &form, body.as_bytes()).unwrap().text);
    }

    // A configuration with a syntax error after a secret.
    world.write("syncd.toml", &format!("{}\nkombo.webhook_secret = \"{SECRET}", world.configuration()));
    daemon.process.signal("HUP");
    wait_until("it says that the old one stays", || {
        daemon.process.stderr_so_far().contains("keeping the previous one")
    });
    output.process("the daemon", &daemon.stop());
}

/// Delivers changes with values: first nobody listens, then a receiver refuses them, and then one accepts them.
fn is_delivered(world: &World, look: &Look, since: i64, receiver: SocketAddr, output: &mut Output) {
    let mut failed = |with: &str| {
        wait_until("it failed", || {
            let listed = world.syncd(&["deliveries", "--log", "trace"]);
            output.process(format!("deliveries while it failed {with}"), &listed);
            listed.stdout.contains(with)
        });
    };
    failed("refused (os error");
    let refuses = Receiver::start(receiver, |_| Some(400));
    world.syncd(&["deliveries", "retry"]).expect_code(0);
    failed("HTTP 400");
    assert!(refuses.delivered().iter().all(|it| it.head.starts_with("post /changes?key=delivery-query")));
    drop(refuses);
    let willing = Receiver::start(receiver, |_| Some(200));
    world.syncd(&["deliveries", "retry"]).expect_code(0);
    willing.assert_gets_all(look, since);
    let taken = willing.taken();
    assert!(taken.iter().any(|it| it.body.contains(PEOPLE[1])), "there was something to be output");
    assert!(taken.iter().all(|it| it.header("authorization").is_some() && it.is_signed_with(DELIVERY_SECRET)));
}

/// Runs every command with its full log.
fn commands(world: &World, output: &mut Output) {
    let set = "UPDATE lms_users SET first_name = 'Handedited' WHERE first_name = 'Markedfirst'";
    let count = format!("{set} RETURNING id AS value");
    assert_eq!(world.database.query(&count).len(), 1);
    for (arguments, code) in [
        (&["status"][..], 0),
        (&["config", "check"], 0),
        (&["migrate"], 0),
        (&["plan", "lms_users"], 0),
        (&["verify"], 3),
        (&["deliveries"], 0),
        (&["deliveries", "drop"], 0),
        (&["quarantine", "list"], 0),
        (&["quarantine", "retry"], 1),
        (&["pause", FIRST_INTEGRATION], 0),
        (&["resume", FIRST_INTEGRATION], 0),
        (&["sync"], 0),
        (&["sync", "--full"], 0),
    ] {
        let by = arguments.join(" ");
        let text = OnTerminal::start(world.command(&[arguments, &["--log", "trace"]].concat())).wait();
        assert!(text.0 == Some(code) || by.starts_with("verify"), "{by}: {text:?}");
        output.collect(format!("{by} on a terminal"), text.1);
        output.process(format!("{by} in JSON"), &world.syncd(&[arguments, &["--json", "--log", "trace"]].concat()));
    }
    // The change log keeps values on request and shows them. The log does not.
    let changes = world.syncd(&["changes", "--json", "--log", "trace"]).expect_code(0);
    assert!(changes.stdout.contains(PEOPLE[1]), "there was something to be output");
    output.collect("what changes logs", changes.stderr);
    output.process("changes for people", &world.syncd(&["changes", "--log", "trace"]));
}

/// Provokes failures, and collects their messages.
fn failures(world: &mut World, output: &mut Output) {
    let run = |world: &World, output: &mut Output, what: &str| {
        for arguments in [&["sync"][..], &["config", "check"], &["status"]] {
            let by = format!("{} while {what}", arguments.join(" "));
            output.process(by, &world.syncd(&[arguments, &["--log", "trace"]].concat()));
        }
    };
    for fault in [
        FaultKind::error(401, "PLATFORM.AUTHENTICATION_INVALID"),
        FaultKind::error(400, "PLATFORM.INPUT_INVALID"),
        FaultKind::ForeignJson,
        odd_page(),
    ] {
        world.sandbox.inject(Fault::always(fault.clone()));
        run(world, output, &format!("Kombo answers with {fault:?}"));
        world.sandbox.clear_faults();
    }
    let broken = |world: &World, output: &mut Output, text: &str| {
        world.write("syncd.toml", text);
        let finished = world.start(world.command_as_it_is(&["sync", "--log", "trace"])).wait();
        output.process(format!("sync with {text}"), &finished.expect_code(2));
    };
    broken(world, output, &format!("kombo = \"{API_KEY}\""));
    broken(world, output, &format!("store = \"postgres://me:{DATABASE_PASSWORD}@host/db\""));
    broken(world, output, &format!("[kombo]\napi_key = {API_KEY}"));
    broken(world, output, &format!("delivery = \"http://me:{DELIVERY_PASSWORD}@host/?key={DELIVERY_QUERY}\""));
    broken(world, output, &format!("[delivery]\nurl = [\"{DELIVERY_PASSWORD}\"]"));
    broken(world, output, &format!("[kombo]\nwebhook_secret = {{ a = \"{SECRET}\" }}"));
    let url = format!("postgres://me:{DATABASE_PASSWORD}@127.0.0.1:1/mirror");
    world.set("store.url", &url);
    run(world, output, "the database is away");
    world.set("kombo.base_url", "http://127.0.0.1:1/v1");
    run(world, output, "Kombo is away");
}

/// An invalid page that contains personal data.
fn odd_page() -> FaultKind {
    let page = json!({ "status": "success", "data": { "results": PEOPLE, "next": { "token": PEOPLE[2] } } });
    FaultKind::Foreign { status: 200, content_type: "application/json".to_owned(), body: page.to_string() }
}
