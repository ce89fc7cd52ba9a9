//! What one run reads: `run --from P --until P`, beside what the file says.
//!
//! A point is `earliest`, `latest`, a time or an age, and then of every partition; or offsets,
//! `topic:partition:offset`, each of its own partition. Where offsets are given, `--from` leaves
//! the other partitions where the group is, and `--until` takes nothing of them. Of Redis Streams
//! it is the id of an entry, `stream:id`; then `--from` leaves the others at the file's `start`.

use std::time::{SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_64;

use super::{settings::Start, units};

/// What one run reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Where it begins, instead of at the group's offset.
    pub from: Option<Point>,
    /// Where it ends.
    pub until: Option<Point>,
    /// Whether the group was named for this run: then its position may be moved.
    pub is_group_named: bool,
}

/// A point in the source, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// What it means.
    pub place: Place,
    /// The words, with commas between them.
    pub written: String,
}

/// Where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In every partition.
    Everywhere(Start),
    /// In these partitions.
    Offsets(Vec<PartitionOffset>),
    /// In these streams.
    Entries(Vec<StreamEntry>),
}

/// An entry of one stream, there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// The stream's name.
    pub stream: String,
    /// The first number of its id: milliseconds since the epoch.
    pub ms: u64,
    /// The second.
    pub number: u64,
}

/// An offset of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionOffset {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

const OFFSET: &str = "topic:partition:offset";
const ENTRY: &str = "stream:id, such as orders:1732160220000-0";

/// What a point is, where the last kind of it is such.
fn form(last: &str) -> String {
    format!(
        "a point is earliest, latest, a time such as 2026-11-21T05:37:00Z, an age such as 1h, or \
         {last}"
    )
}

impl Point {
    /// Reads the values of an option; `None` if it was not given.
    ///
    /// # Errors
    ///
    /// A sentence that names what is wrong.
    pub fn parse(words: &[String]) -> Result<Option<Point>, String> {
        Point::parse_with(words, |words| parse_offsets(words).map(Place::Offsets))
    }

    /// The same, of Redis Streams.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn parse_of_streams(words: &[String]) -> Result<Option<Point>, String> {
        Point::parse_with(words, |words| parse_entries(words).map(Place::Entries))
    }

    fn parse_with(
        words: &[String],
        parse: impl FnOnce(&[String]) -> Result<Place, String>,
    ) -> Result<Option<Point>, String> {
        let written = words.join(",");
        let place = match (words, words.first().and_then(|it| parse_start(it))) {
            ([], _) => return Ok(None),
            ([_], Some(start)) => Place::Everywhere(start),
            (words, _) => parse(words)?,
        };
        Ok(Some(Point { place, written }))
    }

    /// A number that stands for the words, the same in every process and version.
    pub fn mark(&self) -> u64 {
        xxh3_64(self.written.as_bytes())
    }

    /// The offset of that partition; `None` where it is not a matter of offsets.
    pub fn offset_of(&self, topic: &str, partition: i32) -> Option<i64> {
        let is_it = |it: &&PartitionOffset| it.topic == topic && it.partition == partition;
        self.offsets().iter().find(is_it).map(|it| it.offset)
    }

    /// The offsets that it gives.
    pub fn offsets(&self) -> &[PartitionOffset] {
        match &self.place {
            Place::Offsets(offsets) => offsets,
            Place::Everywhere(_) | Place::Entries(_) => &[],
        }
    }

    /// Topics or streams that it names.
    fn names(&self) -> Vec<&String> {
        match &self.place {
            Place::Offsets(offsets) => offsets.iter().map(|it| &it.topic).collect(),
            Place::Entries(entries) => entries.iter().map(|it| &it.stream).collect(),
            Place::Everywhere(_) => Vec::new(),
        }
    }
}

impl Range {
    /// Whether there is one.
    pub fn is_given(&self) -> bool {
        self.from.is_some() || self.until.is_some()
    }

    /// What is wrong with it for a source of these topics, in a sentence.
    pub fn problem(&self, topics: &[String]) -> Option<String> {
        let given = [("--from", &self.from), ("--until", &self.until)];
        for (option, point) in given.iter().filter_map(|(it, point)| Some((it, point.as_ref()?))) {
            if let Some(topic) = point.names().into_iter().find(|it| !topics.contains(it)) {
                let known = topics.join(", ");
                return Some(format!("{option}: \"{topic}\" is not read, but {known} is"));
            }
        }
        let until = self.until.as_ref()?;
        match until.place {
            Place::Everywhere(Start::Time(at_ms)) if at_ms > now_ms() => Some(format!(
                "--until: {} lies ahead, and ends are settled at the start; use latest, or run \
                 without --until and stop it then",
                until.written
            )),
            _ => None,
        }
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

/// `earliest`, `latest`, a time or an age.
pub(crate) fn parse_start(text: &str) -> Option<Start> {
    match text {
        "earliest" => Some(Start::Earliest),
        "latest" => Some(Start::Latest),
        _ => match units::parse_duration(text) {
            Ok(age) => Some(Start::Age(age)),
            Err(_) => units::parse_time(text).map(Start::Time).ok(),
        },
    }
}

fn parse_offsets(words: &[String]) -> Result<Vec<PartitionOffset>, String> {
    let mut offsets: Vec<PartitionOffset> = Vec::with_capacity(words.len());
    for word in words {
        if words.len() > 1 && parse_start(word).is_some() {
            return Err(format!("\"{word}\" is of every partition and stands alone"));
        }
        let offset = parse_offset(word).ok_or_else(|| no_point(word, OFFSET))?;
        let is_same =
            |it: &PartitionOffset| (&it.topic, it.partition) == (&offset.topic, offset.partition);
        if offsets.iter().any(is_same) {
            return Err(format!("\"{word}\": {}:{} stands twice", offset.topic, offset.partition));
        }
        offsets.push(offset);
    }
    Ok(offsets)
}

fn no_point(word: &str, last: &str) -> String {
    format!("\"{word}\" is no point: {}", form(last))
}

fn parse_entries(words: &[String]) -> Result<Vec<StreamEntry>, String> {
    let mut entries: Vec<StreamEntry> = Vec::with_capacity(words.len());
    for word in words {
        if words.len() > 1 && parse_start(word).is_some() {
            return Err(format!("\"{word}\" is of every stream and stands alone"));
        }
        let entry = parse_entry(word).ok_or_else(|| no_point(word, ENTRY))?;
        if entries.iter().any(|it| it.stream == entry.stream) {
            return Err(format!("\"{word}\": {} stands twice", entry.stream));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn parse_entry(word: &str) -> Option<StreamEntry> {
    let (stream, id) = word.rsplit_once(':').filter(|(stream, _)| !stream.is_empty())?;
    let (ms, number) = id.split_once('-').unwrap_or((id, "0"));
    Some(StreamEntry {
        stream: stream.to_owned(),
        ms: ms.parse().ok()?,
        number: number.parse().ok()?,
    })
}

fn parse_offset(word: &str) -> Option<PartitionOffset> {
    let mut parts = word.rsplitn(3, ':');
    let offset = parts.next()?.parse().ok().filter(|it| *it >= 0)?;
    let partition = parts.next()?.parse().ok().filter(|it| *it >= 0)?;
    let topic = parts.next().filter(|it| !it.is_empty())?.to_owned();
    Some(PartitionOffset { topic, partition, offset })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(words: &[&str]) -> Result<Option<Point>, String> {
        Point::parse(&words.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
    }

    fn until(words: &[&str]) -> Range {
        Range { until: parse(words).unwrap(), ..Range::default() }
    }

    #[test]
    fn a_point_is_of_every_partition_or_of_the_named_ones() {
        assert_eq!(parse(&[]), Ok(None));
        for (word, start) in [
            ("earliest", Start::Earliest),
            ("latest", Start::Latest),
            ("1h30m", Start::Age(Duration::from_secs(5400))),
            ("1970-01-01T00:00:02Z", Start::Time(2000)),
        ] {
            let point = parse(&[word]).unwrap().unwrap();
            assert_eq!((point.place, point.written.as_str()), (Place::Everywhere(start), word));
        }
        let point = parse(&["a.b:0:7", "a.b:12:0"]).unwrap().unwrap();
        assert_eq!((point.offset_of("a.b", 0), point.offset_of("a.b", 12)), (Some(7), Some(0)));
        assert_eq!((point.offset_of("a.b", 1), point.offset_of("c", 0)), (None, None));
    }

    #[test]
    fn what_is_no_point_is_named() {
        let wrong: [&[&str]; 8] = [
            &["yesterday"],
            &["a:0"],
            &["a:0:-1"],
            &["a:-1:0"],
            &[":0:0"],
            &["a:x:0"],
            &["a:0:0", "latest"],
            &["a:0:0", "a:0:1"],
        ];
        for words in wrong {
            let error = parse(words).unwrap_err();
            assert!(words.iter().any(|it| error.contains(&format!("\"{it}\""))), "{error}");
        }
    }

    #[test]
    fn a_point_of_streams_is_the_id_of_an_entry() {
        let parse = |words: &[&str]| {
            Point::parse_of_streams(&words.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(parse(&["1h"]), super::tests::parse(&["1h"]));
        let point = parse(&["orders:new:5-2", "b:7"]).unwrap().unwrap();
        let entry = |stream: &str, ms, number| StreamEntry { stream: stream.into(), ms, number };
        assert_eq!(point.place, Place::Entries(vec![entry("orders:new", 5, 2), entry("b", 7, 0)]));
        for words in
            [&["5-2"][..], &[":5-2"], &["a:x-1"], &["a:0:-1"], &["a:1", "latest"], &["a:1", "a:2"]]
        {
            let error = parse(words).unwrap_err();
            assert!(words.iter().any(|it| error.contains(&format!("\"{it}\""))), "{error}");
        }
        let range = Range { until: Some(point), ..Range::default() };
        let problem = range.problem(&["b".to_owned()]).unwrap();
        assert!(problem.contains("\"orders:new\" is not read"), "{problem}");
    }

    #[test]
    fn topics_must_be_read_and_times_be_past() {
        let topics = ["orders".to_owned()];
        assert_eq!(until(&["orders:0:5"]).problem(&topics), None);
        assert_eq!(until(&["2026-01-01T00:00:00Z"]).problem(&topics), None);
        let problem = until(&["other:0:5"]).problem(&topics).unwrap();
        assert!(problem.contains("\"other\"") && problem.contains("orders"), "{problem}");
        let problem = until(&["2999-01-01T00:00:00Z"]).problem(&topics).unwrap();
        assert!(problem.contains("2999-01-01T00:00:00Z lies ahead"), "{problem}");
    }

    #[test]
    fn the_mark_is_of_the_words() {
        let mark = |words| parse(words).unwrap().unwrap().mark();
        assert_eq!(mark(&["1h"]), 1_475_887_823_220_754_509);
        assert_ne!(mark(&["a:0:1"]), mark(&["a:0:2"]));
    }
}
