//! What came out becomes what is expected, in the text of the file itself.
//!
//! Only what differs is written: other cases, comments and the shape of what stands there stay as
//! they are. A result keeps the form in which it was expected, text or a table; one that is new
//! stands as text, or as `{ json = … }` where it is an object or a list.

use base64::{Engine, engine::general_purpose::STANDARD};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

use super::{
    Case, Expectation, Payload, Tried, compare, expected::OUTCOME_KEYS, fields::Header, json::Json,
};
use crate::pipeline::trial::{Fate, Outcome, Produced};

/// Writes what was tried into a text; `tried` holds pairs of a case's index and what came of it.
///
/// # Errors
///
/// If the cases do not stand under `[[cases]]`, in words.
pub fn bless(
    text: &str,
    cases: &[Case],
    tried: &[(usize, &Tried)],
    sink: &str,
) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    let tables = document.get_mut("cases").and_then(Item::as_array_of_tables_mut);
    let tables = tables.ok_or("to be written, each case must stand under [[cases]]")?;
    for (index, tried) in tried {
        let table = tables.get_mut(*index).ok_or("the file has changed meanwhile")?;
        write_outcome(table, tried);
        write_results(table, &cases[*index], tried, sink);
    }
    Ok(document.to_string())
}

/// Keys that say how a case ends, of which one stays at most.
const ENDINGS: [&str; 4] = OUTCOME_KEYS;

fn write_outcome(case: &mut Table, tried: &Tried) {
    let is_open = !ENDINGS.iter().chain(&["output"]).any(|key| case.contains_key(key));
    let has_output = is_open || case.contains_key("output");
    let (ending, keeps_output) = match tried.fates.as_slice() {
        [fate] => (of_single(fate), has_results(fate, tried)),
        fates => {
            let is_plain = fates.iter().all(|fate| fate.outcome == Outcome::Emitted);
            let is_said = case.contains_key("outcomes") || !is_plain;
            let list = || Value::Array(fates.iter().map(Fate::to_string).collect());
            (is_said.then(|| ("outcomes", list())), has_output && !tried.results.is_empty())
        }
    };
    let kept = ending.as_ref().map(|(key, _)| *key);
    let mut leaving: Vec<&str> =
        ENDINGS.into_iter().filter(|key| case.contains_key(key) && Some(*key) != kept).collect();
    if !keeps_output && case.contains_key("output") && tried.fates.len() == 1 {
        leaving.push("output");
    }
    if keeps_output && !case.contains_key("output") && !leaving.is_empty() {
        rename(case, leaving.remove(0), "output", Value::Array(Array::new()));
    }
    if let Some((key, value)) = ending {
        match (case.get_mut(key), leaving.is_empty()) {
            (Some(Item::Value(old)), _) => put(old, value),
            (_, false) => rename(case, leaving.remove(0), key, value),
            (_, true) => _ = case.insert(key, Item::Value(value)),
        }
    }
    leaving.into_iter().for_each(|key| _ = case.remove(key));
    if keeps_output && !case.contains_key("output") {
        case.insert("output", Item::Value(Value::Array(Array::new())));
    }
}

fn of_single(fate: &Fate) -> Option<(&'static str, Value)> {
    match fate.outcome {
        Outcome::Emitted => None,
        Outcome::Held => Some(("held", true.into())),
        outcome => Some((outcome.name(), fate.class.unwrap_or_default().into())),
    }
}

/// Whether what came out of a single record is written.
fn has_results(fate: &Fate, tried: &Tried) -> bool {
    fate.outcome == Outcome::Emitted || !tried.results.is_empty()
}

/// Puts a key with its value in the place of another, with the comments of that.
fn rename(case: &mut Table, old: &str, new: &str, value: Value) {
    let order: Vec<String> =
        case.iter().map(|(key, _)| if key == old { new } else { key }.to_owned()).collect();
    let Some((key, item)) = case.remove_entry(old) else { return };
    let mut value = value;
    if let Item::Value(old) = &item {
        *value.decor_mut() = old.decor().clone();
    }
    let key = Key::new(new).with_leaf_decor(key.leaf_decor().clone());
    case.insert_formatted(&key, Item::Value(value));
    let place = |key: &Key| order.iter().position(|it| it == key.get());
    case.sort_values_by(|one, _, other, _| place(one).cmp(&place(other)));
}

/// A value in the place of another, with the comments and the space around that. The same value
/// stays as it is spelled, and a list item by item.
fn put(old: &mut Value, new: Value) {
    let is_same = matches!((old.as_str(), new.as_str()), (Some(old), Some(new)) if old == new);
    match (&mut *old, new) {
        _ if is_same => {}
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            old.iter_mut().zip(new).for_each(|(old, new)| put(old, new));
        }
        (_, mut new) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
    }
}

fn write_results(table: &mut Table, case: &Case, tried: &Tried, sink: &str) {
    let wanted = case.expected.results.as_deref().unwrap_or_default();
    let results = tried.results.as_slice();
    let pairs = || results.iter().enumerate().map(|(at, result)| (wanted.get(at), result));
    match (table.get_mut("output"), results) {
        (None, _) => {}
        (Some(Item::Value(Value::Array(list))), [result])
            if list.is_empty() && tried.fates.len() == 1 =>
        {
            let value = Value::Array(std::mem::take(list));
            put_new(table, value, element(result, sink));
        }
        (Some(Item::Value(Value::Array(list))), _) => write_list(list, pairs(), sink),
        (Some(Item::Value(value)), [result]) => update(value, wanted.first(), result, sink),
        (Some(Item::Table(one)), [result]) => update_table(one, wanted.first(), result),
        (Some(Item::ArrayOfTables(list)), _) if list.len() == results.len() => {
            list.iter_mut().zip(pairs()).for_each(|(one, (wanted, result))| {
                update_table(one, wanted, result);
            });
        }
        (Some(_), _) => {
            let list = results.iter().map(|result| element(result, sink)).collect();
            rename(table, "output", "output", Value::Array(list));
        }
    }
}

fn put_new(table: &mut Table, old: Value, mut new: Value) {
    *new.decor_mut() = old.decor().clone();
    if let Some(Item::Value(value)) = table.get_mut("output") {
        *value = new;
    }
}

fn write_list<'a>(
    list: &mut Array,
    pairs: impl Iterator<Item = (Option<&'a Expectation>, &'a Produced)>,
    sink: &str,
) {
    let mut length = 0;
    for (wanted, result) in pairs {
        match list.get_mut(length) {
            Some(value) => update(value, wanted, result, sink),
            None => push(list, element(result, sink)),
        }
        length += 1;
    }
    while list.len() > length {
        list.remove(length);
    }
}

/// Adds a value on a line of its own, if the others stand so. A comment behind the last stays.
fn push(list: &mut Array, mut value: Value) {
    let last = list.len().checked_sub(1).and_then(|at| list.get(at));
    let prefix = last.and_then(|it| it.decor().prefix()?.as_str());
    let Some((_, indent)) = prefix.and_then(|it| it.rsplit_once('\n')) else {
        return list.push(value);
    };
    let indent = indent.to_owned();
    let comment = list.trailing().as_str().unwrap_or_default().trim_end().to_owned();
    value.decor_mut().set_prefix(format!("{comment}\n{indent}"));
    list.set_trailing("\n");
    list.push_formatted(value);
}

/// One result of a list, or the only one.
fn update(value: &mut Value, wanted: Option<&Expectation>, result: &Produced, sink: &str) {
    match value {
        Value::InlineTable(table) => update_table(table, wanted, result),
        _ if wanted.is_some_and(|it| compare::of_result("", it, result).is_empty()) => {}
        _ => {
            let text = result.value.as_deref().and_then(|it| std::str::from_utf8(it).ok());
            put(value, text.map_or_else(|| element(result, sink), Value::from));
        }
    }
}

/// The parts that were said, where they differ.
fn update_table(table: &mut dyn TableLike, wanted: Option<&Expectation>, result: &Produced) {
    let Some(wanted) = wanted else { return };
    let differs = |part: Expectation| !compare::of_result("", &part, result).is_empty();
    let nothing = Expectation::default;
    if wanted.value.is_some() && differs(Expectation { value: wanted.value.clone(), ..nothing() }) {
        let is_json = matches!(wanted.value, Some(Payload::Json(_)));
        let keys = ["value", "value_base64", "json", "tombstone"];
        put_one_of(table, &keys, value_entry(result, is_json));
    }
    if wanted.key.is_some() && differs(Expectation { key: wanted.key.clone(), ..nothing() }) {
        let entry = match &result.key {
            None => ("no_key", true.into()),
            Some(bytes) => bytes_entry(bytes, "key", "key_base64"),
        };
        put_one_of(table, &["key", "key_base64", "no_key"], entry);
    }
    let headers = wanted.headers.clone();
    if headers.is_some() && differs(Expectation { headers, ..nothing() }) {
        put_one_of(table, &["headers"], ("headers", headers_value(result)));
    }
    if wanted.topic.as_ref().is_some_and(|topic| *topic != result.topic) {
        put_one_of(table, &["topic"], ("topic", result.topic.as_str().into()));
    }
    if wanted.timestamp_ms.is_some_and(|it| Some(it) != result.timestamp_ms) {
        let time = compare::shown_time(result.timestamp_ms);
        put_one_of(table, &["timestamp"], ("timestamp", time.into()));
    }
}

/// Puts a key and its value, and takes the others of the same meaning out.
fn put_one_of(table: &mut dyn TableLike, keys: &[&str], (key, value): (&str, Value)) {
    match table.get_mut(key) {
        Some(Item::Value(old)) => put(old, value),
        _ => _ = table.insert(key, Item::Value(value)),
    }
    keys.iter().filter(|it| **it != key).for_each(|other| _ = table.remove(other));
}

/// A result as it is written where nothing stood.
fn element(result: &Produced, sink: &str) -> Value {
    let is_nested = result
        .value
        .as_deref()
        .is_some_and(|value| matches!(Json::parse(value), Ok(Json::Object(_) | Json::List(_))));
    let (key, value) = value_entry(result, is_nested);
    if key == "value" && result.topic == sink {
        return value;
    }
    let mut table = InlineTable::new();
    table.insert(key, value);
    if result.topic != sink {
        table.insert("topic", result.topic.as_str().into());
    }
    Value::InlineTable(table)
}

fn value_entry(result: &Produced, as_json: bool) -> (&'static str, Value) {
    match result.value.as_deref() {
        None => ("tombstone", true.into()),
        Some(value) if as_json && Json::parse(value).is_ok() => {
            ("json", bytes_entry(value, "json", "json").1)
        }
        Some(value) => bytes_entry(value, "value", "value_base64"),
    }
}

fn bytes_entry(
    bytes: &[u8],
    key: &'static str,
    encoded_key: &'static str,
) -> (&'static str, Value) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (key, text.into()),
        Err(_) => (encoded_key, STANDARD.encode(bytes).into()),
    }
}

fn headers_value(result: &Produced) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pair = |(name, value): &Header| {
        Value::Array([Some(text(name)), value.as_deref().map(text)].into_iter().flatten().collect())
    };
    Value::Array(result.headers.iter().map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::read::CaseFile, *};
    use crate::config::document::Document;

    fn fate(word: &str, values: &[&str]) -> Fate {
        let (outcome, class) = word.split_once(':').unwrap_or((word, ""));
        let class = match class {
            "" => None,
            "late" => Some("late"),
            _ => Some("schema"),
        };
        let results = values.iter().map(|value| produced(value)).collect();
        let outcome = outcome.parse().unwrap();
        Fate { outcome, class, step: Some("1".to_owned()), reason: None, results }
    }

    fn produced(value: &str) -> Produced {
        let key = Some(b"k".to_vec());
        let value = Some(value.as_bytes().to_vec());
        Produced { topic: "out".to_owned(), key, value, headers: Vec::new(), timestamp_ms: None }
    }

    /// The lines of a case once blessed with what came out. Blessed again nothing changes.
    fn blessed(lines: &str, fates: Vec<Fate>) -> String {
        let text =
            format!("# head\n[[cases]]\n{lines}\n[[cases]] # next\ninput = ''\nheld = true\n");
        let once = bless_text(&text, fates.clone());
        assert_eq!(bless_text(&once, fates), once);
        let lines = once.strip_prefix("# head\n[[cases]]\n").unwrap();
        lines.strip_suffix("\n[[cases]] # next\ninput = ''\nheld = true\n").unwrap().to_owned()
    }

    fn bless_text(text: &str, fates: Vec<Fate>) -> String {
        let document = Document::of_text("x.cases.toml", text.to_owned()).unwrap();
        let file = CaseFile::of(document, true).unwrap();
        let results = fates.iter().flat_map(|it| it.results.clone()).collect();
        let tried = Tried { fates, results, lost: Vec::new(), differences: Vec::new() };
        bless(text, &file.cases, &[(0, &tried)], "out").unwrap()
    }

    #[test]
    fn comments_and_form_stay_and_what_differs_is_written() {
        for (before, fates, after) in [
            (
                "input = ''\n# why\noutput = 'x' # how",
                vec![fate("emitted", &["y"])],
                "input = ''\n# why\noutput = \"y\" # how",
            ),
            (
                "input = ''\n# why\noutput = 'x' # how\nname = 'n'",
                vec![fate("rejected:schema", &[])],
                "input = ''\n# why\nrejected = \"schema\" # how\nname = 'n'",
            ),
            (
                "input = ''\n# why\nskipped = 'late' # how\nname = 'n'",
                vec![fate("emitted", &["y"])],
                "input = ''\n# why\noutput = \"y\" # how\nname = 'n'",
            ),
            (
                "input = ''\noutput = { json = '{\"a\":1}', key = 'k', topic = 'o' }",
                vec![fate("emitted", &["{\"a\":2}"])],
                "input = ''\noutput = { json = '{\"a\":2}', key = 'k', topic = \"out\" }",
            ),
            (
                "input = ''\n[cases.output] # a table\njson = '{\"a\":1}' # one\nkey = 'q'",
                vec![fate("emitted", &["2"])],
                "input = ''\n[cases.output] # a table\njson = \"2\" # one\nkey = \"k\"",
            ),
            (
                "input = ''",
                vec![fate("emitted", &["[1]"])],
                "input = ''\noutput = { json = \"[1]\" }",
            ),
            ("input = ''", vec![fate("held", &[])], "input = ''\nheld = true"),
            (
                "input = ['', '']\noutput = [\n    'a', # first\n    'b', # 2nd\n]",
                vec![fate("emitted", &["a"]), fate("emitted", &["c", "d"])],
                "input = ['', '']\noutput = [\n    'a', # first\n    \"c\", # 2nd\n    \"d\",\n]",
            ),
            (
                "input = ['', '']\noutput = ['a', 'b']",
                vec![fate("emitted", &["a"]), fate("skipped:late", &[])],
                "input = ['', '']\noutput = ['a']\noutcomes = [\"emitted\", \"skipped:late\"]",
            ),
            (
                "input = ['', '']\noutcomes = [\n    'emitted', # a\n    'emitted',\n]",
                vec![fate("emitted", &["a"]), fate("skipped:late", &[])],
                "input = ['', '']\noutcomes = [\n    'emitted', # a\n    \"skipped:late\",\n]",
            ),
        ] {
            assert_eq!(blessed(before, fates), after, "{before}");
        }
    }

    #[test]
    fn a_file_of_another_shape_is_left_alone() {
        let refused = bless("cases = [{ input = '' }]", &[], &[], "out").unwrap_err();
        assert_eq!(refused, "to be written, each case must stand under [[cases]]");
    }
}
