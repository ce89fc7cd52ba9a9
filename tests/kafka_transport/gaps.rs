//! Offsets that the broker does not have: told with first and last, and passed over where wanted.

use hotspur::{
    config::settings::{OnGap, Start},
    record::PartitionId,
    transport::{
        Source,
        kafka::{Request, RequestError},
    },
};

use super::member::{Member, Said, broker, produce, source_settings};

#[test]
fn an_offset_that_is_gone_does_not_heal_and_says_where() {
    let kafka = broker("in", 1);
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("the partition", |it| it.owned() == [0]);
    member.commit(1, &[(PartitionId(0), 77)]).unwrap();
    member.source.close();
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("trouble", |it| it.troubles().any(|it| !it.heals));
    let trouble = member.troubles().find(|it| !it.heals).unwrap();
    assert_eq!((trouble.peer, trouble.code), ("source", "_AUTO_OFFSET_RESET"));
    let text = trouble.text.as_str();
    let expected = "in[0]: offsets 0 to 76 are gone, 77 of them: the log ends at 0 (";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_partition_goes_on_where_its_log_does_and_the_others_never_stopped() {
    let kafka = broker("in", 2);
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("both partitions", |it| it.owned() == [0, 1]);
    let (first, second) = (member.number_of(0), member.number_of(1));
    member.commit(1, &[(first, 3), (second, 0)]).unwrap();
    member.source.close();
    produce(&kafka, "in", 1, &["x"]);

    let mut settings = source_settings(&kafka, Start::Earliest);
    settings.on_gap = OnGap::Continue;
    let mut member = Member::with(&settings);
    let is_gap = |said: &Said| matches!(said, Said::Gap(_));
    member.turn_until("the gap", |it| it.said.iter().any(is_gap) && it.values() == ["x"]);
    produce(&kafka, "in", 0, &["a", "b", "c", "d"]);
    member.turn_until("all records", |it| it.records.len() == 5);
    assert_eq!(member.values(), ["x", "a", "b", "c", "d"]);
    let gaps = member.said.iter().filter_map(|it| match it {
        Said::Gap(gap) => Some((member.number_of(0) == gap.partition, gap.records, gap.resume_at)),
        _ => None,
    });
    assert_eq!(gaps.collect::<Vec<_>>(), [(true, 3, 0)]);
    let first = member.number_of(0);
    assert_eq!(member.commit(2, &[(first, 4)]), Ok(()));
}

#[test]
fn an_offset_that_is_there_after_all_is_asked_for_again() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["a", "b"]);
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("the records", |it| it.records.len() == 2);
    kafka.push_request_errors(Request::Fetch, &[RequestError::OffsetOutOfRange; 3]);
    member.turn_until("the trouble", |it| it.troubles().any(|it| it.code == "OFFSET_OUT_OF_RANGE"));
    produce(&kafka, "in", 0, &["c"]);
    member.turn_until("the next record", |it| it.records.len() == 3);
    assert_eq!(member.values(), ["a", "b", "c"]);
    assert!(member.troubles().all(|it| it.heals), "{:?}", member.said);
}
