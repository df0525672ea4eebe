//! A pseudo-terminal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Text that would do harm on a terminal or in a line-based log: it sets the window title, rings, colours, reverses the
/// order of the following text, and starts new lines.
pub const HOSTILE: &str = "x\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}\rFORGED\nFORGED\u{2028}FORGED";

/// Fails unless the hostile text is shown, and shown as text only.
#[track_caller]
pub fn assert_harmless(what: &str, shown: &str) {
    assert!(shown.contains("FORGED"), "{what}: it is shown: {shown:?}");
    for harm in ["\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}", "\rFORGED", "\nFORGED", "\u{2028}"] {
        assert!(!shown.contains(harm), "{what}: {harm:?} is shown as it is: {shown:?}");
    }
}

/// A process with its own terminal. It is killed if nobody waits for its end.
#[derive(Debug)]
pub struct OnTerminal {
    child: Child,
    reader: Option<JoinHandle<Vec<u8>>>,
}

impl OnTerminal {
    /// Starts a command with its output and errors on a terminal.
    pub fn start(mut command: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let name = OsStr::from_bytes(name.as_bytes());
        let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        command.stdin(Stdio::null()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
        let child = command.spawn().expect("syncd can be started");
        // Our copy of the process's side would keep the terminal open.
        drop(command);
        let mut ours = File::from(ours);
        let reader = std::thread::spawn(move || {
            let (mut shown, mut part) = (Vec::new(), [0; 4096]);
            // On some systems the end of the terminal is an error.
            while let Ok(length @ 1..) = ours.read(&mut part) {
                shown.extend_from_slice(&part[..length]);
            }
            shown
        });
        Self { child, reader: Some(reader) }
    }

    /// Returns the process id.
    #[allow(dead_code, reason = "for the tests of the daemon")]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end, and returns the exit code and everything written to the terminal.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let shown = self.reader.take().unwrap().join().unwrap();
        (code, String::from_utf8(shown).expect("text"))
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
