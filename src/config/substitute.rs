//! `${NAME}`, `${NAME:-default}`, `${file:PATH}` in text, after the TOML was read, so that what
//! comes in this way can be a value and never a key. `$${` stands for `${`.

use std::{collections::BTreeMap, fs, path::Path};

/// A variable's value with what makes it text: where files are looked for, what is set.
pub(crate) struct Surroundings<'a> {
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// Folder of the layer's file.
    pub(crate) folder: &'a Path,
}

/// Replaces what is to be replaced. `None`: there was nothing.
///
/// # Errors
///
/// A sentence for the first thing that cannot be replaced; it never contains a file's content.
pub(crate) fn substitute(text: &str, around: &Surroundings<'_>) -> Result<Option<String>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = &from[2..];
            continue;
        }
        result.push_str(before);
        let Some(end) = from.find('}') else {
            return Err("\"${\" has no \"}\"; write \"$${\" for a literal one".to_owned());
        };
        result.push_str(&resolve(&from[2..end], around)?);
        rest = &from[end + 1..];
    }
    result.push_str(rest);
    Ok(Some(result))
}

fn resolve(inside: &str, around: &Surroundings<'_>) -> Result<String, String> {
    if let Some(path) = inside.strip_prefix("file:") {
        return read_file(path, around.folder);
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!("\"${{{inside}}}\" names no variable"));
    }
    match (around.environment.get(name), default) {
        (Some(value), None) => Ok(value.clone()),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value.clone()),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!(
            "the variable {name} is not set; set it, or write \"${{{name}:-default}}\""
        )),
    }
}

fn read_file(path: &str, folder: &Path) -> Result<String, String> {
    let place = folder.join(path);
    let mut text = fs::read_to_string(&place)
        .map_err(|error| format!("cannot read the file {}: {error}", place.display()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Option<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "hush\n\n").unwrap();
        let pairs = [("HOST", "localhost"), ("EMPTY", "")];
        let environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        substitute(text, &Surroundings { environment: &environment, folder: folder.path() })
    }

    #[test]
    fn variables_files_and_defaults_are_replaced() {
        for (text, expected) in [
            ("${HOST}:9092", "localhost:9092"),
            ("${PORT:-9092}", "9092"),
            ("${EMPTY:-full}", "full"),
            ("[${EMPTY}]", "[]"),
            ("${file:secret}", "hush\n"),
            ("$${HOST} ${HOST}", "${HOST} localhost"),
            ("${A:-}${B:-x}", "x"),
        ] {
            assert_eq!(run(text), Ok(Some(expected.to_owned())), "{text}");
        }
        assert_eq!(run("$HOST {HOST}"), Ok(None));
    }

    #[test]
    fn what_is_missing_is_told() {
        assert!(run("${PORT}").unwrap_err().contains("PORT is not set"));
        assert!(run("${HOST").unwrap_err().contains("no \"}\""));
        assert!(run("${}").unwrap_err().contains("names no variable"));
        assert!(run("${file:absent}").unwrap_err().contains("absent"));
    }
}
