//! A container around this process: then cores, locked memory and real-time rights are the
//! orchestrator's to give. Namespaces decide whether there is one; files such as `/.dockerenv` are
//! also left in images that were made machines.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "container",
    cost: "without whole cores of its own a container shares them with all others of the host: \
           stalls of 1-10 ms whenever a neighbour is busy",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

/// The first namespaces have fixed numbers.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

const KUBERNETES: &str = "kubernetes, QoS class";
/// In each pod, also where its group's path is hidden from it.
const KUBERNETES_SECRETS: &str = "var/run/secrets/kubernetes.io";

fn run(host: &Host, wish: &Wish) -> Told {
    let namespace = host.link("proc/self/ns/pid");
    let groups = host.optional("proc/self/cgroup").unwrap_or_default();
    let marks: Vec<&str> =
        [".dockerenv", "run/.containerenv"].into_iter().filter(|it| host.exists(it)).collect();
    let pods = groups.contains("kubepods") || host.exists(KUBERNETES_SECRETS);
    let known = ["docker", "containerd", "libpod", "lxc"].iter().any(|it| groups.contains(it));
    match namespace.as_deref() {
        None if groups.is_empty() => {
            return Ok(Finding::unknown("neither /proc/self/ns/pid nor /proc/self/cgroup tell"));
        }
        Some(FIRST_PID_NAMESPACE) if !pods && !known => return Ok(Finding::fit(outside(&marks))),
        None if !pods && !known && marks.is_empty() => {
            return Ok(Finding::fit("no sign of a container in /proc/self/cgroup"));
        }
        _ => {}
    }
    let all = &host.cores.online;
    let has = host.cores.cpuset.as_ref().filter(|cores| !cores.is_empty()).unwrap_or(all);
    let is_bounded = has.len() < all.len() && has.len() > 1;
    let kind = match pods {
        true => format!("{KUBERNETES} {}", quality(&groups)),
        false => "a container".to_owned(),
    };
    let found = format!("{kind}; its cpuset is {has} of the host's cores {all}");
    Ok(Finding::judge(!is_bounded, wish.own(), found, || mend(pods)))
}

fn outside(marks: &[&str]) -> String {
    let said = "no container: this process is in the first PID namespace";
    match marks.first() {
        Some(mark) => format!("{said} (/{mark} is there all the same)"),
        None => said.to_owned(),
    }
}

fn quality(groups: &str) -> &'static str {
    match groups {
        it if it.contains("besteffort") => "BestEffort",
        it if it.contains("burstable") => "Burstable",
        it if it.contains("kubepods") => "Guaranteed",
        _ => "not told",
    }
}

fn mend(pods: bool) -> Mend {
    match pods {
        true => Mend::new(
            "kubelet --cpu-manager-policy=static on the node, and for the pod requests equal to \
             limits with a whole number of CPUs, at least 2 (QoS class Guaranteed)",
            "yes, it is in the node's and the pod's definition",
        ),
        false => Mend::new(
            "docker run --cpuset-cpus=N-M --ulimit memlock=-1 --ulimit rtprio=99 \
             --cap-add=SYS_NICE",
            "yes, if the container is started with it again (compose: cpuset, ulimits, cap_add)",
        ),
    }
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[
            ("proc/self/ns/pid", "pid:[4026531836]"),
            (".dockerenv", ""),
            ("proc/self/cgroup", "0::/\n"),
        ],
        "no container: this process is in the first PID namespace (/.dockerenv is there",
    ),
    Case::fit(
        &[
            ("proc/self/ns/pid", "pid:[4026532001]"),
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cpuset.cpus.effective", "2-3\n"),
        ],
        "its cpuset is 2-3 of the host's cores 0-3",
    ),
    Case::unfit(
        &[
            ("proc/self/ns/pid", "pid:[4026532001]"),
            ("proc/self/cgroup", "0::/kubepods/burstable/pod1/abc\n"),
        ],
        "kubernetes, QoS class Burstable; its cpuset is 0-3",
    ),
    Case::unfit(
        &[
            ("proc/self/ns/pid", "pid:[4026532001]"),
            ("proc/self/cgroup", "0::/\n"),
            ("var/run/secrets/kubernetes.io/serviceaccount/namespace", "default"),
        ],
        "kubernetes, QoS class not told; its cpuset is 0-3",
    ),
    Case::unfit(&[("proc/self/cgroup", "4:cpu:/docker/abc\n")], "a container"),
    Case::unknown(&[], "neither /proc/self/ns/pid nor"),
];
