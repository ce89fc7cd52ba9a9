//! The side thread: from wishes to entries.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::{
    StatePlan,
    foreign::{changed, delete},
    pass::{Advice, Pass, Wish},
    reading::Reading,
};
use crate::{
    config::units::show_about,
    limits::RESTORE_PARTITIONS_AT_ONCE,
    transport::{
        Trouble,
        kafka::native::{Message, OK},
        restore::{Filler, STATE_PEER, StateKey, Want},
    },
    verdict::Sentence,
};

/// How long to wait before what failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// How long to wait for the hot thread, which makes no system call to wake this one.
const ROOM_PAUSE: Duration = Duration::from_millis(1);

/// How long to sleep without anything to do; a wish ends that.
const IDLE: Duration = Duration::from_secs(1);

/// What no broker of the client can be reached is called.
const NO_BROKER: &str = "_ALL_BROKERS_DOWN";

/// The side thread's owner; dropped, it ends the thread, and waits for the call that is under way.
#[derive(Debug)]
pub struct StateRestorer {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    awake: Thread,
}

impl StateRestorer {
    /// Begins to serve wishes. The thread and those of its client inherit the calling thread's
    /// affinity.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub fn start(plan: StatePlan, filler: Filler) -> io::Result<StateRestorer> {
        let end = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&end);
        let thread = thread::Builder::new()
            .name("kafka-state".to_owned())
            .spawn(move || Worker::new(plan, filler, theirs).run())?;
        let awake = thread.thread().clone();
        Ok(StateRestorer { end, thread: Some(thread), awake })
    }
}

impl Drop for StateRestorer {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        self.awake.unpark();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

struct Worker {
    plan: StatePlan,
    filler: Filler,
    end: Arc<AtomicBool>,
    reading: Option<Reading>,
    waiting: VecDeque<Wish>,
    /// Those with which something failed, and when they are tried again.
    put_off: Vec<Wish>,
    retry_at: Instant,
    passes: Vec<Pass>,
    /// All of them is handed over.
    handed: Vec<Wish>,
    messages: Vec<Message>,
    /// Since when something is wanted, until that was told.
    round: Option<Instant>,
    told: Option<&'static str>,
    /// It was told that no broker can be reached.
    is_down: bool,
}

/// Why the thread goes no further with something.
enum Stop {
    /// The run ends.
    End,
    Trouble(Box<Trouble>),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Stop {
        Stop::Trouble(Box::new(trouble))
    }
}

impl Worker {
    fn new(plan: StatePlan, filler: Filler, end: Arc<AtomicBool>) -> Worker {
        Worker {
            plan,
            filler,
            end,
            reading: None,
            waiting: VecDeque::new(),
            put_off: Vec::new(),
            retry_at: Instant::now(),
            passes: Vec::new(),
            handed: Vec::new(),
            messages: Vec::new(),
            round: None,
            told: None,
            is_down: false,
        }
    }

    fn run(mut self) {
        self.filler.serve_from_here();
        while !self.is_over() {
            self.hear_wishes();
            self.note_complete();
            if self.waiting.is_empty() && self.passes.is_empty() {
                self.rest();
                continue;
            }
            match self.begin_passes().and_then(|()| self.read()) {
                Ok(()) => {}
                Err(Stop::End) => break,
                Err(Stop::Trouble(trouble)) => self.tell(*trouble),
            }
        }
        let (passes, reading) = (&self.passes, &self.reading);
        reading.iter().for_each(|it| passes.iter().for_each(|pass| it.stop(pass.number)));
    }

    fn is_over(&self) -> bool {
        self.end.load(Ordering::Acquire)
    }

    /// Nothing is to be read.
    fn rest(&mut self) {
        self.filler.flush();
        if self.put_off.is_empty() {
            // What goes wrong while nobody waits is the source's to tell.
            while self.reading.as_ref().is_some_and(|it| it.next_error().is_some()) {}
            self.is_well();
        }
        let is_awaited = !self.handed.is_empty() || self.round.is_some();
        thread::park_timeout(if is_awaited { ROOM_PAUSE } else { IDLE });
    }

    fn hear_wishes(&mut self) {
        let mut wants = Vec::new();
        if self.filler.hear(&mut wants) {
            self.drop_wishes();
        }
        if !self.put_off.is_empty() && Instant::now() >= self.retry_at {
            self.waiting.extend(self.put_off.drain(..));
        }
        if wants.is_empty() {
            return;
        }
        let now = Instant::now();
        if self.round.is_none() {
            self.round = Some(now);
            let (topic, partitions) = (&self.plan.topic, wants.len());
            tracing::info!(event = "state.restoring", topic, partitions);
        }
        self.waiting.extend(wants.into_iter().map(|it| (it, now)));
    }

    /// Something failed with them: others come first.
    fn put_off(&mut self, wishes: impl IntoIterator<Item = Wish>) {
        self.put_off.extend(wishes);
        self.retry_at = Instant::now() + RETRY_AFTER;
    }

    /// Those that ended before they were complete.
    fn drop_wishes(&mut self) {
        let filler = &self.filler;
        self.waiting.retain(|(want, _)| filler.is_wanted(want));
        self.put_off.retain(|(want, _)| filler.is_wanted(want));
        for pass in &mut self.passes {
            pass.wishes.retain(|(want, _)| filler.is_wanted(want));
        }
        let reading = &self.reading;
        self.passes.retain(|pass| {
            let is_wanted = !pass.wishes.is_empty();
            reading.iter().filter(|_| !is_wanted).for_each(|it| it.stop(pass.number));
            is_wanted
        });
    }

    /// Notes what the hot thread has taken to its end, and the end of the round.
    fn note_complete(&mut self) {
        let filler = &self.filler;
        self.handed.retain(|(want, since)| {
            let is_open = filler.is_wanted(want);
            if !is_open {
                filler.took(since.elapsed());
            }
            is_open
        });
        let is_open = !self.waiting.is_empty()
            || !self.put_off.is_empty()
            || !self.passes.is_empty()
            || self.filler.shared().is_restoring();
        let Some(since) = self.round.take_if(|_| !is_open) else { return };
        let figures = self.filler.shared().figures();
        let (partitions, entries, bytes) = (figures.complete, figures.entries, figures.bytes);
        let (topic, took) = (&self.plan.topic, show_about(since.elapsed()));
        tracing::info!(event = "state.restored", topic, partitions, entries, bytes, took);
    }

    /// As many partitions as may be read at the same time; for each, all that is wanted of it.
    fn begin_passes(&mut self) -> Result<(), Stop> {
        while self.passes.len() < RESTORE_PARTITIONS_AT_ONCE {
            let is_read = |number| self.passes.iter().any(|it| it.number == number);
            let mut numbers = self.waiting.iter().map(|(want, _)| want.number);
            let Some(number) = numbers.find(|it| !is_read(*it)) else { break };
            let (wishes, others): (Vec<_>, Vec<_>) =
                self.waiting.drain(..).partition(|(want, _)| want.number == number);
            self.waiting.extend(others);
            if let Err(stop) = self.begin_pass(number, wishes) {
                let Stop::Trouble(trouble) = stop else { return Err(stop) };
                self.tell(*trouble);
                // What is being read comes first, and whoever wants this thread to end.
                break;
            }
        }
        Ok(())
    }

    fn begin_pass(&mut self, number: i32, wishes: Vec<Wish>) -> Result<(), Stop> {
        let (low, end) = match self.try_bounds(number) {
            Ok(bounds) => bounds,
            Err(trouble) => {
                self.put_off(wishes);
                return Err(trouble.into());
            }
        };
        for (want, _) in &wishes {
            self.await_room()?;
            self.filler.begin(want);
        }
        let pass = Pass::new(number, wishes, end);
        if low >= end {
            return self.finish(pass);
        }
        self.filler.expects((end - low) as u64);
        match self.reading.as_ref().map_or(Ok(()), |it| it.start(number, low)) {
            Ok(()) => self.passes.push(pass),
            Err(trouble) => {
                self.put_off(pass.wishes);
                return Err(trouble.into());
            }
        }
        Ok(())
    }

    fn try_bounds(&mut self, number: i32) -> Result<(i64, i64), Trouble> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None => {
                let reading = Reading::open(&self.plan.reading, &self.plan.topic, &self.end)?;
                self.reading.insert(reading)
            }
        };
        reading.bounds(number)
    }

    /// What has come.
    fn read(&mut self) -> Result<(), Stop> {
        let Some(reading) = &mut self.reading else { return Ok(()) };
        reading.take(&mut self.messages);
        if self.messages.is_empty() {
            self.filler.flush();
            reading.await_one(&mut self.messages);
        }
        let mut trouble = std::iter::from_fn(|| reading.next_error()).last();
        let mut messages = std::mem::take(&mut self.messages);
        for message in messages.drain(..) {
            match self.visit(&message) {
                Ok(()) => {}
                Err(Stop::End) => return Err(Stop::End),
                Err(Stop::Trouble(it)) => trouble = Some(*it),
            }
        }
        self.messages = messages;
        self.look_after_stalled()?;
        trouble.map_or(Ok(()), |it| Err(it.into()))
    }

    fn visit(&mut self, message: &Message) -> Result<(), Stop> {
        let (number, offset) = (message.partition(), message.offset());
        let Some(index) = self.passes.iter().position(|it| it.number == number) else {
            return Ok(());
        };
        let is_end = match message.code() {
            OK => {
                self.is_well();
                if offset < self.passes[index].end {
                    self.hand_over(index, message)?;
                }
                self.passes[index].pass(offset)
            }
            Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                self.is_well();
                self.passes[index].has_no_more(offset, Instant::now())
            }
            code => {
                let trouble = |it: &Reading| it.trouble(code, message.error_text());
                return self.reading.as_ref().map_or(Ok(()), |it| Err(trouble(it).into()));
            }
        };
        if is_end {
            let pass = self.passes.swap_remove(index);
            self.reading.iter().for_each(|it| it.stop(number));
            self.finish(pass)?;
        }
        Ok(())
    }

    /// An entry, to whom it concerns.
    fn hand_over(&mut self, index: usize, message: &Message) -> Result<(), Stop> {
        let raw = message.key().unwrap_or_default();
        let Some(key) = StateKey::read(raw) else {
            let pass = self.passes.swap_remove(index);
            self.reading.iter().for_each(|it| it.stop(pass.number));
            return Err(unreadable(&self.plan.topic, message).into());
        };
        let StatePlan { sources, steps, .. } = &self.plan;
        let is_of =
            |want: &Want| sources.get(usize::from(want.topic)).is_some_and(|it| it == key.topic);
        let Some((want, _)) = self.passes[index].wishes.iter().copied().find(|it| is_of(&it.0))
        else {
            return Ok(());
        };
        let step = steps.iter().position(|it| it.name == key.step && it.hash == key.hash);
        let Some(step) = step else {
            self.passes[index].foreign.note(raw, message.value().is_some());
            return Ok(());
        };
        self.await_room()?;
        let step = &self.plan.steps[step];
        self.filler.entry(&want, (key.kind, step), key.key, message.value());
        Ok(())
    }

    /// A partition was read to its end.
    fn finish(&mut self, pass: Pass) -> Result<(), Stop> {
        let mut wishes = pass.wishes.iter().copied();
        while let Some(wish) = wishes.next() {
            if let Err(trouble) = self.clear(&pass, &wish.0) {
                if trouble.heals {
                    // It is read once more, to see what is left.
                    self.put_off(std::iter::once(wish).chain(wishes));
                }
                return Err(trouble.into());
            }
            self.await_room()?;
            self.filler.complete(&wish.0);
            self.handed.push(wish);
        }
        Ok(())
    }

    /// Sees to it that nothing of another configuration is left.
    fn clear(&self, pass: &Pass, want: &Want) -> Result<(), Trouble> {
        let StatePlan { topic: state, sources, resets, .. } = &self.plan;
        let topic = sources.get(usize::from(want.topic)).map_or("", String::as_str);
        let mut foreign = pass.foreign.of_topic(topic).peekable();
        let Some(key) = foreign.peek() else { return Ok(()) };
        if !resets {
            return Err(changed(&self.plan, key));
        }
        let partition = pass.number;
        let entries = delete(&self.plan, partition, foreign, &self.end)?;
        let text = "what was written by other steps was deleted";
        tracing::warn!(event = "state.reset", state, topic, partition, entries, "{text}");
        Ok(())
    }

    /// Nothing comes although there is more: a transaction is open, or the log was cut.
    fn look_after_stalled(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        for index in 0..self.passes.len() {
            let advice = self.passes[index].advice(now);
            if advice == Advice::Wait {
                continue;
            }
            let (number, end) = (self.passes[index].number, self.passes[index].end);
            if self.try_bounds(number)?.1 < end {
                let pass = self.passes.swap_remove(index);
                self.reading.iter().for_each(|it| it.stop(number));
                self.waiting.extend(pass.wishes);
                return Ok(());
            }
            if advice == Advice::Tell {
                return Err(open_transaction(&self.plan.topic, number).into());
            }
        }
        Ok(())
    }

    fn await_room(&mut self) -> Result<(), Stop> {
        while !self.filler.has_room() {
            if self.is_over() {
                return Err(Stop::End);
            }
            thread::park_timeout(ROOM_PAUSE);
        }
        Ok(())
    }

    /// Tells of trouble once, until something goes well or another one comes.
    fn tell(&mut self, trouble: Trouble) {
        self.is_down |= trouble.code == NO_BROKER;
        if self.told != Some(trouble.code) {
            self.filler.trouble(trouble);
        }
        self.told = Some(trouble.code);
    }

    fn is_well(&mut self) {
        if self.put_off.is_empty() {
            self.told = None;
        }
        if std::mem::take(&mut self.is_down) {
            self.filler.is_back();
        }
    }
}

fn unreadable(topic: &str, message: &Message) -> Trouble {
    let (number, offset) = (message.partition(), message.offset());
    let text = Sentence::format(format_args!(
        "{topic}[{number}] at offset {offset} has a record that is no state, or that of a later \
         version: let [state] topic name one that only this pipeline writes"
    ));
    Trouble { peer: STATE_PEER, code: "STATE_UNREADABLE", text, heals: false }
}

fn open_transaction(topic: &str, number: i32) -> Trouble {
    let text = Sentence::format(format_args!(
        "{topic}[{number}]: a transaction is open, and its end is waited for; brokers end it after \
         its delivery.transaction_timeout"
    ));
    Trouble { peer: STATE_PEER, code: "OPEN_TRANSACTION", text, heals: true }
}
