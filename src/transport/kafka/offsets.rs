//! Gives partitions their first offsets, and takes them back, on a side thread: all of it blocks.
//!
//! An assignment is answered to the group at once, empty, so that the partitions we keep go on and
//! the member stays in the group however long the rest takes. Then the new partitions' offsets are
//! looked up, a start that was chosen is committed, and only then are the partitions fetched: so
//! no record is seen before the group remembers where it began. What fails is tried again until
//! the group takes the partitions back. Jobs are done in order, and only this thread (un)assigns:
//! what it undoes is exactly what it did.

use std::{
    collections::VecDeque,
    ffi::CString,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use crossbeam_queue::ArrayQueue;
use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

pub(super) use self::gated::Gate;
use self::{questions::Inquiry, resolving::Resolved, stranded::Stranded};
use super::{
    assignment::Place,
    bounds::Bounds,
    client::Client,
    faults,
    gap::{Gap, Lost},
    lag::LagBoard,
    lookup::{CALL_TIMEOUT, Fault, check, fault},
    native::{Event, PartitionEntry, PartitionList, Queue, outcome},
    start::Mark,
    wake::Wake,
};
use crate::{
    config::settings::OnGap,
    limits::PARTITIONS_MAX,
    transport::{Note, Trouble},
};

mod gated;
mod lagging;
mod questions;
mod resolving;
mod stranded;

/// How long to wait before what failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// The end of a fetch undoes, some time after it was asked for, that a partition's records come to
/// our queue, also where the next fetch was asked for meanwhile. Nothing is lost by that: they wait
/// in the partition's own. So that is said again, so often and for so long.
const FORWARD_EVERY: Duration = Duration::from_millis(50);
const FORWARD_FOR: Duration = Duration::from_secs(10);

/// Jobs that can wait beside one for each partition; the group gives one at a time.
const JOBS_MAX: usize = 16;

/// Statistics that can wait; more are dropped unread.
const STATISTICS_MAX: usize = 2;

/// What the hot thread asks for. The event lists the partitions, so that asking allocates nothing.
pub(super) enum Job {
    Assign(Event, Gate),
    Unassign(Event),
    /// Its state is there: it may be fetched.
    Restored(Place),
}

/// What it is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// This partition is being fetched.
    Started(Started),
    /// The group has answered, and gave us nothing.
    NothingToStart,
    /// A stranded partition misses these. Unless the run is to stop, it is about to go on.
    Gap(Place, Gap),
    /// A stranded partition misses nothing: it is about to go on there.
    Resumed(Place, i64),
}

/// A partition that is being fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started {
    pub(super) place: Place,
    /// From there on.
    pub(super) position: i64,
    /// No record from there on is read.
    pub(super) end: Option<i64>,
    /// What each of its commits says.
    pub(super) mark: Mark,
    /// What the commit said of its state that it begins from.
    pub(super) note: Note,
    /// Where it ended just now, where partitions wait for their state.
    pub(super) first_end: Option<i64>,
}

/// The hot thread's end.
#[derive(Debug)]
pub(super) struct Offsets {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    awake: Thread,
}

struct Shared {
    jobs: ArrayQueue<Job>,
    statistics: ArrayQueue<Event>,
    stranded: ArrayQueue<Lost>,
    /// The group waits for an answer, and takes whatever is unassigned for it.
    is_owed: AtomicBool,
    answers: ArrayQueue<Answer>,
    troubles: ArrayQueue<Trouble>,
    end: AtomicBool,
    wake: Arc<Wake>,
}

/// What the side thread works with.
pub(super) struct Ground {
    pub(super) client: Arc<Client>,
    /// Where the lag is told.
    pub(super) lag: Arc<LagBoard>,
    /// Where records go.
    pub(super) data: Arc<Queue>,
    pub(super) topics: Vec<CString>,
    pub(super) bounds: Bounds,
    pub(super) on_gap: OnGap,
    /// Signalled after each answer.
    pub(super) wake: Arc<Wake>,
}

impl Offsets {
    pub(super) fn start(ground: Ground) -> io::Result<Offsets> {
        let shared = Arc::new(Shared {
            jobs: ArrayQueue::new(PARTITIONS_MAX + JOBS_MAX),
            statistics: ArrayQueue::new(STATISTICS_MAX),
            stranded: ArrayQueue::new(PARTITIONS_MAX),
            is_owed: AtomicBool::new(false),
            answers: ArrayQueue::new(PARTITIONS_MAX + JOBS_MAX),
            troubles: ArrayQueue::new(JOBS_MAX),
            end: AtomicBool::new(false),
            wake: Arc::clone(&ground.wake),
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("kafka-offsets".to_owned())
            .spawn(move || Worker::new(ground, theirs).run())?;
        let awake = thread.thread().clone();
        Ok(Offsets { shared, thread: Some(thread), awake })
    }

    /// Hands over a job. Never blocks.
    pub(super) fn ask(&self, job: Job) {
        let is_taken = self.shared.jobs.push(job).is_ok();
        assert!(is_taken, "the group gives one rebalance at a time, and {JOBS_MAX} wait");
        self.awake.unpark();
    }

    /// Hands over statistics to be read. Never blocks.
    pub(super) fn hand_over(&self, statistics: Event) {
        // Where they are not read in time, the next ones tell the same.
        let _ = self.shared.statistics.push(statistics);
        self.awake.unpark();
    }

    /// Hands over a partition to be set right; false: later. Never blocks.
    pub(super) fn set_right(&self, lost: Lost) -> bool {
        let is_taken = self.shared.stranded.push(lost).is_ok();
        self.awake.unpark();
        is_taken
    }

    /// Says whether the group waits for an answer that is not given yet: meanwhile nothing is set
    /// right.
    pub(super) fn owe(&self, yes: bool) {
        if self.shared.is_owed.swap(yes, Ordering::AcqRel) && !yes {
            self.awake.unpark();
        }
    }

    /// The next answer. Never blocks.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.shared.answers.pop()
    }

    /// The next thing that went wrong. Never blocks.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.shared.troubles.pop()
    }

    /// Ends the side thread. True if the group is left waiting for the answer to a job.
    pub(super) fn end(mut self) -> bool {
        self.join();
        std::iter::from_fn(|| self.shared.jobs.pop()).any(|it| !matches!(it, Job::Restored(_)))
    }

    /// Waits for the call that is under way, at most.
    fn join(&mut self) {
        self.shared.end.store(true, Ordering::Release);
        self.awake.unpark();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

impl Drop for Offsets {
    fn drop(&mut self) {
        self.join();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

/// A partition that is fetched, and which topic of that name it is of, once the broker says so.
#[derive(Debug)]
struct Fetched {
    place: Place,
    /// From there on.
    start: i64,
    identity: Rc<Inquiry>,
}

struct Worker {
    ground: Ground,
    shared: Arc<Shared>,
    replies: Queue,
    commits: u64,
    /// Partitions wait for their state.
    has_state: bool,
    /// Given to us, and not fetched yet.
    waiting: Vec<Place>,
    /// Of those, and of those that have a first offset: their state is being restored.
    closed: Vec<Place>,
    /// Have a first offset, and are not fetched before their state is there.
    settled: Vec<Place>,
    /// Fetched, as far as librdkafka knows.
    fetched: Vec<Fetched>,
    /// Fetched since a moment ago, and until when their records are forwarded anew.
    settling: Vec<(Place, Instant)>,
    /// Fetched no more: the broker does not have their position.
    stranded: VecDeque<Stranded>,
    retry_at: Option<Instant>,
    told: Option<Code>,
}

impl Worker {
    fn new(ground: Ground, shared: Arc<Shared>) -> Worker {
        let replies = Queue::new(&ground.client);
        Worker {
            ground,
            shared,
            replies,
            commits: 0,
            waiting: Vec::new(),
            has_state: false,
            closed: Vec::new(),
            settled: Vec::new(),
            fetched: Vec::new(),
            settling: Vec::new(),
            stranded: VecDeque::new(),
            retry_at: None,
            told: None,
        }
    }

    fn run(&mut self) {
        while !self.shared.end.load(Ordering::Acquire) {
            if let Some(job) = self.shared.jobs.pop() {
                self.perform(job);
                continue;
            }
            self.tell_lag();
            self.hear_stranded();
            let is_idle = self.waiting.is_empty() && !self.may_set_right();
            let now = Instant::now();
            self.forward_again(now);
            match self.retry_at {
                _ if is_idle && self.ground.bounds.are_settled() => {
                    match self.settling.is_empty() {
                        true => thread::park(),
                        false => thread::park_timeout(FORWARD_EVERY),
                    }
                }
                Some(at) if now < at => thread::park_timeout(at - now),
                _ => self.try_to_start(),
            }
        }
    }

    fn perform(&mut self, job: Job) {
        let result = match &job {
            Job::Assign(event, gate) => self.assign(event, *gate),
            Job::Unassign(event) => self.unassign(event),
            Job::Restored(place) => return self.open_gate(*place),
        };
        self.tell_of(result);
    }

    fn assign(&mut self, event: &Event, gate: Gate) -> Result<(), Fault> {
        let given = self.places(event);
        if gate == Gate::Closed {
            self.has_state = true;
            self.closed.extend(&given);
        }
        if given.is_empty() {
            self.answer(Answer::NothingToStart);
        }
        self.waiting.extend(given);
        self.retry_at = None;
        self.change(&PartitionList::new(), Change::Assign)
    }

    fn unassign(&mut self, event: &Event) -> Result<(), Fault> {
        let mut list = PartitionList::new();
        for place in self.places(event) {
            for places in [&mut self.waiting, &mut self.closed, &mut self.settled] {
                places.retain(|it| *it != place);
            }
            self.stranded.retain(|it| it.lost.place != place);
            self.settling.retain(|it| it.0 != place);
            if self.forget(place).is_some() {
                list.add(self.topic(place), place.1, 0);
            }
        }
        self.change(&list, Change::Unassign)
    }

    fn inquire(&self, topic: u16) -> Rc<Inquiry> {
        Inquiry::start(&self.ground.client, &self.ground.topics[usize::from(topic)])
    }

    /// What was fetched there, and is no more.
    fn forget(&mut self, place: Place) -> Option<Fetched> {
        let index = self.fetched.iter().position(|it| it.place == place)?;
        Some(self.fetched.swap_remove(index))
    }

    fn places(&self, event: &Event) -> Vec<Place> {
        let place = |entry: &PartitionEntry| {
            let topic = self.ground.topics.iter().position(|it| **it == *entry.topic())?;
            Some((topic as u16, entry.partition()))
        };
        event.partitions().iter().filter_map(place).collect()
    }

    fn topic(&self, place: Place) -> &CString {
        &self.ground.topics[usize::from(place.0)]
    }

    fn change(&self, list: &PartitionList, change: Change) -> Result<(), Fault> {
        let client = self.ground.client.handle();
        // SAFETY: client and list are live; the list is copied; the error is ours.
        unsafe {
            outcome(match change {
                Change::Assign => rd::rd_kafka_incremental_assign(client, list.handle()),
                Change::Unassign => rd::rd_kafka_incremental_unassign(client, list.handle()),
            })
        }
    }

    fn try_to_start(&mut self) {
        let started = self.resolve_and_commit().and_then(|resolved| {
            self.perform_all();
            self.hold_back(&resolved);
            self.fetch(&resolved)
        });
        let result = match self.may_set_right() {
            true => started.and(self.set_one_right()),
            false => started,
        };
        self.retry_at = result.is_err().then(|| Instant::now() + RETRY_AFTER);
        self.tell_of(result);
    }

    /// After a wait: what the group has taken back meanwhile stays out.
    fn perform_all(&mut self) {
        while let Some(job) = self.shared.jobs.pop() {
            self.perform(job);
        }
    }

    /// Starts fetching those that are still wanted.
    fn fetch(&mut self, resolved: &[Resolved]) -> Result<(), Fault> {
        let wanted: Vec<_> =
            resolved.iter().filter(|it| self.waiting.contains(&it.place)).copied().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut list = PartitionList::new();
        for it in &wanted {
            list.add(self.topic(it.place), it.place.1, it.offset);
            // Before the fetch starts: it leaves a queue alone that was forwarded by us.
            self.forward(it.place);
        }
        self.change(&list, Change::Assign)?;
        let until = Instant::now() + FORWARD_FOR;
        self.settling.extend(wanted.iter().map(|it| (it.place, until)));
        let mut asked: Option<(u16, Rc<Inquiry>)> = None;
        for it in &wanted {
            let Resolved { place, offset: position, mark, note, first_end, .. } = *it;
            let identity = match asked.take_if(|(topic, _)| *topic == place.0) {
                Some((_, identity)) => identity,
                None => self.inquire(place.0),
            };
            asked = Some((place.0, Rc::clone(&identity)));
            self.waiting.retain(|it| *it != place);
            self.fetched.push(Fetched { place, start: position, identity });
            let end = self.ground.bounds.end(place);
            let started = Started { place, position, end, mark, note, first_end };
            self.answer(Answer::Started(started));
        }
        Ok(())
    }

    /// Tells of a fault once, until something goes well or another one comes.
    fn tell_of(&mut self, result: Result<(), Fault>) {
        let Err((code, text)) = result else {
            self.told = None;
            return;
        };
        // A member that the group has left behind is about to be told so by the group itself.
        let is_passing =
            faults::is_generational(code) || code == Code::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST;
        if self.told != Some(code) && !is_passing {
            // The oldest of many makes room: the newest is the one that still holds.
            self.shared.troubles.force_push(self.ground.client.trouble(code, text.as_str()));
            self.shared.wake.signal();
        }
        self.told = Some(code);
    }

    fn answer(&self, answer: Answer) {
        let mut answer = answer;
        // The hot thread empties the queue every turn; nobody else waits for this thread.
        while let Err(refused) = self.shared.answers.push(answer) {
            if self.shared.end.load(Ordering::Acquire) {
                return;
            }
            answer = refused;
            self.shared.wake.signal();
            thread::yield_now();
        }
        self.shared.wake.signal();
    }
}

#[derive(Clone, Copy)]
enum Change {
    Assign,
    Unassign,
}
