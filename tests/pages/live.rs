//! The live page of a demo that runs.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use hotspur::transport::kafka::EmbeddedKafka;
use serde_json::Value;
use tempfile::TempDir;

use crate::browser::Browser;

const CHARTS: [&str; 3] = ["curves", "heat", "rates"];

const DESKTOP: (u32, u32) = (1280, 800);
const PHONE: (u32, u32) = (390, 844);

/// A process under way.
struct Demo {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Demo {
    fn start() -> Demo {
        Demo::of(&["demo", "--for", "5m", "--rate", "500", "-s", "latency.slow=1us"])
    }

    /// A run on the names pipeline, to which nobody sends anything.
    fn without_records(kafka: &EmbeddedKafka) -> Demo {
        for topic in ["names", "names.hashed", "names.dead"] {
            kafka.create_topic(topic, 1).expect("a topic");
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning/pipelines/names.toml");
        let brokers = format!("kafka.brokers={}", kafka.bootstrap_servers());
        let sets = [
            &brokers,
            "source.kafka.topics=names",
            "sink.kafka.topic=names.hashed",
            "dead_letters.topic=names.dead",
            "observe.listen=127.0.0.1:0",
            "observe.out=out",
        ];
        let sets = sets.iter().flat_map(|it| ["-s", it]);
        Demo::of(&["run", "-c", file].into_iter().chain(sets).collect::<Vec<_>>())
    }

    fn of(arguments: &[&str]) -> Demo {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(env!("CARGO_BIN_EXE_hotspur"))
            .args(arguments)
            .args(["-s", "log.format=json"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let address = lines.find_map(|line| {
            let event: Value = serde_json::from_str(&line.ok()?).ok()?;
            (event["event"] == "run.listening")
                .then(|| event["address"].as_str().map(str::to_owned))?
        });
        let address = address.expect("it says where it listens");
        // What else it says must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Demo { child, address, _folder: folder }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Asked to end, it takes what it started with it.
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        if !asked.is_ok_and(|it| it.success()) {
            // It has ended by itself, then.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Its page, open and drawn.
struct Page {
    browser: Browser,
    demo: Demo,
}

impl Page {
    fn of(demo: Demo, size: (u32, u32)) -> Page {
        let mut browser = Browser::start();
        browser.resize(size.0, size.1);
        browser.visit(&format!("http://{}/", demo.address));
        let mut page = Page { browser, demo };
        page.await_text("state", "Live");
        page
    }

    fn open(size: (u32, u32)) -> Page {
        let mut page = Page::of(Demo::start(), size);
        page.browser.await_true("hotspur.charts.heat.data[0].length > 2");
        page.browser.await_true("document.querySelectorAll('#slow-rows tr').length > 3");
        page.browser.settle();
        page
    }

    fn text(&mut self, id: &str) -> String {
        let text = self.browser.value(&format!("document.getElementById('{id}').innerText"));
        text.as_str().unwrap_or_default().to_owned()
    }

    fn await_text(&mut self, id: &str, words: &str) {
        let words = format!("document.getElementById('{id}').innerText.includes('{words}')");
        self.browser.await_true(&words);
    }

    fn is_true(&mut self, expression: &str) {
        assert_eq!(self.browser.value(expression), true, "{expression}");
    }

    fn are_drawn(&mut self) {
        for chart in CHARTS {
            assert!(self.browser.colours(chart) > 3, "{chart} is blank");
        }
    }

    /// Nothing went wrong, and nothing was asked of anybody but the run.
    fn end(self) {
        assert!(self.browser.errors.is_empty(), "{:?}", self.browser.errors);
        let own = format!("http://{}/", self.demo.address);
        let is_own = |it: &&String| it.starts_with(&own) || it.starts_with("data:");
        let others: Vec<_> = self.browser.requests.iter().filter(|it| !is_own(it)).collect();
        assert!(others.is_empty(), "{others:?}");
        assert!(self.browser.requests.contains(&format!("{own}live/events")));
    }
}

#[test]
fn each_second_is_drawn_as_it_passes() {
    let mut page = Page::open(DESKTOP);
    page.browser.picture("live", false);
    page.browser.picture("live-whole", true);
    page.are_drawn();
    for id in ["speed", "rate", "duty", "fresh"] {
        page.is_true(&format!(
            "document.getElementById('{id}').getBoundingClientRect().bottom <= innerHeight"
        ));
    }
    page.await_text("speeds", "transit");
    page.is_true("/[0-9] (ns|µs|ms|s)/.test(document.getElementById('speeds').innerText)");
    let rate: f64 = page.text("now-rate").replace(',', "").parse().expect("a rate");
    assert!(rate > 0.0, "{rate}");
    assert!(page.text("regime-names").contains("idle"));
    page.await_text("fresh", "Table users: ");
    page.await_text("fresh", "Lag: ");
    let columns = page.browser.value("hotspur.charts.heat.data[0].length");
    let more = format!("hotspur.charts.heat.data[0].length > {columns} + 1");
    page.browser.await_true(&more);
    page.end();
}

#[test]
fn the_view_is_held_switched_and_read_by_keyboard() {
    let mut page = Page::open(DESKTOP);
    page.browser.value("document.getElementById('hold').focus()");
    page.browser.press(" ", "Space", " ");
    page.is_true("document.getElementById('hold').getAttribute('aria-pressed') === 'true'");
    page.await_text("state", "held");
    page.await_text("uptime", "up ");
    let (speeds, uptime) = (page.text("speeds"), page.text("uptime"));
    let moves = format!("document.getElementById('uptime').innerText !== '{uptime}'");
    page.browser.await_true(&moves);
    assert_eq!(page.text("speeds"), speeds, "held");
    page.browser.value("document.getElementById('curves').focus()");
    page.browser.press("ArrowRight", "ArrowRight", "");
    page.browser.press("ArrowRight", "ArrowRight", "");
    page.await_text("at", "at ");
    page.is_true(
        "/[0-9] (ns|µs|ms|s)$/.test(document.querySelector('.legend label output').value)",
    );
    let of_last = page.browser.value("hotspur.charts.curves.data[1].filter((it) => it).length");
    page.browser.value(
        "(() => { const select = document.getElementById('window'); select.value = 'run'; \
         select.dispatchEvent(new Event('change')); })()",
    );
    let of_run = page.browser.value("hotspur.charts.curves.data[1].filter((it) => it).length");
    assert!(of_run.as_u64() > of_last.as_u64(), "a run has more records than a second");
    let columns = page.browser.value("hotspur.charts.heat.data[0].length");
    page.browser.value(
        "(() => { const select = document.getElementById('span'); select.value = 'transit'; \
         select.dispatchEvent(new Event('change')); })()",
    );
    assert_eq!(page.browser.value("hotspur.charts.heat.data[0].length"), columns, "held");
    page.browser.value("document.getElementById('hold').focus()");
    page.browser.press(" ", "Space", " ");
    let moves = format!("document.getElementById('speeds').innerText !== {speeds:?}");
    page.browser.await_true(&moves);
    page.end();
}

#[test]
fn a_run_without_records_has_a_page_as_well() {
    let kafka = EmbeddedKafka::new(1).expect("a port");
    let mut page = Page::of(Demo::without_records(&kafka), DESKTOP);
    page.browser.await_true("hotspur.charts.rates.data[0].length > 2");
    page.browser.picture("live-without-records", true);
    assert!(page.browser.colours("rates") > 1);
    assert_eq!(page.text("now-rate"), "0");
    page.await_text("slow-count", "None in this run");
    page.end();
}

#[test]
fn it_fits_a_phone_the_dark_and_paper() {
    let mut page = Page::open(PHONE);
    page.browser.picture("live-phone", true);
    page.is_true(&format!("document.documentElement.scrollWidth <= {}", PHONE.0));
    page.are_drawn();
    page.browser.emulate("screen", "dark");
    page.are_drawn();
    page.browser.resize(DESKTOP.0, DESKTOP.1);
    page.browser.await_true("hotspur.charts.curves.width > 1000");
    page.browser.picture("live-dark", true);
    page.browser.emulate("print", "dark");
    page.is_true("getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'");
    page.are_drawn();
    page.end();
}

#[test]
fn a_run_that_ends_is_said_to_be_gone() {
    let mut page = Page::open(DESKTOP);
    page.browser.picture("live-before-its-end", false);
    assert!(page.browser.errors.is_empty(), "{:?}", page.browser.errors);
    drop(page.demo);
    let gone = "document.getElementById('state').innerText.startsWith('No word since ')";
    page.browser.await_true(gone);
    page.browser.picture("live-gone", false);
    let speeds = "document.getElementById('speeds').innerText.includes('transit')";
    assert_eq!(page.browser.value(speeds), true, "what was seen last stays");
}
