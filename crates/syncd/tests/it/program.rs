//! A process of the program, and its result.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than any process of these tests takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until a condition is true. Panics if that takes too long.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A running process. It is killed if nobody waits for its end.
#[derive(Debug)]
pub struct Running {
    child: Child,
    began: Instant,
    stdout: PathBuf,
    stderr: PathBuf,
    secrets: Vec<String>,
}

impl Running {
    /// Starts `command`. Its output goes to files, so that it never waits for a reader. It must not contain any of the
    /// secrets.
    pub fn start(command: Command, output: &Path, secrets: Vec<String>) -> Self {
        let (stdout, stderr) = (output.with_extension("out"), output.with_extension("err"));
        let to = [File::create(stdout).unwrap().into(), File::create(stderr).unwrap().into()];
        Self::start_to(command, output, secrets, to)
    }

    /// Starts `command` with these standard streams for output and errors.
    pub fn start_to(mut command: Command, output: &Path, secrets: Vec<String>, to: [Stdio; 2]) -> Self {
        let (stdout, stderr) = (output.with_extension("out"), output.with_extension("err"));
        for file in [&stdout, &stderr] {
            File::options().create(true).append(true).open(file).unwrap();
        }
        let [to_stdout, to_stderr] = to;
        command.stdin(Stdio::null()).stdout(to_stdout).stderr(to_stderr);
        let began = Instant::now();
        Self { child: command.spawn().expect("syncd can be started"), began, stdout, stderr, secrets }
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its standard error so far.
    pub fn stderr_so_far(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills the process like `kill -9`.
    pub fn kill(mut self) -> Finished {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Finished {
        let mut status: Option<ExitStatus> = None;
        wait_until("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let finished = Finished {
            code: status.and_then(|status| status.code()),
            stdout: fs::read_to_string(&self.stdout).unwrap(),
            stderr: fs::read_to_string(&self.stderr).unwrap(),
            took: self.began.elapsed(),
        };
        for output in [&finished.stdout, &finished.stderr] {
            assert!(!output.contains("panicked at"), "{output}");
            for secret in &self.secrets {
                assert!(!output.contains(secret.as_str()), "the output holds a secret: {output}");
            }
        }
        finished
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An ended process.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its whole standard output.
    pub stdout: String,
    /// Its whole standard error.
    pub stderr: String,
    /// Time from start to end.
    pub took: Duration,
}

impl Finished {
    /// Fails unless the exit code is this one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Returns the only JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "one line: {}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// Returns standard error without the log, which has JSON lines.
    pub fn complaint(&self) -> String {
        let lines: Vec<&str> = self.stderr.lines().filter(|line| !line.starts_with('{')).collect();
        lines.join("\n")
    }
}
