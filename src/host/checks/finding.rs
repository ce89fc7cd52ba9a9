//! What a check is, and what it may find: fit, unfit, or that it could not tell.
//!
//! A fault is told with the values that were read, what it costs, what mends it, and whether that
//! lasts. What cannot be read is never called fit: not knowing is an outcome of its own.

use super::{Host, Wish};

/// One question to the machine.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, as in the table and in JSON.
    pub name: &'static str,
    /// What a fault costs in latency, with its order of magnitude.
    pub cost: &'static str,
    /// True if it only tells what is so: it never finds a fault.
    pub informs: bool,
    pub(super) run: fn(&Host, &Wish) -> Told,
    /// Recorded trees, and what is to be found in them.
    #[cfg(test)]
    pub(super) cases: &'static [super::cases::Case],
}

impl Check {
    /// Asks it.
    pub fn run(&self, host: &Host, wish: &Wish) -> Finding {
        (self.run)(host, wish).unwrap_or_else(|early| early)
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the configuration wants it.
    Fit,
    /// A fault, for this configuration.
    Unfit,
    /// Not to be told from what can be read here.
    Unknown,
}

impl Outcome {
    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Fit => "fit",
            Outcome::Unfit => "unfit",
            Outcome::Unknown => "unknown",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it ended.
    pub outcome: Outcome,
    /// The values and where they were read; of `Unknown`, why it cannot be told.
    pub found: String,
    /// What can be done, if something is to be done.
    pub mend: Option<Mend>,
}

/// A finding, which may stand before a check is through: `Err` only returns early.
pub(super) type Told = Result<Finding, Finding>;

impl Finding {
    /// Nothing is to be done.
    pub fn fit(found: impl Into<String>) -> Finding {
        Finding { outcome: Outcome::Fit, found: found.into(), mend: None }
    }

    /// A fault, and what mends it.
    pub fn unfit(found: impl Into<String>, mend: Mend) -> Finding {
        Finding { outcome: Outcome::Unfit, found: found.into(), mend: Some(mend) }
    }

    /// Why it cannot be told.
    pub fn unknown(found: impl Into<String>) -> Finding {
        Finding { outcome: Outcome::Unknown, found: found.into(), mend: None }
    }

    /// Fit unless it `is_bad`; and what is bad is fit all the same where it does not `matter`.
    pub(super) fn judge(
        is_bad: bool,
        matters: bool,
        found: impl Into<String>,
        mend: impl FnOnce() -> Mend,
    ) -> Finding {
        match (is_bad, matters) {
            (false, _) => Finding::fit(found),
            (true, true) => Finding::unfit(found, mend()),
            (true, false) => {
                Finding::fit(format!("{}; no fault for what is configured", found.into()))
            }
        }
    }
}

/// What to do about a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    /// The command, the kernel parameter, or the setting.
    pub how: String,
    /// Whether it is still so after a reboot, beginning with yes or no, and how to make it so.
    pub lasts: String,
}

impl Mend {
    /// In words.
    pub fn new(how: impl Into<String>, lasts: impl Into<String>) -> Mend {
        Mend { how: how.into(), lasts: lasts.into() }
    }

    /// A kernel variable.
    pub(super) fn sysctl(key: &str, value: impl std::fmt::Display) -> Mend {
        let value = value.to_string();
        let quote = if value.contains(' ') { "'" } else { "" };
        Mend::new(
            format!("sysctl -w {quote}{key}={value}{quote}"),
            format!("no; to keep it: \"{key} = {value}\" in /etc/sysctl.d/90-hotspur.conf"),
        )
    }

    /// A file of `/sys` or `/proc`, by its path below the root.
    pub(super) fn write(path: &str, value: impl std::fmt::Display) -> Mend {
        Mend::new(
            format!("echo {value} > /{path}"),
            format!(
                "no; to keep it: \"w /{path} - - - - {value}\" in /etc/tmpfiles.d/hotspur.conf"
            ),
        )
    }

    /// A parameter of the kernel's command line.
    pub(super) fn boot(parameter: impl std::fmt::Display) -> Mend {
        Mend::new(
            format!(
                "the kernel parameter {parameter} (GRUB_CMDLINE_LINUX in /etc/default/grub, then \
                 update-grub and a reboot)"
            ),
            "yes, from the next boot on",
        )
    }

    /// A key of the configuration, as TOML.
    pub(super) fn setting(setting: impl std::fmt::Display) -> Mend {
        Mend::new(format!("{setting} in the configuration"), "yes, it is in the file")
    }
}
