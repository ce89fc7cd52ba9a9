//! Seeded records as the program's own generator makes them, kept in memory.

use std::sync::atomic::AtomicBool;

use hotspur::{
    clock::{Ticks, TscClock, WallOffset},
    loadgen::{self, Load, LoadSettings, Pace, Payload},
    record::Output,
    transport::{Ack, SendError, Sink, Token, Trouble, WaitSet},
};

/// Skew of the keys.
const ZIPF: f64 = 0.99;

/// A record's key and value.
pub(crate) type KeyAndValue = (Vec<u8>, Vec<u8>);

/// The same for the same arguments, but for the times that they carry, which `wall` gives.
pub(crate) fn prepared(
    payload: &Payload,
    keys: u64,
    count: u64,
    wall: WallOffset,
) -> Vec<KeyAndValue> {
    let settings = LoadSettings {
        count,
        pace: Pace::Unpaced,
        payload: payload.clone(),
        keys,
        zipf: Some(ZIPF),
        headers: Vec::new(),
        seed: 1,
    };
    let mut load = Load::new(settings, wall).expect("a load that can be made");
    let mut kept = Kept::default();
    loadgen::run(&mut load, &mut kept, &TscClock::new(), &AtomicBool::new(false));
    kept.records
}

/// A sink that keeps what a load sends.
#[derive(Debug, Default)]
struct Kept {
    records: Vec<KeyAndValue>,
    tokens: Vec<Token>,
}

impl Sink for Kept {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        let bytes = |part: Option<&[u8]>| part.unwrap_or_default().to_vec();
        self.records.push((bytes(output.key), bytes(output.value)));
        self.tokens.push(token);
        Ok(())
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        let count = self.tokens.len();
        self.tokens.drain(..).for_each(|token| visit(Ack { token, at: now, result: Ok(()) }));
        count
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        None
    }

    fn in_flight(&self) -> usize {
        self.tokens.len()
    }

    fn wait_on(&mut self, _set: &mut WaitSet) {}
}
