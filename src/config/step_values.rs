//! Values of steps that are tables and lists: paths with what goes there, names, rules.
//!
//! A path may be written as a quoted key, `"order.total"`, or as a dotted one, `order.total`, which
//! TOML makes tables of; both mean the same.

use super::{
    hints,
    settings::{Alias, JsonType, Require, Rules},
    tree::{Node, Value},
    values::{Typed, Wrong, different, expected, json, text},
};

pub(super) fn parse_templates(node: &Node) -> Result<Typed, Wrong> {
    let what = "paths and templates, such as text.result = \"{event.key}\"";
    texts(node, what, "a template in quotes").map(Typed::Pairs)
}

pub(super) fn parse_assignments(node: &Node) -> Result<Typed, Wrong> {
    let what = "paths and expressions, such as set.total = \"event.price * event.count\"";
    texts(node, what, "an expression in quotes").map(Typed::Pairs)
}

pub(super) fn parse_renames(node: &Node) -> Result<Typed, Wrong> {
    let what = "new paths and old ones, such as rename.customer_id = \"CustomerID\"";
    texts(node, what, "a path in quotes").map(Typed::Pairs)
}

pub(super) fn parse_headers(node: &Node) -> Result<Typed, Wrong> {
    let what = "names and expressions, such as headers.tier = \"event.tier\"";
    texts(node, what, "an expression in quotes").map(Typed::Pairs)
}

pub(super) fn parse_paths(node: &Node) -> Result<Typed, Wrong> {
    let what = "a list of paths, such as [\"card.number\", \"items[0]\"]";
    match &node.value {
        Value::List(items) if !items.is_empty() => path_list(items).map(Typed::Texts),
        Value::List(_) => Err(format!("expected {what}, found an empty one").into()),
        _ => Err(expected(what, node)),
    }
}

fn path_list(items: &[Node]) -> Result<Vec<String>, Wrong> {
    match different(items, |item| text(item, "a path in quotes").map(str::to_owned))? {
        Typed::Texts(paths) => Ok(paths),
        _ => Ok(Vec::new()),
    }
}

pub(super) fn parse_aliases(node: &Node) -> Result<Vec<Alias>, Wrong> {
    let what = "paths and their spellings, such as alias.id = [\"ID\", \"Id\"]";
    collect(node, what, &mut |path, node| match &node.value {
        Value::List(items) if !items.is_empty() => {
            Ok(Some(Alias { path: path.to_owned(), spellings: path_list(items)? }))
        }
        Value::Table(_) => Ok(None),
        _ => Err(expected(&format!("a list of paths at {path}"), node)),
    })
}

/// Texts by path.
fn texts(node: &Node, what: &str, wanted: &str) -> Result<Vec<(String, String)>, Wrong> {
    collect(node, what, &mut |path, node| match &node.value {
        Value::Text(text) => Ok(Some((path.to_owned(), text.clone()))),
        Value::Table(_) => Ok(None),
        _ => Err(expected(&format!("{wanted} at {path}"), node)),
    })
}

/// What `leaf` makes of each path, in order of the file; where it makes nothing of a table, paths
/// go on below it.
fn collect<T>(
    node: &Node,
    what: &str,
    leaf: &mut impl FnMut(&str, &Node) -> Result<Option<T>, Wrong>,
) -> Result<Vec<T>, Wrong> {
    let Some(children) = node.children() else { return Err(expected(what, node)) };
    let mut found = Vec::new();
    descend("", children, leaf, &mut found)?;
    if found.is_empty() { Err(format!("expected {what}, found none").into()) } else { Ok(found) }
}

fn descend<T>(
    path: &str,
    children: &[(String, Node)],
    leaf: &mut impl FnMut(&str, &Node) -> Result<Option<T>, Wrong>,
    found: &mut Vec<T>,
) -> Result<(), Wrong> {
    for (name, node) in children {
        let path = below(path, name);
        found.extend(leaf(&path, node)?);
        if let Some(children) = node.children() {
            descend(&path, children, leaf, found)?;
        }
    }
    Ok(())
}

fn below(path: &str, name: &str) -> String {
    let dot = if path.is_empty() || name.starts_with('[') { "" } else { "." };
    format!("{path}{dot}{name}")
}

/// A table that holds text, numbers or lists is rules of its path; tables in it are rules of what
/// is below.
pub(super) fn parse_require(node: &Node) -> Result<Require, Wrong> {
    let what = "paths and rules, such as require.price = { type = \"number\", min = 0 }, or \
                { schema = \"order.schema.json\" }";
    if let Some([(name, value)]) = node.children()
        && let ("schema", Some(file)) = (name.as_str(), value.text())
    {
        return Ok(Require::Schema(file.into()));
    }
    let fields = collect(node, what, &mut |path, node| {
        let Some(children) = node.children() else { return Ok(None) };
        let rules: Vec<_> = children.iter().filter(|(_, it)| it.children().is_none()).collect();
        let is_above = rules.is_empty() && !children.is_empty();
        if is_above { Ok(None) } else { Ok(Some((path.to_owned(), parse_rules(path, &rules)?))) }
    });
    let misplaced = node.children().into_iter().flatten().find(|(_, it)| it.children().is_none());
    match misplaced {
        Some((name, _)) if name == "schema" => {
            Err("schema stands alone: a second step can require more".to_owned().into())
        }
        Some((name, value)) => Err(expected(&format!("rules at {name}"), value)),
        None => fields.map(Require::Fields),
    }
}

const RULES: [&str; 8] =
    ["type", "optional", "min", "max", "min_length", "max_length", "pattern", "one_of"];

fn parse_rules(path: &str, children: &[&(String, Node)]) -> Result<Rules, Wrong> {
    let mut rules = Rules::default();
    for (name, node) in children {
        match name.as_str() {
            "type" => rules.types = parse_types(node)?,
            "optional" => match node.value {
                Value::Boolean(optional) => rules.optional = optional,
                _ => return Err(expected("true or false as optional", node)),
            },
            "min" => rules.range.0 = Some(number(node, name)?),
            "max" => rules.range.1 = Some(number(node, name)?),
            "min_length" => rules.length.0 = Some(count(node, name)?),
            "max_length" => rules.length.1 = Some(count(node, name)?),
            "pattern" => rules.pattern = Some(text(node, "a pattern in quotes")?.to_owned()),
            "one_of" => rules.one_of = parse_one_of(node)?,
            _ => {
                let message = format!("there is no rule {name:?} (at {path})");
                let hint = hints::did_you_mean(name, RULES);
                return Err(Wrong { message, hint: hint.or(Some(RULES.join(", "))) });
            }
        }
    }
    let is_empty =
        |range: (Option<f64>, Option<f64>)| matches!(range, (Some(min), Some(max)) if min > max);
    let length = (rules.length.0.map(|it| it as f64), rules.length.1.map(|it| it as f64));
    if is_empty(rules.range) || is_empty(length) {
        return Err(format!("nothing is from more than it may have (at {path})").into());
    }
    Ok(rules)
}

fn number(node: &Node, name: &str) -> Result<f64, Wrong> {
    match node.value {
        Value::Integer(number) => Ok(number as f64),
        Value::Float(number) if number.is_finite() => Ok(number),
        _ => Err(expected(&format!("a number as {name}"), node)),
    }
}

fn count(node: &Node, name: &str) -> Result<u64, Wrong> {
    let what = format!("a whole number from 0 as {name}");
    match node.value {
        Value::Integer(number) => u64::try_from(number).map_err(|_| expected(&what, node)),
        _ => Err(expected(&what, node)),
    }
}

fn parse_types(node: &Node) -> Result<Vec<JsonType>, Wrong> {
    let one = |node: &Node| {
        let names = JsonType::ALL.map(JsonType::name);
        let what = format!("a type as JSON Schema names it ({})", names.join(", "));
        let name = text(node, &what)?;
        let found = JsonType::ALL.into_iter().find(|it| it.name() == name);
        let hint = || hints::did_you_mean(name, names);
        found.ok_or_else(|| Wrong { hint: hint(), ..expected(&what, node) })
    };
    match &node.value {
        Value::List(items) if !items.is_empty() => items.iter().map(one).collect(),
        _ => Ok(vec![one(node)?]),
    }
}

fn parse_one_of(node: &Node) -> Result<Vec<String>, Wrong> {
    match &node.value {
        Value::List(items) if !items.is_empty() => {
            items.iter().map(|item| json(item).map(|it| it.to_string())).collect()
        }
        _ => Err(expected("a list of values as one_of", node)),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree, *};

    fn node(value: &str) -> Node {
        let tree = tree::read(&format!("it = {value}"), 0).unwrap();
        tree.get(&["it"]).unwrap().clone()
    }

    fn rules(value: &str) -> Result<Vec<(String, Rules)>, String> {
        match parse_require(&node(value)) {
            Ok(Require::Fields(fields)) => Ok(fields),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn templates_keep_their_order_and_join_dotted_names() {
        let pairs = parse_templates(&node("{ z = \"1\", a.b = \"2\", a.'[\"c.d\"]' = \"3\" }"));
        let expected = [("z", "1"), ("a.b", "2"), ("a[\"c.d\"]", "3")];
        let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(pairs, Ok(Typed::Pairs(expected.to_vec())));
    }

    #[test]
    fn paths_and_spellings_are_lists_of_different_paths() {
        let paths = parse_paths(&node("[\"a.b\", \"c[0]\"]")).unwrap();
        assert_eq!(paths, Typed::Texts(vec!["a.b".to_owned(), "c[0]".to_owned()]));
        for (value, part) in
            [("[]", "an empty one"), ("\"a\"", "a list of paths"), ("[\"a\", \"a\"]", "twice")]
        {
            let message = parse_paths(&node(value)).unwrap_err().message;
            assert!(message.contains(part), "{message}");
        }
        let aliases = parse_aliases(&node("{ a.id = [\"ID\"], \"b.id\" = [\"x\", \"y\"] }"));
        let aliases: Vec<_> = aliases.unwrap().into_iter().map(|it| it.path).collect();
        assert_eq!(aliases, ["a.id", "b.id"]);
        assert!(parse_aliases(&node("{ a = \"ID\" }")).is_err());
    }

    #[test]
    fn rules_stand_at_their_paths() {
        let text = r#"{ a = { type = "integer", min = 1, max = 2.5 },
                        "b.c" = { optional = true, one_of = ["x", 1, true] },
                        d = { type = ["string", "null"], max_length = 3,
                              e = { pattern = "^x" } } }"#;
        let rules = rules(text).unwrap();
        let paths: Vec<_> = rules.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["a", "b.c", "d", "d.e"]);
        assert_eq!(rules[0].1.types, [JsonType::Integer]);
        assert_eq!(rules[0].1.range, (Some(1.0), Some(2.5)));
        assert_eq!(rules[1].1.one_of, ["\"x\"", "1", "true"]);
        assert!(rules[1].1.optional && !rules[0].1.optional);
        assert_eq!(rules[2].1.types, [JsonType::String, JsonType::Null]);
        assert_eq!(rules[3].1.pattern.as_deref(), Some("^x"));
        let schema = parse_require(&node("{ schema = \"a.json\" }"));
        assert_eq!(schema, Ok(Require::Schema("a.json".into())));
    }

    #[test]
    fn wrong_rules_are_told() {
        for (value, part) in [
            ("{ a = { typ = \"string\" } }", "did you mean"),
            ("{ a = { type = \"text\" } }", "a type as JSON Schema names it"),
            ("{ a = { min = \"1\" } }", "a number as min"),
            ("{ a = { min = 2, max = 1 } }", "from more than"),
            ("{ a = { min_length = -1 } }", "a whole number from 0"),
            ("{ a = { one_of = [] } }", "a list of values"),
            ("{ a = 1 }", "rules at a"),
            ("{ schema = \"a.json\", b = { min = 1 } }", "stands alone"),
            ("{}", "found none"),
            ("7", "paths and rules"),
        ] {
            let error = rules(value).unwrap_err();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
