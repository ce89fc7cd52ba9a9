//! Where records come from and where results go: two narrow seams, each stepped by the turn.
//!
//! A `Source` lends records out of a buffer that it owns and knows what its group says. A `Sink`
//! takes bytes and a token and later returns the token. Neither blocks, neither calls back at a
//! time of its own choosing, and both say what they wait on when the thread would park. Nothing
//! above knows a client library's types, threads or callbacks, so that a data plane which reads and
//! writes the sockets itself fits here as well as one that hands over to a library's threads.
//!
//! What this does not do: decide what an acknowledgement means, or when an offset may move.

use crate::{
    clock::Ticks,
    limits::STATEFUL_STEPS_MAX,
    record::{Output, PartitionId, Record},
    verdict::Sentence,
};

pub mod kafka;
pub mod memory;
pub mod redis;
pub mod restore;
pub mod split;
pub mod wait;

pub use wait::{WaitSet, Waker, Wakeup};

/// Where records come from.
pub trait Source {
    /// Serves the group, finished commits and errors; called every turn, also under backpressure.
    /// Never blocks. Returns how many things were done.
    fn serve(&mut self, now: Ticks) -> usize;

    /// The next thing that `serve` learned, oldest first.
    fn next_event(&mut self) -> Option<SourceEvent<'_>>;

    /// The peer whose connections were all lost, as trouble told, and that has answered again.
    fn next_recovery(&mut self) -> Option<&'static str> {
        None
    }

    /// Lends up to `records_max` records to `take`, in partition order. A record for which `take`
    /// returns false stays here and is the first of the next call. Records of partitions that were
    /// released are dropped. Returns how many were taken. Never blocks.
    fn poll(
        &mut self,
        now: Ticks,
        records_max: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> usize;

    /// True once every partition that is ours was lent up to the end that this source was told, if
    /// it was told one, and there is one at least. One that is assigned later can change that.
    fn is_done(&self) -> bool {
        false
    }

    /// Starts a commit: per partition the offset of the next record to be processed. The answer is
    /// a `SourceEvent::Committed` with the same ticket. At most one is under way at a time.
    fn commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]);

    /// True if the partition is known to be read to its end: no record at that offset or behind it
    /// is known to be there, committed or not. Asks nobody, but is not for every turn.
    fn is_at_end(&self, _partition: PartitionId, _position: i64) -> bool {
        false
    }

    /// What the next commit says of a partition beside its position, and every later one until
    /// another note comes.
    fn note(&mut self, _partition: PartitionId, _note: Note) {}

    /// What the last confirmed commit of a partition says that was announced and is ours, as far as
    /// this source knows: the one from which it began, or begins again after
    /// `SourceEvent::Aborted`, or a later one of its own.
    fn begin_of(&self, _partition: PartitionId) -> Begin {
        Begin::default()
    }

    /// Takes back what the sink was given since the last confirmed commit, where results and
    /// positions are committed together: none of it will be seen by readers. Goes back with these
    /// partitions, so that the next record of each is the one at that offset, or the first behind
    /// it. The answer is a `SourceEvent::Aborted`; until then nothing is lent. Not to be called
    /// while a commit is under way.
    fn abort(&mut self, _positions: &[(PartitionId, i64)]) {
        unreachable!("results of this source's sink are not held back until a commit");
    }

    /// Lets go of partitions that a `SourceEvent::Revoked` named, after what was in flight for them
    /// has been settled and committed.
    fn release(&mut self, partitions: &[PartitionId]);

    /// The topic's name and the partition's number in it.
    fn partition(&self, partition: PartitionId) -> (&str, i32);

    /// Adds what wakes this source to `set`. After it has been called, data or an event that
    /// arrives must make the set's wait end.
    fn wait_on(&mut self, set: &mut WaitSet);

    /// Leaves the group, in bounded time. Nothing is polled or committed after it.
    fn close(&mut self);
}

/// What a source tells.
#[derive(Clone, Copy, Debug)]
pub enum SourceEvent<'a> {
    /// The group gave us these partitions, in addition to those we have. May be empty: the group
    /// answered. Records of them follow; the first starts at the group's offset or, for a group
    /// without one, at the configured start, which was committed before this event.
    Assigned(&'a [PartitionId]),
    /// The group wants these back: finish them, commit, then `release`, also if the commit failed.
    /// No more records of them follow.
    Revoked(&'a [PartitionId]),
    /// These are no longer ours; what is in flight for them must not be committed. No more records
    /// of them follow, and there is nothing to release. One that is assigned again may have the
    /// same number.
    Lost(&'a [PartitionId]),
    /// The commit of that ticket ended.
    Committed {
        /// As given to `commit`.
        ticket: u64,
        /// An error heals with the next commit, or is followed by `Lost`.
        result: Result<(), Trouble>,
    },
    /// What `abort` asked for was done, or never will be: then the run must end.
    Aborted(Result<(), Trouble>),
    /// Offsets are gone, and the source goes on behind them. Records that were lent before are not
    /// touched by it; the next of this partition comes from `resume_at`.
    Gap(SourceGap),
    /// Entries of other consumers, who may be dead, were taken over and lent.
    Claimed(SourceClaim),
    /// Something went wrong.
    Trouble(Trouble),
    /// Something else that who runs it wants to know.
    Told {
        /// The event's name in the log, such as `entries.lost`.
        event: &'static str,
        /// In words.
        text: Sentence,
        /// True for a warning.
        alarming: bool,
    },
}

/// Where a partition begins, and what the commit that says so says beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begin {
    /// The offset of the first record that may be lent.
    pub position: i64,
    /// As `Source::note` had it; empty for a partition without a commit.
    pub note: Note,
}

/// A number for each step that keeps state, which travels with a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    len: u8,
    numbers: [i64; STATEFUL_STEPS_MAX],
}

impl Note {
    /// That of no step.
    pub const EMPTY: Note = Note { len: 0, numbers: [0; STATEFUL_STEPS_MAX] };

    /// Adds the next step's number.
    ///
    /// # Panics
    ///
    /// Past `limits::STATEFUL_STEPS_MAX`.
    pub fn push(&mut self, number: i64) {
        self.numbers[usize::from(self.len)] = number;
        self.len += 1;
    }

    /// The numbers, a step each.
    pub fn numbers(&self) -> &[i64] {
        &self.numbers[..usize::from(self.len)]
    }
}

/// Offsets of a partition that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceGap {
    /// Where.
    pub partition: PartitionId,
    /// How many offsets; not each need have been a record.
    pub records: u64,
    /// The offset that is read next: above the position, or below it where the log was cut.
    pub resume_at: i64,
    /// Topic, partition, first and last missing offset in words.
    pub text: Sentence,
}

/// Entries of a stream that were taken over from other consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceClaim {
    /// Where.
    pub partition: PartitionId,
    /// How many.
    pub entries: u64,
    /// The same in words.
    pub text: Sentence,
}

/// Names a result until it is acknowledged: the caller's own number, 0 included.
///
/// Its low 32 bits are an index below `limits::IN_FLIGHT_MAX`, such as a slot of the in-flight
/// ring: a sink that learns of acknowledgements on another thread keeps their times in a table by
/// that index. Results in flight at once that share it get the time of the last of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

/// Where results go.
pub trait Sink {
    /// Takes one result; its bytes are copied or sent before this returns. Results handed over one
    /// after another without `poll_acks` in between may share a request.
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError>;

    /// Returns tokens of results whose fate is known, in any order. Never blocks.
    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize;

    /// The next error that is not about one result, oldest first.
    fn next_trouble(&mut self) -> Option<Trouble>;

    /// As a source's: the peer that has answered again.
    fn next_recovery(&mut self) -> Option<&'static str> {
        None
    }

    /// Results taken whose token has not been returned.
    fn in_flight(&self) -> usize;

    /// Adds what wakes this sink to `set`, for a thread that cannot go on before an
    /// acknowledgement. One that merely idles collects them with its next turn instead.
    fn wait_on(&mut self, set: &mut WaitSet);
}

/// The fate of one result.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// As given to `send`.
    pub token: Token,
    /// When the answer arrived in this process, which may be before it was asked for.
    pub at: Ticks,
    /// Acknowledged by as many replicas as configured, or refused for good.
    pub result: Result<(), Refusal>,
}

/// Why the broker (or the client in front of it) would not take one result, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The broker's name of the error, such as `MSG_SIZE_TOO_LARGE`.
    pub code: &'static str,
    /// True if a smaller result might be taken.
    pub too_large: bool,
    /// True if nothing more can be produced with this sink: not this one result's fault.
    pub fatal: bool,
    /// True if the transaction that it belonged to cannot be committed any more, or that none can
    /// be begun before what is to be committed is taken back.
    pub aborts: bool,
    /// True if it is about what the result says, and another might be taken.
    pub is_about_content: bool,
}

/// Why a result was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No room: serve acknowledgements, then try the same one again.
    Full,
    /// This result will never be taken.
    Refused(Refusal),
}

/// An error of a peer, not of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Who: `source`, `sink`, `dead_letters`, `state`.
    pub peer: &'static str,
    /// The error's name, such as `_ALL_BROKERS_DOWN`.
    pub code: &'static str,
    /// In words, with the peer's address or the topic where they are known.
    pub text: Sentence,
    /// False if waiting will not help: wrong password, no such topic, no permission.
    pub heals: bool,
}
