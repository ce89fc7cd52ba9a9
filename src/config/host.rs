//! The name of this host: what tells instances apart where nobody named them.

use std::{fs, process::Command};

/// The host's name, in characters that fit a file's name.
pub(crate) fn name() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(asked).unwrap_or_else(|| "localhost".to_owned());
    fit(name.trim())
}

/// Where there is no `/proc`, the system's own command knows.
fn asked() -> Option<String> {
    let output = Command::new("hostname").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn fit(name: &str) -> String {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fit: String = name.chars().map(|c| if is_fit(c) { c } else { '-' }).take(100).collect();
    if fit.is_empty() { "localhost".to_owned() } else { fit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name_that_fits() {
        assert!(!name().is_empty());
        assert_eq!(fit("a b/c"), "a-b-c");
        assert_eq!(fit(""), "localhost");
    }
}
