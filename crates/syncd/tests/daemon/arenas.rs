//! How much of its memory the allocator keeps: as many arenas as there are threads, or one.
#![cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]

use std::fs::read_to_string;

use kombo_sandbox::SandboxConfig;

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, world_for};
use crate::program::wait_until;
use crate::world::World;

/// What an arena of a thread takes from the addresses, and where it begins.
const ARENA: u64 = 64 << 20;

/// The arenas of a process besides the first: each begins at such an address, with what is in use, and reserves the rest.
fn arenas(process: u32) -> usize {
    let maps = read_to_string(format!("/proc/{process}/maps")).unwrap();
    let parts: Vec<(u64, u64, &str)> = maps
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (from, to) = words.next()?.split_once('-')?;
            Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?, words.next()?))
        })
        .collect();
    let is_arena = |parts: &&[(u64, u64, &str)]| {
        let [(from, in_use, "rw-p"), (rest, to, "---p")] = parts else { return false };
        from % ARENA == 0 && in_use == rest && to - from == ARENA
    };
    parts.windows(2).filter(is_arena).count()
}

fn after_a_load(world: &World, place: Place, arena_max: Option<&str>) -> usize {
    let mut command = world.command(&["run"]);
    for name in ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"] {
        command.env_remove(name);
    }
    command.envs(arena_max.map(|most| ("MALLOC_ARENA_MAX", most)));
    let daemon = Daemon::launch_as(world, place, command);
    wait_until("the daemon is ready", || daemon.is_ready());
    Look::new(world).wait_until_loaded(world);
    let arenas = arenas(daemon.process.id());
    daemon.stop();
    arenas
}

/// However many threads there are, they share one arena, unless the environment says otherwise.
#[test]
fn threads_share_one_arena() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    assert_eq!(after_a_load(&world, place, None), 0);
    assert_ne!(after_a_load(&world, place, Some("8")), 0, "this test would not see an arena");
}
