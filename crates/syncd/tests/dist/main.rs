//! Checks shipped files and the operations manual against the real program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kombo_model::Endpoint;
use sync_core::jobs::{EndpointStatus, IntegrationStatus};
use sync_core::pull::RunOutcome;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn shipped(name: &str) -> String {
    fs::read_to_string(repository().join("crates/syncd/dist").join(name)).unwrap()
}

fn manual() -> String {
    fs::read_to_string(repository().join("docs/operations.md")).unwrap()
}

/// Runs the program with these settings only.
fn syncd(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncd"));
    command.args(arguments).current_dir(folder.path()).env_clear().envs(environment.iter().copied());
    command.output().unwrap()
}

#[track_caller]
fn accepted(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Returns the names of all settings, such as `kombo.api_key`. An error about an unknown setting lists them.
fn settings() -> BTreeSet<String> {
    let mut settings = BTreeSet::new();
    let sections = named_in(&syncd(&["plan", "lms_users"], &[("SYNCD__NO_SECTION", "1")]));
    assert!(sections.len() > 4, "{sections:?}");
    for section in sections.iter().filter(|section| *section != "integrations") {
        let variable = format!("SYNCD__{}__NO_SETTING", section.to_uppercase());
        let refused = syncd(&["plan", "lms_users"], &[(&variable, "1")]);
        assert_eq!(refused.status.code(), Some(2));
        settings.extend(named_in(&refused).into_iter().map(|name| format!("{section}.{name}")));
    }
    settings
}

/// Returns the names that an error expects instead of an unknown one.
fn named_in(refused: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    let expected = text.split_once("expected").unwrap_or_else(|| panic!("expected names: {text}")).1;
    let expected = expected.split(" for key").next().unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn variable(setting: &str) -> String {
    format!("SYNCD__{}", setting.replace('.', "__").to_uppercase())
}

/// A line `key = value` of the sample.
struct Line {
    setting: String,
    value: String,
    is_commented_out: bool,
}

fn lines(sample: &str) -> Vec<Line> {
    let mut section = String::new();
    let mut lines = Vec::new();
    for line in sample.lines() {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        }
        let text = line.trim_start_matches("# ");
        let Some((key, value)) = text.split_once(" = ") else { continue };
        let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_') && key != "id";
        if is_key {
            let setting = format!("{section}.{key}");
            lines.push(Line { setting, value: value.to_owned(), is_commented_out: line.starts_with('#') });
        }
    }
    lines
}

#[test]
fn the_sample_configuration_is_accepted_as_it_is_and_with_every_line_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("syncd.toml");
    let sample = shipped("syncd.toml");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        accepted(&syncd(&["--config", file.to_str().unwrap(), "plan", "lms_courses"], &[]));
    };
    let in_force = |commented_out: &str, text: &str| {
        assert!(sample.contains(commented_out), "{commented_out}");
        check(&sample.replace(commented_out, text));
    };
    check(&sample);
    for line in lines(&sample).iter().filter(|line| line.is_commented_out) {
        let text = format!("{} = {}", line.setting.split_once('.').unwrap().1, line.value);
        in_force(&format!("# {text}\n"), &format!("{text}\n"));
    }
    in_force("# [[integrations]]\n# id", "[[integrations]]\nid");
}

#[test]
fn the_sample_configuration_has_every_setting_once_with_its_default() {
    let found = lines(&shipped("syncd.toml"));
    let names: BTreeSet<String> = found.iter().map(|line| line.setting.clone()).collect();
    assert_eq!(names, settings());
    assert_eq!(names.len(), found.len(), "each once");

    let mut in_force: BTreeSet<String> = BTreeSet::new();
    for line in found.iter().filter(|line| !line.is_commented_out) {
        in_force.insert(format!("{} = {}", line.setting, line.value));
    }
    assert_eq!(in_force, defaults());
}

/// Returns the facts about each setting from the program's reference: `Type`, `Default`, `Environment` and `Example`.
fn reference() -> BTreeMap<String, BTreeMap<String, String>> {
    let page = syncd(&["config", "settings"], &[]);
    accepted(&page);
    let page = String::from_utf8(page.stdout).unwrap();
    let mut settings = BTreeMap::new();
    for entry in page.split("\n### `").skip(1) {
        let (setting, text) = entry.split_once('`').unwrap();
        let text = text.split("\n## ").next().unwrap();
        let facts = text.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
        let facts = facts.map(|(name, fact)| (name.to_owned(), fact.to_owned())).collect();
        let known = settings.insert(setting.to_owned(), facts);
        assert!(known.is_none(), "{setting} is there twice");
    }
    settings
}

/// Returns the defaults as lines `setting = value`.
fn defaults() -> BTreeSet<String> {
    let told = reference().into_iter().filter(|(_, facts)| facts["Default"] != "none");
    told.map(|(setting, facts)| format!("{setting} = {}", facts["Default"].trim_matches('`'))).collect()
}

#[test]
fn the_reference_has_every_setting() {
    let mut told = reference();
    assert!(told.remove("integrations.id").is_some());
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), settings());
    for (setting, facts) in &told {
        assert_eq!(facts["Environment"], format!("`{}`", variable(setting)));
        assert!(facts["Example"].starts_with(&format!("`{} = ", setting.split_once('.').unwrap().1)), "{setting}");
    }
}

#[test]
fn types_and_examples_of_the_reference_are_true() {
    let take = |setting: &str, value: &str| {
        // Partitions are for PostgreSQL only. The command does not connect to it.
        let postgres = (variable("store.url"), "postgres://localhost/syncd");
        let mut variables = vec![(variable(setting), value)];
        variables.extend((setting == "store.partitions").then_some(postgres));
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        syncd(&["plan", "lms_users"], &variables)
    };
    let mut refused_types = BTreeSet::new();
    for (setting, facts) in reference().iter().filter(|(setting, _)| *setting != "integrations.id") {
        // A list is a single text in the environment.
        let example = facts["Example"].trim_matches('`').split_once(" = ").unwrap().1;
        let example = example.trim_matches(['[', ']']).replace(['"', ' '], "");
        accepted(&take(setting, &example));

        let of_type = facts["Type"].as_str();
        let words: Vec<String> = of_type.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        let wrong = match of_type.split(' ').next().unwrap() {
            "text" | "text," | "path" => continue,
            "one" | "list" => "neither",
            "whole" => "many",
            "`true`" => "perhaps",
            "duration" => "7",
            "address" => "nowhere",
            other => panic!("{other} is no type"),
        };
        refused_types.insert(wrong);
        let refused = take(setting, wrong);
        assert_eq!(refused.status.code(), Some(2), "{setting} takes {wrong}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(setting), "{setting}: {refused:?}");
        if of_type.starts_with("one") {
            assert_eq!(named_in(&refused), words, "{setting}");
        } else if of_type.starts_with("list") {
            assert_eq!(words, Endpoint::ALL.map(Endpoint::as_str), "{setting}");
        }
    }
    assert_eq!(refused_types.len(), 5, "every type was met");
}

#[test]
fn the_default_store_is_the_one_that_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut migrate = Command::new(env!("CARGO_BIN_EXE_syncd"));
    accepted(&migrate.arg("migrate").current_dir(folder.path()).env_clear().output().unwrap());
    let told = reference()["store.url"]["Default"].trim_matches(['`', '"']).to_owned();
    assert!(folder.path().join(told.strip_prefix("sqlite://").unwrap()).is_file(), "{told}");
}

#[test]
fn the_unit_names_what_there_is() {
    let unit = shipped("syncd.service");
    let values = |key: &str| -> Vec<String> {
        let lines = unit.lines().map(|line| line.trim_start_matches('#'));
        lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned)).collect()
    };
    let start = values("ExecStart").pop().unwrap();
    let mut words = start.split(' ');
    assert!(words.next().unwrap().ends_with("/syncd"));
    accepted(&syncd(&words.chain(["--help"]).collect::<Vec<_>>(), &[]));

    let settings = settings();
    let credentials: Vec<String> =
        values("LoadCredential").iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
    let mut used = Vec::new();
    let (ours, others): (Vec<_>, Vec<_>) =
        values("Environment").into_iter().partition(|line| line.starts_with("SYNCD__"));
    assert_eq!(others, ["MALLOC_ARENA_MAX=1"]);
    for line in ours {
        let (name, value) = line.split_once('=').unwrap();
        assert!(settings.iter().any(|setting| variable(setting) == name), "{name}");
        used.push(value.strip_prefix("%d/").unwrap().to_owned());
    }
    assert_eq!(used, credentials);

    let grace = include_str!("../../src/daemon.rs").split_once("const GRACE: Duration = Duration::from_secs(").unwrap();
    let grace: u32 = grace.1.split(')').next().unwrap().parse().unwrap();
    let timeout: u32 = values("TimeoutStopSec")[0].parse().unwrap();
    assert!(timeout > grace, "{timeout} s leave time for {grace} s");
    assert_eq!(values("StateDirectory"), ["syncd"]);
    assert_eq!(values("WorkingDirectory"), ["/var/lib/syncd"]);
}

#[test]
fn the_unit_of_the_debian_package_is_the_same_but_for_its_user_and_its_secrets() {
    let lines = |name: &str| -> BTreeSet<String> {
        shipped(name).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    let (unit, packaged) = (lines("syncd.service"), lines("debian/syncd.service"));
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> {
        let keys = one.difference(other).map(|line| line.split('%').next().unwrap().to_owned());
        keys.collect()
    };
    let secrets = ["Environment=SYNCD__KOMBO__API_KEY_FILE=", "Environment=SYNCD__KOMBO__WEBHOOK_SECRET_FILE="];
    assert_eq!(
        only(&unit, &packaged),
        [
            "DynamicUser=yes",
            secrets[0],
            secrets[1],
            "ExecStart=/usr/local/bin/syncd run --config /etc/syncd/syncd.toml",
            "LoadCredential=kombo.key:/etc/syncd/kombo.key",
            "LoadCredential=webhook.secret:/etc/syncd/webhook.secret",
        ]
    );
    assert_eq!(
        only(&packaged, &unit),
        [
            "ConditionPathExists=/etc/syncd/kombo.key",
            "ConditionPathExists=/etc/syncd/webhook.secret",
            "Documentation=man:syncd(1) file:///usr/share/doc/syncd/docs/operations.md",
            "ExecStart=/usr/bin/syncd run --config /etc/syncd/syncd.toml",
            "Group=syncd",
            "User=syncd",
        ]
    );
    let version = concat!("syncd (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(shipped("debian/changelog").starts_with(version), "{version}");
}

#[test]
fn the_configuration_of_the_debian_package_is_the_sample_with_its_own_paths() {
    let (sample, packaged) = (shipped("syncd.toml"), shipped("debian/syncd.toml"));
    let different = packaged.lines().zip(sample.lines()).filter(|(own, other)| own != other).map(|(own, _)| own);
    assert_eq!(
        different.collect::<Vec<_>>(),
        [
            "api_key_file = \"/etc/syncd/kombo.key\"",
            "webhook_secret_file = \"/etc/syncd/webhook.secret\"",
            "url = \"sqlite:///var/lib/syncd/syncd.db\"",
        ]
    );
    assert_eq!(packaged.lines().count(), sample.lines().count());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("syncd.toml");
    fs::write(&file, packaged).unwrap();
    accepted(&syncd(&["--config", file.to_str().unwrap(), "plan", "lms_courses"], &[]));
}

#[test]
fn the_container_is_made_of_what_there_is() {
    let file = shipped("Containerfile");
    let rows = |key: &str| -> Vec<String> {
        file.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned)).collect()
    };
    let copied: BTreeSet<String> = rows("COPY")
        .iter()
        .filter(|row| !row.starts_with("--from"))
        .flat_map(|row| row.split(' ').rev().skip(1).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for path in &copied {
        assert!(repository().join(path).exists(), "{path}");
    }
    let workspace = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let members = workspace.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    for member in members.split('"').skip(1).step_by(2) {
        assert!(copied.contains(member.trim_end_matches("/*")), "{member} belongs to the workspace");
    }
    assert!(copied.contains("migrations"), "they are part of the program");

    let words = |row: &str| -> Vec<String> { serde_json::from_str(row).unwrap() };
    let entry = words(&rows("ENTRYPOINT")[0]);
    assert!(file.contains(&format!("COPY --from=build /src/target/release/syncd {}\n", entry[0])));
    let arguments = [&entry[1..], &words(&rows("CMD")[0]), &["--help".to_owned()]].concat();
    accepted(&syncd(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]));

    let operations = rows("ENV")[0].split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    assert_eq!(operations.0, variable("server.operations"));
    accepted(&syncd(&["plan", "lms_users"], &[(&operations.0, &operations.1)]));
    let port = |address: &str| address.trim_matches('"').rsplit(':').next().unwrap().to_owned();
    let defaults = defaults();
    let webhooks = defaults.iter().find(|line| line.starts_with("server.webhooks = ")).unwrap();
    assert_eq!(rows("EXPOSE"), [format!("{} {}", port(webhooks), port(&operations.1))]);
    assert_eq!(rows("ENV")[1], "MALLOC_ARENA_MAX=1");
    assert!(file.contains(&format!("/dev/tcp/127.0.0.1/{} ", port(&operations.1))));
    assert!(include_str!("../../src/daemon/operations.rs").contains("\"/healthz\"") && file.contains("GET /healthz "));
}

#[test]
fn the_manual_names_no_setting_that_there_is_not() {
    let variables: BTreeSet<String> = settings().iter().map(|setting| variable(setting)).collect();
    let manual = manual();
    for name in manual.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.starts_with("SYNCD__")) {
        assert!(name == "SYNCD__" || variables.contains(name), "{name} is not a setting");
    }
}

#[test]
fn the_manual_has_every_metric_and_no_other() {
    let names = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("syncd_")).map(str::to_owned).collect()
    };
    let described = names(include_str!("../../src/daemon/prometheus.rs"));
    let sources = [
        include_str!("../../src/daemon/gauges.rs"),
        include_str!("../../src/daemon/measure.rs"),
        include_str!("../../src/daemon/prometheus.rs"),
        include_str!("../../src/notices.rs"),
        include_str!("../../src/stderr.rs"),
    ];
    let measured: BTreeSet<String> = sources.into_iter().flat_map(names).filter(|name| !name.ends_with('_')).collect();
    assert_eq!(described, measured, "each metric has a description");
    let manual = manual();
    let told: BTreeSet<String> = manual.lines().filter(|line| line.starts_with("| `syncd_")).flat_map(&names).collect();
    assert_eq!(told, measured);
    let alerts = manual.split_once("```yaml").unwrap().1.split("```").next().unwrap();
    assert!(names(alerts).is_subset(&measured), "{:?}", names(alerts).difference(&measured));
}

#[test]
fn the_manual_has_every_state() {
    let manual = manual();
    let endpoints = EndpointStatus::ALL.iter().map(|status| status.as_str());
    let integrations = IntegrationStatus::ALL.iter().map(|status| status.as_str());
    let runs = RunOutcome::ALL.iter().map(|outcome| outcome.as_str());
    for word in endpoints.chain(integrations).chain(runs) {
        assert!(manual.lines().any(|line| line.starts_with(&format!("| `{word}` |"))), "{word} is missing");
    }
}
