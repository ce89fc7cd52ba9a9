//! What a service manager hears of a run, on the datagram socket that systemd would give it.

#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    time::Duration,
};

/// Longer than a run of some seconds takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn systemd_hears_the_start_the_watchdog_and_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hotspur"))
        .args(["demo", "--rate", "200", "--for", "1m", "--out", "out"])
        .args(["-s", "observe.listen=127.0.0.1:0", "-s", "engine.core=none"])
        .current_dir(folder.path())
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000")
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("log")).expect("a file"))
        .spawn()
        .expect("the program starts");
    let mut heard: Vec<String> = Vec::new();
    let mut buffer = [0; 4096];
    let mut is_told = false;
    while !heard.iter().any(|it| it == "STOPPING=1") {
        let Ok(length) = socket.recv(&mut buffer) else {
            // It may have ended by itself, and has said why.
            let _ = child.kill();
            let log = fs::read_to_string(folder.path().join("log")).expect("a log");
            panic!("no STOPPING=1 in {PATIENCE:?}, only {heard:?}\n{log}");
        };
        let text = std::str::from_utf8(&buffer[..length]).expect("UTF-8");
        heard.extend(text.lines().map(str::to_owned));
        let turns = heard.iter().filter(|it| *it == "WATCHDOG=1").count();
        if turns > 10 && !is_told {
            is_told = true;
            let told = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status();
            assert!(told.expect("kill is there").success());
        }
    }
    // Nobody listens any more, so that nothing it still says can wait for being read.
    drop(socket);
    assert!(child.wait().expect("it ends").success());
    let count = |line: &str| heard.iter().filter(|it| *it == line).count();
    let place = |line: &str| heard.iter().position(|it| it == line);
    assert_eq!(count("READY=1"), 1, "{heard:?}");
    assert!(place("READY=1") < place("STATUS=ready"), "{heard:?}");
    assert!(place("STATUS=ready") < place("STOPPING=1"), "{heard:?}");
    assert!(count("WATCHDOG=1") > 10, "{heard:?}");
}
