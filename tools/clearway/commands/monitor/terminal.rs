//! The monitor on a terminal: looks at the node, draws, hears keys, and leaves the terminal as it
//! was.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::oneshot;

use super::page::{Asker, PageError};
use super::sample::Sample;
use super::screen::{Theme, draw};
use super::view::{View, Wish};
use crate::failure::{Failure, Kind};
use crate::{signals, streams};

/// How long a key is waited for before it is looked whether anything else has come. A signal must
/// be seen well within the second that it leaves.
const ROUND: Duration = Duration::from_millis(100);

/// A look at the node, and when it was over.
type Look = (Duration, Result<Sample, PageError>);

/// Whether there is a terminal to draw on and to hear keys from.
pub(super) fn is_there() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// Draws the node until a key or a signal ends it.
pub(super) fn watch(asker: Asker, interval: Duration) -> Result<(), Failure> {
    // A wrong address is told at once, on a terminal that nothing was drawn on.
    let first = asker.sample()?;
    let notice = signals::notice()?;
    let mut view = View::new(asker.target(), interval, first);
    let looks = look_on(asker, interval)?;
    let theme = Theme::new(streams::is_coloured(&io::stdout()));
    let mut terminal = Drawn::open()?;
    let end = run(&mut terminal, &mut view, &theme, &looks, notice);
    drop(terminal);
    match end? {
        End::Quit => Ok(()),
        End::Signal(kind) => signals::end(kind),
    }
}

/// How the program ends.
enum End {
    Quit,
    Signal(Kind),
}

fn run(
    terminal: &mut Drawn,
    view: &mut View,
    theme: &Theme,
    looks: &Receiver<Look>,
    mut notice: oneshot::Receiver<Kind>,
) -> Result<End, Failure> {
    let mut changed = true;
    loop {
        let drawn = match changed {
            true => terminal.draw(view, theme),
            false => Ok(()),
        };
        if has_gone_within(ROUND).map_err(|error| lost(&error))? {
            return Ok(End::Signal(Kind::HangUp));
        }
        drawn.map_err(|error| lost(&error))?;
        let (heard, wish) = hear(view).map_err(|error| lost(&error))?;
        changed = heard;
        match wish {
            Some(Wish::Quit) => return Ok(End::Quit),
            Some(Wish::Interrupt) => return Ok(End::Signal(Kind::Interrupted)),
            None => {}
        }
        if let Ok(kind) = notice.try_recv() {
            return Ok(End::Signal(kind));
        }
        match looks.try_recv() {
            Ok((at, look)) => {
                view.on_look(at, look);
                changed = true;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                let message = "the thread that asks the node has ended; start the monitor again";
                return Err(Failure::new(Kind::Failed, message));
            }
        }
    }
}

/// Waits a moment for a key: whether there is nobody any more to type one. The library would look
/// for keys of a terminal that has gone for ever.
fn has_gone_within(time: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut keys = [PollFd::new(&stdin, PollFlags::IN)];
    let time = Timespec::try_from(time).expect("a moment fits");
    match poll(&mut keys, Some(&time)) {
        // Another size of the window is told by a signal.
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(keys[0]
            .revents()
            .intersects(PollFlags::HUP | PollFlags::ERR)),
    }
}

/// Takes in keys and sizes of the window that are there: whether there were any, and what a key
/// asks for.
fn hear(view: &mut View) -> io::Result<(bool, Option<Wish>)> {
    let mut heard = false;
    while event::poll(Duration::ZERO)? {
        heard = true;
        if let Event::Key(key) = event::read()?
            && let Some(wish) = view.on_key(key)
        {
            return Ok((heard, Some(wish)));
        }
    }
    Ok((heard, None))
}

fn lost(error: &io::Error) -> Failure {
    let message = format!("the terminal cannot be used: {error}; give --once for one table");
    Failure::new(Kind::Failed, message)
}

/// Looks at the node once an interval, on a thread of its own: a slow answer keeps no key waiting.
/// The thread ends with the program, or when nobody takes what it brings.
fn look_on(asker: Asker, interval: Duration) -> Result<Receiver<Look>, Failure> {
    let (tell, told) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("looks".to_owned());
    thread.spawn(move || look(&asker, interval, &tell))?;
    Ok(told)
}

fn look(asker: &Asker, interval: Duration, tell: &SyncSender<Look>) {
    loop {
        std::thread::sleep(interval);
        let sample = asker.sample();
        if tell.send((asker.uptime(), sample)).is_err() {
            return;
        }
    }
}

/// A terminal that is drawn on, given back as it was when this goes, whatever the reason; a panic
/// gives it back before it is told of.
struct Drawn(Option<DefaultTerminal>);

impl Drawn {
    fn open() -> Result<Self, Failure> {
        let opened = ratatui::try_init().map(|terminal| Self(Some(terminal)));
        opened.map_err(|error| {
            // It may have been taken in part.
            let _ = ratatui::try_restore();
            lost(&error)
        })
    }

    fn draw(&mut self, view: &View, theme: &Theme) -> io::Result<()> {
        let Some(terminal) = &mut self.0 else {
            return Ok(());
        };
        terminal.draw(|frame| draw(frame, view, theme)).map(drop)
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        let Some(mut terminal) = self.0.take() else {
            return;
        };
        if terminal.show_cursor().is_err() {
            // It has gone. Dropped, the library's side of it would say so on standard error, which
            // has often gone with it, and panic where it cannot.
            std::mem::forget(terminal);
        }
        // A panic has given the screen back before it was told of; again would hide its words.
        if !std::thread::panicking() {
            let _ = ratatui::try_restore();
        }
    }
}
