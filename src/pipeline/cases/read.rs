//! From the text of a case file to cases, or to all that is wrong with it.

use std::path::Path;

use super::{
    Case, Input, Table,
    expected::{self, OUTCOME_KEYS},
    fields::{Children, Fields, child},
};
use crate::{
    config::{
        Problem, Report, Settings,
        document::Document,
        report::Located,
        tree::{Node, Value, join_key},
    },
    pipeline::trial::{Given, TrialTables},
    record::Headers,
};

/// Where a trial's time begins unless a case says otherwise: 2026-01-01T00:00:00Z.
const BEGINS_MS: i64 = 1_767_225_600_000;

const FILE_KEYS: [&str; 4] = ["configuration", "now", "tables", "cases"];

const RECORD_KEYS: [&str; 11] = [
    "value",
    "value_base64",
    "tombstone",
    "key",
    "key_base64",
    "headers",
    "timestamp",
    "after",
    "topic",
    "partition",
    "offset",
];

const CASE_KEYS: [&str; 10] = [
    "name",
    "input",
    "output",
    "rejected",
    "skipped",
    "held",
    "outcomes",
    "tables",
    "now",
    "then_after",
];

/// A file of cases.
#[derive(Debug)]
pub struct CaseFile {
    /// The configuration that it names, as it is written there.
    pub configuration: Option<String>,
    /// The cases, in order.
    pub cases: Vec<Case>,
    document: Document,
}

impl CaseFile {
    /// Reads a file. With `may_be_open` a case need not say what must come out.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, each at its place.
    pub fn read(path: &Path, may_be_open: bool) -> Result<CaseFile, Report> {
        CaseFile::of(Document::read(path)?, may_be_open)
    }

    pub(super) fn of(document: Document, may_be_open: bool) -> Result<CaseFile, Report> {
        let fields = Fields { document: &document, problems: Vec::new() };
        let mut reader = Reader { fields, may_be_open };
        let (configuration, cases) = reader.file();
        let problems = reader.fields.problems;
        match problems.is_empty() {
            true => Ok(CaseFile { configuration, cases, document }),
            false => Err(Report { problems }),
        }
    }

    /// The text as it was read.
    pub fn text(&self) -> &str {
        self.document.text()
    }

    /// Tables of the file that the configuration does not have.
    pub fn unknown_tables(&self, settings: &Settings) -> Report {
        let mut problems: Vec<Located> = Vec::new();
        for table in self.cases.iter().flat_map(|case| &case.tables) {
            let mut tables = TrialTables::none(settings);
            if let Err(sentence) = tables.give(settings, &table.name, table.entries.clone()) {
                let problem = Problem::error(join_key("tables", &table.name), sentence);
                let located = self.document.at_key(problem, &table.place);
                if !problems.contains(&located) {
                    problems.push(located);
                }
            }
        }
        Report { problems }
    }
}

struct Reader<'d> {
    fields: Fields<'d>,
    may_be_open: bool,
}

impl Reader<'_> {
    fn file(&mut self) -> (Option<String>, Vec<Case>) {
        let root = self.fields.document.root();
        let children = self.fields.table(root, "", &FILE_KEYS, "a file of cases");
        let children = children.unwrap_or_default();
        let configuration = child(children, "configuration")
            .and_then(|node| self.fields.text(node, "configuration"))
            .map(str::to_owned);
        let begins_ms = self.fields.time(children, "", "now").unwrap_or(BEGINS_MS);
        let tables = self.tables(children, "");
        let mut cases = Vec::new();
        if let Some(node) = child(children, "cases") {
            let Value::List(nodes) = &node.value else {
                let hint = Some("each case stands under [[cases]]".to_owned());
                self.fields.wrong(node, "cases", "is no list".to_owned(), hint);
                return (configuration, cases);
            };
            for (index, node) in nodes.iter().enumerate() {
                cases.extend(self.case(node, index, &tables, begins_ms));
            }
        }
        (configuration, cases)
    }

    fn case(
        &mut self,
        node: &Node,
        index: usize,
        tables: &[Table],
        begins_ms: i64,
    ) -> Option<Case> {
        let key = format!("cases[{index}]");
        let children = self.fields.table(node, &key, &CASE_KEYS, "a case")?;
        let name = match child(children, "name") {
            Some(node) => self.fields.text(node, &join_key(&key, "name"))?.to_owned(),
            None => format!("case {}", index + 1),
        };
        let own = self.tables(children, &key);
        let is_replaced = |table: &&Table| own.iter().any(|it| it.name == table.name);
        let mut tables: Vec<Table> = tables.iter().filter(|it| !is_replaced(it)).cloned().collect();
        tables.extend(own);
        let begins_ms = self.fields.time(children, &key, "now").unwrap_or(begins_ms);
        let inputs = self.inputs(node, children, &key)?;
        let then_after = self.fields.duration(children, &key, "then_after").unwrap_or_default();
        let before = self.fields.problems.len();
        let expected = expected::read(&mut self.fields, children, &key, inputs.len());
        let line = self.fields.document.line(&node.place);
        let case = Case { name, line, tables, begins_ms, inputs, then_after, expected };
        if case.is_open() && !self.may_be_open && self.fields.problems.len() == before {
            let message = format!("says nothing of what must come out of {:?}", case.name);
            let keys = OUTCOME_KEYS.join(", ");
            let hint = format!("write output, {keys}, or let `hotspur test --bless` write it");
            self.fields.wrong(node, &key, message, Some(hint));
        }
        Some(case)
    }

    fn tables(&mut self, children: Children<'_>, key: &str) -> Vec<Table> {
        let Some(node) = child(children, "tables") else { return Vec::new() };
        let key = join_key(key, "tables");
        let key = key.trim_start_matches('.');
        let Some(named) = node.children() else {
            let message = format!("must be tables by name, not {}", node.value.kind());
            self.fields.wrong(node, key, message, None);
            return Vec::new();
        };
        let table = |(name, node): &(String, Node)| {
            let entries = self.fields.entries(node, &join_key(key, name))?;
            Some(Table { name: name.clone(), entries, place: node.place.clone() })
        };
        named.iter().filter_map(table).collect()
    }

    fn inputs(&mut self, case: &Node, children: Children<'_>, key: &str) -> Option<Vec<Input>> {
        let Some(node) = child(children, "input") else {
            let message = "has no input".to_owned();
            let hint = Some("write input = '…', a record's value".to_owned());
            self.fields.wrong(case, key, message, hint);
            return None;
        };
        let key = join_key(key, "input");
        match &node.value {
            Value::List(nodes) if nodes.is_empty() => {
                self.fields.wrong(node, &key, "holds no record".to_owned(), None);
                None
            }
            Value::List(nodes) => {
                let nodes = nodes.iter().enumerate();
                nodes.map(|(at, node)| self.input(node, &format!("{key}[{at}]"))).collect()
            }
            _ => Some(vec![self.input(node, &key)?]),
        }
    }

    fn input(&mut self, node: &Node, key: &str) -> Option<Input> {
        let after = std::time::Duration::ZERO;
        if let Some(text) = node.text() {
            let value = Some(text.as_bytes().to_vec());
            return Some(Input { given: Given { value, ..Given::default() }, after });
        }
        let children = self.fields.table(node, key, &RECORD_KEYS, "a record")?;
        let fields = &mut self.fields;
        let before = fields.problems.len();
        let value = fields.bytes(children, key, ("value", "value_base64"));
        let is_tombstone = fields.flag(children, key, "tombstone");
        if value.is_some() == is_tombstone && fields.problems.len() == before {
            let hint = "tombstone = true is a record without one".to_owned();
            let message = match is_tombstone {
                true => "a tombstone has no value",
                false => "has no value",
            };
            fields.wrong(node, key, message.to_owned(), Some(hint));
        }
        let mut headers = Vec::new();
        for (name, value) in fields.headers(children, key).unwrap_or_default() {
            Headers::push(&mut headers, &name, value.as_deref());
        }
        let topic = child(children, "topic")
            .and_then(|node| fields.text(node, &join_key(key, "topic")))
            .map(str::to_owned);
        let given = Given {
            topic,
            partition: fields.integer(children, key, "partition").map(|it| it as i32),
            offset: fields.integer(children, key, "offset"),
            timestamp_ms: fields.time(children, key, "timestamp"),
            key: fields.bytes(children, key, ("key", "key_base64")),
            value,
            headers,
        };
        let after = fields.duration(children, key, "after").unwrap_or(after);
        Some(Input { given, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CaseFile, Report> {
        CaseFile::of(Document::of_text("x.cases.toml", text.to_owned())?, false)
    }

    #[test]
    fn a_record_is_text_or_a_table_or_one_of_a_list() {
        let text = r#"
now = "1970-01-01T00:00:01Z"
[tables.users]
a = "gold"
b = { tier = 1, of = [true, 1.5] }
c = { json = ' {"x":null} ' }
[[cases]]
input = 'plain'
output = 'plain'
[[cases]]
name = "all of it"
tables.users = { a = "tin" }
now = 5
input = [
    { value_base64 = "/w==", key = "k", headers = { a = "1" }, timestamp = 1970-01-01T00:00:02Z },
    { tombstone = true, headers = [["a", "1"], ["a"]], after = "1m", topic = "t", offset = 3 },
]
then_after = "1h"
outcomes = ["emitted", "skipped:tombstone"]
"#;
        let file = read(text).unwrap();
        let [plain, all] = file.cases.as_slice() else { panic!("two cases") };
        assert_eq!((plain.name.as_str(), plain.line, plain.begins_ms), ("case 1", 7, 1000));
        assert_eq!(plain.inputs[0].given.value.as_deref(), Some(&b"plain"[..]));
        let value = |case: &Case, key: &str| {
            case.tables[0].entries.get(key.as_bytes()).map(|it| it.bytes.clone())
        };
        assert_eq!(value(plain, "b").unwrap(), br#"{"tier":1,"of":[true,1.5]}"#);
        assert_eq!(value(plain, "c").unwrap(), br#"{"x":null}"#);
        assert_eq!((value(all, "a").unwrap(), value(all, "b")), (b"tin".to_vec(), None));
        assert_eq!((all.line, all.begins_ms), (10, 5));
        assert_eq!(all.then_after.as_secs(), 3600);
        let [first, second] = all.inputs.as_slice() else { panic!("two records") };
        assert_eq!(first.given.value.as_deref(), Some(&b"\xff"[..]));
        assert_eq!(first.given.timestamp_ms, Some(2000));
        assert!(second.given.value.is_none() && second.after.as_secs() == 60);
        assert_eq!((second.given.topic.as_deref(), second.given.offset), (Some("t"), Some(3)));
        assert_eq!(Headers::from_bytes(&second.given.headers).last(), Some((&b"a"[..], None)));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        for (lines, place, sentence) in [
            ("input = 'x'\noutputs = 'x'", ":3:1:", "a case has no key \"outputs\""),
            ("input = 'x'\noutputs = 'x'", "", "did you mean \"output\"?"),
            ("output = 'x'", ":1:1:", "cases[0]: has no input"),
            ("input = 'x'", ":1:1:", "says nothing of what must come out of \"case 1\""),
            ("input = []\noutput = 'x'", ":2:9:", "holds no record"),
            ("input = 7\noutput = 'x'", ":2:9:", "a record is written as a table, not as a num"),
            ("input = { valeu = 'x' }\noutput = 'x'", ":2:11:", "did you mean \"value\"?"),
            ("input = { key = 'x' }\noutput = 'x'", ":2:9:", "cases[0].input: has no value"),
            ("input = { value = 'x', tombstone = true }\noutput = 'x'", "", "a tombstone has no"),
            ("input = { value = {} }\noutput = 'x'", ":2:19:", "must be text, not a table"),
            ("input = { value = '', after = '5' }\noutput = 'x'", ":2:31:", "without a unit"),
            ("input = { value = '', timestamp = 'noon' }\noutput = 'x'", "", "RFC 3339"),
            ("input = { value_base64 = '?' }\noutput = 'x'", ":2:26:", "is no base64"),
            ("input = { value = '', headers = ['a'] }\noutput = 'x'", "", "its name and its val"),
            ("input = ''\noutput = 'x'\ntables.users = 'x'", ":4:16:", "must be keys and values"),
            ("input = ''\noutput = 'x'\ntables.u.a.json = '{'", "", "is no JSON"),
            ("input = '", ":2:", "this is no TOML"),
        ] {
            let report = read(&format!("[[cases]]\n{lines}\n")).unwrap_err().to_string();
            let found = report.contains(&format!("x.cases.toml{place}"));
            assert!(found && report.contains(sentence), "{lines}: {report}");
        }
    }
}
