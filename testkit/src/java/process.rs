//! Child processes that cannot outlive the test that started them.
//!
//! In: a command. Out: a running child that is killed on drop, and also when this process dies
//! without running any destructor: a small shell reads a pipe that only we hold open, and kills the
//! child's pid once the pipe ends. (Linux could do that with a parent-death signal, but setting one
//! takes unsafe code.)

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::outside::Error;

/// A child process that ends with its owner.
#[derive(Debug)]
pub struct Supervised {
    child: Child,
    watch: Watch,
}

impl Supervised {
    /// Starts `command`, in a process group of its own so that Ctrl-C on a terminal reaches the
    /// tests first.
    ///
    /// # Errors
    ///
    /// If the program or the shell beside it cannot be started.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.process_group(0).spawn()?;
        match Watch::killing(child.id()) {
            Ok(watch) => Ok(Self { child, watch }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// The operating system's id of the child itself, not of the shell that watches it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child's pipes, where the command asked for any.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How the child ended, if it has.
    ///
    /// # Errors
    ///
    /// If the operating system refuses to tell.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let ended = self.child.try_wait()?;
        if ended.is_some() {
            self.watch.stand_down();
        }
        Ok(ended)
    }

    /// Waits at most `limit` for the child to end by itself; `None` if it is still running.
    ///
    /// # Errors
    ///
    /// If the operating system refuses to tell.
    pub fn wait_at_most(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            let ended = self.try_wait()?;
            if ended.is_some() || Instant::now() >= deadline {
                return Ok(ended);
            }
            thread::sleep(POLL);
        }
    }

    /// Sends SIGKILL and waits for the end. A child that has ended already is no error.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        // The watcher is sent home before the pid is released: after that it could be another's.
        self.watch.stand_down();
        self.child.wait()
    }

    /// Sends a signal by its name without `SIG`, such as `TERM`, `STOP` or `CONT`.
    ///
    /// # Errors
    ///
    /// If the child has ended or the signal is unknown.
    pub fn signal(&mut self, name: &str) -> io::Result<()> {
        if self.try_wait()?.is_some() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the process has ended"));
        }
        let pid = self.id().to_string();
        let status = shell("kill -s \"$1\" \"$2\"", &[name, &pid]).status()?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("signal {name} was refused")))
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the watcher does the rest if the kill failed.
        let _ = self.kill();
    }
}

/// A shell that does something when the pipe to it ends without a good-bye.
#[derive(Debug)]
pub(crate) struct Watch {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watch {
    /// Kills `pid` when this process is gone.
    pub(crate) fn killing(pid: u32) -> io::Result<Self> {
        Self::start("kill -9 \"$1\"", &pid.to_string())
    }

    /// Removes `folder` when this process is gone, a little later than the others kill, so that
    /// nobody still writes there. If it holds a file named `failed`, only the data of its nodes go.
    pub(crate) fn removing(folder: &Path) -> io::Result<Self> {
        let script = "sleep 1; \
                      if [ -e \"$1/failed\" ]; then rm -rf -- \"$1\"/node-*/data; \
                      else rm -rf -- \"$1\"; fi";
        Self::start(script, &folder.to_string_lossy())
    }

    /// Tells the shell that there is nothing left to do.
    pub(crate) fn stand_down(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // If the shell is gone already, so is the danger of what it would do.
            let _ = pipe.write_all(b"done\n");
            drop(pipe);
            let _ = self.shell.wait();
        }
    }

    fn start(action: &str, argument: &str) -> io::Result<Self> {
        let script =
            format!("trap '' INT TERM HUP; read -r word; [ \"$word\" = done ] || {{ {action}; }}");
        let mut shell = shell(&script, &[argument])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }
}

/// Runs `command` to its end, feeding `input` and collecting what it prints, at most for `limit`.
///
/// `what` names it in errors. A status other than success is not an error here.
///
/// # Errors
///
/// [`Error::TimedOut`] after `limit`, when the child has been killed; [`Error::Io`] if it cannot be
/// started or read.
pub(crate) fn run(
    command: &mut Command,
    what: &str,
    input: &[u8],
    limit: Duration,
) -> Result<Output, Error> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Supervised::spawn(command).map_err(Error::io(format!("starting {what}")))?;
    let pipes = child.child();
    let (stdin, stdout, stderr) = (pipes.stdin.take(), pipes.stdout.take(), pipes.stderr.take());
    thread::scope(|scope| {
        // Feeding and reading at once: either pipe may fill up while the other is waited for.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input)));
        let stdout = scope.spawn(move || read_all(stdout));
        let stderr = scope.spawn(move || read_all(stderr));
        let ended = child.wait_at_most(limit);
        if !matches!(ended, Ok(Some(_))) {
            let _ = child.kill();
        }
        let stdout = stdout.join().unwrap_or_default();
        let stderr = stderr.join().unwrap_or_default();
        match ended.map_err(Error::io(format!("waiting for {what}")))? {
            Some(status) => Ok(Output { status, stdout, stderr }),
            None => Err(Error::timed_out(what, limit, &String::from_utf8_lossy(&stderr))),
        }
    })
}

fn read_all(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What could be read before an error is what there is to show.
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

fn shell(script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg("klamm-testkit").args(arguments);
    command
}

const POLL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader};

    use super::*;

    #[test]
    fn what_is_fed_comes_back_and_the_status_with_it() {
        let mut command = shell("cat; echo trouble >&2; exit 3", &[]);
        let output = run(&mut command, "cat", b"in and out", Duration::from_secs(60)).unwrap();
        assert_eq!(output.stdout, b"in and out");
        assert_eq!(output.stderr, b"trouble\n");
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn a_child_that_does_not_end_is_killed_at_its_limit() {
        let mut command = shell("echo begun >&2; exec sleep 600", &[]);
        let error = run(&mut command, "a sleeper", b"", Duration::from_millis(300)).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }

    #[test]
    fn dropping_ends_the_child() {
        let child = Supervised::spawn(shell("exec sleep 600", &[]).stdin(Stdio::null())).unwrap();
        let pid = child.id();
        drop(child);
        assert!(has_ended(pid));
    }

    #[test]
    fn a_folder_goes_with_its_process_unless_something_failed() {
        let folder = tempfile::tempdir().unwrap();
        let (fine, failed) = (folder.path().join("fine"), folder.path().join("failed-one"));
        for node in [fine.join("node-1/data"), failed.join("node-1/data")] {
            fs::create_dir_all(node).unwrap();
        }
        fs::write(failed.join("failed"), b"").unwrap();
        for folder in [&fine, &failed] {
            let mut watch = Watch::removing(folder).unwrap();
            // What the end of this process would do to the pipe.
            drop(watch.pipe.take());
            watch.shell.wait().unwrap();
        }
        assert!(!fine.exists());
        assert!(failed.join("node-1").exists() && !failed.join("node-1/data").exists());
    }

    /// The child of a child: started by the next test as a process of its own, which is then killed
    /// without a chance to clean up.
    #[test]
    fn helper_that_starts_a_sleeper() {
        if std::env::var_os(HELPER).is_none() {
            return;
        }
        let child = Supervised::spawn(shell("exec sleep 600", &[]).stdin(Stdio::null())).unwrap();
        io::stdout().write_all(format!("pid {}\n", child.id()).as_bytes()).unwrap();
        thread::sleep(Duration::from_secs(600));
    }

    #[test]
    fn a_killed_test_process_takes_its_children_along() {
        let test = "java::process::tests::helper_that_starts_a_sleeper";
        let mut helper = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(HELPER, "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(helper.stdout.take().unwrap()).lines();
        let pid = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("pid ").and_then(|(_, pid)| pid.parse().ok()));
        helper.kill().unwrap();
        helper.wait().unwrap();
        assert!(has_ended(pid.expect("the helper names its child")));
    }

    /// Whether the process ends soon, zombies of a container without an init counted as ended.
    fn has_ended(pid: u32) -> bool {
        let script = "kill -0 \"$1\" 2>/dev/null || exit 0; \
                      grep -q '^State:.Z' \"/proc/$1/status\" 2>/dev/null";
        (0..1_000).any(|_| {
            thread::sleep(Duration::from_millis(20));
            shell(script, &[&pid.to_string()]).status().is_ok_and(|status| status.success())
        })
    }

    const HELPER: &str = "KLAMM_TEST_SLEEPER";
}
