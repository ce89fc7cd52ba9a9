//! Digests in lower-case hex, written where they are wanted.

use md5::{Digest, Md5};
use sha2::Sha256;
use xxhash_rust::xxh3::xxh3_64;

use crate::config::settings::HashAlgorithm;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends the digest of `bytes` in hex: 32, 64 or 16 digits.
#[inline]
pub(super) fn push_digest(out: &mut Vec<u8>, algorithm: HashAlgorithm, bytes: &[u8]) {
    match algorithm {
        HashAlgorithm::Md5 => push_hex::<16, 32>(out, Md5::digest(bytes).into()),
        HashAlgorithm::Sha256 => push_hex::<32, 64>(out, Sha256::digest(bytes).into()),
        HashAlgorithm::Xxh3 => push_hex::<8, 16>(out, xxh3_64(bytes).to_be_bytes()),
    }
}

#[inline]
fn push_hex<const BYTES: usize, const LENGTH: usize>(out: &mut Vec<u8>, digest: [u8; BYTES]) {
    let mut hex = [0; LENGTH];
    for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    out.extend_from_slice(&hex);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_the_published_ones() {
        for (algorithm, text, digest) in [
            (HashAlgorithm::Md5, "", "d41d8cd98f00b204e9800998ecf8427e"),
            (HashAlgorithm::Md5, "abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                HashAlgorithm::Sha256,
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (HashAlgorithm::Xxh3, "", "2d06800538d394c2"),
        ] {
            let mut out = b"x".to_vec();
            push_digest(&mut out, algorithm, text.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{digest}"));
        }
    }
}
