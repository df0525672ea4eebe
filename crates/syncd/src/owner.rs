//! Identity of this process in leases, and whether the owner of a lease still runs.

use std::path::Path;

/// Identifies this process by the machine's boot, the process namespace, the process id and the start time. On systems
/// without these, returns a unique name, and its leases end by expiry only.
pub(crate) fn this_process() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = host.trim();
    match place() {
        Some(place) => {
            let pid = std::process::id();
            let start = start_of(pid).unwrap_or_default();
            format!("{host}/{place}/{pid}/{start}")
        }
        None => format!("{host}/-/{}/{:016x}", std::process::id(), fastrand::u64(..)),
    }
}

/// Whether `owner` was a process of this machine that has ended.
pub(crate) fn is_gone(owner: &str) -> bool {
    let mut parts = owner.rsplit('/');
    let (Some(start), Some(pid), Some(place_of_owner)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Ok(pid) = pid.parse::<u32>() else { return false };
    place().is_some_and(|here| here == place_of_owner) && start_of(pid).unwrap_or_default() != start
}

/// Identifies the machine's boot and the process namespace.
fn place() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let namespace: String = namespace.to_str()?.chars().filter(char::is_ascii_digit).collect();
    Some(format!("{}-{namespace}", boot.trim().get(..13)?))
}

/// Returns the start of a running process, in ticks since the boot, because process ids are reused.
fn start_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name, in parentheses, may contain anything. The start is field 22, the 20th after the name.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // An ended process stays listed until its parent collects its exit code, which some never do.
    let runs = !matches!(fields.next()?, "Z" | "X");
    fields.nth(18).filter(|_| runs).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself_and_the_dead() {
        let me = this_process();
        assert!(!is_gone(&me));
        assert!(!is_gone("elsewhere/00000000-0000-4026531836/1/1"));
        assert!(!is_gone(""));
        if let Some(place) = place() {
            let mut child = std::process::Command::new("true").spawn().unwrap();
            let pid = child.id();
            let start = start_of(pid).unwrap_or_default();
            let owner = format!("host/{place}/{pid}/{start}");
            // The process has ended, but its exit code was not collected yet.
            while !start.is_empty() && !is_gone(&owner) {
                std::thread::yield_now();
            }
            child.wait().unwrap();
            assert!(is_gone(&format!("host/{place}/{pid}/12345")));
            assert!(is_gone(&format!("host/{place}/{}/other", std::process::id())));
        }
    }
}
