//! Sets of cores in the kernel's notation: `0-3,8`, as in `/sys`, `/proc` and the configuration.

use std::{collections::BTreeSet, fmt, str::FromStr};

use thiserror::Error;

/// Cores that can be named at most: what the kernel's fixed-size affinity mask holds.
pub const CORES_MAX: usize = 1024;

/// A set of cores.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuList {
    cores: BTreeSet<usize>,
}

/// A text that is no list of cores.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("\"{text}\" is no list of cores such as \"0-3,8\", each below {CORES_MAX}")]
pub struct CpuListError {
    /// The text.
    pub text: String,
}

impl CpuList {
    /// True if the core is in it.
    pub fn contains(&self, core: usize) -> bool {
        self.cores.contains(&core)
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.cores.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cores.len()
    }

    /// From the lowest to the highest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.cores.iter().copied()
    }

    /// Those in both.
    #[must_use]
    pub fn and(&self, other: &CpuList) -> CpuList {
        self.iter().filter(|core| other.contains(*core)).collect()
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without(&self, other: &CpuList) -> CpuList {
        self.iter().filter(|core| !other.contains(*core)).collect()
    }

    /// Those in either.
    #[must_use]
    pub fn or(&self, other: &CpuList) -> CpuList {
        self.iter().chain(other.iter()).collect()
    }
}

impl FromIterator<usize> for CpuList {
    fn from_iter<T: IntoIterator<Item = usize>>(cores: T) -> CpuList {
        CpuList { cores: cores.into_iter().collect() }
    }
}

impl FromStr for CpuList {
    type Err = CpuListError;

    /// White space around it, and an empty text for an empty set, are as the kernel writes them;
    /// so is `(null)`, which old kernels print for no isolated core.
    fn from_str(text: &str) -> Result<CpuList, CpuListError> {
        let error = || CpuListError { text: text.trim().to_owned() };
        let mut cores = BTreeSet::new();
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed == "(null)" {
            return Ok(CpuList::default());
        }
        for part in trimmed.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<usize>().map_err(|_| error());
            let (first, last) = (number(first)?, number(last)?);
            if first > last || last >= CORES_MAX {
                return Err(error());
            }
            cores.extend(first..=last);
        }
        Ok(CpuList { cores })
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = rest.next() {
            let mut last = first;
            while let Some(next) = rest.next_if(|next| next - last == 1) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_of_the_kernel_are_read() {
        let cases = [
            ("0-1\n", vec![0, 1]),
            ("", vec![]),
            ("\n", vec![]),
            (" (null)\n", vec![]),
            ("2,4-7", vec![2, 4, 5, 6, 7]),
            ("3,3,1-3", vec![1, 2, 3]),
            ("1023", vec![1023]),
        ];
        for (text, cores) in cases {
            let list: CpuList = text.parse().unwrap();
            assert_eq!(list.iter().collect::<Vec<_>>(), cores, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_text() {
        for text in ["a", "1-", "-1", "3-1", "1,,2", "1024", "0-99999999999999999999", "1;2"] {
            let error = text.parse::<CpuList>().unwrap_err();
            assert_eq!(error.text, text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(cores in prop::collection::btree_set(0..CORES_MAX, 0..40)) {
            let list: CpuList = cores.into_iter().collect();
            prop_assert_eq!(list.to_string().parse::<CpuList>().unwrap(), list);
        }
    }

    #[test]
    fn runs_are_written_as_ranges() {
        let list: CpuList = [0, 1, 2, 5, 7, 8].into_iter().collect();
        assert_eq!(list.to_string(), "0-2,5,7-8");
        assert_eq!(list.without(&"1-7".parse().unwrap()).to_string(), "0,8");
        assert_eq!(
            list.and(&"1-5".parse().unwrap()).or(&"9".parse().unwrap()).to_string(),
            "1-2,5,9"
        );
    }
}
