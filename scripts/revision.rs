//! Which commit a release build is of, for `hotspur_build_info`: `HOTSPUR_REVISION` where a packager
//! sets it, else what git says. Development builds do not ask: they would be made anew by each
//! commit.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=HOTSPUR_REVISION");
    let given = env::var("HOTSPUR_REVISION").ok().filter(|it| !it.is_empty());
    let is_release = env::var("PROFILE").is_ok_and(|it| it == "release");
    let revision = given.or_else(|| is_release.then(revision_by_git).flatten());
    println!("cargo:rustc-env=HOTSPUR_REVISION={}", revision.as_deref().unwrap_or("unknown"));
}

/// The short name of the commit that is checked out, if this is a checkout.
fn revision_by_git() -> Option<String> {
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|it| output.status.success() && !it.is_empty())
}
