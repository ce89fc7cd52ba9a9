//! `hotspur` in a folder of its own: started with arguments, its status and its sentences.

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A folder in which `hotspur` runs.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) TempDir);

impl Folder {
    pub(crate) fn empty() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn with(self, name: &str, text: &str) -> Folder {
        fs::write(self.0.path().join(name), text).expect("a file that can be written");
        self
    }

    pub(crate) fn run(&self, words: &[&str]) -> Answer {
        self.run_on(words, "")
    }

    /// The answer of `hotspur`, with that on its standard input.
    pub(crate) fn run_on(&self, words: &[&str], input: &str) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotspur"));
        let ours = std::env::vars().map(|(name, _)| name).filter(|it| it.starts_with("HOTSPUR_"));
        ours.for_each(|name| _ = command.env_remove(name));
        let mut child = command
            .args(words)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // It may not be interested.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        Answer::new(words, child.wait_with_output().expect("the program ends"))
    }
}

/// How it ended and what it said.
#[derive(Debug)]
pub(crate) struct Answer {
    words: String,
    pub(crate) status: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Answer {
    fn new(words: &[&str], output: Output) -> Answer {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Answer {
            words: words.join(" "),
            status: output.status.code(),
            output: text(&output.stdout),
            errors: text(&output.stderr),
        }
    }

    /// Expects this status, and these words in what it said.
    #[track_caller]
    pub(crate) fn is(self, status: i32, words: &[&str]) -> Answer {
        let Answer { words: of, output, errors, .. } = &self;
        let said = format!("hotspur {of}\n{output}\n{errors}");
        assert_eq!(self.status, Some(status), "{said}");
        for word in words {
            assert!(said.contains(word), "no {word:?} in {said}");
        }
        self
    }
}
