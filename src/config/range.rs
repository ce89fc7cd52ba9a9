//! What one run reads: `run --from P --until P`, beside what the file says.
//!
//! A point is `earliest`, `latest`, a time or an age, and then of every partition; or offsets,
//! `topic:partition:offset`, each of its own partition. Where offsets are given, `--from` leaves
//! the other partitions where the group is, and `--until` takes nothing of them.

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

const FORM: &str = "a point is earliest, latest, a time such as 2026-11-21T05:37:00Z, an age such \
                    as 1h, or topic:partition:offset";

impl Point {
    /// Reads the values of an option; `None` if it was not given.
    ///
    /// # Errors
    ///
    /// A sentence that names what is wrong.
    pub fn parse(words: &[String]) -> Result<Option<Point>, String> {
        let written = words.join(",");
        let place = match (words, words.first().and_then(|it| parse_start(it))) {
            ([], _) => return Ok(None),
            ([_], Some(start)) => Place::Everywhere(start),
            (words, _) => Place::Offsets(parse_offsets(words)?),
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
            Place::Everywhere(_) => &[],
        }
    }
}

impl Range {
    /// What is wrong with it for a source of these topics, in a sentence.
    pub fn problem(&self, topics: &[String]) -> Option<String> {
        let given = [("--from", &self.from), ("--until", &self.until)];
        for (option, point) in given.iter().filter_map(|(it, point)| Some((it, point.as_ref()?))) {
            let is_unknown = |it: &&PartitionOffset| !topics.contains(&it.topic);
            if let Some(PartitionOffset { topic, .. }) = point.offsets().iter().find(is_unknown) {
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
            return Err(format!("\"{word}\" is of every partition and stands alone: {FORM}"));
        }
        let offset = parse_offset(word).ok_or_else(|| format!("\"{word}\" is no point: {FORM}"))?;
        let is_same =
            |it: &PartitionOffset| (&it.topic, it.partition) == (&offset.topic, offset.partition);
        if offsets.iter().any(is_same) {
            return Err(format!("\"{word}\": {}:{} stands twice", offset.topic, offset.partition));
        }
        offsets.push(offset);
    }
    Ok(offsets)
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
