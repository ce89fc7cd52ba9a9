//! The hot thread's core: the best that can be had, and in words what could not.
//!
//! `auto` takes an isolated core before one that is only tickless (one in the process's mask first:
//! somebody chose it), and of equals the highest, because interrupts and other work gather on the
//! low ones. Where the kernel keeps no core free it does not pin: a thread pinned to a core that
//! others use cannot be moved out of their way. That is the meaning of `auto`, not a measured gain:
//! parked on two shared cores, pinned and unpinned did not differ beyond the noise. It never fails.
//! A core that was asked for by number is given or is an error.

use std::path::Path;

use crate::{
    config::settings,
    host::{
        CoreLock, Cores, CpuList, HostError, NO_AFFINITY,
        core_lock::{Attempt, attempt},
    },
};

/// Where the hot thread goes.
#[derive(Debug)]
pub struct CoreChoice {
    /// The core, or none: not pinned.
    pub core: Option<usize>,
    /// True if the kernel keeps other threads off it.
    pub isolated: bool,
    /// What could not be had, a sentence each, for the log at start.
    pub caveats: Vec<String>,
    /// Keeps other Hotspurs off the core while it lives.
    pub lock: Option<CoreLock>,
}

/// Client threads that spin, where nobody says on which cores: the one that reads and the one that
/// writes.
const SPINNING_CLIENTS: usize = 2;

impl CoreChoice {
    fn unpinned(caveats: Vec<String>) -> CoreChoice {
        CoreChoice { core: None, isolated: false, caveats, lock: None }
    }
}

/// Chooses and locks a core; lock files are in `lock_folder` (usually `core_lock::folder()`).
pub fn choose_core(
    wanted: settings::Core,
    cores: &Cores,
    lock_folder: &Path,
) -> Result<CoreChoice, HostError> {
    match wanted {
        settings::Core::None => Ok(CoreChoice::unpinned(Vec::new())),
        settings::Core::Number(core) => choose_number(core, cores, lock_folder),
        settings::Core::Auto => Ok(choose_best(cores, lock_folder)),
    }
}

/// Cores for threads of the client library that spin.
#[derive(Debug, Default)]
pub struct ClientCores {
    /// One thread each, in this order.
    pub cores: Vec<usize>,
    /// What could not be had, a sentence each.
    pub caveats: Vec<String>,
    /// Keep other Hotspurs off those cores while they live.
    pub locks: Vec<CoreLock>,
}

/// Chooses and locks cores for client threads that spin: those that were asked for, else isolated
/// ones that nobody holds. A core that cannot be had is told, and left out.
pub fn choose_client_cores(
    wanted: Option<&[usize]>,
    cores: &Cores,
    hot_core: Option<usize>,
    lock_folder: &Path,
) -> ClientCores {
    let mut chosen = ClientCores::default();
    let reachable = cores.reachable();
    let (candidates, enough) = client_candidates(wanted, cores);
    for core in candidates.into_iter().filter(|core| hot_core != Some(*core)) {
        if chosen.cores.len() == enough {
            break;
        }
        if !reachable.contains(core) {
            let usable = format!("this process may run on cores {reachable}");
            chosen.caveats.push(format!("no client thread spins on core {core}: {usable}"));
            continue;
        }
        match attempt(lock_folder, core) {
            Attempt::Locked(lock) => chosen.locks.push(lock),
            Attempt::Held(holder) => {
                chosen.caveats.push(holder);
                continue;
            }
            Attempt::Unknown(why) => chosen.caveats.push(unlocked(core, &why)),
        }
        chosen.cores.push(core);
    }
    if chosen.cores.is_empty() {
        let told = "no client thread spins: there is no core for one; \
                    engine.client_cores = \"2,3\" names some, engine.spin_clients = false none";
        chosen.caveats.push(told.to_owned());
    }
    chosen
}

/// Cores for client threads that spin, the best first, and how many of them are taken.
pub(super) fn client_candidates(wanted: Option<&[usize]>, cores: &Cores) -> (Vec<usize>, usize) {
    let isolated = || cores.isolated.and(&cores.reachable()).iter().rev().collect();
    wanted.map_or_else(|| (isolated(), SPINNING_CLIENTS), |it| (it.to_vec(), it.len()))
}

/// Cores for everything but the threads that have cores of their own: as configured, else those of
/// the mask that are neither taken nor isolated, else whatever there is. Empty only where the mask
/// is: there is none.
pub fn housekeeping_cores(
    wanted: Option<&[usize]>,
    cores: &Cores,
    hot_core: Option<usize>,
    client_cores: &[usize],
) -> CpuList {
    if cores.allowed.is_empty() {
        return CpuList::default();
    }
    let hot: CpuList = hot_core.into_iter().collect();
    let all: CpuList = hot.or(&client_cores.iter().copied().collect());
    if let Some(wanted) = wanted {
        // `auto` may have taken one of them for the hot thread or a client's.
        let wanted = wanted.iter().copied().collect::<CpuList>().and(&cores.reachable());
        let usable = [wanted.without(&all), wanted.without(&hot)];
        if let Some(usable) = usable.into_iter().find(|it| !it.is_empty()) {
            return usable;
        }
    }
    let beside = |taken: &CpuList| cores.allowed.without(taken);
    let elsewhere = cores.reachable().without(&all).without(&cores.isolated);
    [beside(&all).without(&cores.isolated), beside(&all), elsewhere, beside(&hot)]
        .into_iter()
        .find(|it| !it.is_empty())
        .unwrap_or_else(|| cores.allowed.clone())
}

fn choose_number(core: usize, cores: &Cores, folder: &Path) -> Result<CoreChoice, HostError> {
    let usable = cores.reachable();
    if cores.allowed.is_empty() {
        return Err(HostError::CoreUnknown { core });
    }
    if !usable.contains(core) {
        return Err(HostError::CoreUnusable { core, usable });
    }
    let mut caveats = Vec::new();
    let lock = match attempt(folder, core) {
        Attempt::Locked(lock) => Some(lock),
        Attempt::Held(holder) => return Err(HostError::CoreTaken { core, holder }),
        Attempt::Unknown(why) => {
            caveats.push(unlocked(core, &why));
            None
        }
    };
    Ok(chosen(core, cores, lock, caveats))
}

fn choose_best(cores: &Cores, folder: &Path) -> CoreChoice {
    if cores.allowed.is_empty() {
        return CoreChoice::unpinned(vec![format!("the hot thread is not pinned: {NO_AFFINITY}")]);
    }
    let mut caveats = Vec::new();
    for core in candidates(cores) {
        match attempt(folder, core) {
            Attempt::Locked(lock) => return chosen(core, cores, Some(lock), caveats),
            Attempt::Held(holder) => caveats.push(holder),
            Attempt::Unknown(why) => {
                caveats.push(unlocked(core, &why));
                return chosen(core, cores, None, caveats);
            }
        }
    }
    caveats.push(
        "the hot thread is not pinned: no isolated core is free (isolcpus= or a cpuset makes \
         some; engine.core = N pins to one that others use, too)"
            .to_owned(),
    );
    CoreChoice::unpinned(caveats)
}

/// Cores for `auto`, the best first: those that the kernel keeps others or its tick off.
pub(super) fn candidates(cores: &Cores) -> Vec<usize> {
    let reachable = cores.reachable();
    let isolated = cores.isolated.and(&reachable);
    let tickless = cores.tickless.and(&reachable).without(&isolated);
    let mut order: Vec<_> = isolated.and(&cores.allowed).iter().rev().collect();
    order.extend(isolated.without(&cores.allowed).iter().rev());
    order.extend(tickless.iter().rev());
    let alone = cores.allowed.len() == 1 && reachable.len() == 1;
    if alone { Vec::new() } else { order }
}

fn chosen(
    core: usize,
    cores: &Cores,
    lock: Option<CoreLock>,
    mut caveats: Vec<String>,
) -> CoreChoice {
    let isolated = cores.isolated.contains(core);
    if !isolated {
        caveats.push(format!(
            "core {core} is not isolated: other programs may run there (isolcpus= or a cpuset)"
        ));
    } else if !cores.tickless.contains(core) {
        caveats.push(format!(
            "core {core} is isolated, but the scheduler's tick still interrupts it (nohz_full=)"
        ));
    }
    CoreChoice { core: Some(core), isolated, caveats, lock }
}

fn unlocked(core: usize, why: &str) -> String {
    format!("core {core} cannot be locked against a second process: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use settings::Core;

    fn cores(online: &str, isolated: &str, tickless: &str, allowed: &str) -> Cores {
        let list = |text: &str| text.parse::<CpuList>().unwrap();
        Cores {
            online: list(online),
            isolated: list(isolated),
            tickless: list(tickless),
            cpuset: None,
            allowed: list(allowed),
        }
    }

    /// The core that `auto` takes, whether it is isolated, and what is said about it.
    fn auto(cores: &Cores) -> (Option<usize>, bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let choice = choose_core(Core::Auto, cores, folder.path()).unwrap();
        (choice.core, choice.isolated, choice.caveats.join("; "))
    }

    #[test]
    fn auto_takes_an_isolated_core_though_the_mask_lacks_it() {
        let tuned = cores("0-7", "4-7", "4-7", "0-3");
        assert_eq!(auto(&tuned), (Some(7), true, String::new()));
        let chosen_by_somebody = cores("0-7", "4-7", "4-7", "0-3,5");
        assert_eq!(auto(&chosen_by_somebody).0, Some(5));
        let bounded = Cores { cpuset: Some("0-4".parse().unwrap()), ..tuned };
        assert_eq!(auto(&bounded).0, Some(4));
    }

    #[test]
    fn auto_says_what_could_not_be_had() {
        let (core, isolated, said) = auto(&cores("0-1", "", "", "0-1"));
        assert_eq!((core, isolated), (None, false));
        assert!(said.contains("not pinned: no isolated core is free"), "{said}");
        let (core, isolated, said) = auto(&cores("0-1", "", "1", "0-1"));
        assert_eq!((core, isolated), (Some(1), false));
        assert!(said.contains("core 1 is not isolated"), "{said}");
        let (core, isolated, said) = auto(&cores("0-3", "3", "", "0-2"));
        assert_eq!((core, isolated), (Some(3), true));
        assert!(said.contains("tick still interrupts"), "{said}");
        let (core, _, said) = auto(&cores("0", "", "", "0"));
        assert_eq!(core, None);
        assert!(said.contains("not pinned"), "{said}");
        let (core, _, said) = auto(&cores("0-3", "3", "3", ""));
        assert_eq!(core, None);
        assert!(said.contains("does not keep threads on cores"), "{said}");
    }

    #[test]
    fn a_container_with_one_core_of_many_is_not_pinned() {
        let bounded = cores("0-63", "", "", "9");
        let container = Cores { cpuset: Some("9".parse().unwrap()), ..bounded };
        assert_eq!(auto(&container).0, None);
    }

    #[test]
    fn a_second_process_gets_the_next_core_and_then_none() {
        let folder = tempfile::tempdir().unwrap();
        let cores = cores("0-2", "1-2", "1-2", "0-2");
        let first = choose_core(Core::Auto, &cores, folder.path()).unwrap();
        let second = choose_core(Core::Auto, &cores, folder.path()).unwrap();
        let third = choose_core(Core::Auto, &cores, folder.path()).unwrap();
        assert_eq!((first.core, second.core, third.core), (Some(2), Some(1), None));
        assert!(second.caveats[0].starts_with("core 2 is held by process"), "{second:?}");
        assert_eq!(third.caveats.len(), 3, "{third:?}");
        let error = choose_core(Core::Number(2), &cores, folder.path()).unwrap_err();
        assert!(error.to_string().contains("core 2 is held by process"), "{error}");
        drop(first);
        let again = choose_core(Core::Number(2), &cores, folder.path()).unwrap();
        assert_eq!(again.core, Some(2));
    }

    #[test]
    fn a_number_is_given_or_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let cores = cores("0-3", "3", "3", "0-2");
        let choice = choose_core(Core::Number(3), &cores, folder.path()).unwrap();
        assert_eq!((choice.core, choice.isolated), (Some(3), true));
        assert!(choice.lock.is_some() && choice.caveats.is_empty());
        let error = choose_core(Core::Number(4), &cores, folder.path()).unwrap_err().to_string();
        let expected = "engine.core = 4: this process may run on cores 0-3; choose one of them";
        assert_eq!(error, expected);
        let unmasked = Cores { allowed: CpuList::default(), ..cores.clone() };
        let nowhere = choose_core(Core::Number(0), &unmasked, folder.path()).unwrap_err();
        let expected = "engine.core = 0: this system does not keep threads on cores; choose \
                        \"auto\" or \"none\"";
        assert_eq!(nowhere.to_string(), expected);
        assert_eq!(choose_core(Core::None, &cores, folder.path()).unwrap().core, None);
    }

    #[test]
    fn clients_spin_on_isolated_cores_that_nobody_holds() {
        let folder = tempfile::tempdir().unwrap();
        let tuned = cores("0-7", "4-7", "", "0-3");
        let choose = |wanted: Option<&[usize]>, hot| {
            choose_client_cores(wanted, &tuned, Some(hot), folder.path())
        };
        let first = choose(None, 7);
        assert_eq!((first.cores.as_slice(), first.locks.len()), (&[6, 5][..], 2));
        let second = choose(None, 4);
        assert_eq!(second.cores, [7]);
        assert!(second.caveats[0].starts_with("core 6 is held by process"), "{second:?}");
        drop((first, second));
        assert_eq!(choose(Some(&[2, 3, 1]), 7).cores, [2, 3, 1]);
        let beyond = choose(Some(&[9]), 7);
        assert!(beyond.cores.is_empty());
        let told = beyond.caveats.join("; ");
        assert!(told.contains("core 9: this process may run on cores 0-7"), "{told}");
        assert!(told.contains("no client thread spins: there is no core for one"), "{told}");
        let shared = cores("0-1", "", "", "0-1");
        assert!(choose_client_cores(None, &shared, None, folder.path()).cores.is_empty());
    }

    #[test]
    fn housekeeping_keeps_off_hot_and_isolated_cores_where_it_can() {
        let tuned = cores("0-7", "4-7", "", "0-7");
        assert_eq!(housekeeping_cores(None, &tuned, Some(7), &[]).to_string(), "0-3");
        assert_eq!(housekeeping_cores(Some(&[2, 9]), &tuned, Some(7), &[]).to_string(), "2");
        // The list is taken without what `auto` took of it, and not at all if nothing is left.
        assert_eq!(housekeeping_cores(Some(&[2, 7]), &tuned, Some(7), &[]).to_string(), "2");
        assert_eq!(housekeeping_cores(Some(&[7]), &tuned, Some(7), &[]).to_string(), "0-3");
        let small = cores("0-1", "", "", "0-1");
        assert_eq!(housekeeping_cores(None, &small, Some(1), &[]).to_string(), "0");
        assert_eq!(housekeeping_cores(None, &small, None, &[]).to_string(), "0-1");
        let narrow = cores("0-3", "3", "", "3");
        assert_eq!(housekeeping_cores(None, &narrow, Some(3), &[]).to_string(), "0-2");
        assert_eq!(housekeeping_cores(None, &small, Some(1), &[0]).to_string(), "0");
        assert_eq!(housekeeping_cores(None, &tuned, Some(7), &[2, 6]).to_string(), "0-1,3");
        let single = cores("0", "", "", "0");
        assert_eq!(housekeeping_cores(None, &single, Some(0), &[]).to_string(), "0");
        assert!(housekeeping_cores(Some(&[1]), &cores("0-1", "", "", ""), None, &[]).is_empty());
    }
}
