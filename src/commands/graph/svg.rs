//! The picture as SVG: one file that asks nobody for anything, for light and dark.
//!
//! Three columns of boxes. Words are set in a font whose characters are all equally wide, so that
//! their width is known here and no word leaves its box; a line that is too long is cut, and whole
//! in the tooltip of its box. Arrows run in the gaps between the columns, where no words are.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::picture::{Beside, Node, Picture};

/// Fonts of this size are 0.6 wide; a little more, so that another one fits as well.
const FONT_SIZE: f64 = 13.0;
const CHARACTER: f64 = FONT_SIZE * 0.62;
const LINE: f64 = 18.0;
const PADDING: f64 = 12.0;
const MARGIN: f64 = 16.0;
/// Between boxes of a column.
const GAP: f64 = 26.0;
/// Between columns, where arrows run.
const CHANNEL: f64 = 72.0;
/// Columns of characters in a line at most.
const LINE_WIDTH: usize = 60;

const STYLE: &str = "\
text { font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #16191d }
.title { font-weight: bold }
.paper { fill: #ffffff }
.box { fill: #f5f6f8; stroke: #74808f }
.topic { fill: #e6eefb; stroke: #1f5fae }
.table { fill: #e7f4ec; stroke: #14733b }
.state { fill: #f1ecfb; stroke: #7a5ad0 }
.dead { fill: #fbeae8; stroke: #b02a1c }
.frame { fill: none; stroke: #a9b4c2; stroke-dasharray: 5 4 }
.arrow { fill: none; stroke: #555d68; stroke-width: 1.3 }
.aside { stroke-dasharray: 4 3 }
.tip { fill: #555d68 }
@media (prefers-color-scheme: dark) {
  text { fill: #e8ebef }
  .paper { fill: #14171b }
  .box { fill: #1d2127; stroke: #a3acb8 }
  .topic { fill: #182a44; stroke: #79b2f5 }
  .table { fill: #15301f; stroke: #5cc98a }
  .state { fill: #2a2146; stroke: #ab93f0 }
  .dead { fill: #3a1c18; stroke: #ff8a78 }
  .frame { stroke: #56606e }
  .arrow { stroke: #a3acb8 }
  .tip { fill: #a3acb8 }
}
";

/// A box in its place.
struct Placed<'p> {
    node: &'p Node,
    class: &'static str,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Placed<'_> {
    fn bottom(&self) -> f64 {
        self.y + self.height
    }

    fn right(&self) -> f64 {
        self.x + self.width
    }

    fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }
}

/// Boxes of one column, top to bottom.
struct Column<'p> {
    x: f64,
    width: f64,
    boxes: Vec<Placed<'p>>,
}

impl<'p> Column<'p> {
    /// As wide as its widest box.
    fn new<'n>(x: f64, nodes: impl Iterator<Item = &'n Node>) -> Column<'p> {
        Column { x, width: nodes.map(width).fold(0.0, f64::max), boxes: Vec::new() }
    }

    /// Adds a box at that height, or below the last one.
    fn add(&mut self, node: &'p Node, class: &'static str, wanted: f64) -> &Placed<'p> {
        let free = self.boxes.last().map_or(MARGIN, |it| it.bottom() + GAP);
        let (x, y, width, height) = (self.x, wanted.max(free), self.width, height(node));
        self.boxes.push(Placed { node, class, x, y, width, height });
        &self.boxes[self.boxes.len() - 1]
    }

    fn bottom(&self) -> f64 {
        self.boxes.last().map_or(0.0, Placed::bottom)
    }

    fn right(&self) -> f64 {
        self.x + self.width
    }
}

fn width(node: &Node) -> f64 {
    let lines = node.lines.iter().chain([&node.title]);
    let longest = lines.map(|line| line.width().min(LINE_WIDTH)).max().unwrap_or(0);
    longest as f64 * CHARACTER + 2.0 * PADDING
}

fn height(node: &Node) -> f64 {
    (1 + node.lines.len()) as f64 * LINE + 2.0 * PADDING - 4.0
}

/// A dashed frame around the steps.
struct Frame {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The document.
pub(super) fn draw(picture: &Picture) -> String {
    let [mut left, mut middle, mut right] = columns(picture);
    let mut arrows = String::new();
    let frame = place_path(picture, &mut middle, &mut arrows);
    let steps = &middle.boxes[1..=picture.steps.len()];
    place_left(picture, &mut left, steps, &mut arrows);
    place_right(picture, &mut right, steps, &frame, &mut arrows);
    document(picture, &[left, middle, right], &frame, &arrows)
}

/// The columns, still empty: what stands to the left, in the middle, to the right.
fn columns<'p>(picture: &Picture) -> [Column<'p>; 3] {
    let aside: Vec<&Beside> = picture.tables.iter().chain(&picture.state).collect();
    let left = Column::new(MARGIN, aside.iter().map(|it| &it.node));
    let x = if aside.is_empty() { MARGIN } else { left.right() + CHANNEL };
    let path = picture.steps.iter().chain([&picture.source, &picture.sink]);
    let mut middle = Column::new(x + MARGIN, path);
    // The name stands to the left of the arrow that comes in the middle.
    let title = Node { title: picture.name.clone(), lines: Vec::new() };
    middle.width = middle.width.max(2.0 * width(&title));
    let x = middle.right() + MARGIN + CHANNEL;
    let topics = picture.topics.iter().map(|it| &it.node);
    let right = Column::new(x, topics.chain([&picture.dead_letters]));
    [left, middle, right]
}

/// The way of a record, from the source down to the sink.
fn place_path<'p>(picture: &'p Picture, middle: &mut Column<'p>, arrows: &mut String) -> Frame {
    middle.add(&picture.source, "topic", MARGIN);
    let top = middle.bottom() + GAP;
    let below_title = top + LINE + PADDING;
    for step in &picture.steps {
        middle.add(step, "box", below_title);
    }
    let bottom = (middle.bottom() + PADDING).max(below_title);
    middle.add(&picture.sink, "topic", bottom + GAP);
    let x = middle.x + middle.width / 2.0;
    for pair in middle.boxes.windows(2) {
        arrow(arrows, "", (x, pair[0].bottom()), (x, pair[1].y));
    }
    let width = middle.width + 2.0 * MARGIN;
    Frame { x: middle.x - MARGIN, y: top, width, height: bottom - top }
}

/// Where the first of its steps stands; what no step has to do with comes last.
fn top(beside: &Beside, steps: &[Placed<'_>]) -> f64 {
    beside.steps.first().map_or(0.0, |index| steps[*index].y)
}

fn place_left<'p>(
    picture: &'p Picture,
    left: &mut Column<'p>,
    steps: &[Placed<'_>],
    arrows: &mut String,
) {
    let tables = picture.tables.iter().map(|table| (table, "table", "aside"));
    let state = picture.state.iter().map(|state| (state, "state", "aside both"));
    let mut all: Vec<_> = tables.chain(state).collect();
    all.sort_by_key(|(beside, ..)| beside.steps.first().copied().unwrap_or(usize::MAX));
    for (beside, class, arrow_class) in all {
        let from = left.add(&beside.node, class, top(beside, steps));
        let from = (from.right(), from.middle());
        for index in &beside.steps {
            arrow(arrows, arrow_class, from, (steps[*index].x, steps[*index].middle()));
        }
    }
}

fn place_right<'p>(
    picture: &'p Picture,
    right: &mut Column<'p>,
    steps: &[Placed<'_>],
    frame: &Frame,
    arrows: &mut String,
) {
    let dead = right.add(&picture.dead_letters, "dead", frame.y);
    let level = dead.middle();
    arrow(arrows, "aside", (frame.x + frame.width, level), (dead.x, level));
    for beside in &picture.topics {
        let placed = right.add(&beside.node, "topic", top(beside, steps));
        let to = (placed.x, placed.middle());
        for index in &beside.steps {
            arrow(arrows, "", (steps[*index].right(), steps[*index].middle()), to);
        }
    }
}

fn document(picture: &Picture, columns: &[Column<'_>; 3], frame: &Frame, arrows: &str) -> String {
    let width = columns[2].right() + MARGIN;
    let height = columns.iter().map(Column::bottom).fold(0.0, f64::max) + MARGIN;
    let name = escaped(&picture.name);
    let Frame { x, y, width: frame_width, height: frame_height } = frame;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" \
         aria-label=\"The pipeline {name}\">\n\
         <style>\n{STYLE}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto-start-reverse\">\
         <path class=\"tip\" d=\"M0 0 8 4 0 8z\"/></marker></defs>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n\
         <rect class=\"frame\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{frame_width:.1}\" \
         height=\"{frame_height:.1}\" rx=\"8\"/>\n"
    );
    push_line(&mut text, "title", (x + PADDING, y + LINE), &picture.name);
    text.push_str(arrows);
    for placed in columns.iter().flat_map(|column| &column.boxes) {
        push_box(&mut text, placed);
    }
    text.push_str("</svg>\n");
    text
}

fn push_box(text: &mut String, placed: &Placed<'_>) {
    let Placed { node, class, x, y, width, height } = placed;
    let whole: Vec<&str> =
        [&node.title].into_iter().chain(&node.lines).map(String::as_str).collect();
    let round = if *class == "topic" || *class == "dead" { 14 } else { 4 };
    // Writing to a text cannot fail.
    let _ = writeln!(
        text,
        "<g><title>{}</title><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" \
         width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round}\"/>",
        escaped(&whole.join("\n"))
    );
    let mut baseline = y + PADDING + FONT_SIZE - 2.0;
    for (index, line) in whole.into_iter().enumerate() {
        push_line(text, if index == 0 { "title" } else { "line" }, (x + PADDING, baseline), line);
        baseline += LINE;
    }
    text.push_str("</g>\n");
}

fn push_line(text: &mut String, class: &str, (x, y): (f64, f64), line: &str) {
    let line = escaped(&cut(line));
    // As above.
    let _ = writeln!(
        text,
        "<text class=\"{class}\" xml:space=\"preserve\" x=\"{x:.1}\" y=\"{y:.1}\">{line}</text>"
    );
}

/// A curve that leaves and arrives level, or a line where it stands upright.
fn arrow(text: &mut String, class: &str, (x, y): (f64, f64), (to_x, to_y): (f64, f64)) {
    let way = match x == to_x {
        true => format!("M{x:.1} {y:.1} V{to_y:.1}"),
        false => {
            let turn = (x + to_x) / 2.0;
            format!("M{x:.1} {y:.1} C{turn:.1} {y:.1} {turn:.1} {to_y:.1} {to_x:.1} {to_y:.1}")
        }
    };
    let start = if class.contains("both") { " marker-start=\"url(#tip)\"" } else { "" };
    // As above.
    let _ = writeln!(
        text,
        "<path class=\"{}\" d=\"{way}\"{start} marker-end=\"url(#tip)\"/>",
        format!("arrow {class}").trim_end()
    );
}

/// As much as fits a line.
fn cut(line: &str) -> String {
    if line.width() <= LINE_WIDTH {
        return line.to_owned();
    }
    let mut taken = 0;
    let fits = |c: &char| {
        taken += c.width().unwrap_or(0);
        taken < LINE_WIDTH
    };
    line.chars().take_while(fits).chain(['…']).collect()
}

/// Text that is no markup; XML has no control characters.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c if c.is_control() && c != '\n' => " ".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::picture::tests::full, *};

    #[test]
    fn boxes_stand_apart_and_words_stay_within_them() {
        let picture = full();
        let [mut left, mut middle, mut right] = columns(&picture);
        let mut arrows = String::new();
        let frame = place_path(&picture, &mut middle, &mut arrows);
        let steps = &middle.boxes[1..=picture.steps.len()];
        place_left(&picture, &mut left, steps, &mut arrows);
        place_right(&picture, &mut right, steps, &frame, &mut arrows);
        assert!(left.right() < frame.x && frame.x + frame.width < right.x);
        let counts = [&left, &middle, &right].map(|it| it.boxes.len());
        assert_eq!(counts, [4, 6, 3]);
        for column in [left, middle, right] {
            for pair in column.boxes.windows(2) {
                assert!(pair[0].bottom() + GAP <= pair[1].y);
            }
            for placed in &column.boxes {
                let longest = placed.node.lines.iter().map(|line| cut(line).width()).max();
                assert!(longest.unwrap() as f64 * CHARACTER <= placed.width - 2.0 * PADDING + 0.1);
            }
        }
        // Four down to the sink and one into it, two tables, one state, dead letters, topics.
        assert_eq!(arrows.matches("marker-end").count(), 5 + 3 + 1 + 1 + 3);
    }

    #[test]
    fn a_long_line_is_cut_and_whole_in_the_tooltip() {
        let text = draw(&full());
        let long = "a long line, ".repeat(20);
        assert_eq!(text.matches(&long).count(), 1);
        assert!(text.contains("a long line, a long line, a long line, a long line, a long …"));
        assert_eq!(cut("数量数量"), "数量数量");
        assert_eq!(cut(&"量".repeat(40)).width(), LINE_WIDTH - 1);
        assert!(!text.contains('\u{1b}') && text.contains("shop &lt;&amp;&quot;1&quot;&gt;"));
    }

    #[test]
    fn without_steps_and_sides_there_is_still_a_picture() {
        let picture = full();
        let (steps, tables, topics) = (Vec::new(), Vec::new(), Vec::new());
        let text = draw(&Picture { steps, tables, topics, state: None, ..picture });
        assert_eq!(text.matches("<g>").count(), 3, "{text}");
    }
}
