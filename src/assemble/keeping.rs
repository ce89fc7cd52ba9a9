//! State of steps during a run: put back from what a side thread reads, and written with commits.
//!
//! The memory of a partition's stores, perhaps hundreds of megabytes, is taken and given back by a
//! thread of its own: the hot thread asks for it when state is to be restored, and goes on with
//! what it has until it is there.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crossbeam_queue::ArrayQueue;

use crate::{
    limits::{PARTITIONS_MAX, RESTORED_PER_TURN_MAX},
    pipeline::stores::{PartitionStores, StateChange, StateStores, StoreRules},
    record::{Destination, Headers, Output, PartitionId},
    transport::{
        Trouble,
        restore::{Handed, Restoration, RestoredEntries, STATE_PEER, StateKey, StateKind},
    },
};

/// What a run with state needs beside the stores.
#[derive(Debug)]
pub struct Keeping {
    entries: RestoredEntries,
    maker: Maker,
    rules: Arc<[StoreRules]>,
    /// Stores for the next partition whose state comes.
    next: Option<PartitionStores>,
    /// The source's topics, as state is known by.
    topics: Vec<String>,
    destination: Destination,
    /// The key of the change that is written.
    key: Vec<u8>,
    trouble: Option<Trouble>,
}

impl Keeping {
    /// Starts the thread that makes stores; `destination` is the state topic's number, `wake` ends
    /// the hot thread's sleep.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub fn start(
        entries: RestoredEntries,
        stores: &StateStores,
        (topics, destination): (Vec<String>, Destination),
        wake: impl Fn() + Send + 'static,
    ) -> Result<Keeping, std::io::Error> {
        let (made_by, room) = (Arc::clone(stores.rules()), stores.room());
        let maker = Maker::start(move || PartitionStores::make(&made_by, room), wake)?;
        Ok(Keeping {
            entries,
            maker,
            rules: Arc::clone(stores.rules()),
            next: None,
            topics,
            destination,
            key: Vec::new(),
            trouble: None,
        })
    }

    fn shared(&self) -> &Restoration {
        self.entries.shared()
    }

    /// Takes what has come back, as much as a turn may; how much that was.
    #[inline]
    pub fn restore(&mut self, stores: &mut StateStores) -> usize {
        if self.shared().is_restoring() || self.next.is_some() {
            return self.restore_some(stores);
        }
        0
    }

    #[cold]
    fn restore_some(&mut self, stores: &mut StateStores) -> usize {
        let mut restored = 0;
        while restored < RESTORED_PER_TURN_MAX {
            if self.next.is_none() {
                self.next = self.maker.take();
            }
            // One item at a time, for each may be the first of another partition.
            if self.next.is_none() || !self.restore_one(stores) {
                break;
            }
            restored += 1;
        }
        if !self.shared().is_restoring()
            && let Some(unused) = self.next.take()
        {
            self.maker.give_back(unused);
        }
        restored
    }

    /// False if there is nothing.
    fn restore_one(&mut self, stores: &mut StateStores) -> bool {
        let Keeping { entries, maker, next, trouble, .. } = self;
        let taken = entries.take(1, &mut |partition, handed| {
            let restored = match handed {
                Handed::Begin => {
                    let made = next.take().expect("stores were taken before");
                    stores.give(partition, made).into_iter().for_each(|it| maker.give_back(it));
                    Ok(())
                }
                Handed::Cancelled => {
                    stores.end(partition).into_iter().for_each(|it| maker.give_back(it));
                    Ok(())
                }
                Handed::Entry { step, key, value } => {
                    stores.restore(partition, store_of(stores, step), key, value)
                }
                Handed::Seed { step, value: Some(value) } => {
                    stores.restore_seed(partition, store_of(stores, step), value)
                }
                Handed::Seed { value: None, .. } | Handed::Complete => Ok(()),
            };
            if let Err(text) = restored {
                let code = "STATE_UNREADABLE";
                *trouble = Some(Trouble { peer: STATE_PEER, code, text, heals: false });
            }
        });
        taken > 0
    }

    /// The partition is no longer ours, or is to be restored again.
    pub(super) fn end(&mut self, stores: &mut StateStores, partition: PartitionId) {
        stores.end(partition).into_iter().for_each(|it| self.maker.give_back(it));
    }

    pub(super) fn next_trouble(&mut self) -> Option<Trouble> {
        self.trouble.take()
    }

    /// Hands the next change to `write`, as a record of the state topic.
    pub(super) fn write_change(
        &mut self,
        stores: &mut StateStores,
        write: &mut impl FnMut(&Output<'_>) -> bool,
    ) -> bool {
        let mut bytes = mem::take(&mut self.key);
        let is_some = stores.write_change(&mut |change: StateChange<'_>| {
            let (topic, number) = self.shared().place(change.partition);
            let of = &self.rules[change.store];
            let kind = if change.is_seed { StateKind::Seed } else { StateKind::Entry };
            let (topic, step) = (&*self.topics[usize::from(topic)], &*of.name);
            bytes.clear();
            StateKey { kind, topic, step, hash: of.hash, key: change.key }.write(&mut bytes);
            write(&Output {
                destination: self.destination,
                partition_number: Some(number),
                timestamp_ms: None,
                key: Some(&bytes),
                value: change.value,
                headers: Headers::NONE,
            })
        });
        self.key = bytes;
        is_some
    }

    /// Tells those who look from outside what is kept.
    pub(super) fn tell_kept(&self, stores: &StateStores) {
        for (store, rules) in stores.rules().iter().enumerate() {
            let (entries, bytes) = stores.kept(store);
            self.shared().tell_kept(rules.step, entries, bytes);
        }
    }
}

/// The number of a step's store.
fn store_of(stores: &StateStores, step: u16) -> usize {
    let found = stores.rules().iter().position(|it| it.step == step);
    found.expect("entries come back of steps that keep state")
}

/// A thread that makes stores and frees them.
#[derive(Debug)]
struct Maker {
    shared: Arc<Exchange>,
    thread: Option<JoinHandle<()>>,
    /// It was asked for stores that were not taken yet.
    is_asked: bool,
}

#[derive(Debug)]
struct Exchange {
    is_wanted: AtomicBool,
    is_over: AtomicBool,
    made: ArrayQueue<PartitionStores>,
    /// Room for those of every partition that there can be.
    unused: ArrayQueue<PartitionStores>,
}

impl Maker {
    fn start(
        make: impl Fn() -> PartitionStores + Send + 'static,
        wake: impl Fn() + Send + 'static,
    ) -> Result<Maker, std::io::Error> {
        let shared = Arc::new(Exchange {
            is_wanted: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            made: ArrayQueue::new(1),
            unused: ArrayQueue::new(PARTITIONS_MAX + 1),
        });
        let ours = Arc::clone(&shared);
        let thread = thread::Builder::new().name("hotspur-stores".to_owned()).spawn(move || {
            while !ours.is_over.load(Ordering::Acquire) {
                while ours.unused.pop().is_some() {}
                if ours.is_wanted.swap(false, Ordering::AcqRel) {
                    let is_taken = ours.made.push(make()).is_ok();
                    assert!(is_taken, "one is wanted at a time");
                    wake();
                } else {
                    thread::park();
                }
            }
        })?;
        Ok(Maker { shared, thread: Some(thread), is_asked: false })
    }

    /// Stores, if there are some by now; else they will be there in a later turn.
    fn take(&mut self) -> Option<PartitionStores> {
        let made = self.shared.made.pop();
        if made.is_some() {
            self.is_asked = false;
        } else if !mem::replace(&mut self.is_asked, true) {
            self.shared.is_wanted.store(true, Ordering::Release);
            self.unpark();
        }
        made
    }

    fn give_back(&self, stores: PartitionStores) {
        let is_taken = self.shared.unused.push(stores).is_ok();
        assert!(is_taken, "there is room for those of every partition");
        self.unpark();
    }

    fn unpark(&self) {
        self.thread.iter().for_each(|it| it.thread().unpark());
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.unpark();
        if let Some(thread) = self.thread.take() {
            // A fault there is told by the thread itself.
            let _ = thread.join();
        }
    }
}
