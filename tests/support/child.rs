//! Child processes that end with the test: on drop, on panic, and when the test program is killed.
//!
//! The kernel can end a child when its parent dies, but it means the parent's thread, and tests run
//! in threads that end early. So one thread, which never ends, starts all children.

use std::{
    fs,
    process::{Child, Command, ExitStatus},
    sync::{
        Mutex, OnceLock,
        mpsc::{self, Sender},
    },
    thread,
};

use super::{await_some, await_true};

/// A child process; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `program`; `prepare` adds arguments, streams and the like.
    pub(crate) fn start(program: &str, prepare: impl FnOnce(&mut Command)) -> Process {
        let mut command = ending_with_parent(program);
        prepare(&mut command);
        let (answer, started) = mpsc::channel();
        nursery().send((command, answer)).expect("the nursery lives as long as the tests");
        let child = started.recv().expect("the nursery answers");
        let child = child.unwrap_or_else(|error| {
            panic!("{program} does not start ({error}); scripts/setup installs it")
        });
        Process { child }
    }

    /// The streams are taken from here.
    pub(crate) fn streams(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal by its short name, as `TERM`. After `STOP` all of its threads stand.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("sh").args(["-c", r#"kill -s "$0" "$1""#, name, &pid]).status();
        assert!(status.expect("sh runs").success(), "signal {name} to process {pid}");
        // The signal is sent; a thread on another core goes on until that core looks.
        if name == "STOP" && cfg!(target_os = "linux") {
            await_true(format!("process {pid} standing"), || stands(&pid));
        }
    }

    /// Lets no file of its grow past that many bytes, until it may again.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let pid = self.child.id().to_string();
        // Only the soft limit, which may be raised again.
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |it| it.to_string());
        let mut command = Command::new("prlimit");
        let status = command.args(["--pid", &pid, &format!("--fsize={limit}:")]).status();
        assert!(status.expect("util-linux is there").success(), "a limit of process {pid}");
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of process {}", self.child.id());
        await_some(what, || self.ended())
    }

    /// Kills it, with no chance to say anything, and waits for its end.
    pub(crate) fn kill(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether no thread of it runs.
fn stands(pid: &str) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it is a process");
    threads.flatten().all(|thread| {
        // A thread that ended meanwhile stands, too.
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { return true };
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        matches!(state, Some('T' | 't' | 'Z' | 'X'))
    })
}

/// Linux has a program that sets this up; elsewhere, a killed test program leaves its children.
fn ending_with_parent(program: &str) -> Command {
    if cfg!(target_os = "linux") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]);
        command
    } else {
        Command::new(program)
    }
}

type Order = (Command, Sender<std::io::Result<Child>>);

fn nursery() -> Sender<Order> {
    static NURSERY: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let start = || {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                // Who no longer waits for the answer has given up on the test.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    };
    NURSERY.get_or_init(start).lock().expect("nobody panics with the nursery").clone()
}
