//! The manifest for Kubernetes and the recipe for an image.

use std::process::Command;

use serde_json::Value;

use super::{accepts, copy, file, project, refuses, run, tool};

const MANIFEST: &str = "tuning/host/kubernetes.yaml";

/// The documents of the manifest.
fn documents() -> Vec<Value> {
    let convert = "import json, sys, yaml\n\
                   print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let text = accepts(tool("python").args(["-c", convert, &project(MANIFEST)]));
    serde_json::from_str(&text).expect("JSON")
}

fn of_kind(kind: &str) -> Value {
    let found = documents().into_iter().find(|it| it["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {MANIFEST}"))
}

fn container() -> Value {
    of_kind("StatefulSet")["spec"]["template"]["spec"]["containers"][0].clone()
}

#[test]
fn the_manifest_keeps_to_the_schemas_of_kubernetes() {
    let validate = || {
        let mut command = tool("kubernetes-validate");
        command.arg("--strict");
        command
    };
    let text = accepts(validate().arg(project(MANIFEST)));
    for kind in ["configmap/hotspur", "service/hotspur", "statefulset/hotspur"] {
        assert!(text.contains(&format!("passed for resource {kind}")), "{text}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let broken = file("kubernetes.yaml").replace("serviceName:", "serviceNames:");
    let path = copy(folder.path(), "broken.yaml", &broken);
    refuses(validate().arg(path), "serviceName");
}

/// Guaranteed, and whole cores: only such pods have cores of their own.
#[test]
fn a_pod_has_whole_cores_of_its_own() {
    let pod = of_kind("StatefulSet")["spec"]["template"]["spec"].clone();
    let containers = pod["containers"].as_array().expect("a list");
    assert!(pod.get("initContainers").is_none() && containers.len() == 1, "each of them counts");
    let resources = &containers[0]["resources"];
    assert_eq!(resources["requests"], resources["limits"]);
    let cores = resources["limits"]["cpu"].as_str().map(str::parse::<u32>);
    assert!(matches!(cores, Some(Ok(2..))), "whole, one for the hot thread: {resources}");
    assert!(resources["limits"]["memory"].is_string(), "{resources}");
}

#[test]
fn probes_and_the_instance_are_those_of_the_program() {
    let container = container();
    for (probe, path) in [("startupProbe", "/readyz"), ("livenessProbe", "/healthz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
    }
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    let instance = environment(&container).find(|it| it["name"] == "HOTSPUR_INSTANCE");
    let source = &instance.expect("an instance")["valueFrom"]["fieldRef"]["fieldPath"];
    assert_eq!(source, "metadata.labels['apps.kubernetes.io/pod-index']");
}

fn environment(container: &Value) -> impl Iterator<Item = &Value> {
    container["env"].as_array().expect("a list").iter()
}

/// The configuration inside it, with the variables that the pod sets.
#[test]
fn the_configuration_in_the_manifest_is_understood() {
    let text = of_kind("ConfigMap")["data"]["hotspur.toml"].as_str().expect("a file").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let path = copy(folder.path(), "hotspur.toml", &text);
    let check = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotspur"));
        command.args(["check", "--effective", "--config"]).arg(&path);
        command.envs(variables.iter().copied()).env("HOTSPUR_INSTANCE", "1");
        command
    };
    let container = container();
    let variables: Vec<(&str, &str)> = environment(&container)
        .filter_map(|it| Some((it["name"].as_str()?, it["value"].as_str()?)))
        .filter(|(name, _)| *name != "HOTSPUR_CONFIG")
        .collect();
    let text = accepts(&mut check(&variables));
    let member = "\"group.instance.id\" = \"${HOTSPUR_INSTANCE}\"";
    for value in ["instance = \"1\"", member, "0.0.0.0:9464", "idle = \"spin\""] {
        assert!(text.contains(value), "no {value} in\n{text}");
    }
    refuses(&mut check(&[("HOTSPUR_ENGINE__IDLE", "spinning")]), "spinning");
}

#[test]
fn hadolint_finds_nothing_in_the_recipe() {
    let recipe = project("tuning/host/Dockerfile");
    assert_eq!(accepts(tool("hadolint").arg(&recipe)), "");
    let folder = tempfile::tempdir().expect("a folder");
    let broken = file("Dockerfile").replace("WORKDIR /source", "WORKDIR source");
    refuses(tool("hadolint").arg(copy(folder.path(), "Dockerfile", &broken)), "DL3000");
}

/// The image brings what the program is linked with: a library, or the package that has it.
#[test]
fn the_image_has_the_libraries_of_the_program() {
    let (_, text) = run(Command::new("ldd").arg(env!("CARGO_BIN_EXE_hotspur")));
    let recipe = file("Dockerfile");
    let base = ["linux-vdso", "/lib64/ld-linux", "libc.", "libm.", "libgcc_s.", "libstdc++."];
    let packages = [("libssl.so.3", "libssl3"), ("libcrypto.so.3", "libssl3")];
    let packages = packages.into_iter().chain([("libz.so.1", "zlib1g")]);
    let packages: Vec<_> = packages.filter(|(_, package)| recipe.contains(package)).collect();
    let names: Vec<&str> = text.lines().filter_map(|it| it.split_whitespace().next()).collect();
    assert!(names.len() > 4, "{text}");
    for name in names {
        let is_there = base.iter().any(|it| name.starts_with(it))
            || packages.iter().any(|(library, _)| name == *library);
        assert!(is_there, "{name} is not in the image");
    }
    let version = format!("FROM rust:{}-bookworm", env!("CARGO_PKG_RUST_VERSION"));
    assert!(recipe.contains(&version), "no {version}");
}
