//! Which cores are measured, and what is to be said about them beforehand.

use std::path::Path;

use super::Arguments;
use crate::{
    commands::Failure,
    config::settings::Core,
    host::{
        Cores, CpuList, NO_AFFINITY, choose_core,
        core_lock::{Attempt, attempt},
    },
};

/// Cores, from the lowest, and sentences about them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) cores: Vec<usize>,
    pub(super) notes: Vec<String>,
}

/// As the command line says; lock files of other Hotspurs are in `lock_folder`.
///
/// # Errors
///
/// If a core is named that this process cannot use, or several without `--compare`.
pub(super) fn choose(
    arguments: &Arguments,
    cores: &Cores,
    lock_folder: &Path,
) -> Result<Chosen, Failure> {
    let usable = cores.reachable();
    if cores.allowed.is_empty() || usable.is_empty() {
        return Err(Failure::usage(format!("{NO_AFFINITY}, so that none can be watched")));
    }
    let mut notes = Vec::new();
    let wanted = match &arguments.core {
        Some(named) => named.clone(),
        None if arguments.compare => usable.clone(),
        None => [default_core(cores, lock_folder, &mut notes)].into_iter().collect(),
    };
    let missing = wanted.without(&usable);
    if !missing.is_empty() {
        return Err(Failure::usage(format!(
            "--core {missing}: this process may run on cores {usable}; choose one of them"
        )));
    }
    if wanted.len() > 1 && !arguments.compare {
        return Err(Failure::usage(format!(
            "--core {wanted}: several cores are measured with --compare; else name one"
        )));
    }
    if wanted.len() == 1 && arguments.compare {
        notes.push(format!("there is only core {wanted}, and nothing to compare it with"));
    }
    notes.extend(about(&wanted, cores, lock_folder));
    Ok(Chosen { cores: wanted.iter().collect(), notes })
}

/// The core that a run would take; else the highest one, which others use least as a rule.
fn default_core(cores: &Cores, lock_folder: &Path, notes: &mut Vec<String>) -> usize {
    // The lock goes with the choice: a run may begin meanwhile.
    let choice = choose_core(Core::Auto, cores, lock_folder).ok().and_then(|it| it.core);
    choice.unwrap_or_else(|| {
        let highest = cores.allowed.and(&cores.reachable()).iter().next_back();
        let core = highest.or_else(|| cores.reachable().iter().next_back()).unwrap_or(0);
        notes.push(format!(
            "a run would be pinned to no core, because none that is free is isolated: core {core} \
             is measured, the highest that this process may use"
        ));
        core
    })
}

fn about(wanted: &CpuList, cores: &Cores, lock_folder: &Path) -> Vec<String> {
    let mut notes = Vec::new();
    let shared = wanted.without(&cores.isolated);
    if !shared.is_empty() {
        let (is, run) = match shared.len() {
            1 => (format!("core {shared} is"), "there"),
            _ => (format!("cores {shared} are"), "on them"),
        };
        notes.push(format!("{is} not isolated: other programs may run {run}"));
    }
    for core in wanted.iter() {
        if let Attempt::Held(holder) = attempt(lock_folder, core) {
            notes.push(format!("{holder}: each takes the core from the other meanwhile"));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(words: &str) -> Arguments {
        Line::try_parse_from(format!("jitter {words}").split_whitespace()).unwrap().arguments
    }

    fn cores(online: &str, isolated: &str, allowed: &str) -> Cores {
        let list = |text: &str| text.parse::<CpuList>().unwrap();
        Cores {
            online: list(online),
            isolated: list(isolated),
            tickless: list(isolated),
            cpuset: None,
            allowed: list(allowed),
        }
    }

    fn chosen(words: &str, cores: &Cores) -> (Vec<usize>, String) {
        let folder = tempfile::tempdir().unwrap();
        let chosen = choose(&arguments(words), cores, folder.path()).unwrap();
        (chosen.cores, chosen.notes.join("; "))
    }

    #[test]
    fn by_default_it_is_the_core_of_a_run_or_the_highest() {
        let tuned = cores("0-7", "4-7", "0-3");
        assert_eq!(chosen("", &tuned), (vec![7], String::new()));
        let (core, notes) = chosen("", &cores("0-7", "", "0-5"));
        assert_eq!(core, [5]);
        assert!(notes.contains("core 5 is measured, the highest"), "{notes}");
        assert!(notes.contains("core 5 is not isolated"), "{notes}");
    }

    #[test]
    fn comparing_takes_all_cores_or_those_that_are_named() {
        let tuned = cores("0-7", "4-7", "0-3");
        let (all, notes) = chosen("--compare", &tuned);
        assert_eq!(all.len(), 8);
        assert_eq!(notes, "cores 0-3 are not isolated: other programs may run on them");
        assert_eq!(chosen("--compare --core 3,6", &tuned).0, [3, 6]);
        let (_, notes) = chosen("--compare --core 6", &tuned);
        assert_eq!(notes, "there is only core 6, and nothing to compare it with");
    }

    #[test]
    fn a_core_that_cannot_be_used_is_refused_with_those_that_can() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |words: &str, cores: &Cores| {
            choose(&arguments(words), cores, folder.path()).unwrap_err().message
        };
        let tuned = cores("0-7", "4-7", "0-3");
        let expected = "--core 9: this process may run on cores 0-7; choose one of them";
        assert_eq!(refused("--core 9", &tuned), expected);
        let expected = "--core 1-2: several cores are measured with --compare; else name one";
        assert_eq!(refused("--core 1,2", &tuned), expected);
        assert!(refused("", &Cores::default()).starts_with(NO_AFFINITY));
    }

    #[test]
    fn a_core_that_another_hot_thread_has_is_measured_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let tuned = cores("0-7", "4-7", "0-3");
        let taken = choose_core(Core::Number(7), &tuned, folder.path()).unwrap();
        let told = choose(&arguments("--core 7"), &tuned, folder.path()).unwrap();
        assert!(told.notes[0].starts_with("core 7 is held by process"), "{told:?}");
        assert_eq!(choose(&arguments(""), &tuned, folder.path()).unwrap().cores, [6]);
        drop(taken);
        // Looking keeps no lock.
        assert_eq!(choose_core(Core::Auto, &tuned, folder.path()).unwrap().core, Some(7));
    }
}
