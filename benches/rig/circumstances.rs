//! What a figure travels with: command, commit, machine, compiler, date.

use std::{env, fs, process::Command};

/// Lines of Markdown. A fact that cannot be found out is said to be unknown.
pub(crate) fn circumstances() -> String {
    let arguments = env::args().skip(1).filter(|it| it != "--bench").collect::<Vec<_>>().join(" ");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    [
        ("command", format!("`cargo bench --bench {} -- {arguments}`", bench_name())),
        ("commit", commit()),
        ("date", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
        ("CPU", format!("{}, {cores} cores to run on", cpu())),
        ("kernel", first_line("uname", &["-sr"])),
        ("compiler", first_line("rustc", &["--version"])),
        ("load average at the start", load_average()),
    ]
    .map(|(name, fact)| format!("- {name}: {fact}\n"))
    .concat()
}

/// The executable's name without the hash behind it.
fn bench_name() -> String {
    let path = env::current_exe().unwrap_or_default();
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    name.split('-').next().unwrap_or_default().to_owned()
}

fn commit() -> String {
    let commit = first_line("git", &["rev-parse", "--short", "HEAD"]);
    let changes = first_line("git", &["status", "--porcelain", "--", "src", "Cargo.toml"]);
    if changes == UNKNOWN { commit } else { format!("{commit}, with changes") }
}

fn cpu() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name"));
    model.map_or(UNKNOWN, |it| it.trim_start_matches([' ', '\t', ':'])).to_owned()
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().filter(|it| !it.is_empty()).unwrap_or(UNKNOWN).to_owned()
}

const UNKNOWN: &str = "unknown";

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|it| it.stdout);
    let text = String::from_utf8(output.unwrap_or_default()).unwrap_or_default();
    text.lines().next().unwrap_or(UNKNOWN).to_owned()
}
