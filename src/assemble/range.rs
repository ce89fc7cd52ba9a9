//! Before a run that was told where to begin or end: what only the brokers know of that.

use super::{StartError, broker_error};
use crate::{
    config::{Settings, range::Point},
    transport::kafka::{KafkaAdmin, PartitionLag},
};

/// Refuses a range that is not there, or would move a group that nobody named.
///
/// # Errors
///
/// Also if the brokers do not say.
pub fn check_range(settings: &Settings) -> Result<(), StartError> {
    let source = &settings.source;
    let (range, group) = (&source.range, &source.group);
    // Streams have no positions to be moved, and ids without an entry are points as well.
    if !range.is_given() || settings.streams.source.is_some() {
        return Ok(());
    }
    let timeout = settings.engine.start_timeout;
    let admin = KafkaAdmin::connect_for_group(&source.client, group, timeout);
    let admin = admin.map_err(broker_error)?;
    if let Some(from) = &range.from {
        let counted = admin.count_moved(group, &source.topics, from.mark());
        let (moved, others) = counted.map_err(broker_error)?;
        if others > 0 && !range.is_group_named {
            return Err(StartError::Refused(would_move(group, from)));
        }
        if moved > 0 {
            let text = "it came to its offsets by the same --from, and goes on there; \
                        another group begins anew";
            tracing::info!(event = "group.goes_on", group, partitions = moved, "{text}");
        }
    }
    let given = [("--from", &range.from), ("--until", &range.until)];
    let given = given.iter().filter_map(|(option, point)| Some((*option, point.as_ref()?)));
    let given: Vec<_> = given.filter(|(_, point)| !point.offsets().is_empty()).collect();
    if given.is_empty() {
        return Ok(());
    }
    let lags = admin.lag(group, &source.topics).map_err(broker_error)?;
    match given.iter().find_map(|(option, point)| missing(option, point, &lags)) {
        Some(problem) => Err(StartError::Refused(problem)),
        None => Ok(()),
    }
}

fn would_move(group: &str, from: &Point) -> String {
    format!(
        "--from: the group {group} has offsets, and this would move it to {}; name it with --group \
         {group} if that is meant, or another one, such as --group {group}-rerun",
        from.written
    )
}

/// The first partition that is not there, or the first start that is outside of it.
fn missing(option: &str, point: &Point, partitions: &[PartitionLag]) -> Option<String> {
    point.offsets().iter().find_map(|it| {
        let (topic, number, offset) = (&it.topic, it.partition, it.offset);
        let found = partitions.iter().find(|it| it.topic == *topic && it.partition == number);
        let Some(PartitionLag { low, high, .. }) = found else {
            return Some(format!("{option}: {topic} has no partition {number}"));
        };
        let is_outside = option == "--from" && !(*low..=*high).contains(&offset);
        is_outside.then(|| {
            format!("{option}: {topic}:{number}:{offset} is not there, offsets {low} to {high} are")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named() {
        let topic = "t".to_owned();
        let partitions = [PartitionLag { topic, partition: 0, committed: None, low: 5, high: 9 }];
        let missing = |option, word: &str| {
            let point = Point::parse(&[word.to_owned()]).unwrap().unwrap();
            missing(option, &point, &partitions)
        };
        for there in ["t:0:5", "t:0:9"] {
            assert_eq!(missing("--from", there), None);
        }
        assert_eq!(missing("--until", "t:0:99"), None);
        assert!(missing("--from", "t:0:10").unwrap().contains("t:0:10 is not there"));
        assert!(missing("--from", "t:0:4").unwrap().contains("5 to 9"));
        assert!(missing("--until", "t:1:0").unwrap().contains("no partition 1"));
    }
}
