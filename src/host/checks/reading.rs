//! The machine as its files tell it, below a root folder, and as it was measured.
//!
//! A file that is missing or odd ends a check with `Unknown` and the file's name: the readers here
//! return that finding as an error, so that a check reads like the questions that it asks.

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::host::{Cores, CpuList, core_lock};

use super::{Finding, Measured};

/// Text of an odd file that is shown at most, in characters.
const SHOWN_MAX: usize = 40;

/// The machine.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    /// Its cores.
    pub cores: Cores,
    /// Where locks of cores are.
    pub locks: PathBuf,
    /// What files alone do not tell.
    pub measured: Measured,
    /// Files as they were a while ago, by path below the root.
    pub(super) earlier: BTreeMap<String, String>,
}

impl Host {
    /// The machine below `root`, nothing measured yet.
    pub fn new(root: &Path, cores: Cores) -> Host {
        Host {
            root: root.to_owned(),
            cores,
            locks: core_lock::folder(),
            measured: Measured::default(),
            earlier: BTreeMap::new(),
        }
    }

    /// This one.
    pub fn here() -> Host {
        let root = Path::new("/");
        Host::new(root, Cores::read(root))
    }

    /// Where it is read.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Keeps a file as it is now, to be compared with what it is later.
    pub fn remember(&mut self, path: &str) {
        if let Some(text) = self.optional(path) {
            self.earlier.insert(path.to_owned(), text);
        }
    }

    /// The file as it was.
    pub(super) fn earlier(&self, path: &str) -> Result<&str, Finding> {
        let text = self.earlier.get(path);
        text.map(String::as_str).ok_or_else(|| Finding::unknown(format!("/{path} was not watched")))
    }

    /// A file's text without white space around it.
    pub(super) fn text(&self, path: &str) -> Result<String, Finding> {
        let bytes = self.bytes(path)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    pub(super) fn bytes(&self, path: &str) -> Result<Vec<u8>, Finding> {
        fs::read(self.root.join(path))
            .map_err(|error| Finding::unknown(format!("/{path} cannot be read: {error}")))
    }

    pub(super) fn optional(&self, path: &str) -> Option<String> {
        self.text(path).ok()
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// A file that is one value.
    pub(super) fn value<T: FromStr>(&self, path: &str) -> Result<T, Finding> {
        let text = self.text(path)?;
        text.parse().map_err(|_| odd(path, &text))
    }

    /// A file that is a list of cores.
    pub(super) fn list(&self, path: &str) -> Result<CpuList, Finding> {
        self.value(path)
    }

    /// A file that is a mask of cores in hexadecimal digits: `3`, `ff,ffffffff`.
    pub(super) fn mask(&self, path: &str) -> Result<CpuList, Finding> {
        let text = self.text(path)?;
        mask(&text).ok_or_else(|| odd(path, &text))
    }

    /// The word in brackets, of a file that lists what there is: `always [madvise] never`.
    pub(super) fn chosen(&self, path: &str) -> Result<String, Finding> {
        let text = self.text(path)?;
        let inner = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        inner.map(|(word, _)| word.to_owned()).ok_or_else(|| odd(path, &text))
    }

    /// What a link points to, or what the file says where a tree has no links.
    pub(super) fn link(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.root.join(path)).ok();
        let target = target.map(|it| it.to_string_lossy().into_owned());
        target.or_else(|| self.optional(path))
    }

    /// Names in a folder, sorted, numbers by value.
    pub(super) fn names(&self, folder: &str) -> Result<Vec<String>, Finding> {
        let entries = fs::read_dir(self.root.join(folder))
            .map_err(|error| Finding::unknown(format!("/{folder} cannot be read: {error}")))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort_by(|a, b| (number(a), a).cmp(&(number(b), b)));
        Ok(names)
    }

    /// The rest of the line that begins so, in a file of such lines.
    pub(super) fn field(&self, path: &str, name: &str) -> Result<String, Finding> {
        let text = self.text(path)?;
        field(&text, name).ok_or_else(|| Finding::unknown(format!("/{path} has no {name}")))
    }

    /// Cores for everything else than the hot thread.
    pub(super) fn others(&self, core: usize) -> CpuList {
        let hot: CpuList = [core].into_iter().collect();
        let beside = self.cores.online.without(&hot);
        let quiet = beside.without(&self.cores.isolated);
        if quiet.is_empty() { beside } else { quiet }
    }

    /// Whether the processor says that a hypervisor is below; `None`: it does not say.
    pub(super) fn is_virtual(&self) -> Option<bool> {
        let flags = self.flags().ok()?;
        Some(flags.iter().any(|it| it == "hypervisor"))
    }

    /// The flags of the first processor.
    pub(super) fn flags(&self) -> Result<Vec<String>, Finding> {
        let path = "proc/cpuinfo";
        let text = self.text(path)?;
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let mut flags = lines.filter(|(name, _)| name.trim() == "flags");
        let (_, flags) =
            flags.next().ok_or_else(|| Finding::unknown(format!("/{path} lists no flags")))?;
        Ok(flags.split_whitespace().map(str::to_owned).collect())
    }

    /// Whether this process has a right of the system, by its number.
    pub(super) fn is_capable(&self, capability: u32) -> bool {
        let effective = self.field("proc/self/status", "CapEff:").ok();
        let bits = effective.and_then(|it| u64::from_str_radix(&it, 16).ok());
        bits.is_some_and(|bits| bits >> capability & 1 == 1)
    }

    /// A soft limit of this process; `None`: there is none.
    pub(super) fn limit(&self, name: &str) -> Result<Option<u64>, Finding> {
        let rest = self.field("proc/self/limits", name)?;
        let soft = rest.split_whitespace().next().unwrap_or_default();
        match soft {
            "unlimited" => Ok(None),
            soft => soft.parse().map(Some).map_err(|_| odd("proc/self/limits", &rest)),
        }
    }

    /// The kernel's build configuration.
    pub(super) fn kernel_configuration(&self) -> Result<(String, String), Finding> {
        if let Ok(packed) = self.bytes("proc/config.gz") {
            let mut text = String::new();
            let mut unpacked = flate2::read::GzDecoder::new(packed.as_slice());
            if std::io::Read::read_to_string(&mut unpacked, &mut text).is_ok() {
                return Ok(("proc/config.gz".to_owned(), text));
            }
        }
        let release = self.text("proc/sys/kernel/osrelease")?;
        let paths = [format!("boot/config-{release}"), format!("lib/modules/{release}/config")];
        let found = paths.iter().find_map(|path| Some((path.clone(), self.optional(path)?)));
        found.ok_or_else(|| {
            Finding::unknown(format!(
                "neither /proc/config.gz nor /{} is there",
                paths.join(" nor /")
            ))
        })
    }
}

/// That a file is not as it should be.
pub(super) fn odd(path: &str, text: impl Display) -> Finding {
    let text = text.to_string();
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    Finding::unknown(format!("/{path} is not as expected: {shown:?}"))
}

/// The rest of the line that begins with `name`.
pub(super) fn field(text: &str, name: &str) -> Option<String> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.trim().to_owned())
}

fn number(name: &str) -> u64 {
    name.parse().unwrap_or(u64::MAX)
}

fn mask(text: &str) -> Option<CpuList> {
    let digits: Vec<u32> = text
        .chars()
        .rev()
        .filter(|it| *it != ',')
        .map(|it| it.to_digit(16))
        .collect::<Option<_>>()?;
    let is_set = |core: &usize| digits[core / 4] >> (core % 4) & 1 == 1;
    let cores = digits.len() * 4;
    (cores > 0).then(|| (0..cores).filter(is_set).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::cores::tests::tree;

    #[test]
    fn masks_are_read_from_the_right() {
        let read = |text| mask(text).map(|it| it.to_string());
        assert_eq!(read("3").as_deref(), Some("0-1"));
        assert_eq!(read("80,00000001").as_deref(), Some("0,39"));
        assert_eq!((read("x"), read("")), (None, None));
    }

    #[test]
    fn a_packed_kernel_configuration_is_read_before_the_one_in_boot() {
        use std::io::Write;
        let root = tree(&[
            ("proc/sys/kernel/osrelease", "6.1.0-x\n"),
            ("boot/config-6.1.0-x", "CONFIG_HZ=250\n"),
        ]);
        let host = Host::new(root.path(), Cores::default());
        assert!(host.kernel_configuration().unwrap().1.contains("CONFIG_HZ=250"));
        let file = fs::File::create(root.path().join("proc/config.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(b"CONFIG_HZ=1000\n").unwrap();
        packed.finish().unwrap();
        let (path, text) = host.kernel_configuration().unwrap();
        assert_eq!((path.as_str(), text.as_str()), ("proc/config.gz", "CONFIG_HZ=1000\n"));
    }
}
