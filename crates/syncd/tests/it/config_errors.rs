//! Mistakes on the command line, in the configuration and in its surroundings: tables of commands with the expected
//! exit code and texts. None of them writes anything or requests a record from Kombo.

mod command_line;
mod settings;
mod surroundings;

use std::collections::BTreeSet;
use std::ffi::OsString;

use kombo_sandbox::SandboxConfig;

use crate::database::{Backend, Database};
use crate::world::World;

/// A command in a folder with a valid configuration, except for the changes of the case.
struct Case {
    name: String,
    arguments: Vec<OsString>,
    settings: Vec<(String, Option<String>)>,
    /// Text to append to the configuration.
    behind: String,
    instead: Option<Vec<u8>>,
    files: Vec<(&'static str, Vec<u8>)>,
    environment: Vec<(OsString, OsString)>,
    code: i32,
    says: Vec<String>,
}

/// A case with a command, which is also its name.
fn case(command: &str) -> Case {
    Case {
        name: command.to_owned(),
        arguments: command.split_whitespace().map(OsString::from).collect(),
        settings: Vec::new(),
        behind: String::new(),
        instead: None,
        files: Vec::new(),
        environment: Vec::new(),
        code: 2,
        says: Vec::new(),
    }
}

impl Case {
    /// Adds an argument, with any content.
    fn argument(mut self, argument: impl Into<OsString>) -> Self {
        let argument = argument.into();
        self.name = format!("{} «{}»", self.name, argument.display());
        self.arguments.push(argument);
        self
    }

    /// Sets a setting to a TOML value.
    fn set(mut self, key: &str, value: &str) -> Self {
        self.name = format!("{}, {key} = {value}", self.name);
        self.settings.push((key.to_owned(), Some(value.to_owned())));
        self
    }

    /// Removes a setting.
    fn unset(mut self, key: &str) -> Self {
        self.name = format!("{}, no {key}", self.name);
        self.settings.push((key.to_owned(), None));
        self
    }

    /// Appends text to the configuration.
    fn behind(mut self, text: &str) -> Self {
        self.name = format!("{}, behind {text:?}", self.name);
        self.behind.push_str(text);
        self
    }

    /// Replaces the configuration.
    fn instead(mut self, text: impl AsRef<[u8]>) -> Self {
        self.name = format!("{}, instead {:?}", self.name, String::from_utf8_lossy(text.as_ref()));
        self.instead = Some(text.as_ref().to_vec());
        self
    }

    /// Adds a file to the folder.
    fn file(mut self, name: &'static str, content: impl AsRef<[u8]>) -> Self {
        self.name = format!("{}, {name} holds {:?}", self.name, String::from_utf8_lossy(content.as_ref()));
        self.files.push((name, content.as_ref().to_vec()));
        self
    }

    /// Sets an environment variable.
    fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        let value = value.into();
        self.name = format!("{}, {name}=«{}»", self.name, value.display());
        self.environment.push((name.into(), value));
        self
    }

    /// Sets the expected exit code and texts.
    fn says(mut self, code: i32, words: &[&str]) -> Self {
        self.code = code;
        self.says = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Runs the command. `Err` describes the differences from the expectation.
    fn check(&self, world: &World) -> Result<(), String> {
        let configuration = format!("{}\n{}", world.configuration_with(&self.settings), self.behind).into_bytes();
        std::fs::write(world.folder().join("syncd.toml"), self.instead.as_ref().unwrap_or(&configuration)).unwrap();
        for (name, content) in &self.files {
            std::fs::write(world.folder().join(name), content).unwrap();
        }
        let mut command = world.command_as_it_is(&[]);
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        // This fails if the output contains a secret.
        let finished = world.start(command).wait();
        let said = format!("{}{}", finished.stdout, finished.stderr);
        let mut wrong = Vec::new();
        if finished.code != Some(self.code) {
            wrong.push(format!("exit code {:?}", finished.code));
        }
        wrong
            .extend(self.says.iter().filter(|word| !said.contains(*word)).map(|word| format!("does not say {word:?}")));
        let complaint = finished.complaint();
        // One error shows how to write an integration, on several lines.
        let is_long = complaint.lines().count() != 1 && !complaint.contains("[[integrations]]\n");
        if complaint.starts_with("syncd: ") && is_long {
            wrong.push("more than one line".to_owned());
        }
        if said.chars().any(|c| c.is_control() && !['\n', '\t'].contains(&c)) {
            wrong.push("characters that a terminal would act on".to_owned());
        }
        if self.code != 0 && !finished.stdout.is_empty() && !self.name.starts_with("config check") {
            wrong.push("something is reported".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{}: {}\n  {said:?}", self.name, wrong.join(", "))) }
    }
}

fn tables() -> Vec<Case> {
    [command_line::table(), settings::table(), surroundings::table()].into_iter().flatten().collect()
}

fn assert_each(cases: &[Case]) {
    let mut world = World::new(Backend::Sqlite, SandboxConfig::empty());
    world.name_integrations(&[]);
    let Database::Sqlite(mirror) = &world.database else { panic!("a file") };
    let mut wrong = Vec::new();
    for case in cases {
        wrong.extend(case.check(&world).err());
        // `sync` creates the tables before it determines what to fetch.
        if mirror.exists() {
            if !case.name.starts_with("sync") {
                wrong.push(format!("{}: it made a database", case.name));
            }
            std::fs::remove_file(mirror).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(world.sandbox.requests().iter().all(|request| !request.path.contains("/lms/")), "no record is asked for");
}

#[test]
fn what_is_wrong_on_the_command_line_is_said() {
    assert_each(&command_line::table());
}

#[test]
fn what_is_wrong_in_the_configuration_is_said() {
    assert_each(&settings::table());
}

#[test]
fn what_is_wrong_around_it_is_said() {
    assert_each(&surroundings::table());
}

/// The documentation states the number of cases.
#[test]
fn as_many_cases_as_documented() {
    let cases = tables();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "each row is another one");
    assert!(cases.len() >= 150, "{}", cases.len());
    let documented = format!("{} commands", cases.len());
    let text = include_str!("../../../../docs/reliability.md");
    assert!(text.contains(&documented), "docs/reliability.md says how many there are: {documented}");
}
