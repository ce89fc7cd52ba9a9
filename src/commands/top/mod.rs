//! `top`: a running process at a glance, as on its live page, in the terminal.
//!
//! A thread asks the process for moment after moment, each of which is there after about a second,
//! and this one draws what came and hears keys. Where standard output is no terminal, one picture
//! is printed as text.

mod moment;
mod screen;

use std::{
    io::{self, IsTerminal},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};

use self::{
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
    /// Where it listens
    #[command(flatten)]
    pub at: remote::Arguments,
    /// Prints one picture and ends; so it is where standard output is no terminal
    #[arg(long)]
    pub once: bool,
}

/// How long keys are waited for before news is looked for.
const KEYS_FOR: Duration = Duration::from_millis(50);

/// After how long a process that did not answer is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A picture that nobody scrolls.
const PRINTED: (u16, u16) = (120, 40);

/// Runs the command.
pub fn run(line: &CommandLine, arguments: &Arguments) -> Outcome {
    let target = Target::new(line, &arguments.at)?;
    let first = Moment::ask(&target)?;
    let mut view = View::default();
    view.take(first);
    if arguments.once || !io::stdout().is_terminal() {
        return print(&printed(&view));
    }
    let (news, told) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    let asking = thread::Builder::new()
        .name("top-asks".to_owned())
        .spawn(move || ask_on(&target, &news, &stopped))
        .map_err(|error| Failure::unavailable(format!("a thread cannot be started: {error}")))?;
    let shown = show(&mut view, &told);
    drop((stop, told));
    // It ends with the answer that it waits for, if any; nothing it could say matters any more.
    drop(asking);
    shown.map_err(|error| Failure::unavailable(format!("the terminal cannot be used: {error}")))?;
    Ok(Exit::Done)
}

/// One moment after the other, until nobody is there to be told.
fn ask_on(target: &Target, news: &Sender<Result<Moment, Failure>>, stopped: &Receiver<()>) {
    loop {
        let answer = Moment::ask(target);
        let is_bad = answer.is_err();
        if news.send(answer).is_err() {
            return;
        }
        let is_over = |it| it == Err(RecvTimeoutError::Disconnected);
        if is_bad && is_over(stopped.recv_timeout(AGAIN_AFTER)) {
            return;
        }
    }
}

fn show(view: &mut View, told: &Receiver<Result<Moment, Failure>>) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let shown = (|| {
        let mut is_changed = true;
        loop {
            if is_changed {
                terminal.draw(|frame| draw(frame, view))?;
            }
            is_changed = false;
            for news in told.try_iter() {
                match news {
                    Ok(moment) => view.take(moment),
                    Err(failure) => view.lose(failure.message),
                }
                is_changed = true;
            }
            if !event::poll(KEYS_FOR)? {
                continue;
            }
            is_changed = true;
            if let Event::Key(key) = event::read()?
                && !press(view, key)
            {
                return Ok(());
            }
        }
    })();
    ratatui::restore();
    shown
}

/// False if that ends it.
fn press(view: &mut View, key: KeyEvent) -> bool {
    if key.kind != KeyEventKind::Press {
        return true;
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('h' | ' ') => view.is_held = !view.is_held,
        _ => {}
    }
    true
}

fn printed(view: &View) -> String {
    let mut terminal = match Terminal::new(TestBackend::new(PRINTED.0, PRINTED.1)) {
        Ok(terminal) => terminal,
        Err(never) => match never {},
    };
    match terminal.draw(|frame| draw(frame, view)) {
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

    #[test]
    fn keys_hold_the_view_and_end_it() {
        let mut view = View::default();
        assert!(press(&mut view, key(KeyCode::Char('h'))) && view.is_held);
        assert!(press(&mut view, key(KeyCode::Char(' '))) && !view.is_held);
        assert!(press(&mut view, key(KeyCode::Char('c'))));
        assert!(!press(&mut view, key(KeyCode::Esc)));
        assert!(!press(&mut view, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    }

    #[test]
    fn a_picture_has_everything_and_one_that_is_held_stands_still() {
        let mut view = View::default();
        view.take(moment::tests::sample(1_234.0, 5_000));
        let text = printed(&view);
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
            assert!(text.contains(words), "no {words} in\n{text}");
        }
        view.is_held = true;
        view.take(moment::tests::sample(9.0, 7_000));
        assert!(printed(&view).contains("1,234") && printed(&view).contains("held"));
        view.lose("nobody answers at 127.0.0.1:9".to_owned());
        assert!(printed(&view).contains("nobody answers at 127.0.0.1:9"));
        view.is_held = false;
        view.take(moment::tests::sample(9.0, 7_000));
        assert!(!printed(&view).contains("1,234") && printed(&view).contains("7.00 us"));
    }
}
