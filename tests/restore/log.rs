//! The log of this test program, kept: side threads write to it, too.

use std::{
    io::{self, Write},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde_json::Value;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Kept;

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lines().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines() -> MutexGuard<'static, Vec<u8>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps lines from now on.
pub(crate) fn keep() {
    static KEPT: OnceLock<()> = OnceLock::new();
    KEPT.get_or_init(|| tracing_subscriber::fmt().json().with_writer(|| Kept).init());
}

/// Events of that name about that state topic.
pub(crate) fn events(name: &str, topic: &str) -> Vec<Value> {
    let text = String::from_utf8(lines().clone()).expect("text");
    let fields = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON")["fields"].clone());
    fields
        .filter(|it| it["event"] == name && (it["topic"] == topic || it["state"] == topic))
        .collect()
}
