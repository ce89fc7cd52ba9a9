//! A case as the specification's files have it, and the rules for what is out of scope.

use serde_json::{Map, Value};

/// An expression, what it can name, and what it must come to.
pub(crate) struct Case {
    /// The file that it is from.
    pub(crate) file: String,
    /// File, section and its own name.
    pub(crate) name: String,
    pub(crate) expression: String,
    /// Names are resolved below this one first.
    pub(crate) container: String,
    /// False: names and types are not to be looked at before it is evaluated.
    pub(crate) is_checked: bool,
    /// Values of names.
    pub(crate) bindings: Map<String, Value>,
    /// Names that are declared, with a value or without.
    pub(crate) declared: Vec<String>,
    /// A value; nothing if it must fail.
    pub(crate) expected: Option<Value>,
    all: Value,
}

/// Why a case is out of scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    Message,
    Wrapper,
    Enum,
    Deduction,
}

impl Rule {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rule::Message => "needs a Protobuf message",
            Rule::Wrapper => "needs a wrapper of Protobuf",
            Rule::Enum => "needs an enum",
            Rule::Deduction => "asks for a deduced type",
        }
    }
}

/// All cases, in order.
pub(crate) fn all(root: &Value) -> Vec<Case> {
    let mut cases = Vec::new();
    for file in root["suites"].as_array().into_iter().flatten() {
        let file_name = text(&file["name"]);
        for section in file["suites"].as_array().into_iter().flatten() {
            let section_name = text(&section["name"]);
            for test in section["tests"].as_array().into_iter().flatten() {
                cases.push(Case::new(&file_name, &section_name, &test["original"]));
            }
        }
    }
    cases
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Case {
    fn new(file: &str, section: &str, case: &Value) -> Case {
        let bindings = case["bindings"].as_object().into_iter().flatten();
        let declared = case["typeEnv"].as_array().into_iter().flatten();
        let expected = match (case.get("value"), case.get("evalError")) {
            (_, Some(_)) => None,
            (Some(value), None) => Some(value.clone()),
            // Without anything it must be true.
            (None, None) => Some(serde_json::json!({ "boolValue": true })),
        };
        Case {
            file: file.to_owned(),
            name: format!("{file}/{section}/{}", text(&case["name"])),
            expression: text(&case["expr"]),
            container: text(&case["container"]),
            is_checked: case["disableCheck"] != true,
            bindings: bindings.map(|(name, it)| (name.clone(), it["value"].clone())).collect(),
            declared: declared.map(|it| text(&it["name"])).collect(),
            expected,
            all: case.clone(),
        }
    }

    /// The rule that puts the case out of scope.
    pub(crate) fn out_of_scope(&self) -> Option<Rule> {
        let holds = |what: &str| self.all.to_string().contains(what);
        let names = |what: &str| self.expression.contains(what);
        let value_types = [
            "BoolValue",
            "BytesValue",
            "DoubleValue",
            "FloatValue",
            "Int32Value",
            "Int64Value",
            "StringValue",
            "UInt32Value",
            "UInt64Value",
        ];
        let is_wrapped = value_types.iter().any(|it| holds(&format!("google.protobuf.{it}")));
        if self.all.get("typedResult").is_some() || self.all["checkOnly"] == true {
            Some(Rule::Deduction)
        } else if self.file == "enums" || holds("\"enumValue\"") {
            Some(Rule::Enum)
        } else if self.file == "wrappers" || is_wrapped || holds("\"wrapper\":") {
            Some(Rule::Wrapper)
        } else if names("TestAllTypes") || self.makes_message() || self.declares_message() {
            Some(Rule::Message)
        } else {
            None
        }
    }

    /// A message beside those of times, which are values of CEL's own.
    fn declares_message(&self) -> bool {
        let all = self.all.to_string();
        let types = all.split("type.googleapis.com/").skip(1);
        let types = types.chain(all.split("messageType\":\"").skip(1));
        let mut types = types.map(|it| it.split('"').next().unwrap_or_default());
        let times = ["google.protobuf.Timestamp", "google.protobuf.Duration"];
        types.any(|it| !times.contains(&it))
    }

    /// A message that is written out: a name and a brace, not in quotes.
    fn makes_message(&self) -> bool {
        let (mut quote, mut last) = (None, ' ');
        for character in self.expression.chars() {
            match (quote, character) {
                (Some(open), _) if character == open && last != '\\' => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(character),
                (None, '{') if last.is_alphanumeric() => return true,
                (None, _) => {}
            }
            last = character;
        }
        false
    }
}
