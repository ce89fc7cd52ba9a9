//! The picture of `hotspur graph`: no words over others or outside their box, in light and in dark.

use std::{fs, path::Path, process::Command};

use crate::browser::Browser;

/// A pipeline with more and longer words than most.
const PIPELINE: &str = r#"
hotspur = 1
name = "a-pipeline-whose-name-is-longer-than-that-of-others"
[source.kafka]
topics = ["orders", "returns", "a-topic-of-a-longer-name.than-others"]
[sink.kafka]
topic = "processed"
value = "event.result"
[tables.users]
redis = "redis://a-host-of-a-longer-name.example.org:6379/0"
prefix = "user:"
[tables.countries]
file = "countries.jsonl"
[tables.unused]
file = "unused.jsonl"
[[steps]]
name = "find the user"
lookup = { table = "users", key = "event.key", into = "user", on_miss = "null" }
[[steps]]
lookup = { table = "countries", key = "event.country", into = "country" }
[[steps]]
lookup = { table = "users", key = "event.other", into = "other" }
[[steps]]
text.result = "processed_{event.key}_{event.value}_{event.user}_{event.country}_{event.other}_äöü"
[[steps]]
hash = { algorithm = "sha256", of = "record.value", into = "hash" }
"#;

/// What is wrong with the places of words, rectangles and arrows, as the browser laid them out.
const WORDS_APART: &str = "
(() => {
  const box = (it) => it.getBoundingClientRect();
  const texts = [...document.querySelectorAll('text')];
  const wrong = [];
  for (const [index, text] of texts.entries()) {
    const one = box(text);
    for (const other of texts.slice(index + 1).map(box)) {
      const apart = one.right <= other.left || other.right <= one.left
        || one.bottom <= other.top + 3 || other.bottom <= one.top + 3;
      if (!apart) wrong.push('over another: ' + text.textContent);
    }
    const rect = text.parentNode.querySelector(':scope > rect');
    const whole = box(document.documentElement);
    const outer = rect && text.parentNode.tagName === 'g' ? box(rect) : whole;
    const inside = outer.left < one.left && one.right < outer.right
      && outer.top < one.top && one.bottom < outer.bottom;
    if (!inside) wrong.push('outside: ' + text.textContent);
  }
  for (const arrow of document.querySelectorAll('path.arrow')) {
    for (let at = 0; at < arrow.getTotalLength(); at += 2) {
      const { x, y } = arrow.getPointAtLength(at);
      const hit = texts.find((text) => {
        const one = box(text);
        return one.left < x && x < one.right && one.top < y && y < one.bottom;
      });
      if (hit) wrong.push('under an arrow: ' + hit.textContent);
    }
  }
  return texts.length < 20 ? ['only ' + texts.length] : wrong;
})()";

fn draw(folder: &Path) {
    fs::write(folder.join("hotspur.toml"), PIPELINE).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_hotspur"))
        .arg("graph")
        .current_dir(folder)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(folder.join("graph.svg"), output.stdout).expect("a file");
}

#[test]
fn the_picture_of_a_pipeline_can_be_read_in_light_and_in_dark() {
    let folder = tempfile::tempdir().expect("a folder");
    draw(folder.path());
    let file = folder.path().join("graph.svg");
    let mut browser = Browser::start();
    browser.resize(1400, 900);
    browser.open(&file);
    assert_eq!(browser.value(WORDS_APART), serde_json::json!([]));
    let mut seen = Vec::new();
    for scheme in ["light", "dark"] {
        browser.emulate("screen", scheme);
        for part in [".paper", "text", ".box"] {
            let fill = format!("getComputedStyle(document.querySelector('{part}')).fill");
            seen.push(browser.value(&fill).to_string());
        }
        browser.picture(&format!("graph-{scheme}"), false);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6, "each part has a colour of its own in each: {seen:?}");
    assert!(browser.errors.is_empty(), "{:?}", browser.errors);
    let own = format!("file://{}", file.display());
    assert!(browser.requests.iter().all(|it| *it == own), "{:?}", browser.requests);
}
