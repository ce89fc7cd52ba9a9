//! Seeded records as the program's own generator makes them, kept in memory.

use std::sync::atomic::AtomicBool;

use hotspur::{
    clock::{Ticks, TscClock, WallOffset},
    loadgen::{self, Load, LoadSettings, Pace, Payload},
    record::Output,
    transport::{Ack, SendError, Sink, Token, Trouble, WaitSet, memory::Discard},
};

/// Skew of the keys.
const ZIPF: f64 = 0.99;

/// Records that a load hands over before it looks at acknowledgements, and some more.
const ROOM: usize = 1024;

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
        stamps_due: false,
    };
    let mut load = Load::new(settings, wall).expect("a load that can be made");
    let mut kept = Kept { records: Vec::new(), taken: Discard::new(ROOM) };
    loadgen::run(&mut load, &mut kept, &TscClock::new(), &AtomicBool::new(false));
    kept.records
}

/// A sink that keeps what a load sends.
#[derive(Debug)]
struct Kept {
    records: Vec<KeyAndValue>,
    taken: Discard,
}

impl Sink for Kept {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        self.taken.send(output, token)?;
        let bytes = |part: Option<&[u8]>| part.unwrap_or_default().to_vec();
        self.records.push((bytes(output.key), bytes(output.value)));
        Ok(())
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        self.taken.poll_acks(now, visit)
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        self.taken.next_trouble()
    }

    fn in_flight(&self) -> usize {
        self.taken.in_flight()
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        self.taken.wait_on(set);
    }
}
