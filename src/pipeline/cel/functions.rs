//! The functions that are known: by which name, called how, with what, giving what.
//!
//! `check` reads this table for unknown names, wrong numbers of arguments and types that can be
//! known at start; at run time each function looks at its arguments itself.

use crate::{
    config::settings::HashAlgorithm,
    pipeline::cel::{Kind, time::Part},
};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    ToInt,
    ToUint,
    ToDouble,
    ToText,
    ToBytes,
    ToBool,
    ToTimestamp,
    ToDuration,
    TypeOf,
    Dyn,
    TimePart(Part),
    CharAt,
    IndexOf,
    LastIndexOf,
    LowerAscii,
    UpperAscii,
    Replace,
    Split,
    Substring,
    Trim,
    Join,
    Quote,
    Reverse,
    Format,
    Greatest,
    Least,
    Ceil,
    Floor,
    Round,
    Trunc,
    Sqrt,
    Abs,
    Sign,
    IsNan,
    IsInf,
    IsFinite,
    BitAnd,
    BitOr,
    BitXor,
    BitNot,
    BitShiftLeft,
    BitShiftRight,
    Base64Encode,
    Base64Decode,
    Hash(HashAlgorithm),
    OptionalOf,
    OptionalOfNonZero,
    OptionalNone,
    HasValue,
    OptionalValue,
    OptionalOr,
    OptionalOrValue,
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`.
    Global,
    /// `x.f()`.
    Method,
    /// Both.
    Either,
}

/// A function and the arguments that it takes, a method's target first.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) function: Function,
    pub(super) style: Style,
    /// One of these; `None` is any type.
    pub(super) takes: &'static [&'static [Option<Kind>]],
    /// Its type, where it is always the same.
    pub(super) gives: Option<Kind>,
}

const ANY: Option<Kind> = None;
const BOOL: Option<Kind> = Some(Kind::Bool);
const INT: Option<Kind> = Some(Kind::Int);
const UINT: Option<Kind> = Some(Kind::Uint);
const DOUBLE: Option<Kind> = Some(Kind::Double);
const TEXT: Option<Kind> = Some(Kind::Text);
const BYTES: Option<Kind> = Some(Kind::Bytes);
const TIME: Option<Kind> = Some(Kind::Timestamp);
const DURATION: Option<Kind> = Some(Kind::Duration);
const LIST: Option<Kind> = Some(Kind::List);
const MAP: Option<Kind> = Some(Kind::Map);
const TYPE: Option<Kind> = Some(Kind::Type);
const OPTIONAL: Option<Kind> = Some(Kind::Optional);

type Takes = &'static [&'static [Option<Kind>]];

const TIME_PART: Takes = &[&[TIME], &[TIME, TEXT]];
const TIME_OR_DURATION: Takes = &[&[TIME], &[TIME, TEXT], &[DURATION]];
const TEXT_TEXT: Takes = &[&[TEXT, TEXT]];
const ONE_DOUBLE: Takes = &[&[DOUBLE]];
const ONE_NUMBER: Takes = &[&[INT], &[UINT], &[DOUBLE]];
const TWO_BITS: Takes = &[&[INT, INT], &[UINT, UINT]];
const SHIFT: Takes = &[&[INT, INT], &[UINT, INT]];
const TEXT_OR_BYTES: Takes = &[&[TEXT], &[BYTES]];

const fn entry(
    name: &'static str,
    function: Function,
    style: Style,
    takes: Takes,
    gives: Option<Kind>,
) -> Entry {
    Entry { name, function, style, takes, gives }
}

use Function as F;
use Style::{Either, Global, Method};

/// All functions; those that are built of operators, loops and the world stand in `compile`.
pub(super) static FUNCTIONS: &[Entry] = &[
    entry("size", F::Size, Either, &[&[TEXT], &[BYTES], &[LIST], &[MAP]], INT),
    entry("contains", F::Contains, Method, TEXT_TEXT, BOOL),
    entry("startsWith", F::StartsWith, Method, TEXT_TEXT, BOOL),
    entry("endsWith", F::EndsWith, Method, TEXT_TEXT, BOOL),
    entry("matches", F::Matches, Either, TEXT_TEXT, BOOL),
    entry("int", F::ToInt, Global, &[&[INT], &[UINT], &[DOUBLE], &[TEXT], &[TIME]], INT),
    entry("uint", F::ToUint, Global, &[&[INT], &[UINT], &[DOUBLE], &[TEXT]], UINT),
    entry("double", F::ToDouble, Global, &[&[INT], &[UINT], &[DOUBLE], &[TEXT]], DOUBLE),
    entry(
        "string",
        F::ToText,
        Global,
        &[&[TEXT], &[BYTES], &[BOOL], &[INT], &[UINT], &[DOUBLE], &[TIME], &[DURATION]],
        TEXT,
    ),
    entry("bytes", F::ToBytes, Global, TEXT_OR_BYTES, BYTES),
    entry("bool", F::ToBool, Global, &[&[BOOL], &[TEXT]], BOOL),
    entry("timestamp", F::ToTimestamp, Global, &[&[TIME], &[TEXT], &[INT]], TIME),
    entry("duration", F::ToDuration, Global, &[&[DURATION], &[TEXT]], DURATION),
    entry("type", F::TypeOf, Global, &[&[ANY]], TYPE),
    entry("dyn", F::Dyn, Global, &[&[ANY]], ANY),
    entry("getFullYear", F::TimePart(Part::FullYear), Method, TIME_PART, INT),
    entry("getMonth", F::TimePart(Part::Month), Method, TIME_PART, INT),
    entry("getDate", F::TimePart(Part::Date), Method, TIME_PART, INT),
    entry("getDayOfMonth", F::TimePart(Part::DayOfMonth), Method, TIME_PART, INT),
    entry("getDayOfWeek", F::TimePart(Part::DayOfWeek), Method, TIME_PART, INT),
    entry("getDayOfYear", F::TimePart(Part::DayOfYear), Method, TIME_PART, INT),
    entry("getHours", F::TimePart(Part::Hours), Method, TIME_OR_DURATION, INT),
    entry("getMinutes", F::TimePart(Part::Minutes), Method, TIME_OR_DURATION, INT),
    entry("getSeconds", F::TimePart(Part::Seconds), Method, TIME_OR_DURATION, INT),
    entry("getMilliseconds", F::TimePart(Part::Milliseconds), Method, TIME_OR_DURATION, INT),
    entry("charAt", F::CharAt, Method, &[&[TEXT, INT]], TEXT),
    entry("indexOf", F::IndexOf, Method, &[&[TEXT, TEXT], &[TEXT, TEXT, INT]], INT),
    entry("lastIndexOf", F::LastIndexOf, Method, &[&[TEXT, TEXT], &[TEXT, TEXT, INT]], INT),
    entry("lowerAscii", F::LowerAscii, Method, &[&[TEXT]], TEXT),
    entry("upperAscii", F::UpperAscii, Method, &[&[TEXT]], TEXT),
    entry("replace", F::Replace, Method, &[&[TEXT, TEXT, TEXT], &[TEXT, TEXT, TEXT, INT]], TEXT),
    entry("split", F::Split, Method, &[&[TEXT, TEXT], &[TEXT, TEXT, INT]], LIST),
    entry("substring", F::Substring, Method, &[&[TEXT, INT], &[TEXT, INT, INT]], TEXT),
    entry("trim", F::Trim, Method, &[&[TEXT]], TEXT),
    entry("join", F::Join, Method, &[&[LIST], &[LIST, TEXT]], TEXT),
    entry("strings.quote", F::Quote, Global, &[&[TEXT]], TEXT),
    entry("reverse", F::Reverse, Method, &[&[TEXT]], TEXT),
    entry("format", F::Format, Method, &[&[TEXT, LIST]], TEXT),
    entry("math.ceil", F::Ceil, Global, ONE_DOUBLE, DOUBLE),
    entry("math.floor", F::Floor, Global, ONE_DOUBLE, DOUBLE),
    entry("math.round", F::Round, Global, ONE_DOUBLE, DOUBLE),
    entry("math.trunc", F::Trunc, Global, ONE_DOUBLE, DOUBLE),
    entry("math.sqrt", F::Sqrt, Global, ONE_NUMBER, DOUBLE),
    entry("math.abs", F::Abs, Global, ONE_NUMBER, ANY),
    entry("math.sign", F::Sign, Global, ONE_NUMBER, ANY),
    entry("math.isNaN", F::IsNan, Global, ONE_DOUBLE, BOOL),
    entry("math.isInf", F::IsInf, Global, ONE_DOUBLE, BOOL),
    entry("math.isFinite", F::IsFinite, Global, ONE_DOUBLE, BOOL),
    entry("math.bitAnd", F::BitAnd, Global, TWO_BITS, ANY),
    entry("math.bitOr", F::BitOr, Global, TWO_BITS, ANY),
    entry("math.bitXor", F::BitXor, Global, TWO_BITS, ANY),
    entry("math.bitNot", F::BitNot, Global, &[&[INT], &[UINT]], ANY),
    entry("math.bitShiftLeft", F::BitShiftLeft, Global, SHIFT, ANY),
    entry("math.bitShiftRight", F::BitShiftRight, Global, SHIFT, ANY),
    entry("base64.encode", F::Base64Encode, Global, TEXT_OR_BYTES, TEXT),
    entry("base64.decode", F::Base64Decode, Global, &[&[TEXT]], BYTES),
    entry("hash.md5", F::Hash(HashAlgorithm::Md5), Global, TEXT_OR_BYTES, TEXT),
    entry("hash.sha256", F::Hash(HashAlgorithm::Sha256), Global, TEXT_OR_BYTES, TEXT),
    entry("hash.xxh3", F::Hash(HashAlgorithm::Xxh3), Global, TEXT_OR_BYTES, TEXT),
    entry("optional.of", F::OptionalOf, Global, &[&[ANY]], OPTIONAL),
    entry("optional.ofNonZeroValue", F::OptionalOfNonZero, Global, &[&[ANY]], OPTIONAL),
    entry("optional.none", F::OptionalNone, Global, &[&[]], OPTIONAL),
    entry("hasValue", F::HasValue, Method, &[&[OPTIONAL]], BOOL),
    entry("value", F::OptionalValue, Method, &[&[OPTIONAL]], ANY),
    entry("or", F::OptionalOr, Method, &[&[OPTIONAL, OPTIONAL]], OPTIONAL),
    entry("orValue", F::OptionalOrValue, Method, &[&[OPTIONAL, ANY]], ANY),
];

/// The greatest or least of any number of numbers, or of one list of them.
pub(super) static OF_MANY: &[(&str, Function)] =
    &[("math.greatest", F::Greatest), ("math.least", F::Least)];

/// Where the names of functions begin that belong together.
pub(super) const NAMESPACES: [&str; 6] = ["base64", "cel", "hash", "math", "optional", "strings"];

/// The functions of that name.
pub(super) fn named(name: &str) -> Option<&'static Entry> {
    FUNCTIONS.iter().find(|entry| entry.name == name)
}

impl Entry {
    /// True if it takes so many arguments.
    pub(super) fn takes_count(&self, count: usize) -> bool {
        self.takes.iter().any(|takes| takes.len() == count)
    }

    /// True unless it is known that it does not take these.
    pub(super) fn takes(&self, arguments: &[Option<Kind>]) -> bool {
        self.takes.iter().any(|takes| {
            takes.len() == arguments.len()
                && takes.iter().zip(arguments).all(|pair| match pair {
                    (Some(wanted), Some(given)) => wanted == given,
                    _ => true,
                })
        })
    }

    /// How many arguments it may take beside a method's target, in words.
    pub(super) fn counts(&self, is_method: bool) -> String {
        let mut counts: Vec<_> = self.takes.iter().map(|it| it.len()).collect();
        counts.sort_unstable();
        counts.dedup();
        let counts = counts.iter().map(|it| (it - usize::from(is_method)).to_string());
        counts.collect::<Vec<_>>().join(" or ")
    }
}
