//! What the machine is, in a few words, for who reads figures that were measured on it.

use std::{fs, path::Path};

/// Name and value of each that can be found out, below a root folder.
pub fn facts(root: &Path) -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let line = |path: &str| read(path).map(|it| it.trim().to_owned());
    let processors = read("proc/cpuinfo").unwrap_or_default();
    let of_processor = |name: &str| {
        let mut lines = processors.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(it, _)| it.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    let is_virtual = of_processor("flags")
        .map(|flags| flags.split(' ').any(|it| it == "hypervisor"))
        .map(|it| if it { "yes" } else { "no" }.to_owned());
    let found = [
        ("host", line("proc/sys/kernel/hostname")),
        ("cpu", of_processor("model name")),
        ("cores", (cores > 0).then(|| cores.to_string())),
        ("virtual machine", is_virtual),
        ("kernel", line("proc/sys/kernel/osrelease")),
        ("clock source", line("sys/devices/system/clocksource/clocksource0/current_clocksource")),
    ];
    found.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_and_what_is_not_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        assert!(facts(root.path()).is_empty());
        fs::create_dir_all(root.path().join("proc/sys/kernel")).unwrap();
        fs::write(root.path().join("proc/sys/kernel/hostname"), "web1\n").unwrap();
        let processor = "processor\t: 0\nmodel name\t: A CPU @ 3 GHz\nflags\t: fpu hypervisor\n\n";
        fs::write(root.path().join("proc/cpuinfo"), processor.repeat(2)).unwrap();
        let expected = [
            ("host", "web1"),
            ("cpu", "A CPU @ 3 GHz"),
            ("cores", "2"),
            ("virtual machine", "yes"),
        ];
        let expected = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(facts(root.path()), expected);
    }
}
