use std::fs;
use std::process::Command;

use serde::Serialize;

use super::world::psql;
use crate::process::output;

/// The hardware and software of the measurement, without the machine's name.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: u64,
    system: String,
    rustc: String,
    postgres: String,
    sqlite: String,
    profile: &'static str,
    /// Number of runnable processes at the start, except this one.
    load: String,
}

pub(crate) fn describe() -> Machine {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let said = |program: &str| {
        output(Command::new(program).arg("--version")).unwrap_or_else(|_| "not there".to_owned()).trim().to_owned()
    };
    let kib: u64 = field("/proc/meminfo", "MemTotal").split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    let system = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Machine {
        cpu: field("/proc/cpuinfo", "model name"),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_gib: kib.div_ceil(1 << 20),
        system: format!("Linux {}", system.split('-').next().unwrap_or_default().trim()),
        rustc: said("rustc").split(" (").next().unwrap_or_default().to_owned(),
        postgres: said(&psql().display().to_string()).split(" (").take(2).collect::<Vec<_>>().join(" "),
        sqlite: said("sqlite3").split(' ').next().unwrap_or_default().to_owned(),
        profile: "release",
        load: load.split(' ').next().unwrap_or_default().to_owned(),
    }
}

impl Machine {
    pub(crate) fn line(&self) -> String {
        format!(
            "{}, {} cores, {} GiB; {}; {}; {}; sqlite3 {} for `.import`. Load as it began: {}.",
            self.cpu,
            self.cores,
            self.memory_gib,
            self.system,
            self.rustc,
            self.postgres.replace(')', ""),
            self.sqlite,
            self.load
        )
    }
}
