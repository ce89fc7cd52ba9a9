//! What the steps of a pipeline are to do, checked: `[[steps]]` as plain structs.
//!
//! Paths, expressions and templates stay text here: the pipeline compiles them, and reports
//! problems with the same key path.

use std::path::PathBuf;

use super::operators::Own;
pub use super::stateful::{Dedup, Window, WindowKind};

/// One entry of `[[steps]]`.
#[derive(Clone, Debug)]
pub struct Step {
    /// `name`, if given.
    pub name: Option<String>,
    /// `when`: an expression; unless it is true the step is passed over.
    pub when: Option<String>,
    /// The operator.
    pub operator: Operator,
    /// Where it stands in the file, for messages: `steps[2]`.
    pub place: String,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Operator {
    /// `lookup`.
    Lookup {
        /// Name of a table.
        table: String,
        /// Expression.
        key: String,
        /// Path.
        into: String,
        /// What if there is no such key.
        on_miss: OnMiss,
        /// Path for the age of the answer.
        into_age: Option<String>,
    },
    /// `hash`.
    Hash {
        /// Which.
        algorithm: HashAlgorithm,
        /// Expression.
        of: String,
        /// Path.
        into: String,
    },
    /// `text`: paths and templates, in order of the file.
    Text(Vec<(String, String)>),
    /// `set`: paths and expressions, in order of the file.
    Set(Vec<(String, String)>),
    /// `remove`: paths.
    Remove(Vec<String>),
    /// `keep`: paths.
    Keep(Vec<String>),
    /// `rename`: new paths and old ones, in order of the file.
    Rename(Vec<(String, String)>),
    /// `alias`, in order of the file.
    Alias(Vec<Alias>),
    /// `require`.
    Require(Require),
    /// `filter`: an expression.
    Filter(String),
    /// `each`.
    Each(Each),
    /// `route`.
    Route(Route),
    /// `key`: an expression.
    Key(String),
    /// `headers`: names and expressions, in order of the file.
    Headers(Vec<(String, String)>),
    /// `sample`.
    Sample {
        /// How many of all, 0 to 1.
        share: f64,
        /// Expression by whose value is decided; none is the record's place.
        by: Option<String>,
    },
    /// One that the program brought along.
    Own(Own),
    /// `dedup`.
    Dedup(Dedup),
    /// `window`.
    Window(Box<Window>),
}

impl Operator {
    /// The operator's key in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Operator::Lookup { .. } => "lookup",
            Operator::Hash { .. } => "hash",
            Operator::Text(_) => "text",
            Operator::Set(_) => "set",
            Operator::Remove(_) => "remove",
            Operator::Keep(_) => "keep",
            Operator::Rename(_) => "rename",
            Operator::Alias(_) => "alias",
            Operator::Require(_) => "require",
            Operator::Filter(_) => "filter",
            Operator::Each(_) => "each",
            Operator::Route(_) => "route",
            Operator::Key(_) => "key",
            Operator::Headers(_) => "headers",
            Operator::Sample { .. } => "sample",
            Operator::Own(own) => own.operator.name,
            Operator::Dedup(_) => "dedup",
            Operator::Window(_) => "window",
        }
    }
}

/// What a lookup does when the key is not there.
#[derive(Clone, Debug, PartialEq)]
pub enum OnMiss {
    /// Skip the record, class `table_miss`.
    Skip,
    /// Dead-letter the record, class `table_miss`.
    Reject,
    /// Put null.
    Null,
    /// Put this JSON value, as text of one line.
    Default(String),
}

/// `algorithm` of `hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// `md5`: 32 hex digits.
    Md5,
    /// `sha256`: 64 hex digits.
    Sha256,
    /// `xxh3`: 16 hex digits.
    Xxh3,
}

/// One path of `alias` and its spellings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Where the value goes.
    pub path: String,
    /// Paths where it may stand; the first that is present wins.
    pub spellings: Vec<String>,
}

/// What `require` asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Require {
    /// A file that holds a JSON Schema.
    Schema(PathBuf),
    /// Paths and what must hold there, in order of the file.
    Fields(Vec<(String, Rules)>),
}

/// What must hold for the value at a path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// `type`: one of these; none allows any.
    pub types: Vec<JsonType>,
    /// `optional`: it may be absent.
    pub optional: bool,
    /// `min` and `max` of a number.
    pub range: (Option<f64>, Option<f64>),
    /// `min_length` and `max_length`: characters of a text, items of a list, fields of an object.
    pub length: (Option<u64>, Option<u64>),
    /// `pattern`: a regular expression that a text matches somewhere.
    pub pattern: Option<String>,
    /// `one_of`: JSON values; none allows any.
    pub one_of: Vec<String>,
}

/// A type of JSON, as JSON Schema names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonType {
    /// Text.
    String,
    /// Any number.
    Number,
    /// A number without a fraction.
    Integer,
    /// True or false.
    Boolean,
    /// An object.
    Object,
    /// A list.
    Array,
    /// Null.
    Null,
}

impl JsonType {
    /// All of them.
    pub const ALL: [JsonType; 7] = [
        JsonType::String,
        JsonType::Number,
        JsonType::Integer,
        JsonType::Boolean,
        JsonType::Object,
        JsonType::Array,
        JsonType::Null,
    ];

    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            JsonType::String => "string",
            JsonType::Number => "number",
            JsonType::Integer => "integer",
            JsonType::Boolean => "boolean",
            JsonType::Object => "object",
            JsonType::Array => "array",
            JsonType::Null => "null",
        }
    }
}

/// `each`: a list becomes one result an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Each {
    /// `of`: an expression that gives a list.
    pub of: String,
    /// `into`: the path where an element goes.
    pub into: String,
    /// `at`: the path where its number goes, from 0.
    pub at: Option<String>,
}

/// `route`: which topic results go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// By conditions, the first that is true: expressions and topics.
    To(Vec<(String, String)>, Otherwise),
    /// By an expression that names one of these topics.
    Among(String, Vec<String>),
    /// By an expression that names a topic with this prefix that is there at the start.
    Prefix(String, String),
}

/// What a record does of which no condition of a route is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It goes to the sink's topic.
    Sink,
    /// It is skipped, class `filtered`.
    Skip,
    /// It is rejected, class `no_route`.
    Reject,
    /// It goes to that topic.
    Topic(String),
}

impl Route {
    /// The topics that it names, in order.
    pub fn topics(&self) -> Vec<&str> {
        match self {
            Route::To(ways, otherwise) => {
                let last = match otherwise {
                    Otherwise::Topic(topic) => Some(topic.as_str()),
                    _ => None,
                };
                ways.iter().map(|(_, topic)| topic.as_str()).chain(last).collect()
            }
            Route::Among(_, topics) => topics.iter().map(String::as_str).collect(),
            Route::Prefix(..) => Vec::new(),
        }
    }
}
