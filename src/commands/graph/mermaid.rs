//! The picture as Mermaid text, a flowchart from top to bottom.

use std::fmt::Write;

use super::picture::{Beside, Node, Picture};

/// Characters that mean something to Mermaid, or to the HTML of its labels, by their codes.
const SPECIAL: [char; 9] = ['"', '#', '<', '>', '&', '`', ';', '\\', '|'];

/// The text.
pub(super) fn draw(picture: &Picture) -> String {
    let mut text = String::from("flowchart TD\n");
    let mut node = |id: &str, open: &str, node: &Node, close: &str, indent: &str| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{indent}{id}{open}\"{}\"{close}", label(node));
    };
    node("source", "([", &picture.source, "])", "    ");
    for (beside, number) in picture.tables.iter().zip(1..) {
        node(&format!("table{number}"), "[(", &beside.node, ")]", "    ");
    }
    if let Some(state) = &picture.state {
        node("state", "[(", &state.node, ")]", "    ");
    }
    node("sink", "([", &picture.sink, "])", "    ");
    for (beside, number) in picture.topics.iter().zip(1..) {
        node(&format!("topic{number}"), "([", &beside.node, "])", "    ");
    }
    node("dead", "([", &picture.dead_letters, "])", "    ");
    // An empty group cannot be drawn.
    let Some(last) = picture.steps.len().checked_sub(1) else {
        text.push_str("    source --> sink\n    source -. rejected .-> dead\n");
        return text;
    };
    let _ = writeln!(text, "    subgraph pipeline[\"{}\"]", escaped(&picture.name));
    for (step, number) in picture.steps.iter().zip(1..) {
        let _ = writeln!(text, "        step{number}[\"{}\"]", label(step));
    }
    text.push_str("    end\n    source --> step1\n");
    for number in 1..=last {
        let _ = writeln!(text, "    step{number} --> step{}", number + 1);
    }
    let _ = writeln!(text, "    step{} --> sink", last + 1);
    for (beside, number) in picture.tables.iter().zip(1..) {
        edges(&mut text, beside, |step| format!("table{number} -.-> {step}"));
    }
    if let Some(state) = &picture.state {
        edges(&mut text, state, |step| format!("state <-.-> {step}"));
    }
    for (beside, number) in picture.topics.iter().zip(1..) {
        edges(&mut text, beside, |step| format!("{step} --> topic{number}"));
    }
    text.push_str("    pipeline -. rejected .-> dead\n");
    text
}

fn edges(text: &mut String, beside: &Beside, edge: impl Fn(&str) -> String) {
    for index in &beside.steps {
        // As above.
        let _ = writeln!(text, "    {}", edge(&format!("step{}", index + 1)));
    }
}

fn label(node: &Node) -> String {
    let lines: String = node.lines.iter().map(|line| format!("<br/>{}", escaped(line))).collect();
    format!("<b>{}</b>{lines}", escaped(&node.title))
}

fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        c if SPECIAL.contains(&c) => format!("#{};", u32::from(c)),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::picture::tests::full, *};

    #[test]
    fn boxes_and_arrows_are_all_there_and_words_mean_nothing_but_themselves() {
        let text = draw(&full());
        for line in [
            "source([\"<b>source</b><br/>orders<br/>returns\"])",
            "subgraph pipeline[\"shop #60;#38;#34;1#34;#62;\"]",
            "step1[\"<b>1 find: lookup</b><br/>cached = users[event.key], else skip\"]",
            "event.#96;c#96; #62; '#35;'\"]",
            "table1[(\"<b>table users</b><br/>redis://localhost:6379/0<br/>user:*\")]",
            "source --> step1",
            "step3 --> step4",
            "step4 --> sink",
            "table1 -.-> step1",
            "table1 -.-> step3",
            "state <-.-> step3",
            "step4 --> topic1",
            "step3 --> topic2",
            "pipeline -. rejected .-> dead",
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_pipeline_without_steps_is_an_arrow() {
        let text = draw(&Picture { steps: Vec::new(), ..full() });
        assert!(text.contains("source --> sink\n") && !text.contains("subgraph"), "{text}");
    }
}
