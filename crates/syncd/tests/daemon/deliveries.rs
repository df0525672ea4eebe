//! Changes are delivered to a receiver over real sockets, which is down, slow or selective, while daemons start and
//! stop.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use kombo_sandbox::{GeneratorConfig, Model, Mutation, SandboxConfig};
use serde_json::Value;

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, world_for};
use crate::program::wait_until;
use crate::receiver::{Delivered, Receiver};
use crate::world::World;

on_both_databases!(
    they_arrive_signed_and_in_order,
    a_receiver_that_is_down_misses_nothing,
    what_was_under_way_in_a_crash_comes_again,
    what_is_given_up_waits_for_a_person,
    what_cannot_be_read_holds_up_nobody_else,
    an_entry_that_cannot_be_read_is_shown_and_can_be_skipped,
);

const KEY: &str = "what-deliveries-are-signed-with";

/// Creates a deployment with a finished first load that delivers changes to `receiver`.
fn world(backend: Backend, place: Place, receiver: SocketAddr, integrations: usize) -> World {
    let generator =
        GeneratorConfig { users: 30, courses: 3, progressions: 6, deleted_rate: 0.0, ..GeneratorConfig::default() };
    let config = SandboxConfig { integrations, generator, ..SandboxConfig::default() };
    let mut world = world_for(backend, config, place);
    world.set("delivery.url", &format!("http://{receiver}/changes"));
    world.set("delivery.secret", KEY);
    world
}

/// Renames users of an integration in order, and waits until the changes are in the log.
fn change(world: &World, look: &Look, integration: &str, name: &str, users: std::ops::Range<usize>) {
    let ids = world.sandbox.ids(integration, Model::Users).unwrap();
    for id in &ids[users] {
        world.sandbox.mutate(integration, Mutation::update(Model::Users, *id, "first_name", name)).unwrap();
    }
    look.wait_until_settled(world);
}

/// Returns the status of an integration from `syncd deliveries --json`.
fn delivery_state(world: &World, integration: &str) -> Value {
    let said = world.syncd(&["deliveries", "--json"]).expect_code(0).json();
    let all = said["deliveries"].as_array().unwrap();
    all.iter().find(|it| it["integration_id"] == integration).cloned().unwrap_or(Value::Null)
}

fn they_arrive_signed_and_in_order(backend: Backend) {
    let place = Place::new();
    let address = Place::new().webhooks;
    let mut world = world(backend, place, address, 2);
    world.set_toml("delivery.batch", "7");
    // Entries logged before delivery is first enabled are not delivered.
    world.unset("delivery.url");
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let integrations = world.sandbox.integrations();
    change(&world, &look, &integrations[0], "Before", 0..3);
    daemon.stop();
    let since = look.read(|tx| tx.last_change());
    assert!(since > 0);

    world.set("delivery.url", &format!("http://{address}/changes"));
    let receiver = Receiver::start(address, |_| Some(204));
    let daemon = Daemon::start(&world, place);
    for round in 0..3 {
        for integration in &integrations {
            change(&world, &look, integration, &format!("Round {round}"), 0..20);
        }
    }
    receiver.assert_gets_all(&look, since);
    let taken = receiver.taken();
    let lines = world.syncd(&["changes", "--json", "--since", &since.to_string()]).expect_code(0).stdout;
    let mut printed = 0;
    for delivered in &taken {
        assert!(delivered.is_signed_with(KEY) && delivered.head.starts_with("post /changes http/1.1"), "{delivered:?}");
        assert_eq!(delivered.header("content-type"), Some("application/json"));
        assert_eq!(delivered.json["type"], "changes");
        let (seqs, data) = (delivered.seqs(), &delivered.json["data"]);
        assert!((1..=7).contains(&seqs.len()), "{seqs:?}");
        assert_eq!(
            (data["first_seq"].as_i64(), data["last_seq"].as_i64()),
            (seqs.first().copied(), seqs.last().copied())
        );
        // Byte-identical to the command's output.
        let (_, changes) = delivered.body.split_once("\"changes\":[").unwrap();
        for line in lines.lines().filter(|line| changes.contains(line)) {
            assert!(seqs.contains(&serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap()));
            printed += 1;
        }
    }
    assert_eq!(printed, lines.lines().count());
    let mut ids: Vec<&str> = taken.iter().map(Delivered::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), taken.len(), "nothing failed, so nothing came twice");
    let all = f64::from(u32::try_from(taken.len()).unwrap());
    wait_until("it is noted that all arrived", || daemon.metric("syncd_delivery_lag", "") == Some(0.0));
    assert_eq!(daemon.metric("syncd_deliveries_total", "delivered"), Some(all));
    assert_eq!(daemon.metric("syncd_dead_letters", ""), Some(0.0));
    assert_eq!(delivery_state(&world, &integrations[0])["state"], "delivered");
    let text = world.syncd(&["deliveries"]).expect_code(0).stdout;
    assert!(
        text.contains(&format!("http://{address}")) && !text.contains("/changes") && text.contains("delivered"),
        "{text}"
    );

    // A new secret applies after a reload.
    world.set("delivery.secret", "another-secret-for-deliveries");
    world.write("syncd.toml", &world.configuration());
    daemon.process.signal("HUP");
    wait_until("it is read", || daemon.process.stderr_so_far().contains("reloaded the secrets"));
    change(&world, &look, &integrations[0], "Signed anew", 0..1);
    receiver.assert_gets_all(&look, since);
    assert!(receiver.taken().last().unwrap().is_signed_with("another-secret-for-deliveries"));
    let told = daemon.stop();
    assert!(!format!("{}{}", told.stdout, told.stderr).contains(KEY));
}

/// First nobody listens, then a receiver refuses, redirects and hangs up, and finally one accepts everything.
fn a_receiver_that_is_down_misses_nothing(backend: Backend) {
    let place = Place::new();
    let address = Place::new().webhooks;
    let mut world = world(backend, place, address, 3);
    world.set_toml("delivery.batch", "4");
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let since = look.read(|tx| tx.last_change());
    let integrations = world.sandbox.integrations();
    for integration in &integrations {
        change(&world, &look, integration, "While nobody listens", 0..10);
    }
    for integration in &integrations {
        wait_until("it failed", || delivery_state(&world, integration)["state"] == "retrying");
    }
    let waiting = delivery_state(&world, &integrations[0]);
    assert_eq!((waiting["behind"].as_i64(), waiting["attempts"].as_i64()), (Some(10), Some(1)));
    assert!(waiting["error"].as_str().unwrap().to_lowercase().contains("connection refused"), "{waiting}");
    assert_eq!(daemon.metric("syncd_delivery_lag", ""), Some(30.0));

    let answers = AtomicUsize::new(0);
    let picky = Receiver::start(address, move |_| match answers.fetch_add(1, Ordering::SeqCst) % 3 {
        0 => Some(500),
        1 => Some(307),
        _ => None,
    });
    world.syncd(&["deliveries", "retry"]).expect_code(0);
    wait_until("each was refused", || picky.delivered().len() >= 3);
    assert!(picky.taken().is_empty());
    let refused: Vec<Delivered> = picky.delivered();
    drop(picky);
    change(&world, &look, &integrations[0], "Since then", 10..15);

    let receiver = Receiver::start(address, |_| Some(200));
    let retried = world.syncd(&["deliveries", "retry", "--json"]).expect_code(0).json();
    assert_eq!(retried["retried"], 0, "nothing was given up");
    receiver.assert_gets_all(&look, since);
    let taken = receiver.taken();
    for refused in refused {
        let again = taken.iter().find(|taken| taken.id() == refused.id()).expect("it comes again");
        assert_eq!(again.body, refused.body, "the same to the letter");
    }
    let told = daemon.stop();
    assert!(!format!("{}{}", told.stdout, told.stderr).contains(KEY));
}

/// A gate that a test opens.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

/// The daemon is killed while the receiver handles one delivery, and while it accepts many.
fn what_was_under_way_in_a_crash_comes_again(backend: Backend) {
    let place = Place::new();
    let address = Place::new().webhooks;
    let mut world = world(backend, place, address, 2);
    world.set_toml("delivery.batch", "2");
    let mut daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let since = look.read(|tx| tx.last_change());
    let integrations = world.sandbox.integrations();

    let (gate, at_the_gate) = (Arc::new(Gate::default()), Arc::new(AtomicBool::new(false)));
    let receiver = {
        let (gate, at_the_gate) = (Arc::clone(&gate), Arc::clone(&at_the_gate));
        let number = AtomicUsize::new(0);
        Receiver::start(address, move |_| {
            // Each takes some time, so that a crash interrupts one.
            std::thread::sleep(Duration::from_millis(5));
            if number.fetch_add(1, Ordering::SeqCst) == 3 {
                at_the_gate.store(true, Ordering::SeqCst);
                gate.pass();
            }
            Some(200)
        })
    };
    change(&world, &look, &integrations[0], "First", 0..12);
    wait_until("one is in the receiver's hands", || at_the_gate.load(Ordering::SeqCst));
    daemon.kill();
    gate.open();
    wait_until("the receiver took it", || receiver.taken().len() == 4);
    let in_its_hands = receiver.taken().pop().unwrap();
    for round in 0..4 {
        daemon = Daemon::start(&world, place);
        for integration in &integrations {
            change(&world, &look, integration, &format!("Round {round}"), 0..10);
        }
        daemon.kill();
    }
    daemon = Daemon::start(&world, place);
    receiver.assert_gets_all(&look, since);
    let taken = receiver.taken();
    let twice: Vec<&Delivered> = taken.iter().filter(|taken| taken.id() == in_its_hands.id()).collect();
    assert_eq!(twice.len(), 2, "the daemon could not know that it arrived");
    for one in &taken {
        let same = taken.iter().filter(|other| other.id() == one.id() || other.seqs()[0] == one.seqs()[0]);
        assert!(same.into_iter().all(|other| other.body == one.body), "the same to the letter");
    }
    eprintln!(
        "{backend:?}: {} deliveries, {} of them again",
        taken.len(),
        taken.len() - {
            let mut ids: Vec<&str> = taken.iter().map(Delivered::id).collect();
            ids.sort_unstable();
            ids.dedup();
            ids.len()
        }
    );
    daemon.stop();
}

/// The receiver cannot process one record of one integration.
fn what_is_given_up_waits_for_a_person(backend: Backend) {
    let place = Place::new();
    let address = Place::new().webhooks;
    let mut world = world(backend, place, address, 2);
    world.set_toml("delivery.batch", "1");
    world.set("delivery.give_up_after", "1s");
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let since = look.read(|tx| tx.last_change());
    let integrations = world.sandbox.integrations();
    let poison = world.sandbox.ids(&integrations[0], Model::Users).unwrap()[1].to_string();
    let is_mended = Arc::new(AtomicBool::new(false));
    let receiver = {
        let (poison, is_mended) = (poison.clone(), Arc::clone(&is_mended));
        Receiver::start(address, move |delivered| {
            let is_poisoned = delivered.changes().iter().any(|change| change["record_id"] == *poison);
            Some(if is_poisoned && !is_mended.load(Ordering::SeqCst) { 422 } else { 200 })
        })
    };
    change(&world, &look, &integrations[0], "Poisoned", 0..4);
    change(&world, &look, &integrations[1], "Healthy", 0..4);
    // The other integration does not wait, and this one continues after the dead letter.
    let taken_of = |integration: &str| receiver.entries().get(integration).map_or(0, Vec::len);
    wait_until("all but one are delivered", || (taken_of(&integrations[0]), taken_of(&integrations[1])) == (3, 4));
    wait_until("one is given up", || daemon.metric("syncd_dead_letters", "") == Some(1.0));
    let known = delivery_state(&world, &integrations[0]);
    let letter = &known["dead_letters"][0];
    let tries = receiver.delivered().iter().filter(|it| it.status == Some(422)).count();
    assert!(tries >= 2, "the last try is at the end");
    assert_eq!((letter["entries"].as_i64(), letter["error"].as_str()), (Some(1), Some("HTTP 422")));
    assert_eq!(letter["attempts"].as_u64(), u64::try_from(tries).ok());
    assert_eq!(daemon.metric("syncd_deliveries_total", "given_up"), Some(1.0));
    let text = world.syncd(&["deliveries"]).expect_code(0).stdout;
    assert!(text.contains("HTTP 422"), "{text}");
    let text = world.syncd(&["status"]).expect_code(0).stdout;
    assert!(text.contains("1 dead letter"), "{text}");

    // It is delivered again unchanged, before newer entries.
    is_mended.store(true, Ordering::SeqCst);
    world.syncd(&["deliveries", "retry", "--integration", &integrations[1]]).expect_code(0);
    assert_eq!(delivery_state(&world, &integrations[0])["dead_letters"][0]["again"], false);
    let retried = world.syncd(&["deliveries", "retry", "--integration", &integrations[0], "--json"]);
    assert_eq!(retried.expect_code(0).json()["retried"], 1);
    wait_until("it arrived", || taken_of(&integrations[0]) == 4);
    wait_until("nothing is left", || delivery_state(&world, &integrations[0])["state"] == "delivered");
    let delivered = receiver.delivered();
    let refused = delivered.iter().find(|it| it.status == Some(422)).unwrap();
    let arrived = delivered.iter().find(|it| it.status == Some(200) && it.id() == refused.id()).unwrap();
    assert_eq!(arrived.body, refused.body);
    let log = look.read(move |tx| tx.changes(None, since, 100));
    assert_eq!(receiver.entries().values().map(Vec::len).sum::<usize>(), log.len());

    // Another one is dropped.
    is_mended.store(false, Ordering::SeqCst);
    change(&world, &look, &integrations[0], "Poisoned again", 1..2);
    wait_until("it is given up", || daemon.metric("syncd_dead_letters", "") == Some(1.0));
    world.syncd(&["deliveries", "retry", "--integration", "sandbox:unknown"]).expect_code(2);
    assert_eq!(world.syncd(&["deliveries", "drop", "--json"]).expect_code(0).json()["dropped"], 1);
    assert_eq!(delivery_state(&world, &integrations[0])["dead_letters"], serde_json::json!([]));
    daemon.stop();
}

fn what_cannot_be_read_holds_up_nobody_else(backend: Backend) {
    let place = Place::new();
    let address = Place::new().webhooks;
    let world = world(backend, place, address, 2);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    daemon.stop();
    let integrations = world.sandbox.integrations();
    for integration in &integrations {
        let id = world.sandbox.ids(integration, Model::Users).unwrap()[0];
        world.sandbox.mutate(integration, Mutation::update(Model::Users, id, "first_name", "Changed")).unwrap();
    }
    world.sync();
    // In the form that a newer version might write.
    let of = &integrations[0];
    let say = |cause: &str| {
        let sql =
            format!("UPDATE sync_changes SET cause = '{cause}' WHERE integration_id = '{of}' RETURNING cause AS value");
        assert_eq!(world.database.query(&sql), [cause]);
    };
    say("of-tomorrow");

    let receiver = Receiver::start(address, |_| Some(200));
    let daemon = Daemon::start(&world, place);
    let taken_of = |integration: &str| receiver.entries().get(integration).map_or(0, Vec::len);
    wait_until("the other one is delivered", || taken_of(&integrations[1]) == 1);
    wait_until("it is told", || {
        let said = daemon.process.stderr_so_far();
        said.lines().any(|line| line.contains("cannot be read are not delivered") && line.contains(of.as_str()))
    });
    assert_eq!(taken_of(of), 0);
    say("direct");
    world.syncd(&["deliveries", "retry", "--integration", of]).expect_code(0);
    wait_until("it is delivered as well", || taken_of(of) == 1);
    daemon.stop();
}

/// The entries before it arrive. It and the later ones wait until a person corrects or deletes it.
fn an_entry_that_cannot_be_read_is_shown_and_can_be_skipped(backend: Backend) {
    let place = Place::new();
    let address = Place::new().webhooks;
    let world = world(backend, place, address, 1);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    daemon.stop();
    let of = &world.sandbox.integrations()[0];
    let from = world.read(|tx| tx.last_change());
    let users = world.sandbox.ids(of, Model::Users).unwrap();
    for user in &users[..5] {
        world.sandbox.mutate(of, Mutation::update(Model::Users, *user, "first_name", "Changed")).unwrap();
    }
    world.sync();
    let seqs: Vec<i64> = world.read(move |tx| tx.changes(None, from, 10)).iter().map(|entry| entry.seq).collect();
    let (bad, worse) = (seqs[2], seqs[3]);
    for (seq, edit) in [(bad, "kind = 'of-tomorrow'"), (worse, "model = 'nothing'")] {
        world.database.query(&format!("UPDATE sync_changes SET {edit} WHERE seq = {seq} RETURNING kind AS value"));
    }
    let receiver = Receiver::start(address, |_| Some(200));
    let daemon = Daemon::start(&world, place);
    let taken = || receiver.entries().get(of.as_str()).map_or(0, Vec::len);
    let is_shown = |seq: i64| {
        let delivery_state = delivery_state(&world, of);
        let error = delivery_state["error"].as_str().unwrap_or_default();
        let names = error.contains(&format!("entry {seq}:")) && error.contains("delete it from sync_changes");
        names && delivery_state["state"] == "retrying" && delivery_state["attempts"].as_i64() > Some(0)
    };
    wait_until("the first two arrive and the third is shown", || taken() == 2 && is_shown(bad));
    wait_until("it is counted", || daemon.metric("syncd_deliveries_failing", "") == Some(1.0));
    assert!(world.syncd(&["deliveries"]).expect_code(0).stdout.contains(&format!("entry {bad}:")));
    let skip = |seq: i64| {
        world.database.query(&format!("DELETE FROM sync_changes WHERE seq = {seq} RETURNING kind AS value"));
        world.syncd(&["deliveries", "retry"]).expect_code(0);
    };
    skip(bad);
    wait_until("the next one is shown", || is_shown(worse));
    skip(worse);
    wait_until("the last one arrives", || taken() == 3 && delivery_state(&world, of)["state"] == "delivered");
    // An entry that is skipped may be the last one.
    world.sandbox.mutate(of, Mutation::update(Model::Users, users[0], "first_name", "Again")).unwrap();
    daemon.stop();
    world.sync();
    let last = world.read(|tx| tx.last_change());
    world.database.query(&format!("UPDATE sync_changes SET kind = '-' WHERE seq = {last} RETURNING kind AS value"));
    let daemon = Daemon::start(&world, place);
    wait_until("it is shown", || is_shown(last));
    skip(last);
    wait_until("nothing is left", || delivery_state(&world, of)["error"].is_null());
    wait_until("it is counted", || daemon.metric("syncd_deliveries_failing", "") == Some(0.0));
    daemon.stop();
}

/// Two daemons deliver. One is suspended during a delivery and wakes up too late.
#[test]
fn replicas_keep_the_order() {
    let places = [Place::new(), Place::new()];
    let address = Place::new().webhooks;
    let mut world = world(Backend::Postgres, places[0], address, 6);
    world.set_toml("delivery.batch", "1");
    world.set("delivery.timeout", "10s");
    world.set("sync.lease", "1s");
    let daemons = places.map(|place| Daemon::start(&world, place));
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let since = look.read(|tx| tx.last_change());
    let receiver = Receiver::start(address, |_| {
        std::thread::sleep(Duration::from_millis(20));
        Some(200)
    });
    let integrations = world.sandbox.integrations();
    let change_all = |name: &str| {
        for integration in &integrations {
            change(&world, &look, integration, name, 0..6);
        }
    };
    let counted = |daemon: &Daemon| daemon.metric("syncd_deliveries_total", "delivered").unwrap_or_default();
    let mut rounds = 0;
    wait_until("both deliver", || {
        rounds += 1;
        change_all(&format!("By two, {rounds}"));
        receiver.assert_gets_all(&look, since);
        daemons.iter().all(|daemon| counted(daemon) > 0.0)
    });
    assert_eq!(receiver.taken().len(), rounds * 36, "none came twice");

    let [survivor, sleeps] = daemons;
    change_all("Before one sleeps");
    sleeps.process.signal("STOP");
    change_all("While one sleeps");
    receiver.assert_gets_all(&look, since);
    sleeps.process.signal("CONT");
    change_all("Since it woke up");
    receiver.assert_gets_all(&look, since);
    survivor.stop();
    sleeps.stop();
}
