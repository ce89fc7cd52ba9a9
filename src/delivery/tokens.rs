//! The number that travels with a result: slot index below, the slot's lap above.
//!
//! The low 32 bits are the slot's index (below `limits::IN_FLIGHT_MAX`), so that a sink may keep a
//! time per slot. The bits above count the laps of the ring, which tells apart records that used
//! the same slot one after another; the top bit tells a dead letter from a result. The bit below is
//! set where it is neither, but a change of state, which no record owns.

use crate::transport::Token;

const LETTER: u64 = 1 << 63;
const LAP_BITS: u64 = (1 << 30) - 1;

/// The token of every change of state.
pub(crate) const CHANGE: Token = Token(1 << 62);

pub(crate) fn token(index: u32, lap: u64, letter: bool) -> Token {
    Token(u64::from(index) | (lap & LAP_BITS) << 32 | if letter { LETTER } else { 0 })
}

pub(crate) fn index(token: Token) -> u32 {
    token.0 as u32
}
