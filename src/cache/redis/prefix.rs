//! A prefix of Redis keys: the pattern that finds them, and the lookup key behind it.

/// The bytes before the lookup key; none means every key.
#[derive(Clone, Debug)]
pub(super) struct Prefix(Vec<u8>);

impl Prefix {
    pub(super) fn new(prefix: &str) -> Prefix {
        Prefix(prefix.as_bytes().to_vec())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// For `SCAN MATCH`: the prefix taken literally, then anything.
    pub(super) fn pattern(&self) -> Vec<u8> {
        let mut pattern = Vec::with_capacity(self.0.len() + 1);
        for &byte in &self.0 {
            if b"*?[]^\\-".contains(&byte) {
                pattern.push(b'\\');
            }
            pattern.push(byte);
        }
        pattern.push(b'*');
        pattern
    }

    /// The lookup key; `None` if the key is not under the prefix.
    pub(super) fn strip<'a>(&self, key: &'a [u8]) -> Option<&'a [u8]> {
        key.strip_prefix(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glob_characters_are_taken_literally() {
        assert_eq!(Prefix::new("").pattern(), b"*");
        assert_eq!(Prefix::new("user:").pattern(), b"user:*");
        assert_eq!(Prefix::new(r"a[b]*?\c").pattern(), br"a\[b\]\*\?\\c*");
    }

    #[test]
    fn only_keys_under_the_prefix_are_entries() {
        let prefix = Prefix::new("user:");
        assert_eq!(prefix.strip(b"user:7"), Some(&b"7"[..]));
        assert_eq!(prefix.strip(b"user:"), Some(&b""[..]));
        assert_eq!(prefix.strip(b"order:7"), None);
    }
}
