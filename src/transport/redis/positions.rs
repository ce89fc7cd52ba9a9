//! How far streams were read without a group: a file, which is always whole.
//!
//! It is written beside its place, brought to the disk, and then put there under its name, so that
//! whoever is killed at any moment leaves the old one or the new one. It is JSON that a person can
//! read and change while nobody runs on it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::entry_id::EntryId;

/// The number of the file's language.
const VERSION: u32 = 1;

/// How far one stream was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// All entries up to this one are settled.
    pub behind: EntryId,
    /// How many were added to the stream up to there, where that is known: those that were read,
    /// those before the start, and those that were gone before they could be read.
    pub passed: Option<u64>,
}

/// A file of positions, and what was found in it.
#[derive(Debug)]
pub struct PositionFile {
    path: PathBuf,
    streams: Vec<String>,
    found: Vec<Option<Position>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    streams: BTreeMap<String, Line>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    behind: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    passed: Option<u64>,
}

impl PositionFile {
    /// Reads the file, which need not be there. A stream without a position in it is a new one.
    ///
    /// # Errors
    ///
    /// A sentence that names the file: it cannot be read, is damaged, or has positions of streams
    /// that are not among these, which would be lost.
    pub fn open(path: &Path, streams: &[String]) -> Result<PositionFile, String> {
        let problem = |what: String| format!("{}: {what}", path.display());
        let known = match fs::read(path) {
            Ok(bytes) => parse(&bytes).map_err(|error| {
                problem(format!(
                    "it has no positions that can be read ({error}); mend it, or take it away, \
                     then source.redis.start applies"
                ))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(problem(error.to_string())),
        };
        if let Some(other) = known.keys().find(|it| !streams.contains(it)) {
            return Err(problem(format!(
                "it has a position of {other:?}, which is not among source.redis.streams; take \
                 another file, or that stream out of this one"
            )));
        }
        let found = streams.iter().map(|it| known.get(it).copied()).collect();
        Ok(PositionFile { path: path.to_owned(), streams: streams.to_vec(), found })
    }

    /// What was found, stream by stream.
    pub fn found(&self) -> &[Option<Position>] {
        &self.found
    }

    /// Its place.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes these positions, one for each stream, and waits until they are on the disk.
    pub(super) fn write(&self, positions: &[Position]) -> io::Result<()> {
        let line = |it: &Position| Line { behind: it.behind.to_string(), passed: it.passed };
        let lines = self.streams.iter().cloned().zip(positions.iter().map(line));
        let document = Document { version: VERSION, streams: lines.collect() };
        let mut text = serde_json::to_string_pretty(&document)?;
        text.push('\n');
        replace(&self.path, text.as_bytes())
    }
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Position>, String> {
    let document: Document = serde_json::from_slice(bytes).map_err(|it| it.to_string())?;
    if document.version != VERSION {
        return Err(format!("version {}, and this program reads {VERSION}", document.version));
    }
    let position = |(stream, Line { behind, passed }): (String, Line)| {
        let id = behind.parse().map_err(|()| format!("{behind:?} is no id of an entry"))?;
        Ok((stream, Position { behind: id, passed }))
    };
    document.streams.into_iter().map(position).collect()
}

/// Puts a file with these bytes in the place of the one that is there.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut fresh = OsString::from(path);
    fresh.push(".new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&it| it.to_owned()).collect()
    }

    fn position(ms: u64, passed: Option<u64>) -> Position {
        Position { behind: EntryId { ms, number: 3 }, passed }
    }

    #[test]
    fn what_is_written_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("positions.json");
        let streams = names(&["in:\"1\"\n", "b"]);
        let file = PositionFile::open(&path, &streams).unwrap();
        assert_eq!(file.found(), [None, None]);
        for positions in [[position(7, Some(9)), position(1, None)], [position(8, None); 2]] {
            file.write(&positions).unwrap();
            let again = PositionFile::open(&path, &streams).unwrap();
            assert_eq!(again.found(), positions.map(Some));
        }
        let more = PositionFile::open(&path, &names(&["new", "b", "in:\"1\"\n"])).unwrap();
        assert_eq!(more.found(), [None, Some(position(8, None)), Some(position(8, None))]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("positions.json");
        let whole = r#"{"version":1,"streams":{"a":{"behind":"5-1","passed":2}}}"#;
        let refused = |text: &str, streams: &[&str]| {
            fs::write(&path, text).unwrap();
            let error = PositionFile::open(&path, &names(streams)).unwrap_err();
            assert!(error.starts_with(path.to_str().unwrap()), "{error}");
            error
        };
        for end in 0..whole.len() {
            assert!(refused(&whole[..end], &["a"]).contains("mend it, or take it away"));
        }
        assert!(refused(&whole.replace("5-1", "x"), &["a"]).contains("\"x\" is no id"));
        assert!(refused(&whole.replace(":1,", ":2,"), &["a"]).contains("this program reads 1"));
        assert!(refused(&whole.replace("passed", "past"), &["a"]).contains("past"));
        assert!(refused(whole, &["b"]).contains("a position of \"a\""));
        let missing = folder.path().join("missing").join("positions.json");
        let file = PositionFile::open(&missing, &names(&["a"])).unwrap();
        assert!(file.write(&[Position::default()]).is_err());
    }
}
