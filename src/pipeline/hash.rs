//! Digests in lower-case hex, written where they are wanted.

use md5::block_api::compress;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::settings::HashAlgorithm;

/// Appends the digest of `bytes` in hex: 32, 64 or 16 digits.
#[inline]
pub(super) fn push_digest(out: &mut Vec<u8>, algorithm: HashAlgorithm, bytes: &[u8]) {
    match algorithm {
        HashAlgorithm::Md5 => push_hex::<16, 32>(out, md5(bytes)),
        HashAlgorithm::Sha256 => push_hex::<32, 64>(out, Sha256::digest(bytes).into()),
        HashAlgorithm::Xxh3 => push_hex::<8, 16>(out, xxh3_64(bytes).to_be_bytes()),
    }
}

/// Hands the digest of `bytes` in hex to `use_it`.
pub(super) fn with_digest<T>(
    algorithm: HashAlgorithm,
    bytes: &[u8],
    use_it: impl FnOnce(&[u8]) -> T,
) -> T {
    match algorithm {
        HashAlgorithm::Md5 => use_it(&hex::<16, 32>(md5(bytes))),
        HashAlgorithm::Sha256 => use_it(&hex::<32, 64>(Sha256::digest(bytes).into())),
        HashAlgorithm::Xxh3 => use_it(&hex::<8, 16>(xxh3_64(bytes).to_be_bytes())),
    }
}

const MD5_BLOCK_BYTES: usize = 64;
const MD5_LENGTH_BYTES: usize = 8;
const MD5_START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The crate's compression over blocks that are padded here (RFC 1321, section 3). Its general way,
/// which may be fed piece by piece, moves its state and its buffer about several times: a fifth of
/// the time for a record of one block.
#[inline]
fn md5(bytes: &[u8]) -> [u8; 16] {
    let (blocks, rest) = bytes.as_chunks::<MD5_BLOCK_BYTES>();
    let mut last = [[0; MD5_BLOCK_BYTES]; 2];
    let count = if rest.len() < MD5_BLOCK_BYTES - MD5_LENGTH_BYTES { 1 } else { 2 };
    let padded = &mut last.as_flattened_mut()[..count * MD5_BLOCK_BYTES];
    padded[..rest.len()].copy_from_slice(rest);
    padded[rest.len()] = 0x80;
    let bits = (bytes.len() as u64).wrapping_mul(8);
    padded[count * MD5_BLOCK_BYTES - MD5_LENGTH_BYTES..].copy_from_slice(&bits.to_le_bytes());
    let mut state = MD5_START;
    if !blocks.is_empty() {
        compress(&mut state, blocks);
    }
    compress(&mut state, &last[..count]);
    let mut digest = [0; 16];
    for (word, place) in state.iter().zip(digest.as_chunks_mut::<4>().0) {
        *place = word.to_le_bytes();
    }
    digest
}

#[inline]
fn push_hex<const BYTES: usize, const LENGTH: usize>(out: &mut Vec<u8>, digest: [u8; BYTES]) {
    out.extend_from_slice(&hex::<BYTES, LENGTH>(digest));
}

#[inline]
fn hex<const BYTES: usize, const LENGTH: usize>(digest: [u8; BYTES]) -> [u8; LENGTH] {
    let mut hex = [0; LENGTH];
    for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    hex
}

/// Arithmetic and not a table, so that the compiler can do all digits at once.
#[inline]
fn digit(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use md5::Md5;

    #[test]
    fn md5_is_the_crates_at_every_length() {
        let bytes: Vec<u8> = (0..300_u32).map(|it| (it * 31) as u8).collect();
        for length in 0..=bytes.len() {
            let naive: [u8; 16] = Md5::digest(&bytes[..length]).into();
            assert_eq!(md5(&bytes[..length]), naive, "{length} bytes");
        }
    }

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
