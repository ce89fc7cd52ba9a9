//! A side thread that writes positions, because a disk takes its time.
//!
//! One sheet with a position for each stream goes to and fro between it and the hot thread: filled
//! in there, written here, and back with what came of it. So at most one is under way, as commits
//! are, and the hot thread takes no memory for it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crossbeam_queue::ArrayQueue;

use super::positions::{Position, PositionFile};
use crate::{
    transport::{Trouble, WaitSet, Waker, Wakeup, wait},
    verdict::Sentence,
};

const THREAD_NAME: &str = "hotspur-keeper";

/// What a trouble with the file is called.
const CODE: &str = "POSITIONS_NOT_WRITTEN";

/// A position for each stream.
type Sheet = Vec<Position>;

/// Writes positions into a file.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    wakeup: Wakeup,
    thread: Option<JoinHandle<()>>,
    /// Here unless it is being written.
    sheet: Option<Sheet>,
    kept: KeptPositions,
}

/// The positions that stand in the file, for side threads.
#[derive(Clone, Debug)]
pub struct KeptPositions {
    sheet: Arc<Mutex<Sheet>>,
}

impl KeptPositions {
    fn new(sheet: &Sheet) -> KeptPositions {
        KeptPositions { sheet: Arc::new(Mutex::new(sheet.clone())) }
    }

    /// That of the stream of this number.
    pub(super) fn read(&self, stream: usize) -> Position {
        self.sheet.lock().unwrap_or_else(PoisonError::into_inner)[stream]
    }

    fn write(&self, sheet: &Sheet) {
        self.sheet.lock().unwrap_or_else(PoisonError::into_inner).clone_from(sheet);
    }
}

struct Shared {
    asked: ArrayQueue<Sheet>,
    answered: ArrayQueue<(Sheet, Result<(), Trouble>)>,
    is_ending: AtomicBool,
    waker: Waker,
}

impl Keeper {
    /// Writes the positions from which all begins, before anything is read: after a crash `latest`
    /// is where it was. Then starts the thread. May wait.
    pub(super) fn start(
        peer: &'static str,
        file: PositionFile,
        positions: Sheet,
    ) -> Result<Keeper, Trouble> {
        let system = |error| Trouble { heals: false, ..trouble(peer, &file, &error) };
        file.write(&positions).map_err(system)?;
        let (waker, wakeup) = wait::waker().map_err(system)?;
        let shared = Arc::new(Shared {
            asked: ArrayQueue::new(1),
            answered: ArrayQueue::new(1),
            is_ending: AtomicBool::new(false),
            waker,
        });
        let kept = KeptPositions::new(&positions);
        let theirs = (Arc::clone(&shared), kept.clone());
        let thread = thread::Builder::new().name(THREAD_NAME.to_owned());
        let thread =
            thread.spawn(move || run(peer, &file, &theirs.0, &theirs.1)).map_err(|error| {
                let text = Sentence::format(format_args!("a side thread: {error}"));
                Trouble { peer, code: CODE, text, heals: false }
            })?;
        Ok(Keeper { shared, wakeup, thread: Some(thread), sheet: Some(positions), kept })
    }

    /// What stands in the file.
    pub(super) fn kept(&self) -> &KeptPositions {
        &self.kept
    }

    /// Whether nothing is being written.
    pub(super) fn is_idle(&self) -> bool {
        self.sheet.is_some()
    }

    /// Has the positions written as `fill` leaves them; those that it does not touch are as they
    /// were asked for last.
    ///
    /// # Panics
    ///
    /// Before what was asked for last is answered.
    pub(super) fn keep(&mut self, fill: impl FnOnce(&mut [Position])) {
        let sheet = self.sheet.take();
        let mut sheet = sheet.expect("one commit at a time: the last one has no answer yet");
        fill(&mut sheet);
        let _ = self.shared.asked.push(sheet);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// What came of it.
    pub(super) fn take_answer(&mut self) -> Option<Result<(), Trouble>> {
        if self.sheet.is_some() {
            return None;
        }
        let (sheet, result) = self.shared.answered.pop()?;
        self.wakeup.clear();
        self.sheet = Some(sheet);
        Some(result)
    }

    /// An answer that is owed ends the wait.
    pub(super) fn wait_on(&self, set: &mut WaitSet) {
        if self.sheet.is_none() {
            self.wakeup.wait_on(set);
        }
    }
}

fn run(peer: &'static str, file: &PositionFile, shared: &Shared, kept: &KeptPositions) {
    loop {
        // What was asked for before the end is still done.
        let is_ending = shared.is_ending.load(Ordering::Acquire);
        match shared.asked.pop() {
            Some(sheet) => {
                let result = file.write(&sheet).map_err(|it| trouble(peer, file, &it));
                if result.is_ok() {
                    kept.write(&sheet);
                }
                let _ = shared.answered.push((sheet, result));
                shared.waker.wake();
            }
            None if is_ending => return,
            None => thread::park(),
        }
    }
}

/// A disk may have room again.
fn trouble(peer: &'static str, file: &PositionFile, error: &std::io::Error) -> Trouble {
    let path = file.path().display();
    let text = Sentence::format(format_args!("positions cannot be written to {path}: {error}"));
    Trouble { peer, code: CODE, text, heals: true }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("sheet", &self.sheet).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::{super::entry_id::EntryId, *};

    fn answer(keeper: &mut Keeper) -> Result<(), Trouble> {
        loop {
            let mut set = WaitSet::new();
            keeper.wait_on(&mut set);
            assert!(set.wait(Duration::from_secs(30)), "no answer");
            if let Some(result) = keeper.take_answer() {
                return result;
            }
        }
    }

    #[test]
    fn what_is_asked_for_stands_in_the_file_when_it_is_answered_and_trouble_heals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner").join("positions");
        let open = || PositionFile::open(&path, &["a".to_owned()]).unwrap();
        let refused = Keeper::start("source", open(), vec![Position::default()]).unwrap_err();
        assert!(!refused.heals && refused.text.as_str().contains("inner"), "{}", refused.text);
        fs::create_dir(folder.path().join("inner")).unwrap();
        let mut keeper = Keeper::start("source", open(), vec![Position::default()]).unwrap();
        let found = || open().found()[0].map(|it| it.behind.ms);
        assert_eq!(found(), Some(0), "before anything is read");
        let mut keep = |ms| {
            keeper.keep(|sheet| sheet[0].behind = EntryId { ms, number: 0 });
            answer(&mut keeper)
        };
        keep(5).unwrap();
        assert_eq!(found(), Some(5));
        fs::rename(folder.path().join("inner"), folder.path().join("away")).unwrap();
        let trouble = keep(6).unwrap_err();
        assert!(trouble.heals && trouble.code == CODE);
        fs::rename(folder.path().join("away"), folder.path().join("inner")).unwrap();
        keep(7).unwrap();
        assert_eq!(found(), Some(7));
        keeper.keep(|sheet| sheet[0].behind.ms = 8);
        drop(keeper);
        assert_eq!(found(), Some(8), "what was asked for before the end is done");
    }
}
