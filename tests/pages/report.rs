//! The page of `hotspur report`, alone and with a base.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::{
    browser::Browser,
    histogram_logs::{SHAPE, SLOW, Shape, write_log},
};

const CHARTS: [&str; 3] = ["curves", "heat", "rates"];

const DESKTOP: (u32, u32) = (1280, 800);
const PHONE: (u32, u32) = (390, 844);

/// A report in a folder of its own, opened at that size.
struct Page {
    browser: Browser,
    file: PathBuf,
    _folder: TempDir,
}

impl Page {
    fn open(has_base: bool, size: (u32, u32)) -> Page {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Shape { seed: 3, percent: 107, ..SHAPE };
        write_log(folder.path(), "base", SHAPE);
        let log = write_log(folder.path(), "orders", now);
        fs::write(folder.path().join("orders.slow.jsonl"), SLOW).expect("a file");
        let base = ["--base", "base.hlog", "--tolerance", "5%"];
        let status = Command::new(env!("CARGO_BIN_EXE_hotspur"))
            .args(["report", "orders.hlog"])
            .args(if has_base { &base[..] } else { &[] })
            .current_dir(folder.path())
            .output()
            .expect("the program starts")
            .status;
        assert_eq!(status.code(), Some(i32::from(has_base)));
        let mut browser = Browser::start();
        browser.resize(size.0, size.1);
        let file = log.with_extension("html");
        browser.open(&file);
        Page { browser, file, _folder: folder }
    }

    fn is_true(&mut self, expression: &str) {
        assert_eq!(self.browser.value(expression), true, "{expression}");
    }

    /// Nothing went wrong, and nothing was asked of anybody.
    fn end(self) {
        assert!(self.browser.errors.is_empty(), "{:?}", self.browser.errors);
        let own = format!("file://{}", self.file.display());
        let others: Vec<_> = self.browser.requests.iter().filter(|it| **it != own).collect();
        let others: Vec<_> = others.into_iter().filter(|it| !it.starts_with("data:")).collect();
        assert!(others.is_empty(), "{others:?}");
        assert!(self.browser.requests.contains(&own), "{:?}", self.browser.requests);
    }
}

#[test]
fn the_first_screen_answers_four_questions_and_the_charts_are_drawn() {
    let mut page = Page::open(false, DESKTOP);
    page.browser.picture("report", false);
    page.browser.picture("report-whole", true);
    for id in ["speed", "rate", "places", "trust"] {
        page.is_true(&format!(
            "document.getElementById('{id}').getBoundingClientRect().bottom <= innerHeight"
        ));
    }
    page.is_true("document.body.innerText.includes('orders:3:712')");
    for chart in CHARTS {
        assert!(page.browser.colours(chart) > 3, "{chart} is blank");
    }
    page.is_true(&format!("document.documentElement.scrollWidth <= {}", DESKTOP.0));
    page.end();
}

#[test]
fn curves_are_switched_and_read_by_keyboard_and_mouse() {
    let mut page = Page::open(true, DESKTOP);
    let shown = |name: &str| {
        format!(
            "hotspur.charts.curves.series.filter((it) => it.label === '{name}' && it.show).length"
        )
    };
    assert_eq!(page.browser.value(&shown("parse")), 0, "a small stage is not shown at first");
    page.browser.value("document.querySelector('.legend input[name=parse]').focus()");
    page.browser.press(" ", "Space", " ");
    assert_eq!(page.browser.value(&shown("parse")), 2, "its line, and that of the base");
    page.browser.press(" ", "Space", " ");
    assert_eq!(page.browser.value(&shown("parse")), 0);

    let reading = "document.querySelector('.legend label output').value";
    assert_eq!(page.browser.value(reading), "");
    page.browser.value("document.getElementById('curves').focus()");
    page.browser.press("ArrowRight", "ArrowRight", "");
    page.browser.press("ArrowRight", "ArrowRight", "");
    page.is_true(&format!("/^[0-9.]+ (ns|µs|ms)$/.test({reading})"));
    page.browser.hover("#heat .u-over");
    page.is_true("/^at [0-9.]+ s: 2,000 records, /.test(document.getElementById('reading').value)");
    page.browser.picture("report-reading", false);

    page.browser.value(
        "(() => { const select = document.getElementById('span'); select.value = 'parse'; \
         select.dispatchEvent(new Event('change')); })()",
    );
    page.browser.settle();
    page.is_true("hotspur.charts.heat.data[1].every((it) => it > 500 && it < 5000)");
    assert!(page.browser.colours("heat") > 3);
    page.end();
}

#[test]
fn dark_is_dark_and_paper_is_light() {
    let mut page = Page::open(true, DESKTOP);
    let paper = "getComputedStyle(document.body).backgroundColor";
    let line = "hotspur.charts.curves.series[1].stroke(hotspur.charts.curves, 1)";
    let light = (page.browser.value(paper), page.browser.value(line));
    page.browser.emulate("screen", "dark");
    let dark = (page.browser.value(paper), page.browser.value(line));
    assert!(light.0 != dark.0 && light.1 != dark.1, "{light:?} {dark:?}");
    page.browser.picture("report-dark", true);
    for chart in CHARTS {
        assert!(page.browser.colours(chart) > 3, "{chart} is blank in the dark");
    }
    page.browser.emulate("print", "dark");
    assert_eq!(page.browser.value(paper), light.0, "paper is white");
    page.browser.picture("report-print", true);
    for chart in CHARTS {
        assert!(page.browser.colours(chart) > 3, "{chart} is blank on paper");
    }
    page.end();
}

#[test]
fn on_a_phone_nothing_is_wider_than_the_screen() {
    let mut page = Page::open(true, PHONE);
    page.browser.picture("report-phone", true);
    page.is_true(&format!("document.documentElement.scrollWidth <= {}", PHONE.0));
    page.is_true(&format!("hotspur.charts.curves.width <= {}", PHONE.0));
    page.browser.resize(DESKTOP.0, DESKTOP.1);
    page.browser.await_true("hotspur.charts.curves.width > 1000");
    page.end();
}
