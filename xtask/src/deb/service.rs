use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Returns the command of a unit, with its user, folder, environment and umask. Other restrictions of the unit are left
/// to systemd.
pub(super) fn command(unit: &str) -> Result<Command> {
    let one = |key: &str| -> Result<&str> {
        let mut values = values(unit, key);
        let value = values.next().with_context(|| format!("the unit has no {key}"))?;
        ensure!(values.next().is_none(), "the unit has several {key}");
        Ok(value)
    };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", one("User")?, "--regid", one("Group")?, "--init-groups", "--no-new-privs"]);
    command.args(["--bounding-set=-all", "--"]);
    command.args(["sh", "-c", "umask \"$1\" && shift && exec \"$@\"", "sh", one("UMask")?]);
    command.args(one("ExecStart")?.split(' '));
    command.current_dir(Path::new(one("WorkingDirectory")?)).env_clear().env("PATH", "/usr/bin:/bin");
    for line in values(unit, "Environment") {
        let (name, value) = line.split_once('=').context("a variable and its value")?;
        ensure!(!value.contains('%'), "{name} needs systemd: {value}");
        command.env(name, value);
    }
    ensure!(values(unit, "LoadCredential").next().is_none(), "credentials need systemd");
    Ok(command)
}

/// Returns the values of a key, in order.
pub(super) fn values<'a>(unit: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    unit.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "[Service]\nExecStart=/usr/bin/it run --config x\nUser=me\nGroup=us\nUMask=0077\n\
                        WorkingDirectory=/var/lib/it\nEnvironment=A=b=c\n#Environment=D=e\n";

    #[test]
    fn a_command_is_what_the_unit_says() {
        let command = command(UNIT).unwrap();
        let line: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        assert!(line.ends_with(&["0077".into(), "/usr/bin/it".into(), "run".into(), "--config".into(), "x".into()]));
        assert_eq!(line.get(..4).unwrap(), ["--reuid", "me", "--regid", "us"]);
        let variables: Vec<_> = command.get_envs().map(|(name, _)| name.to_string_lossy()).collect();
        assert_eq!(variables, ["A", "PATH"]);
        assert_eq!(command.get_current_dir().unwrap(), Path::new("/var/lib/it"));
    }

    #[test]
    fn what_only_systemd_can_do_is_refused() {
        for (line, why) in
            [("LoadCredential=a:b", "credentials"), ("Environment=A=%d/a", "systemd"), ("User=x", "several")]
        {
            let error = command(&format!("{UNIT}{line}\n")).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(command("[Service]\n").is_err());
    }
}
