//! Recorded trees: what each check must find in them, and that none falls over what is not there.

use std::collections::BTreeSet;

use super::{CHECKS, Check, Finding, Host, Level, Outcome, PROCESS_CHECKS, Wish};
use crate::host::{Cores, CpuList, cores::tests::tree};

/// One recorded tree, and what a check finds in it. The wish is the strictest, for core 3 of 0-3.
#[derive(Debug)]
pub(super) struct Case {
    files: &'static [(&'static str, &'static str)],
    outcome: Outcome,
    says: &'static str,
    given: fn(&mut Host, &mut Wish),
}

impl Case {
    const fn new(
        outcome: Outcome,
        files: &'static [(&'static str, &'static str)],
        says: &'static str,
    ) -> Case {
        Case { files, outcome, says, given: |_, _| {} }
    }

    pub(super) const fn fit(
        files: &'static [(&'static str, &'static str)],
        says: &'static str,
    ) -> Case {
        Case::new(Outcome::Fit, files, says)
    }

    pub(super) const fn unfit(
        files: &'static [(&'static str, &'static str)],
        says: &'static str,
    ) -> Case {
        Case::new(Outcome::Unfit, files, says)
    }

    pub(super) const fn unknown(
        files: &'static [(&'static str, &'static str)],
        says: &'static str,
    ) -> Case {
        Case::new(Outcome::Unknown, files, says)
    }

    /// With something else changed: another wish, or what was measured.
    pub(super) const fn given(mut self, given: fn(&mut Host, &mut Wish)) -> Case {
        self.given = given;
        self
    }

    fn find(&self, check: &Check) -> Finding {
        let root = tree(self.files);
        let (mut host, mut wish) = recorded(root.path());
        wish.pid = PROCESS_CHECKS.iter().any(|it| it.name == check.name).then_some(100);
        (self.given)(&mut host, &mut wish);
        check.run(&host, &wish)
    }
}

/// A machine of four cores below a root, of which the last is asked for.
fn recorded(root: &std::path::Path) -> (Host, Wish) {
    let list = |text: &str| text.parse::<CpuList>().unwrap();
    let read = Cores::read(root);
    let cores = Cores { online: list("0-3"), allowed: list("0-3"), ..read };
    let mut host = Host::new(root, cores);
    host.locks = root.join("run/user/1000");
    let wish = Wish {
        level: Level::Own,
        core: Some(3),
        why: "a test wants it".to_owned(),
        spins: true,
        housekeeping: list("0-2"),
        lock_memory: false,
        huge_pages: false,
        fifo: false,
        spin_clients: false,
        client_cores: CpuList::default(),
        pid: None,
    };
    (host, wish)
}

fn all() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().chain(PROCESS_CHECKS)
}

#[test]
fn each_check_finds_in_its_recorded_trees_what_is_there() {
    for check in all() {
        for (number, case) in check.cases.iter().enumerate() {
            let finding = case.find(check);
            let told = format!("{} case {number}: {finding:?}", check.name);
            assert_eq!(finding.outcome, case.outcome, "{told}");
            assert!(finding.found.contains(case.says), "no {:?} in {told}", case.says);
            assert_eq!(finding.mend.is_some(), finding.outcome == Outcome::Unfit, "{told}");
            if let Some(mend) = finding.mend {
                let lasts = ["yes", "no"].iter().any(|it| mend.lasts.starts_with(it));
                assert!(lasts && !mend.how.is_empty(), "{}: {mend:?}", check.name);
            }
        }
    }
}

#[test]
fn each_check_is_shown_with_all_its_outcomes() {
    let has = |check: &Check, outcome| check.cases.iter().any(|it| it.outcome == outcome);
    for check in all() {
        assert!(has(check, Outcome::Fit) && has(check, Outcome::Unknown), "{}", check.name);
        assert_eq!(has(check, Outcome::Unfit), !check.informs, "{}", check.name);
    }
    let complete = CHECKS.iter().filter(|check| !check.informs).count();
    assert!(complete >= 25, "{complete} checks");
}

#[test]
fn names_are_one_word_and_costs_are_told() {
    let names: BTreeSet<&str> = all().map(|check| check.name).collect();
    assert_eq!(names.len(), all().count());
    for check in all() {
        let is_word = |name: &str| name.chars().all(|it| it.is_ascii_lowercase() || it == '_');
        assert!(is_word(check.name) && check.cost.len() > 20, "{check:?}");
    }
}

/// Levels and wishes under which no check may fall over.
fn wishes(wish: &Wish) -> Vec<Wish> {
    let all = Wish { lock_memory: true, huge_pages: true, fifo: true, ..wish.clone() };
    let relaxed = Wish { level: Level::Relaxed, core: None, spins: false, ..wish.clone() };
    let shared = Wish { level: Level::Shared, spins: false, ..wish.clone() };
    let clients = Wish { spin_clients: true, pid: Some(100), ..wish.clone() };
    vec![wish.clone(), all, relaxed, shared, clients]
}

#[test]
fn a_machine_that_tells_nothing_is_unknown_and_breaks_no_check() {
    let root = tree(&[]);
    let (host, wish) = recorded(root.path());
    for wish in wishes(&wish) {
        for check in all() {
            let finding = check.run(&host, &wish);
            assert_ne!(finding.outcome, Outcome::Unfit, "{}: {finding:?}", check.name);
        }
    }
    let told = CHECKS.iter().filter(|it| it.run(&host, &wish).outcome == Outcome::Fit);
    // What is not asked for needs no file.
    let names: Vec<&str> = told.map(|it| it.name).collect();
    assert_eq!(names, NOT_ASKED);
}

/// Checks that have nothing to look at where nothing of the kind is configured.
const NOT_ASKED: &[&str] = &[];

#[test]
fn files_full_of_nonsense_break_no_check() {
    let paths: BTreeSet<&str> =
        all().flat_map(|it| it.cases).flat_map(|it| it.files).map(|(path, _)| *path).collect();
    for nonsense in ["\u{0}\u{1}garbage [ : -1", "", "18446744073709551616 -9 x\n\n:::", "0-"] {
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (*path, nonsense)).collect();
        let root = tree(&files);
        let (mut host, wish) = recorded(root.path());
        for path in &paths {
            host.remember(path);
        }
        for wish in wishes(&wish) {
            all().for_each(|check| drop(check.run(&host, &wish)));
        }
    }
}
