//! One run of a script: its status and its words.

use std::process::{Command, Output};

/// What it came to.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `None` if it was killed.
    pub(crate) status: Option<i32>,
    /// Standard output and standard error.
    pub(crate) text: String,
}

impl Answer {
    /// Runs it to its end.
    pub(crate) fn of(command: &mut Command) -> Answer {
        let Output { status, stdout, stderr } = command.output().expect("bash runs");
        let text = [stdout, stderr].concat();
        let text = String::from_utf8(text).expect("words in UTF-8");
        Answer { status: status.code(), text }
    }

    /// Expects this status, and these words in what it said.
    #[track_caller]
    pub(crate) fn is(self, status: i32, words: &[&str]) -> Answer {
        assert_eq!(self.status, Some(status), "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "no {word:?} in\n{}", self.text);
        }
        self
    }

    /// Expects that it was killed.
    #[track_caller]
    pub(crate) fn was_killed(&self) {
        assert_eq!(self.status, None, "{}", self.text);
    }
}
