//! What windows refuse, what a refusal leaves as it was, and when entries come and go.

use hotspur::{
    limits::STATE_ENTRY_BYTES_MAX,
    state::{
        Aggregate, Input, Mark, RestoreError,
        window::{Added, Arrival, Emit, Kind, Refusal, WindowRules, Windows},
    },
    verdict::RejectClass,
};

fn rules(kind: Kind, aggregates: &[Aggregate]) -> WindowRules {
    WindowRules {
        kind,
        lateness_ms: 0,
        idle_ms: None,
        max_keys: 100,
        max_age_ms: None,
        emit: Emit::Final,
        aggregates: aggregates.to_vec(),
    }
}

fn started(rules: WindowRules) -> Windows {
    let mut windows = Windows::new(rules);
    windows.start(0, Mark::NONE, 0);
    windows
}

fn add(windows: &mut Windows, key: &str, time_ms: i64, offset: i64, inputs: &[Input<'_>]) -> Added {
    let record = Arrival { key: key.as_bytes(), time_ms, offset, now_ms: offset };
    windows.add(&record, inputs)
}

/// Key, start, end and values of all results.
fn results(windows: &mut Windows) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(it) = windows.next_result() {
        let values: Vec<_> = it.values().map(String::from_utf8_lossy).collect();
        let key = String::from_utf8_lossy(it.key);
        all.push(format!("{key} {}..{} {}", it.start_ms, it.end_ms, values.join(" ")));
    }
    all
}

type Changes = Vec<(String, Option<Vec<u8>>)>;

fn changes(windows: &mut Windows) -> Changes {
    let mut all = Vec::new();
    while let Some(it) = windows.next_change() {
        let key = String::from_utf8_lossy(it.key).into_owned();
        all.push((key, it.value.map(<[u8]>::to_vec)));
    }
    all
}

fn commit(windows: &mut Windows, position: i64) -> (Changes, Mark) {
    let mark = windows.begin_commit(position, None);
    let changes = changes(windows);
    windows.committed();
    (changes, mark)
}

const TUMBLING: Kind = Kind::Tumbling { size_ms: 10 };

#[test]
fn a_refused_record_changes_nothing_in_any_of_its_windows() {
    let kind = Kind::Hopping { size_ms: 10, advance_ms: 5 };
    let mut windows = started(rules(kind, &[Aggregate::Sum, Aggregate::Collect(9)]));
    let one = [Input::Int(1), Input::Text("a")];
    assert_eq!(add(&mut windows, "key", 4, 0, &one), Added::Counted);
    let (before, _) = commit(&mut windows, 1);
    let long = "x".repeat(STATE_ENTRY_BYTES_MAX);
    let refused = [
        (3, [Input::Text("1"), Input::Null], Refusal::NotANumber(0)),
        (3, [Input::Double(f64::NAN), Input::Null], Refusal::NotANumber(0)),
        (i64::MAX, one, Refusal::Time),
        // Its first window is there, and its second is not.
        (7, [Input::Int(1), Input::Text(&long)], Refusal::EntryBytes),
    ];
    for (offset, (time, inputs, refusal)) in (1..).zip(refused) {
        assert_eq!(add(&mut windows, "key", time, offset, &inputs), Added::Refused(refusal));
    }
    assert_eq!(windows.watermark_ms(), Some(4));
    assert_eq!(commit(&mut windows, 9), (Vec::new(), Mark::parse("4").unwrap()));
    add(&mut windows, "other", 100, 9, &one);
    assert_eq!(results(&mut windows), ["key -5..5 1 [\"a\"]", "key 0..10 1 [\"a\"]"]);
    assert_eq!(before.len(), 1);
}

#[test]
fn refusals_have_the_classes_of_the_interface() {
    use Refusal::{EntryBytes, MaxAge, MaxKeys, NotANumber, Time};
    let all = [MaxKeys, MaxAge, EntryBytes, NotANumber(1), Time].map(Refusal::class);
    let (full, wrong) = (RejectClass::StateFull, RejectClass::WrongType);
    assert_eq!(all, [full, full, full, wrong, wrong]);
}

#[test]
fn results_that_are_due_make_room_for_a_key() {
    let mut windows = started(WindowRules { max_keys: 1, ..rules(TUMBLING, &[]) });
    assert_eq!(add(&mut windows, "one", 0, 0, &[]), Added::Counted);
    assert_eq!(add(&mut windows, "two", 5, 1, &[]), Added::Refused(Refusal::MaxKeys));
    assert_eq!(add(&mut windows, "one", 12, 2, &[]), Added::Counted);
    assert_eq!(add(&mut windows, "two", 5, 3, &[]), Added::Late);
    assert_eq!(results(&mut windows), ["one 0..10 "]);
    assert_eq!(add(&mut windows, "two", 12, 4, &[]), Added::Refused(Refusal::MaxKeys));
}

#[test]
fn an_entry_goes_two_commits_after_its_last_window() {
    let mut windows = started(rules(TUMBLING, &[Aggregate::Records]));
    add(&mut windows, "a", 5, 0, &[Input::Absent]);
    add(&mut windows, "b", 15, 1, &[Input::Absent]);
    assert_eq!(results(&mut windows), ["a 0..10 1"]);
    let keys = |changes: Changes| -> Vec<(String, bool)> {
        changes.into_iter().map(|(key, value)| (key, value.is_some())).collect()
    };
    let of = |key: &str, is_written| (key.to_owned(), is_written);
    assert_eq!(keys(commit(&mut windows, 2).0), [of("a", true), of("b", true)]);
    assert!(windows.wants_commit(None));
    assert_eq!(keys(commit(&mut windows, 2).0), [of("a", false)]);
    assert_eq!((windows.entries(), windows.keys()), (1, 1));
    assert!(!windows.wants_commit(None));
}

#[test]
fn an_idle_partition_closes_its_windows_once_a_commit_says_so() {
    let mut windows = started(WindowRules { idle_ms: Some(50), ..rules(TUMBLING, &[]) });
    add(&mut windows, "a", 5, 0, &[]);
    commit(&mut windows, 1);
    for (at_end, is_wanted) in [(None, false), (Some(49), false), (Some(50), true)] {
        assert_eq!(windows.wants_commit(at_end), is_wanted, "{at_end:?}");
    }
    assert_eq!(windows.begin_commit(1, Some(50)), Mark::parse("55").unwrap());
    assert_eq!(changes(&mut windows), []);
    assert_eq!(results(&mut windows), [""; 0]);
    assert_eq!(add(&mut windows, "a", 5, 1, &[]), Added::NotYet);
    windows.committed();
    assert_eq!(results(&mut windows), ["a 0..10 "]);
    assert_eq!(add(&mut windows, "a", 5, 1, &[]), Added::Late);
}

#[test]
fn a_window_that_an_entry_closed_stays_closed_whatever_is_replayed() {
    let mut windows = started(rules(TUMBLING, &[Aggregate::Records]));
    add(&mut windows, "a", 5, 0, &[Input::Absent]);
    add(&mut windows, "b", 15, 1, &[Input::Absent]);
    assert_eq!(results(&mut windows), ["a 0..10 1"]);
    windows.begin_commit(2, None);
    let entry = changes(&mut windows).swap_remove(0);
    // The position was not committed, and this time a filter takes the record of "b" out.
    let mut restored = Windows::new(rules(TUMBLING, &[Aggregate::Records]));
    restored.restore(entry.0.as_bytes(), entry.1.as_deref()).unwrap();
    restored.start(0, Mark::NONE, 0);
    assert_eq!(add(&mut restored, "a", 5, 0, &[Input::Absent]), Added::Repeated);
    assert_eq!(add(&mut restored, "a", 6, 2, &[Input::Absent]), Added::Late);
    assert_eq!(add(&mut restored, "a", 12, 3, &[Input::Absent]), Added::Counted);
}

#[test]
fn count_windows_end_by_number_or_age_and_sessions_are_refused_beyond_theirs() {
    let kind = Kind::Count { size: 2 };
    let mut windows = started(WindowRules { max_age_ms: Some(100), ..rules(kind, &[]) });
    for (offset, time) in [7, 3, 8, 120].into_iter().enumerate() {
        assert_eq!(add(&mut windows, "a", time, offset as i64, &[]), Added::Counted);
    }
    assert_eq!(results(&mut windows), ["a 3..7 ", "a 8..120 "]);
    add(&mut windows, "a", 121, 4, &[]);
    add(&mut windows, "b", 221, 5, &[]);
    assert_eq!(results(&mut windows), ["a 121..121 "]);
    let kind = Kind::Session { gap_ms: 10 };
    let mut windows = started(WindowRules { max_age_ms: Some(25), ..rules(kind, &[]) });
    assert_eq!(add(&mut windows, "a", 0, 0, &[]), Added::Counted);
    assert_eq!(add(&mut windows, "a", 9, 1, &[]), Added::Counted);
    assert_eq!(add(&mut windows, "a", 18, 2, &[]), Added::Refused(Refusal::MaxAge));
    assert_eq!(add(&mut windows, "a", 19, 3, &[]), Added::Counted);
    assert_eq!(results(&mut windows), ["a 0..19 "]);
}

#[test]
fn an_entry_that_was_cut_or_changed_is_refused_or_read_and_never_a_fault() {
    let aggregates = [
        Aggregate::Sum,
        Aggregate::Last,
        Aggregate::Distinct,
        Aggregate::Quantile(0.5),
        Aggregate::Collect(3),
    ];
    let mut windows = started(rules(TUMBLING, &aggregates));
    for offset in 0..9 {
        add(&mut windows, "key", offset, offset, &[Input::Int(offset); 5]);
    }
    let entry = commit(&mut windows, 9).0.swap_remove(0).1.unwrap();
    let take = |value: &[u8]| {
        let mut windows = Windows::new(rules(TUMBLING, &aggregates));
        let restored = windows.restore(b"key", Some(value));
        windows.start(9, Mark::NONE, 0);
        if restored.is_ok() {
            add(&mut windows, "key", 5, 1 << 40, &[Input::Int(1); 5]);
            add(&mut windows, "other", 1_000, 2 << 40, &[Input::Int(1); 5]);
            results(&mut windows);
        }
        restored
    };
    assert_eq!(take(&entry), Ok(()));
    let mut refused = 0;
    for len in 0..entry.len() {
        let is_refused = take(&entry[..len]) == Err(RestoreError::Value);
        // The head alone is a key without windows.
        assert_eq!(is_refused, len != 16, "{len} bytes");
    }
    for at in 16..entry.len() {
        let mut changed = entry.clone();
        changed[at] ^= 0xff;
        refused += usize::from(take(&changed).is_err());
    }
    assert!(refused > 20, "{refused} of {}", entry.len());
}
