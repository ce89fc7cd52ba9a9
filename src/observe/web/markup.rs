//! Text that becomes HTML: escaped, formatted, set into a template.

use crate::observe::summary::readable;

/// Text that stands for itself.
pub(in crate::observe) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A template with its `{{name}}` holes filled; what is filled in is not looked at again.
///
/// # Panics
///
/// If the template names something that is not there: the template is part of the program.
pub(in crate::observe) fn fill(template: &str, parts: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("a hole has an end");
        let part = parts.iter().find(|(it, _)| *it == name);
        out.push_str(before);
        out.push_str(part.unwrap_or_else(|| panic!("nothing is known of {name}")).1);
        rest = after;
    }
    out + rest
}

/// Nanoseconds for people, as on a terminal, with a micro sign and a space that does not break.
pub(in crate::observe) fn time(nanos: u64) -> String {
    readable(nanos).replace(" us", " µs").replace(' ', "\u{a0}")
}

/// A share in percent: one decimal below ten.
pub(in crate::observe) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 9.95 { format!("{percent:.1}\u{a0}%") } else { format!("{percent:.0}\u{a0}%") }
}

/// A cell of a table.
pub(in crate::observe) fn cell(text: &str) -> String {
    format!("<td>{text}</td>")
}

/// A table's head.
pub(in crate::observe) fn head(names: &[&str]) -> String {
    let cells: String = names.iter().map(|it| format!("<th scope=\"col\">{it}</th>")).collect();
    format!("<thead><tr>{cells}</tr></thead>\n")
}

/// A row of a table, which begins with its name.
pub(in crate::observe) fn row(name: &str, cells: &str) -> String {
    format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>\n")
}

/// A table that scrolls by itself where it is too wide.
pub(in crate::observe) fn table(caption: &str, head: &str, rows: &str) -> String {
    format!(
        "<div class=\"wide\" tabindex=\"0\"><table><caption>{caption}</caption>\n\
         {head}<tbody>\n{rows}</tbody></table></div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_filled_in_is_markup_or_a_hole() {
        assert_eq!(
            escaped("<a href='x'>&\"</a>"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;"
        );
        assert_eq!(fill("a {{b}} {{c}}{{b}}", &[("b", "{{c}}"), ("c", "d")]), "a {{c}} d{{c}}");
        assert_eq!(time(12_300), "12.3\u{a0}µs");
        assert_eq!((percent(0.0512), percent(0.999)), ("5.1\u{a0}%".into(), "100\u{a0}%".into()));
    }
}
