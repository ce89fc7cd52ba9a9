//! Every pipeline case of the repository, through the program: those that are shipped with a
//! pipeline, and those that lie below `tests/`.

#[path = "support/json_schema.rs"]
mod json_schema;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use toml_edit::{DocumentMut, Item};

const ENDING: &str = ".cases.toml";

/// The program's answer in the repository: whether it ended well, and what it printed.
fn hotspur(words: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotspur"));
    let ours = std::env::vars().map(|(name, _)| name).filter(|it| it.starts_with("HOTSPUR_"));
    ours.for_each(|name| _ = command.env_remove(name));
    let output = command.args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("UTF-8"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.expect("a readable folder").into_path())
        .filter(|path| path.to_string_lossy().ends_with(ENDING))
        .collect()
}

/// All cases below a folder pass, and each file has some.
fn all_pass(folder: &str) {
    let (is_well, said) = hotspur(&["test", folder]);
    assert!(is_well, "{said}");
    for file in files(folder) {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(said.contains(&format!("/{name}:")), "no case of {name} in\n{said}");
    }
}

#[test]
fn shipped_pipelines_do_what_their_cases_say() {
    all_pass("tuning/pipelines");
}

#[test]
fn cases_below_tests_pass() {
    all_pass("tests");
}

#[test]
fn every_shipped_pipeline_has_cases() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning/pipelines");
    let mut pipelines = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if !path.to_string_lossy().ends_with(ENDING) {
            assert!(path.with_extension("cases.toml").exists(), "{} has none", path.display());
            pipelines += 1;
        }
    }
    assert!(pipelines >= 3, "{pipelines} pipelines");
}

#[test]
fn files_of_cases_fit_their_schema_and_a_wrong_one_does_not() {
    let (_, schema) = hotspur(&["schema", "cases"]);
    let schema: Value = serde_json::from_str(&schema).expect("a schema is JSON");
    for file in [files("tuning/pipelines"), files("tests")].concat() {
        let text = fs::read_to_string(&file).expect("a readable file");
        json_schema::assert_valid(&json(&text), &schema);
    }
    for wrong in [
        "[[cases]]\noutput = ''",
        "[[cases]]\ninput = 7",
        "[[cases]]\ninput = []",
        "[[cases]]\ninput = ''\nrejected = 'late'",
        "[[cases]]\ninput = { valeu = '' }",
        "[[cases]]\ninput = ''\noutput = {}",
        "case = []",
    ] {
        assert!(json_schema::problem(&json(wrong), &schema, "$").is_some(), "{wrong}");
    }
}

/// TOML as JSON.
fn json(text: &str) -> Value {
    let document: DocumentMut = text.parse().expect("TOML");
    json_of(document.as_item())
}

fn json_of(item: &Item) -> Value {
    if let Some(table) = item.as_table_like() {
        return table.iter().map(|(name, item)| (name.to_owned(), json_of(item))).collect();
    }
    if let Some(tables) = item.as_array_of_tables() {
        return tables.iter().map(|table| json_of(&Item::Table(table.clone()))).collect();
    }
    match item.as_value().expect("a value") {
        toml_edit::Value::Array(items) => {
            items.iter().map(|value| json_of(&Item::Value(value.clone()))).collect()
        }
        toml_edit::Value::Integer(number) => (*number.value()).into(),
        toml_edit::Value::Float(number) => (*number.value()).into(),
        toml_edit::Value::Boolean(boolean) => (*boolean.value()).into(),
        toml_edit::Value::Datetime(time) => time.value().to_string().into(),
        value => value.as_str().expect("text").into(),
    }
}
