//! Threads that never end: a driver is called from no others.
//!
//! NVIDIA's driver (580.159.04, on an H200) keeps memory for each thread that has called it. Where
//! such a thread ends while another is in a call, both may wait for each other for ever, or the
//! program crashes: six of eight runs of the tests on four threads did, none of five on one.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::LazyLock;
use std::thread;

use crossbeam::channel::{Sender, bounded, unbounded};

/// As much as a main thread has, whatever the environment says: drivers compile on it.
const STACK_BYTES: usize = 8 << 20;

type Task = Box<dyn FnOnce() + Send>;

thread_local! {
    static LASTS: Cell<bool> = const { Cell::new(false) };
}

/// For calls that somebody waits for.
static CALLS: LazyLock<Sender<Task>> = LazyLock::new(|| worker("gpu-calls"));
/// For what may take a driver that hangs any time, so nobody waits.
static DROPS: LazyLock<Sender<Task>> = LazyLock::new(|| worker("gpu-drop"));

/// Starts a thread for this task, which stays when the task is done.
pub(crate) fn spawn(name: &str, task: impl FnOnce() + Send + 'static) {
    let run = move || {
        LASTS.set(true);
        task();
        loop {
            thread::park();
        }
    };
    let builder = thread::Builder::new().name(name.into());
    let builder = builder.stack_size(STACK_BYTES);
    drop(builder.spawn(run).expect("the system gives a thread"));
}

/// Runs this on a thread that lasts, and waits: at once where this one is such a thread.
///
/// # Panics
/// When the task does.
pub(crate) fn run<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> T {
    if LASTS.get() {
        return task();
    }
    let (reply, outcome) = bounded(1);
    let task = move || drop(reply.send(panic::catch_unwind(AssertUnwindSafe(task))));
    let sent = CALLS.send(Box::new(task));
    sent.expect("the thread lasts");
    let outcome = outcome.recv().expect("each task sends its outcome");
    outcome.unwrap_or_else(|panicked: Box<dyn Any + Send>| panic::resume_unwind(panicked))
}

/// Drops this on a thread of its own, whatever time that takes.
pub(crate) fn let_go(what: impl Send + 'static) {
    let sent = DROPS.send(Box::new(move || drop(what)));
    sent.expect("the thread lasts");
}

fn worker(name: &str) -> Sender<Task> {
    let (sender, tasks) = unbounded::<Task>();
    spawn(name, move || tasks.iter().for_each(|task| task()));
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_may_ask_for_another_and_a_panic_is_the_callers() {
        let name = || thread::current().name().map(str::to_owned);
        let names = run(move || [name(), run(name)]);
        assert_eq!(
            names,
            ["gpu-calls", "gpu-calls"].map(|name| Some(name.to_owned()))
        );
        let panicked = panic::catch_unwind(|| run(|| panic!("a test's")));
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"a test's"));
        assert_eq!(run(|| 5), 5, "it goes on");
    }
}
