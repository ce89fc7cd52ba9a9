//! `top`: a running process at a glance, as on its live page, in the terminal.
//!
//! A thread asks the process for moment after moment, each of which is there after about a second,
//! and this one draws what came and hears keys. Where standard output is no terminal, one picture
//! is printed as text. Of several processes, with several addresses, there is a row for each.

mod fleet;
mod moment;
mod screen;

use std::{
    io::{self, IsTerminal},
    panic::resume_unwind,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use ratatui::{
    Frame, Terminal,
    backend::TestBackend,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};

use self::{
    fleet::Fleet,
    moment::Moment,
    screen::{View, draw},
};
use super::{
    CommandLine, Exit, Failure, Outcome, print,
    remote::{self, Target},
};

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
#[group(id = "top")]
pub struct Arguments {
    /// Where the process listens; else the configuration's observe.listen. Several with commas
    /// between them are shown in one table
    #[arg(long, value_name = "HOST:PORT,…", value_delimiter = ',')]
    pub address: Vec<String>,
    /// Prints one picture and ends; so it is where standard output is no terminal
    #[arg(long)]
    pub once: bool,
}

/// How long keys are waited for before news is looked for.
const KEYS_FOR: Duration = Duration::from_millis(50);

/// After how long a process that did not answer is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A picture that nobody scrolls: columns, and lines at least.
const PRINTED: (u16, u16) = (120, 40);

/// What a process said, or why it does not; and which of several it is.
type News = (usize, Result<Moment, Failure>);

/// Runs the command.
pub fn run(line: &CommandLine, arguments: &Arguments) -> Outcome {
    let is_printed = arguments.once || !io::stdout().is_terminal();
    if let [_, _, ..] = arguments.address.as_slice() {
        return run_fleet(line, &arguments.address, is_printed);
    }
    let target = target(line, arguments.address.first().cloned())?;
    let mut view = View::default();
    view.take(Moment::ask(&target)?);
    if is_printed {
        return print(&printed(PRINTED.1, |frame| draw(frame, &view)));
    }
    watch(vec![target], &mut view)
}

fn target(line: &CommandLine, address: Option<String>) -> Result<Target, Failure> {
    Target::new(line, &remote::Arguments { address })
}

/// Several processes. That one does not answer is a line of the picture, not the end of it; unless
/// none does.
fn run_fleet(line: &CommandLine, addresses: &[String], is_printed: bool) -> Outcome {
    let target = |address: &String| target(line, Some(address.clone()));
    let targets: Vec<Target> = addresses.iter().map(target).collect::<Result<_, _>>()?;
    let mut fleet = Fleet::new(addresses.iter().cloned());
    let asked: Vec<Result<Moment, Failure>> = thread::scope(|scope| {
        let asking: Vec<_> =
            targets.iter().map(|target| scope.spawn(|| Moment::ask(target))).collect();
        let answers = asking.into_iter().map(|it| it.join());
        answers.map(|it| it.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let is_silent = asked.iter().all(Result::is_err);
    for (number, answer) in asked.into_iter().enumerate() {
        match answer {
            Err(failure) if is_silent => return Err(failure),
            answer => fleet.take(number, answer.map_err(|it| it.message)),
        }
    }
    if is_printed {
        return print(&printed(fleet.lines(), |frame| fleet::draw(frame, &fleet)));
    }
    watch(targets, &mut fleet)
}

/// Asks on and draws until a key ends it.
fn watch(targets: Vec<Target>, picture: &mut impl Picture) -> Outcome {
    let (news, told) = mpsc::channel();
    let mut stops = Vec::new();
    for (number, target) in targets.into_iter().enumerate() {
        let (stop, stopped) = mpsc::channel();
        let news = news.clone();
        // It ends with the answer that it waits for, if any; nothing it could say matters then.
        thread::Builder::new()
            .name("top-asks".to_owned())
            .spawn(move || ask_on(number, &target, &news, &stopped))
            .map_err(|it| Failure::unavailable(format!("a thread cannot be started: {it}")))?;
        stops.push(stop);
    }
    let shown = show(picture, &told);
    drop((stops, told));
    shown.map_err(|error| Failure::unavailable(format!("the terminal cannot be used: {error}")))?;
    Ok(Exit::Done)
}

/// One moment after the other, until nobody is there to be told.
fn ask_on(number: usize, target: &Target, news: &Sender<News>, stopped: &Receiver<()>) {
    loop {
        let answer = Moment::ask(target);
        let is_bad = answer.is_err();
        if news.send((number, answer)).is_err() {
            return;
        }
        let is_over = |it| it == Err(RecvTimeoutError::Disconnected);
        if is_bad && is_over(stopped.recv_timeout(AGAIN_AFTER)) {
            return;
        }
    }
}

/// What is drawn again and again: one process, or several.
trait Picture {
    fn hear(&mut self, news: News);
    fn draw(&self, frame: &mut Frame<'_>);
    fn is_held(&mut self) -> &mut bool;
}

impl Picture for View {
    fn hear(&mut self, (_, answer): News) {
        match answer {
            Ok(moment) => self.take(moment),
            Err(failure) => self.lose(failure.message),
        }
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        draw(frame, self);
    }

    fn is_held(&mut self) -> &mut bool {
        &mut self.is_held
    }
}

impl Picture for Fleet {
    fn hear(&mut self, (number, answer): News) {
        self.take(number, answer.map_err(|it| it.message));
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        fleet::draw(frame, self);
    }

    fn is_held(&mut self) -> &mut bool {
        &mut self.is_held
    }
}

fn show(picture: &mut impl Picture, told: &Receiver<News>) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let shown = (|| {
        let mut is_changed = true;
        loop {
            if is_changed {
                terminal.draw(|frame| picture.draw(frame))?;
            }
            is_changed = false;
            for news in told.try_iter() {
                picture.hear(news);
                is_changed = true;
            }
            if !event::poll(KEYS_FOR)? {
                continue;
            }
            is_changed = true;
            if let Event::Key(key) = event::read()?
                && !press(picture.is_held(), key)
            {
                return Ok(());
            }
        }
    })();
    ratatui::restore();
    shown
}

/// False if that ends it.
fn press(is_held: &mut bool, key: KeyEvent) -> bool {
    if key.kind != KeyEventKind::Press {
        return true;
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('h' | ' ') => *is_held = !*is_held,
        _ => {}
    }
    true
}

fn printed(lines: u16, draw: impl FnOnce(&mut Frame<'_>)) -> String {
    let mut terminal = match Terminal::new(TestBackend::new(PRINTED.0, lines.max(PRINTED.1))) {
        Ok(terminal) => terminal,
        Err(never) => match never {},
    };
    match terminal.draw(draw) {
        Ok(_) => {}
        Err(never) => match never {},
    }
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(usize::from(PRINTED.0));
    let lines = lines.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
    let text: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    fn text(picture: &impl Picture) -> String {
        printed(0, |frame| picture.draw(frame))
    }

    #[test]
    fn keys_hold_the_view_and_end_it() {
        let mut is_held = false;
        assert!(press(&mut is_held, key(KeyCode::Char('h'))) && is_held);
        assert!(press(&mut is_held, key(KeyCode::Char(' '))) && !is_held);
        assert!(press(&mut is_held, key(KeyCode::Char('c'))));
        assert!(!press(&mut is_held, key(KeyCode::Esc)));
        assert!(!press(&mut is_held, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    }

    #[test]
    fn a_picture_has_everything_and_one_that_is_held_stands_still() {
        let mut view = View::default();
        view.take(moment::tests::sample(1_234.0, 5_000));
        let picture = text(&view);
        for words in [
            "orders",
            "at_least_once",
            "end_to_end",
            "5.00 us",
            "1,234",
            "working 25.0 %",
            "table users: 3 entries",
            "lag 70 records in 2 partitions",
            "2 page_fault",
            "orders:0:17",
            "the scheduler took the core for 4.1 ms",
        ] {
            assert!(picture.contains(words), "no {words} in\n{picture}");
        }
        assert!(!picture.contains(", held"), "{picture}");
        let mut with_state = moment::tests::sample(1_234.0, 5_000);
        with_state.records.held = 4_321;
        view.take(with_state);
        assert!(text(&view).contains("dead-lettered 40, held 4,321, in flight 5"));
        view.is_held = true;
        view.take(moment::tests::sample(9.0, 7_000));
        assert!(text(&view).contains("1,234") && text(&view).contains("held"));
        view.lose("nobody answers at 127.0.0.1:9".to_owned());
        assert!(text(&view).contains("nobody answers at 127.0.0.1:9"));
        view.is_held = false;
        view.take(moment::tests::sample(9.0, 7_000));
        assert!(!text(&view).contains("1,234") && text(&view).contains("7.00 us"));
    }

    #[test]
    fn several_processes_have_a_row_each_and_a_sum() {
        let mut fleet = Fleet::new(["a:1", "b:2", "c:3"].map(str::to_owned));
        fleet.take(0, Ok(moment::tests::sample(1_000.0, 5_000)));
        let second = Moment {
            instance: "web-2".to_owned(),
            reasons: vec!["paused".to_owned()],
            ..moment::tests::sample(2_345.0, 7_000)
        };
        fleet.take(1, Ok(second));
        fleet.take(2, Err("nobody answers at c:3".to_owned()));
        let picture = text(&fleet);
        for words in ["3 processes", "web-1", "web-2: paused", "c:3", "nobody answers at c:3"] {
            assert!(picture.contains(words), "no {words} in\n{picture}");
        }
        let line = |start: &str| {
            let line = picture.lines().find(|line| line.starts_with(start)).expect(start);
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(line("web-2")[1..3], ["3", "2,345"]);
        // Rates, lags and slow records add up; of the shares there is the largest.
        let all = line("all; largest");
        assert_eq!(all[2..], ["3,345", "-", "-", "-", "60.0", "us", "25.0", "%", "140", "4", "2"]);
        fleet.is_held = true;
        fleet.take(0, Ok(moment::tests::sample(9.0, 5_000)));
        assert!(text(&fleet).contains("3,345") && text(&fleet).contains("held"));

        let names: Vec<_> = (0..99).map(|it| format!("a-host-of-a-long-name-{it}")).collect();
        let mut fleet = Fleet::new(names.clone());
        for (number, instance) in names.into_iter().enumerate() {
            let moment = Moment { instance, ..moment::tests::sample(1.0, 5_000) };
            fleet.take(number, Ok(moment));
        }
        let whole = printed(fleet.lines(), |frame| fleet::draw(frame, &fleet));
        for words in ["…f-a-long-name-7 ", "…-a-long-name-98 ", "all; largest", "all are ready"]
        {
            assert!(whole.contains(words), "no {words} in\n{whole}");
        }
    }
}
